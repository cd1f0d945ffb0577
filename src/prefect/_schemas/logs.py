"""Lines of logs."""

from __future__ import annotations

from uuid import UUID

from prefect._schemas.base import ObjectBaseModel, TimeSeriesBaseModel
from prefect._schemas.moments import DateTime


class Log(TimeSeriesBaseModel, ObjectBaseModel):
    """A line of a run's log."""

    # of the logger
    name: str
    # as in `logging`: 10 is DEBUG, 50 is CRITICAL
    level: int
    message: str
    timestamp: DateTime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
