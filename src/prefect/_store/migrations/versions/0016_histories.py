"""Histories, averages and counts read indexes alone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_SUMMED = ["state_name", "start_time", "total_run_time", "state_timestamp"]


def upgrade() -> None:
    expected = ["expected_start_time", "parent_task_run_id", "work_queue_id"]
    op.create_index("ix_flow_run__expected", "flow_run", expected)
    op.create_index("ix_flow_run__by_state", "flow_run", ["state_type", "expected_start_time", *_SUMMED])
    op.create_index("ix_task_run__started", "task_run", ["start_time", "state_type"], **_present("start_time"))
    op.create_index("ix_task_run__expected", "task_run", ["expected_start_time", "state_type", *_SUMMED])
    op.drop_index("ix_flow_run__expected_start_time", "flow_run")
    op.drop_index("ix_flow_run__state_type_expected_start_time", "flow_run")
    op.drop_index("ix_task_run__start_time", "task_run")
    op.drop_index("ix_task_run__expected_start_time", "task_run")


def downgrade() -> None:
    op.create_index("ix_flow_run__expected_start_time", "flow_run", ["expected_start_time"])
    op.create_index("ix_flow_run__state_type_expected_start_time", "flow_run", ["state_type", "expected_start_time"])
    op.create_index("ix_task_run__start_time", "task_run", ["start_time"], **_present("start_time"))
    op.create_index("ix_task_run__expected_start_time", "task_run", ["expected_start_time"])
    for index in ("ix_task_run__expected", "ix_task_run__started"):
        op.drop_index(index, "task_run")
    for index in ("ix_flow_run__by_state", "ix_flow_run__expected"):
        op.drop_index(index, "flow_run")


def _present(column: str) -> dict[str, Any]:
    present = sa.text(f"{column} IS NOT NULL")
    return {"sqlite_where": present, "postgresql_where": present}
