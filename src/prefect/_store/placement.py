"""Flow runs by where they are run: the work pool and the queue they were sent to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import Clause, Column
from prefect._store.pools import work_pool_matches, work_queue_matches
from prefect._store.tables import flow_run, work_pool, work_queue

_QUEUE_AND_POOL = work_queue.join(work_pool, work_queue.c.work_pool_id == work_pool.c.id)


def where_placed(*, work_pools: Any = None, work_queues: Any = None) -> Clause:
    """The flow runs in pools that match, in queues that match."""
    if work_pools is None and work_queues is None:
        return sa.true()
    queues = sa.select(work_queue.c.id).select_from(_QUEUE_AND_POOL)
    if work_pools is not None:
        queues = queues.where(work_pool_matches(work_pools))
    if work_queues is not None:
        queues = queues.where(work_queue_matches(work_queues))
    return flow_run.c.work_queue_id.in_(queues)


def pool_columns() -> list[Column]:
    """The id and the name of a flow run's pool, as columns to select beside the run."""
    pool = sa.select(work_pool.c.id).select_from(_QUEUE_AND_POOL).where(work_queue.c.id == flow_run.c.work_queue_id)
    name = sa.select(work_pool.c.name).select_from(_QUEUE_AND_POOL).where(work_queue.c.id == flow_run.c.work_queue_id)
    return [pool.scalar_subquery().label("work_pool_id"), name.scalar_subquery().label("work_pool_name")]
