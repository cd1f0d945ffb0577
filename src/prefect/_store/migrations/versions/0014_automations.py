"""Automations, what they have counted, and what they are to do."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "automation",
        _required("id", Id),
        _required("created", Timestamp),
        _required("updated", Timestamp),
        _required("name", sa.Text),
        _required("description", sa.Text),
        _required("enabled", sa.Boolean),
        _required("tags", Json),
        _required("trigger", Json),
        _required("actions", Json),
        _required("actions_on_trigger", Json),
        _required("actions_on_resolve", Json),
        sa.Column("owner_resource", sa.Text),
        _required("place", sa.Text),
        _required("enabled_at", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_automation"),
    )
    op.create_index("ix_automation__name", "automation", ["name"])
    _where_present("automation", "owner_resource")
    op.create_table(
        "automation_resource",
        _required("automation_id", Id),
        _required("resource_id", sa.Text),
        sa.PrimaryKeyConstraint("automation_id", "resource_id", name="pk_automation_resource"),
        _of_automation("automation_resource"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_automation_resource__resource_id", "automation_resource", ["resource_id"])
    op.create_table(
        "automation_progress",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        _required("place", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_automation_progress"),
    )
    _create_counts()


def _create_counts() -> None:
    op.create_table(
        "automation_count",
        _required("automation_id", Id),
        _required("trigger_id", Id),
        _required("key", sa.Text),
        _required("state", Json),
        sa.Column("due", Timestamp),
        sa.Column("expires", Timestamp),
        sa.PrimaryKeyConstraint("automation_id", "trigger_id", "key", name="pk_automation_count"),
        _of_automation("automation_count"),
        sqlite_with_rowid=False,
    )
    _where_present("automation_count", "due")
    _where_present("automation_count", "expires")
    op.create_table(
        "automation_action",
        _required("id", Id),
        _required("automation_id", Id),
        _required("invocation", Json),
        _required("due", Timestamp),
        _required("attempts", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_automation_action"),
    )
    op.create_index("ix_automation_action__due", "automation_action", ["due"])


def downgrade() -> None:
    for table in ("action", "count", "progress", "resource"):
        op.drop_table(f"automation_{table}")
    op.drop_table("automation")


def _required(name: str, type: Any) -> sa.Column[Any]:
    return sa.Column(name, type, nullable=False)


def _of_automation(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}__automation_id"
    return sa.ForeignKeyConstraint(["automation_id"], ["automation.id"], name=name, ondelete="CASCADE")


def _where_present(table: str, column: str) -> None:
    present = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}__{column}", table, [column], sqlite_where=present, postgresql_where=present)
