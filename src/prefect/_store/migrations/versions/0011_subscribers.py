"""Who waits for task runs; task runs that are to begin are found by an index."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0011"
down_revision = "0010"

_INDEX = "ix_task_run_delivery__subscriber_id"


def upgrade() -> None:
    scheduled = sa.text("next_scheduled_start_time IS NOT NULL")
    op.create_index(
        "ix_task_run__scheduled", "task_run", ["task_key", "next_scheduled_start_time"],
        sqlite_where=scheduled, postgresql_where=scheduled,
    )  # fmt: skip
    op.drop_table("task_run_delivery")  # what was handed out is handed out again
    op.create_table(
        "task_run_subscriber",
        _required("id", Id),
        _required("created", Timestamp),
        _required("identifier", sa.Text),
        _required("task_keys", Json),
        _required("expires", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_task_run_subscriber"),
    )
    op.create_table(
        "task_run_delivery",
        _required("task_run_id", Id),
        _required("subscriber_id", Id),
        sa.PrimaryKeyConstraint("task_run_id", name="pk_task_run_delivery"),
        _cascade("task_run"),
        _cascade("task_run_subscriber", "subscriber_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(_INDEX, "task_run_delivery", ["subscriber_id"])


def downgrade() -> None:
    op.drop_table("task_run_delivery")
    op.drop_table("task_run_subscriber")
    op.create_table(
        "task_run_delivery",
        _required("task_run_id", Id),
        _required("subscriber_id", Id),
        _required("expires", Timestamp),
        sa.PrimaryKeyConstraint("task_run_id", name="pk_task_run_delivery"),
        _cascade("task_run"),
        sqlite_with_rowid=False,
    )
    op.create_index(_INDEX, "task_run_delivery", ["subscriber_id"])
    op.drop_index("ix_task_run__scheduled", "task_run")


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _cascade(to: str, column: str | None = None) -> sa.ForeignKeyConstraint:
    column = column or f"{to}_id"
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_task_run_delivery__{column}", ondelete="CASCADE")
