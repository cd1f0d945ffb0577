"""Versions of deployments, their limits, catch-up policies, backfills; runs that are due are found by an index."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("deployment", sa.Column("concurrency_limit_id", Id))
    _partial_index("ix_deployment__concurrency_limit_id", "deployment", ["concurrency_limit_id"])
    op.execute(
        "UPDATE deployment SET concurrency_limit_id = (SELECT concurrency_limit.id FROM concurrency_limit "
        "WHERE concurrency_limit.name = 'deployment:' || CAST(deployment.id AS TEXT))"
    )
    op.add_column("deployment_schedule", sa.Column("catch_up", sa.Text))
    _partial_index(
        "ix_flow_run__deployment_id_next_scheduled_start_time", "flow_run",
        ["deployment_id", "next_scheduled_start_time"],
    )  # fmt: skip
    scheduled = sa.text("next_scheduled_start_time IS NOT NULL")
    op.create_index(
        "ix_flow_run__due", "flow_run", ["work_queue_id", "next_scheduled_start_time", "deployment_id"],
        sqlite_where=scheduled, postgresql_where=scheduled,
    )  # fmt: skip
    op.create_table(
        "deployment_version",
        _required("id", Id),
        _required("created", Timestamp),
        _required("deployment_id", Id),
        _required("number", sa.Integer),
        sa.Column("restored", sa.Integer),
        _required("content", Json),
        sa.PrimaryKeyConstraint("id", name="pk_deployment_version"),
        sa.UniqueConstraint("deployment_id", "number", name="uq_deployment_version__deployment_id_number"),
        _cascade("deployment_version", "deployment"),
    )
    op.create_table(
        "schedule_progress",
        _required("schedule_id", Id),
        sa.Column("made_until", Timestamp),
        _required("looked_at", Timestamp),
        _required("look_again", Timestamp),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_schedule_progress"),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["deployment_schedule.id"], name="fk_schedule_progress__schedule_id", ondelete="CASCADE"
        ),
    )
    _create_backfills()


def _create_backfills() -> None:
    op.create_table(
        "backfill",
        _required("id", Id),
        _required("created", Timestamp),
        _required("updated", Timestamp),
        _required("deployment_id", Id),
        sa.Column("schedule_id", Id),
        _required("schedule", Json),
        _required("range_start", Timestamp),
        _required("range_end", Timestamp),
        _required("concurrency", sa.Integer),
        _required("skip_existing", sa.Boolean),
        _required("parameters", Json),
        sa.Column("position", Timestamp),
        _required("status", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_backfill"),
        _cascade("backfill", "deployment"),
    )
    op.create_index("ix_backfill__deployment_id", "backfill", ["deployment_id"])
    op.create_table(
        "backfill_run",
        _required("backfill_id", Id),
        _required("instant", Timestamp),
        _required("flow_run_id", Id),
        sa.PrimaryKeyConstraint("backfill_id", "instant", name="pk_backfill_run"),
        _cascade("backfill_run", "backfill"),
        _cascade("backfill_run", "flow_run"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_backfill_run__flow_run_id", "backfill_run", ["flow_run_id"])


def downgrade() -> None:
    for table in ("backfill_run", "backfill", "schedule_progress", "deployment_version"):
        op.drop_table(table)
    op.drop_index("ix_flow_run__due", "flow_run")
    op.drop_index("ix_flow_run__deployment_id_next_scheduled_start_time", "flow_run")
    op.drop_index("ix_deployment__concurrency_limit_id", "deployment")
    # SQLite knows how to do this since 3.35
    op.execute("ALTER TABLE deployment_schedule DROP COLUMN catch_up")
    op.execute("ALTER TABLE deployment DROP COLUMN concurrency_limit_id")


def _partial_index(name: str, table: str, columns: list[str]) -> None:
    present = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=present, postgresql_where=present)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _cascade(table: str, to: str) -> sa.ForeignKeyConstraint:
    column = f"{to}_id"
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}__{column}", ondelete="CASCADE")
