"""What the filters of work pools, their queues and workers mean in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from prefect._clock import now
from prefect._store.clauses import Clause, join, nested, on
from prefect._store.tables import work_pool, work_queue, worker

work_pool_matches = nested(
    {
        "id": on(work_pool.c.id),
        "name": on(work_pool.c.name),
        "type": on(work_pool.c.type),
    }
)
"""The clause of a `WorkPoolFilter`."""

work_queue_matches = nested(
    {
        "id": on(work_queue.c.id),
        "name": on(work_queue.c.name),
    }
)
"""The clause of a `WorkQueueFilter`."""


def worker_status(moment: datetime) -> sa.ColumnElement[str]:
    """Whether a worker is online at a moment, as the API calls it."""
    return sa.case((worker.c.offline_at > moment, "ONLINE"), else_="OFFLINE")


def worker_matches(condition: Any) -> Clause:
    """The clause of a `WorkerFilter`."""
    clauses = []
    if condition.last_heartbeat_time is not None:
        clauses.append(on(worker.c.last_heartbeat_time)(condition.last_heartbeat_time))
    if condition.status is not None:
        clauses.append(on(worker_status(now()))(condition.status))
    return join(condition.operator, clauses)
