"""The flow runs of a state, in the order in which they started."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    started = "coalesce(start_time, expected_start_time)"
    present = sa.text(f"{started} IS NOT NULL")
    op.create_index(
        "ix_flow_run__started_by_state",
        "flow_run",
        ["state_type", sa.text(started)],
        sqlite_where=present,
        postgresql_where=present,
    )


def downgrade() -> None:
    op.drop_index("ix_flow_run__started_by_state", "flow_run")
