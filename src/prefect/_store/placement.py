"""Flow runs by where they come from and are run: their deployment, the work pool and the queue they were sent to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import Clause, Column, join
from prefect._store.deployments import deployment_matches, where_deployments
from prefect._store.pools import work_pool_matches, work_queue_matches
from prefect._store.tables import deployment, flow, flow_run, task_run, work_pool, work_queue

_QUEUE_AND_POOL = work_queue.join(work_pool, work_queue.c.work_pool_id == work_pool.c.id)


def where_placed(*, deployments: Any = None, work_pools: Any = None, work_queues: Any = None) -> Clause:
    """The flow runs of deployments that match, in pools that match, in queues that match."""
    clauses: list[Clause] = []
    if deployments is not None:
        clauses.append(flow_run.c.deployment_id.in_(sa.select(deployment.c.id).where(deployment_matches(deployments))))
    if work_pools is not None or work_queues is not None:
        clauses.append(flow_run.c.work_queue_id.in_(_queues(work_pools, work_queues)))
    return join("and_", clauses)


def _queues(work_pools: Any, work_queues: Any) -> sa.Select[Any]:
    queues = sa.select(work_queue.c.id).select_from(_QUEUE_AND_POOL)
    if work_pools is not None:
        queues = queues.where(work_pool_matches(work_pools))
    if work_queues is not None:
        queues = queues.where(work_queue_matches(work_queues))
    return queues


def where_task_runs_placed(*, deployments: Any = None, work_pools: Any = None, work_queues: Any = None) -> Clause:
    """The task runs of flow runs of deployments that match, in pools that match, in queues that match."""
    if deployments is None and work_pools is None and work_queues is None:
        return sa.true()
    placed = where_placed(deployments=deployments, work_pools=work_pools, work_queues=work_queues)
    return task_run.c.flow_run_id.in_(sa.select(flow_run.c.id).where(placed))


def where_flows_placed(*, deployments: Any = None, work_pools: Any = None) -> Clause:
    """The flows with deployments that match, in pools that match."""
    if deployments is None and work_pools is None:
        return sa.true()
    where = where_deployments(deployments=deployments, work_pools=work_pools)
    return flow.c.id.in_(sa.select(deployment.c.flow_id).where(where))


def pool_columns() -> list[Column]:
    """The id and the name of a flow run's pool, as columns to select beside the run."""
    pool = sa.select(work_pool.c.id).select_from(_QUEUE_AND_POOL).where(work_queue.c.id == flow_run.c.work_queue_id)
    name = sa.select(work_pool.c.name).select_from(_QUEUE_AND_POOL).where(work_queue.c.id == flow_run.c.work_queue_id)
    return [pool.scalar_subquery().label("work_pool_id"), name.scalar_subquery().label("work_pool_name")]
