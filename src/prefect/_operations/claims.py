"""Claiming runs that are due: how workers and runners get their work.

Whoever asks is given runs under a lease each (`prefect._operations.leases`), in one transaction: no run is given twice.
Who is willing to wait is answered as soon as a run is due.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now, to_us
from prefect._operations import deployments, flow_runs, flows, work_pools, work_queues
from prefect._operations.errors import Invalid
from prefect._operations.leases import LEASE_SECONDS, LeaseHolder
from prefect._operations.registry import NotYet, operation
from prefect._operations.state_changes import current_state, enter_state
from prefect._rules.states import PENDING, SCHEDULED, RunState
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.deployments import DeploymentResponse
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.flows import Flow
from prefect._schemas.moments import DateTime
from prefect._schemas.work_pools import WorkQueue
from prefect._store import leases
from prefect._store.tables import deployment, flow_run, run_lease, work_pool, work_queue

_MOST = 200
_POLL_NOTED = timedelta(seconds=15)


class ClaimRequest(PrefectBaseModel):
    """Which runs somebody is ready to run: those of a work pool, or of deployments."""

    holder: LeaseHolder
    work_pool_name: str | None = None
    work_queue_names: list[str] | None = Field(default=None, description="Only these queues of the pool.")
    deployment_ids: list[UUID] | None = None
    limit: int = Field(default=1, ge=1, le=_MOST, description="At most so many runs.")
    lease_seconds: float = Field(
        default=LEASE_SECONDS, ge=1, le=86_400, description="Until the claims must be renewed."
    )
    prefetch_seconds: float = Field(default=0, ge=0, le=86_400, description="Also runs that are due so soon.")
    wait_seconds: float = Field(default=0, ge=0, description="How long to wait for a run.")


class ClaimedRun(PrefectBaseModel):
    """A run that is claimed, with what one needs to know to start it."""

    flow_run: FlowRun
    token: int = Field(description="To be shown with every state that is proposed.")
    expires: DateTime = Field(description="When somebody else may have the run, unless the claim is renewed.")
    flow: Flow
    deployment: DeploymentResponse | None = None
    work_queue: WorkQueue | None = None


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
    _note_poll(tx, body, moment)
    found = _due(tx, body, moment)
    if not found:
        return NotYet([], ("scheduled",), _next_due(tx, body, moment))
    return [_claim(tx, row, body, moment) for row in found]


def _note_poll(tx: sa.Connection, body: ClaimRequest, moment: datetime) -> None:
    """Remember that the queues and deployments are asked for runs; that it was some seconds ago is exact enough."""
    before = moment - _POLL_NOTED
    if body.work_pool_name is not None:
        queues = work_queue.c.work_pool_id == work_pools.pool_row(tx, body.work_pool_name)["id"]
        if body.work_queue_names is not None:
            queues = sa.and_(queues, work_queue.c.name.in_(body.work_queue_names))
        _note(tx, work_queue, queues, before, moment)
    if body.deployment_ids is not None:
        _note(tx, deployment, deployment.c.id.in_(body.deployment_ids), before, moment)


def _note(
    tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], before: datetime, moment: datetime
) -> None:
    old = sa.or_(table.c.last_polled.is_(None), table.c.last_polled < before)
    ids = tx.execute(sa.select(table.c.id).where(where, old).with_for_update(skip_locked=True)).scalars().all()
    if ids:
        # it has not changed: who reads `updated` wants to know of changes that somebody made
        values = {"last_polled": moment, "updated": table.c.updated}
        tx.execute(sa.update(table).where(table.c.id.in_(ids)).values(values))


def _claim(tx: sa.Connection, row: sa.RowMapping, body: ClaimRequest, moment: datetime) -> ClaimedRun:
    due = row["next_scheduled_start_time"]
    # a run that is claimed early is held until it is due, and as long as usual
    expires = max(moment, due or moment) + timedelta(seconds=body.lease_seconds)
    token = leases.take(tx, row["id"], body.holder.as_row(), moment, expires, claim=True)
    current = current_state(tx, flow_run, row)
    details = {} if current is None or "scheduled_time" not in current.details else {
        "scheduled_time": current.details["scheduled_time"]
    }  # fmt: skip
    enter_state(tx, flow_run, row, RunState(PENDING, details=details, timestamp=to_us(moment)))
    return ClaimedRun(
        flow_run=flow_runs.read_flow_run(tx, row["id"]),
        token=token,
        expires=expires,
        flow=flows.read_flow(tx, row["flow_id"]),
        deployment=None if row["deployment_id"] is None else deployments.read_deployment(tx, row["deployment_id"]),
        work_queue=None if row["work_queue_id"] is None else work_queues.read_work_queue(tx, row["work_queue_id"]),
    )


def _scope(body: ClaimRequest) -> sa.Select[tuple[object, ...]]:
    """The scheduled runs that somebody may claim, due or not."""
    held = sa.exists().where(run_lease.c.flow_run_id == flow_run.c.id, leases.lives(now()))
    statement = (
        sa.select(flow_run)
        .outerjoin(work_queue, work_queue.c.id == flow_run.c.work_queue_id)
        .outerjoin(work_pool, work_pool.c.id == work_queue.c.work_pool_id)
        .outerjoin(deployment, deployment.c.id == flow_run.c.deployment_id)
        .where(flow_run.c.state_type == SCHEDULED, sa.not_(held))
        .where(sa.func.coalesce(work_pool.c.is_paused, False).is_(False))
        .where(sa.func.coalesce(work_queue.c.is_paused, False).is_(False))
    )
    if body.work_pool_name is not None:
        statement = statement.where(work_pool.c.name == body.work_pool_name)
    if body.work_queue_names is not None:
        statement = statement.where(work_queue.c.name.in_(body.work_queue_names))
    if body.deployment_ids is not None:
        statement = statement.where(flow_run.c.deployment_id.in_(body.deployment_ids))
    return statement


def _due(tx: sa.Connection, body: ClaimRequest, moment: datetime) -> list[sa.RowMapping]:
    statement = (
        _scope(body)
        .where(flow_run.c.next_scheduled_start_time <= moment + timedelta(seconds=body.prefetch_seconds))
        .order_by(work_queue.c.priority, flow_run.c.next_scheduled_start_time, flow_run.c.id)
        .limit(body.limit)
        .with_for_update(of=flow_run, skip_locked=True)
    )
    return list(tx.execute(statement).mappings())


def _next_due(tx: sa.Connection, body: ClaimRequest, moment: datetime) -> datetime | None:
    statement = _scope(body).with_only_columns(sa.func.min(flow_run.c.next_scheduled_start_time))
    first = tx.execute(
        statement.where(flow_run.c.next_scheduled_start_time > moment + timedelta(seconds=body.prefetch_seconds))
    ).scalar_one_or_none()
    return None if first is None else first - timedelta(seconds=body.prefetch_seconds)
