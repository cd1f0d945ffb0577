"""Events and the resources they have to do with."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "event",
        _required("id", Id),
        _required("occurred", Timestamp),
        _required("event", sa.Text),
        _required("resource_id", sa.Text),
        _required("payload", Json),
        sa.Column("follows", Id),
        _required("received", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event__occurred", "event", ["occurred"])
    op.create_index("ix_event__event_occurred", "event", ["event", "occurred"])
    op.create_index("ix_event__resource_id_occurred", "event", ["resource_id", "occurred"])
    op.create_table(
        "event_resource",
        _required("event_id", Id),
        _required("position", sa.Integer),
        _required("resource_id", sa.Text),
        _required("role", sa.Text),
        _required("labels", Json),
        _required("occurred", Timestamp),
        sa.PrimaryKeyConstraint("event_id", "position", name="pk_event_resource"),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name="fk_event_resource__event_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_event_resource__resource_id_occurred", "event_resource", ["resource_id", "occurred"])


def downgrade() -> None:
    for table in ("event_resource", "event"):
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
