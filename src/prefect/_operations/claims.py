"""Claiming runs that are due: how workers and runners get their work.

Whoever asks is given runs under a lease each (`prefect._operations.leases`), in one transaction: no run is given twice.
Who is willing to wait is answered as soon as a run is due.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import from_us, now, to_us
from prefect._operations import deployments, flow_runs, flows, queue_runs, work_pools, work_queues
from prefect._operations.errors import Invalid, NotFound
from prefect._operations.leases import announce_short, as_row
from prefect._operations.registry import NotYet, operation
from prefect._operations.state_changes import current_states, enter_state
from prefect._rules.states import CRASHED, PENDING, RunState
from prefect._schemas.deployments import DeploymentResponse
from prefect._schemas.leases import ClaimedRun, ClaimRequest
from prefect._schemas.work_pools import WorkQueue
from prefect._store import leases
from prefect._store.tables import flow_run, work_queue

_EVER = from_us(0)

_NO_DEPLOYMENT = (
    "The deployment of this flow run has been deleted, so nobody knows where its flow is. Deploy the flow again, and run "
    "that deployment."
)


@operation("POST", "/flow_runs/claim", writes=True)
def claim_flow_runs(tx: sa.Connection, body: ClaimRequest) -> list[ClaimedRun] | NotYet:
    """Take runs that are due, in order of the priority of their queues and of their time; each is Pending from now on.

    Raises:
        NotFound: there is no such work pool.
        Invalid: neither a work pool nor deployments are named.
    """
    if body.work_pool_name is None and body.deployment_ids is None:
        raise Invalid("Name a work pool (work_pool_name) or deployments (deployment_ids) to claim runs of.")
    moment = now()
    scope = _scope(tx, body)
    queue_runs.note_poll(tx, scope, moment)
    ahead = timedelta(seconds=body.prefetch_seconds)
    found = queue_runs.find_due(tx, scope, limit=body.limit, moment=moment, until=moment + ahead)
    queue_runs.tell_those_without_room(tx, scope, found, moment=moment)
    if found.runs:
        announce_short(tx, body.lease_seconds)
        # without any, all of them were ended: what stood behind them may start
        return _claim(tx, [run.id for run in found.runs], body, moment) or claim_flow_runs(tx, body)
    return _not_yet(queue_runs.next_due(tx, scope, after=moment + ahead), body)


def _not_yet(due: datetime | None, body: ClaimRequest) -> NotYet:
    """Nothing may start now; the next run is due at a moment, if one is."""
    ahead = timedelta(seconds=body.prefetch_seconds)

    def look(tx: sa.Connection) -> NotYet | None:
        first = queue_runs.next_due(tx, _scope(tx, body), after=_EVER)
        return None if first is not None and first <= now() + ahead else _not_yet(first, body)

    wanted = (
        body.work_pool_name,
        *(None if ids is None else tuple(ids) for ids in (body.work_queue_names, body.deployment_ids)),
    )
    turn = ("claims", *wanted, body.prefetch_seconds)
    return NotYet([], ("scheduled",), None if due is None else due - ahead, look, turn)


def _scope(tx: sa.Connection, body: ClaimRequest) -> queue_runs.Scope:
    queues = pool_id = None
    if body.work_pool_name is not None:
        pool_id = work_pools.pool_row(tx, body.work_pool_name)["id"]
        if body.work_queue_names is not None:
            named = sa.and_(work_queue.c.work_pool_id == pool_id, work_queue.c.name.in_(body.work_queue_names))
            queues = tx.execute(sa.select(work_queue.c.id).where(named)).scalars().all()
    return queue_runs.Scope(pool_id=pool_id, queue_ids=queues, deployment_ids=body.deployment_ids)


def _claim(tx: sa.Connection, ids: list[UUID], body: ClaimRequest, moment: datetime) -> list[ClaimedRun]:
    """Claim runs, which are locked; those whose deployment is gone are ended instead."""
    found = tx.execute(sa.select(flow_run).where(flow_run.c.id.in_(ids))).mappings().all()
    rows = {row["id"]: row for row in found}
    states = current_states(tx, flow_run, found)
    # many runs have the same ones
    of_deployment = _Once(lambda id: _deployment(tx, id))
    held: dict[UUID, tuple[int, datetime]] = {}
    for id in ids:
        if rows[id]["deployment_id"] is not None and of_deployment[rows[id]["deployment_id"]] is None:
            enter_state(tx, flow_run, rows[id], RunState(CRASHED, message=_NO_DEPLOYMENT), current=states.get(id))
            leases.forget(tx, id)
        else:
            held[id] = _hold(tx, rows[id], states.get(id), body, moment)
    runs = flow_runs.flow_runs_by_id(tx, list(held))
    of_flow = _Once(lambda id: flows.read_flow(tx, id))
    of_queue = _Once(lambda id: _queue(tx, id))
    return [
        ClaimedRun(
            flow_run=runs[id],
            token=token,
            expires=expires,
            flow=of_flow[rows[id]["flow_id"]],
            deployment=of_deployment[rows[id]["deployment_id"]],
            work_queue=of_queue[rows[id]["work_queue_id"]],
        )
        for id, (token, expires) in held.items()
    ]


def _deployment(tx: sa.Connection, id: UUID) -> DeploymentResponse | None:
    try:
        return deployments.read_deployment(tx, id)
    except NotFound:
        return None


def _queue(tx: sa.Connection, id: UUID) -> WorkQueue | None:
    """The queue of a run; None when its pool has been deleted: who asks for runs of deployments carries it out."""
    try:
        return work_queues.read_work_queue(tx, id)
    except NotFound:
        return None


def _hold(
    tx: sa.Connection, row: sa.RowMapping, current: RunState | None, body: ClaimRequest, moment: datetime
) -> tuple[int, datetime]:
    # a run that is claimed early is held until it is due, and as long as usual
    expires = max(moment, row["next_scheduled_start_time"] or moment) + timedelta(seconds=body.lease_seconds)
    token = leases.take(tx, row["id"], as_row(body.holder), moment, expires, claim=True)
    details = {} if current is None else {n: v for n, v in current.details.items() if n == "scheduled_time"}
    state = RunState(PENDING, details=details, timestamp=to_us(moment))
    enter_state(tx, flow_run, row, state, current=current)
    return token, expires


class _Once(dict[UUID | None, Any]):
    """Objects by their ids, each read once; without an id there is none."""

    def __init__(self, read: Callable[[UUID], Any]) -> None:
        super().__init__({None: None})
        self._read = read

    def __missing__(self, id: UUID) -> Any:
        self[id] = found = self._read(id)
        return found
