"""What the filters and sort orders of deployments mean in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import TAG_OPERATORS, Clause, Column, join, nested, on
from prefect._store.pools import work_pool_matches, work_queue_matches
from prefect._store.queries import flow_matches, where_flow_runs
from prefect._store.tables import concurrency_limit, deployment, flow, flow_run, work_pool, work_queue

LIMIT_PREFIX = "deployment:"
"""The limit of a deployment is the global concurrency limit of this name, followed by the deployment's id."""


_LIMIT = (
    sa.select(concurrency_limit.c.limit)
    .where(concurrency_limit.c.id == deployment.c.concurrency_limit_id)
    .scalar_subquery()
)


def _flow_or_deployment_name(condition: Any) -> Clause:
    if condition.like_ is None:
        return sa.true()
    flows = sa.select(flow.c.id).where(flow.c.name.ilike(f"%{condition.like_}%"))
    return sa.or_(deployment.c.name.ilike(f"%{condition.like_}%"), deployment.c.flow_id.in_(flows))


deployment_matches = nested(
    {
        "id": on(deployment.c.id),
        "name": on(deployment.c.name),
        "flow_or_deployment_name": _flow_or_deployment_name,
        "paused": on(deployment.c.paused),
        "tags": on(deployment.c.tags, TAG_OPERATORS),
        "work_queue_name": on(deployment.c.work_queue_name),
        "concurrency_limit": on(_LIMIT),
    }
)
"""The clause of a `DeploymentFilter`."""


def where_deployments(
    *,
    deployments: Any = None,
    flows: Any = None,
    flow_runs: Any = None,
    task_runs: Any = None,
    work_pools: Any = None,
    work_queues: Any = None,
) -> Clause:
    """The deployments that match, of flows, pools and queues that match, that have runs that match."""
    clauses = [] if deployments is None else [deployment_matches(deployments)]
    if flows is not None:
        clauses.append(deployment.c.flow_id.in_(sa.select(flow.c.id).where(flow_matches(flows))))
    if flow_runs is not None or task_runs is not None:
        runs = where_flow_runs(flow_runs=flow_runs, task_runs=task_runs)
        # one look at the runs that match; one for each deployment could go by the index of a condition every time
        clauses.append(deployment.c.id.in_(sa.select(flow_run.c.deployment_id).where(runs)))
    if work_pools is not None or work_queues is not None:
        queues = sa.select(work_queue.c.id).join(work_pool, work_queue.c.work_pool_id == work_pool.c.id)
        if work_pools is not None:
            queues = queues.where(work_pool_matches(work_pools))
        if work_queues is not None:
            queues = queues.where(work_queue_matches(work_queues))
        clauses.append(deployment.c.work_queue_id.in_(queues))
    return join("and_", clauses)


DEPLOYMENT_ORDERS: Mapping[str, list[Column]] = {
    "CREATED_DESC": [deployment.c.created.desc(), deployment.c.id.desc()],
    "UPDATED_DESC": [deployment.c.updated.desc(), deployment.c.id.desc()],
    "NAME_ASC": [deployment.c.name, deployment.c.id],
    "NAME_DESC": [deployment.c.name.desc(), deployment.c.id.desc()],
    "CONCURRENCY_LIMIT_ASC": [_LIMIT.asc().nulls_last(), deployment.c.id],
    "CONCURRENCY_LIMIT_DESC": [_LIMIT.desc().nulls_last(), deployment.c.id.desc()],
}
