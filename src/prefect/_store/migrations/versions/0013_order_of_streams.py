"""What one transaction wrote is followed in the order in which it happened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_MOMENTS = {"event": "occurred", "log": "timestamp"}


def upgrade() -> None:
    for table, moment in _MOMENTS.items():
        op.drop_index(f"ix_{table}__xid_id", table)
        _create(table, ["xid", moment, "id"])


def downgrade() -> None:
    for table, moment in _MOMENTS.items():
        op.drop_index(f"ix_{table}__xid_{moment}_id", table)
        _create(table, ["xid", "id"])


def _create(table: str, columns: list[str]) -> None:
    present = sa.text("xid IS NOT NULL")
    name = f"ix_{table}__{'_'.join(columns)}"
    op.create_index(name, table, columns, sqlite_where=present, postgresql_where=present)
