"""What lists, dashboards and retention look for: the runs that started, and that ended, in a span of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_WHERE_PRESENT = (("flow_run", "end_time"), ("task_run", "start_time"))


def upgrade() -> None:
    op.create_index("ix_flow_run__started", "flow_run", [sa.text("coalesce(start_time, expected_start_time)")])
    for table, column in _WHERE_PRESENT:
        present = sa.text(f"{column} IS NOT NULL")
        name = f"ix_{table}__{column}"
        op.create_index(name, table, [column], sqlite_where=present, postgresql_where=present)


def downgrade() -> None:
    for table, column in _WHERE_PRESENT:
        op.drop_index(f"ix_{table}__{column}", table)
    op.drop_index("ix_flow_run__started", "flow_run")
