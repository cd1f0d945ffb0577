"""What is scheduled: the runs that a worker or runner is to start, and those that hold the slots of a pool or queue.

To read what is due claims nothing: who starts a run proposes `Pending` for it first. `POST /flow_runs/claim` does both
in one step.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import flow_runs, queue_runs, rows, scheduling
from prefect._operations.deployments import read_deployment
from prefect._operations.queue_runs import DueRun, Scope
from prefect._operations.registry import operation
from prefect._operations.slots import SLOT_STATES
from prefect._operations.work_pools import pool_row
from prefect._operations.work_queues import WorkQueueQuery, read_pool_queue, read_pool_queues, read_work_queue
from prefect._rules import schedules as rules
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.moments import DateTime
from prefect._schemas.schedules import SCHEDULE_TYPES
from prefect._schemas.work_pools import (
    FlowRunSlotSummary,
    WorkerFlowRunResponse,
    WorkPoolConcurrencyStatus,
    WorkQueue,
    WorkQueueConcurrencyStatus,
    WorkQueueConcurrencyStatusDetail,
)
from prefect._store.tables import flow_run, work_queue

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_AT_ONCE = 200
_SHOWN_PER_QUEUE = 10


class ScheduledBefore(PrefectBaseModel):
    """How much of what is due."""

    limit: int = Field(default=_MOST_AT_ONCE, ge=0, le=_MOST_AT_ONCE, description="At most so many runs.")
    scheduled_before: DateTime | None = Field(default=None, description="Only runs that are due by then.")

    @property
    def until(self) -> datetime:
        return self.scheduled_before or _END_OF_TIME


class ScheduledOfDeployments(ScheduledBefore):
    """Whose runs."""

    deployment_ids: list[UUID]


class ScheduledOfPool(ScheduledBefore):
    """The runs of which queues."""

    work_queue_names: list[str] | None = Field(default=None, description="Only of these queues; of all when left out.")
    scheduled_after: DateTime | None = Field(default=None, description="Leave out those that were due before then.")


class SlotPages(PrefectBaseModel):
    """Which page."""

    page: int = Field(default=1, ge=1, description="Which page, from 1.")
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, le=_MOST_AT_ONCE, description="So many on a page.")


class PoolSlotPages(SlotPages):
    """Which page of queues, and how many runs of each."""

    flow_run_limit: int = Field(default=_SHOWN_PER_QUEUE, ge=0, le=200, description="So many runs of each queue.")


class ScheduleRuns(PrefectBaseModel):
    """For which time, and how many."""

    start_time: DateTime | None = Field(default=None, description="From when on; now, when left out.")
    end_time: DateTime | None = Field(default=None, description="Until when.")
    # a span of time, or seconds
    min_time: timedelta | None = Field(default=None, description="For how long at least.")
    min_runs: int | None = Field(default=None, ge=0, description="At least so many runs of each schedule.")
    max_runs: int | None = Field(default=None, ge=0, description="At most so many runs of each schedule.")


class Preview(PrefectBaseModel):
    """Which instants of which schedule."""

    schedule: SCHEDULE_TYPES
    after: DateTime | None = Field(default=None, description="From when on; now, when left out.")
    count: int = Field(default=5, ge=1, le=1000, description="At most so many instants.")


# -- what is due ----------------------------------------------------------------------------------------------------


@operation("POST", "/deployments/get_scheduled_flow_runs", writes=True)
def read_scheduled_flow_runs_of_deployments(tx: sa.Connection, body: ScheduledOfDeployments) -> list[FlowRun]:
    """The runs of deployments that may start, the earliest first."""
    scope = Scope(deployment_ids=body.deployment_ids)
    return flow_runs.flow_runs_of(tx, [run.id for run in _ask(tx, scope, body)])


@operation("POST", "/work_pools/{name}/get_scheduled_flow_runs", writes=True)
def read_scheduled_flow_runs_of_pool(
    tx: sa.Connection, name: str, body: ScheduledOfPool
) -> list[WorkerFlowRunResponse]:
    """The runs in a pool that may start, by the priority of their queue, then the earliest first.

    Raises:
        NotFound: there is no such work pool, or it has no queue of one of the names.
    """
    pool = pool_row(tx, name)
    queues = None
    if body.work_queue_names:
        queues = [read_pool_queue(tx, name, queue).id for queue in body.work_queue_names]
    due = _ask(tx, Scope(pool_id=pool["id"], queue_ids=queues), body, since=body.scheduled_after)
    places = {run.id: run.work_queue_id for run in due}
    return [
        WorkerFlowRunResponse.model_validate(
            {"work_pool_id": pool["id"], "work_queue_id": places[run.id], "flow_run": run}
        )
        for run in flow_runs.flow_runs_of(tx, list(places))
    ]


@operation("POST", "/work_queues/{id}/get_runs", writes=True)
def read_work_queue_runs(tx: sa.Connection, id: UUID, body: ScheduledBefore) -> list[FlowRun]:
    """The runs in a queue that may start, the earliest first.

    Raises:
        NotFound: there is no such work queue.
    """
    read_work_queue(tx, id)
    return flow_runs.flow_runs_of(tx, [run.id for run in _ask(tx, Scope(queue_ids=[id]), body)])


def _ask(tx: sa.Connection, scope: Scope, body: ScheduledBefore, since: datetime | None = None) -> list[DueRun]:
    moment = now()
    queue_runs.note_poll(tx, scope, moment)
    found = queue_runs.find_due(tx, scope, limit=body.limit, moment=moment, until=body.until, since=since)
    queue_runs.tell_those_without_room(tx, scope, found, moment=moment)
    return found.runs


@operation("GET", "/deployments/{id}/work_queue_check")
def read_queues_for_deployment(tx: sa.Connection, id: UUID) -> list[WorkQueue]:
    """The queues of the pool that runs of a deployment are sent to.

    Raises:
        NotFound: there is no such deployment.
    """
    pool = read_deployment(tx, id).work_pool_name
    return [] if pool is None else read_pool_queues(tx, pool, WorkQueueQuery())


# -- making runs of schedules, and looking ahead --------------------------------------------------------------------


@operation("POST", "/deployments/{id}/schedule", writes=True)
def schedule_deployment(tx: sa.Connection, id: UUID, body: ScheduleRuns | None = None) -> None:
    """Make the runs of a deployment's active schedules ahead of time; those that are there are not made again.

    Raises:
        Invalid: one of the schedules cannot be followed.
    """
    asked = body or ScheduleRuns()
    moment = now()
    usual = scheduling.horizon_of_settings()
    horizon = rules.Horizon(
        usual.least if asked.min_runs is None else asked.min_runs,
        usual.most if asked.max_runs is None else min(asked.max_runs, rules.MOST_AT_ONCE),
        usual.time if asked.min_time is None else asked.min_time,
    )
    start = asked.start_time or moment
    end = asked.end_time or start + usual.most_time
    scheduling.make_between(tx, id, start, end, horizon, moment)


@operation("POST", "/schedules/preview", lengthy=True)
def preview_schedule(tx: sa.Connection, body: Preview) -> list[DateTime]:
    """The next instants of a schedule, which need not belong to a deployment.

    Raises:
        Invalid: the schedule cannot be followed.
    """
    return scheduling.preview(body.schedule.model_dump(mode="json"), body.after or now(), body.count)


# -- who holds slots ------------------------------------------------------------------------------------------------


@operation("POST", "/work_queues/{id}/concurrency_status")
def read_work_queue_concurrency_status(
    tx: sa.Connection, id: UUID, body: SlotPages | None = None
) -> WorkQueueConcurrencyStatus:
    """The slots of a queue, and a page of the runs that hold them.

    Raises:
        NotFound: there is no such work queue.
    """
    cut = body or SlotPages()
    queue = read_work_queue(tx, id)
    count = _held(tx, [id]).get(id, 0)
    return WorkQueueConcurrencyStatus(
        active_slots=count,
        concurrency_limit=queue.concurrency_limit,
        flow_runs=_holders(tx, id, cut.limit, (cut.page - 1) * cut.limit),
        **_page(cut, count),
    )


@operation("POST", "/work_pools/{name}/concurrency_status")
def read_work_pool_concurrency_status(
    tx: sa.Connection, name: str, body: PoolSlotPages | None = None
) -> WorkPoolConcurrencyStatus:
    """The slots of a pool, and a page of its queues with the runs that hold them.

    Raises:
        NotFound: there is no such work pool.
    """
    cut = body or PoolSlotPages()
    pool = pool_row(tx, name)
    of_pool = work_queue.c.work_pool_id == pool["id"]
    ids = list(tx.execute(sa.select(work_queue.c.id).where(of_pool)).scalars())
    held = _held(tx, ids)
    queues = sa.select(work_queue).where(of_pool).order_by(work_queue.c.priority, work_queue.c.id)
    page = tx.execute(queues.limit(cut.limit).offset((cut.page - 1) * cut.limit)).mappings().all()
    return WorkPoolConcurrencyStatus(
        active_slots=sum(held.values()),
        concurrency_limit=pool["concurrency_limit"],
        queues=[
            WorkQueueConcurrencyStatusDetail(
                queue_id=queue["id"],
                queue_name=queue["name"],
                active_slots=held.get(queue["id"], 0),
                concurrency_limit=queue["concurrency_limit"],
                flow_runs=_holders(tx, queue["id"], cut.flow_run_limit, 0),
                flow_run_count=held.get(queue["id"], 0),
            )
            for queue in page
        ],
        **_page(cut, len(ids)),
    )


def _page(cut: SlotPages, count: int) -> dict[str, int]:
    pages = -(-count // cut.limit) if cut.limit else 0
    return {"count": count, "limit": cut.limit, "pages": pages, "page": cut.page}


def _held(tx: sa.Connection, queue_ids: list[UUID]) -> dict[UUID, int]:
    statement = sa.select(flow_run.c.work_queue_id, sa.func.count()).where(
        flow_run.c.work_queue_id.in_(queue_ids), flow_run.c.state_type.in_(SLOT_STATES)
    )
    return dict(tx.execute(statement.group_by(flow_run.c.work_queue_id)).tuples().all())


def _holders(tx: sa.Connection, queue_id: UUID, limit: int, offset: int) -> list[FlowRunSlotSummary]:
    """The runs that hold the slots of a queue, the one that has done so for longest first."""
    moment = now()
    names = ("id", "name", "state_type", "state_name", "start_time", "state_timestamp")
    statement = (
        sa.select(*(flow_run.c[name] for name in names))
        .where(flow_run.c.work_queue_id == queue_id, flow_run.c.state_type.in_(SLOT_STATES))
        .order_by(flow_run.c.state_timestamp, flow_run.c.id)
        .limit(limit)
        .offset(offset)
    )
    return [
        FlowRunSlotSummary(
            **row,
            time_in_current_state=None if row["state_timestamp"] is None else moment - row["state_timestamp"],
        )
        for row in tx.execute(statement).mappings()
    ]
