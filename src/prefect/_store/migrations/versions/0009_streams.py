"""Following what is written; task runs and orders handed out over websockets."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0009"
down_revision = "0008"

_FOLLOWED = ("event", "log")


def upgrade() -> None:
    on_postgresql = op.get_context().dialect.name == "postgresql"
    for table in _FOLLOWED:
        if on_postgresql:
            # in two steps: a column that begins with its default would have all rows written anew
            op.add_column(table, sa.Column("xid", sa.BigInteger))
            op.execute(f"ALTER TABLE {table} ALTER COLUMN xid SET DEFAULT (pg_current_xact_id()::text::bigint)")
        else:
            op.add_column(table, sa.Column("xid", sa.BigInteger, server_default=sa.text("NULL")))
        present = sa.text("xid IS NOT NULL")
        op.create_index(f"ix_{table}__xid_id", table, ["xid", "id"], sqlite_where=present, postgresql_where=present)
    _create_deliveries()


def _create_deliveries() -> None:
    op.create_table(
        "task_run_delivery",
        _required("task_run_id", Id),
        _required("subscriber_id", Id),
        _required("expires", Timestamp),
        sa.PrimaryKeyConstraint("task_run_id", name="pk_task_run_delivery"),
        sa.ForeignKeyConstraint(
            ["task_run_id"], ["task_run.id"], name="fk_task_run_delivery__task_run_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_task_run_delivery__subscriber_id", "task_run_delivery", ["subscriber_id"])
    op.create_table(
        "cleanup_message",
        _required("id", Id),
        _required("created", Timestamp),
        _required("work_pool_id", Id),
        sa.Column("work_queue_id", Id),
        _required("kind", sa.Text),
        _required("flow_run_id", Id),
        _required("target", Json),
        _required("data", Json),
        _required("delivery_count", sa.Integer),
        sa.Column("reservation_token", sa.Text),
        sa.Column("reserved_until", Timestamp),
        sa.Column("dead_since", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_cleanup_message"),
        sa.UniqueConstraint(
            "work_pool_id", "kind", "flow_run_id", name="uq_cleanup_message__work_pool_id_kind_flow_run_id"
        ),
        sa.ForeignKeyConstraint(
            ["work_pool_id"], ["work_pool.id"], name="fk_cleanup_message__work_pool_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    for table in ("cleanup_message", "task_run_delivery"):
        op.drop_table(table)
    for table in _FOLLOWED:
        op.drop_index(f"ix_{table}__xid_id", table)
        op.execute(f"ALTER TABLE {table} DROP COLUMN xid")


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
