"""Pages of runs by when they were expected to start are found in an index that has their order, and their ids."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

_NAME = "ix_flow_run__expected"


def upgrade() -> None:
    _make("expected_start_time", "id", "parent_task_run_id", "work_queue_id")


def downgrade() -> None:
    _make("expected_start_time", "parent_task_run_id", "work_queue_id")


def _make(*columns: str) -> None:
    op.drop_index(_NAME, "flow_run")
    op.create_index(_NAME, "flow_run", list(columns))
