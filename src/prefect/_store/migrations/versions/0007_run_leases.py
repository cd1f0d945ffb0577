"""Leases of flow runs, who waits for a concurrency limit, and the task runs that have not ended."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Timestamp

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "run_lease",
        _required("flow_run_id", Id),
        _required("token", sa.BigInteger),
        _required("holder_kind", sa.Text),
        _required("holder_id", Id),
        sa.Column("holder_name", sa.Text),
        _required("claimed_at", Timestamp),
        _required("renewed_at", Timestamp),
        sa.Column("expires", Timestamp),
        _required("claims", sa.Integer),
        sa.PrimaryKeyConstraint("flow_run_id", name="pk_run_lease"),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], name="fk_run_lease__flow_run_id", ondelete="CASCADE"),
    )
    present = sa.text("expires IS NOT NULL")
    op.create_index("ix_run_lease__expires", "run_lease", ["expires"], sqlite_where=present, postgresql_where=present)
    op.create_table(
        "concurrency_waiter",
        _required("limit_id", Id),
        _required("waiter_id", Id),
        _required("slots", sa.Integer),
        _required("since", Timestamp),
        _required("expires", Timestamp),
        sa.PrimaryKeyConstraint("limit_id", "waiter_id", name="pk_concurrency_waiter"),
        sa.ForeignKeyConstraint(
            ["limit_id"], ["concurrency_limit.id"], name="fk_concurrency_waiter__limit_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_concurrency_waiter__waiter_id", "concurrency_waiter", ["waiter_id"])
    unended = sa.text("flow_run_id IS NOT NULL AND end_time IS NULL")
    op.create_index("ix_task_run__open", "task_run", ["flow_run_id"], sqlite_where=unended, postgresql_where=unended)


def downgrade() -> None:
    op.drop_index("ix_task_run__open", "task_run")
    for table in ("concurrency_waiter", "run_lease"):
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
