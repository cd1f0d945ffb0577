"""Resources of events do not refer to their events any more.

They are written and removed together with these, and to look the event up once more for each takes PostgreSQL as long as
to write the resource.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0019"
down_revision = "0018"

_TABLE = "event_resource"
_KEY = "fk_event_resource__event_id"
_INDEX = "ix_event_resource__resource_id_occurred"
_COLUMNS = "event_id, position, resource_id, role, labels, occurred"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(_KEY, _TABLE, type_="foreignkey")
    else:
        _make_anew()


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.create_foreign_key(_KEY, _TABLE, "event", ["event_id"], ["id"], ondelete="CASCADE")
    else:
        _make_anew(sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=_KEY, ondelete="CASCADE"))


def _make_anew(*constraints: sa.Constraint) -> None:
    """SQLite changes no constraint of a table that is there."""
    before = f"{_TABLE}_before"
    op.drop_index(_INDEX, _TABLE)
    op.rename_table(_TABLE, before)
    op.create_table(
        _TABLE,
        sa.Column("event_id", Id, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("resource_id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("labels", Json, nullable=False),
        sa.Column("occurred", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("event_id", "position", name="pk_event_resource"),
        *constraints,
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO {_TABLE} ({_COLUMNS}) SELECT {_COLUMNS} FROM {before}")
    op.drop_table(before)
    op.create_index(_INDEX, _TABLE, ["resource_id", "occurred"])
