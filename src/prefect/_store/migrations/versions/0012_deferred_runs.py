"""Deferred task runs: the local queue, which was made when it was first used, and the claims of a server's."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Timestamp

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    _queue()
    op.create_table(
        "task_run_lease",
        _required("task_run_id", Id),
        _required("token", sa.BigInteger),
        _required("holder_name", sa.Text),
        sa.Column("expires", Timestamp),
        _required("unbegun", sa.Integer),
        sa.PrimaryKeyConstraint("task_run_id", name="pk_task_run_lease"),
        _of_task_run("task_run_lease"),
    )
    there = sa.text("expires IS NOT NULL")
    op.create_index(
        "ix_task_run_lease__expires", "task_run_lease", ["expires"], sqlite_where=there, postgresql_where=there
    )


def downgrade() -> None:
    op.drop_table("task_run_lease")
    op.drop_table("deferred_run")


def _queue() -> None:
    op.create_table(
        "deferred_run",
        _required("task_run_id", Id),
        _required("task_key", sa.Text),
        _required("place", sa.Text),
        _required("due", sa.BigInteger),
        sa.Column("owner", sa.Text),
        _required("claims", sa.Integer),
        _required("unbegun", sa.Integer),
        _required("waits_for", sa.Text),
        _required("dependencies", sa.Text),
        sa.Column("parameters", sa.Text),
        sa.PrimaryKeyConstraint("task_run_id", name="pk_deferred_run"),
        _of_task_run("deferred_run"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    for name, columns, where in (
        ("due", ["due", "task_run_id"], "owner IS NULL"),
        ("owner", ["owner"], "owner IS NOT NULL"),
        ("waiting", ["task_run_id"], "waits_for != '[]'"),
    ):
        condition = sa.text(where)
        op.create_index(
            f"ix_deferred_run__{name}", "deferred_run", columns, sqlite_where=condition, postgresql_where=condition,
            if_not_exists=True,
        )  # fmt: skip


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _of_task_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["task_run_id"], ["task_run.id"], name=f"fk_{table}__task_run_id", ondelete="CASCADE"
    )
