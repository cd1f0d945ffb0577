"""Work pools, their queues and workers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "work_pool",
        *_identity(),
        _required("name", sa.Text),
        sa.Column("description", sa.Text),
        _required("type", sa.Text),
        _required("base_job_template", Json),
        _required("is_paused", sa.Boolean),
        sa.Column("concurrency_limit", sa.Integer),
        _required("storage_configuration", Json),
        sa.Column("default_queue_id", Id),
        sa.PrimaryKeyConstraint("id", name="pk_work_pool"),
        sa.UniqueConstraint("name", name="uq_work_pool__name"),
    )
    op.create_table(
        "work_queue",
        *_identity(),
        _required("work_pool_id", Id),
        _required("name", sa.Text),
        _required("description", sa.Text),
        _required("is_paused", sa.Boolean),
        sa.Column("concurrency_limit", sa.Integer),
        _required("priority", sa.Integer),
        sa.Column("filter", Json),
        sa.Column("last_polled", Timestamp),
        *_of_pool("work_queue"),
    )
    op.create_table(
        "worker",
        *_identity(),
        _required("work_pool_id", Id),
        _required("name", sa.Text),
        sa.Column("heartbeat_interval_seconds", sa.Integer),
        _required("last_heartbeat_time", Timestamp),
        _required("offline_at", Timestamp),
        sa.Column("metadata", Json),
        *_of_pool("worker"),
    )


def downgrade() -> None:
    for table in ("worker", "work_queue", "work_pool"):
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _identity() -> list[sa.Column[Any]]:
    return [_required("id", Id), _required("created", Timestamp), _required("updated", Timestamp)]


def _of_pool(table: str) -> list[sa.Constraint]:
    return [
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("work_pool_id", "name", name=f"uq_{table}__work_pool_id_name"),
        sa.ForeignKeyConstraint(
            ["work_pool_id"], ["work_pool.id"], name=f"fk_{table}__work_pool_id", ondelete="CASCADE"
        ),
    ]
