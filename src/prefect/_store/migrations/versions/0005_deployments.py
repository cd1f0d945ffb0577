"""Deployments and their schedules."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _create_deployment()
    op.create_table(
        "deployment_schedule",
        *_identity(),
        _required("deployment_id", Id),
        _required("schedule", Json),
        _required("active", sa.Boolean),
        sa.Column("max_scheduled_runs", sa.Integer),
        _required("parameters", Json),
        sa.Column("slug", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_deployment_schedule"),
        sa.UniqueConstraint("deployment_id", "slug", name="uq_deployment_schedule__deployment_id_slug"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployment.id"], name="fk_deployment_schedule__deployment_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    for table in ("deployment_schedule", "deployment"):
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _identity() -> list[sa.Column[Any]]:
    return [_required("id", Id), _required("created", Timestamp), _required("updated", Timestamp)]


def _create_deployment() -> None:
    op.create_table(
        "deployment",
        *_identity(),
        _required("name", sa.Text),
        _required("flow_id", Id),
        sa.Column("version", sa.Text),
        sa.Column("version_info", Json),
        sa.Column("description", sa.Text),
        _required("paused", sa.Boolean),
        sa.Column("concurrency_options", Json),
        _required("job_variables", Json),
        _required("parameters", Json),
        _required("parameter_openapi_schema", Json),
        _required("enforce_parameter_schema", sa.Boolean),
        _required("pull_steps", Json),
        _required("tags", Json),
        _required("labels", Json),
        sa.Column("work_queue_id", Id),
        sa.Column("work_queue_name", sa.Text),
        sa.Column("last_polled", Timestamp),
        sa.Column("path", sa.Text),
        sa.Column("entrypoint", sa.Text),
        sa.Column("storage_document_id", Id),
        sa.Column("infrastructure_document_id", Id),
        sa.Column("created_by", Json),
        sa.Column("updated_by", Json),
        sa.PrimaryKeyConstraint("id", name="pk_deployment"),
        sa.UniqueConstraint("flow_id", "name", name="uq_deployment__flow_id_name"),
        sa.ForeignKeyConstraint(["flow_id"], ["flow.id"], name="fk_deployment__flow_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["work_queue_id"], ["work_queue.id"], name="fk_deployment__work_queue_id", ondelete="SET NULL"
        ),
    )
    present = sa.column("work_queue_id").is_not(None)
    op.create_index(
        "ix_deployment__work_queue_id", "deployment", ["work_queue_id"], sqlite_where=present, postgresql_where=present
    )
