"""Which runs may start now: the one question that workers, runners and claims ask.

A run may start when it is due, nobody holds a lease on it, its queue and pool are not paused, and its deployment, queue
and pool have room for one more. What has no room is passed over, not waited for: the runs behind it start.

Runs come by the priority of their queue, then by the time they are due. The rows are locked on PostgreSQL and those
that others have locked are skipped, so that any number of claims get on side by side; the limits that matter are
locked before they are counted, so that claims together keep to them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._operations import slots
from prefect._operations.state_changes import propose_flow_run_state
from prefect._rules.orchestration import AWAITING_SLOT
from prefect._rules.states import CANCELLED, SCHEDULED, RunState
from prefect._schemas.enums import ConcurrencyLimitStrategy
from prefect._store.announcements import announce
from prefect._store.dialects import json_member
from prefect._store.tables import concurrency_limit, deployment, flow_run, run_lease, work_pool, work_queue

_AAWAITING_SLOT_RETRY = "AwaitingRetry"
_TOLD_AT_ONCE = 50
_READY = timedelta(seconds=60)
_POLL_NOTED = timedelta(seconds=15)


@dataclass(frozen=True)
class Scope:
    """Whose runs are asked for; what is None restricts nothing."""

    pool_id: UUID | None = None
    queue_ids: Sequence[UUID] | None = None
    deployment_ids: Sequence[UUID] | None = None


@dataclass(frozen=True)
class DueRun:
    """A run that may start."""

    id: UUID
    deployment_id: UUID | None
    work_queue_id: UUID | None
    work_pool_id: UUID | None
    due: datetime


@dataclass
class Found:
    """What may start, and what holds the rest up."""

    runs: list[DueRun] = field(default_factory=list)
    full: set[UUID] = field(default_factory=set)
    """The deployments that have as many runs under way as they may."""


@dataclass
class _Rooms:
    """How many more runs have room, by what limits them; what is not here has no limit."""

    left: dict[UUID, int] = field(default_factory=dict)
    pool_of: dict[UUID, UUID] = field(default_factory=dict)
    limit_of: dict[UUID, UUID] = field(default_factory=dict)

    def around(self, queue_id: UUID | None, deployment_id: UUID | None) -> list[UUID]:
        """The limits that a run of this queue and deployment is under."""
        found = [queue_id, self.pool_of.get(queue_id) if queue_id else None]
        found.append(self.limit_of.get(deployment_id) if deployment_id else None)
        return [one for one in found if one is not None and one in self.left]

    def room(self, queue_id: UUID | None, deployment_id: UUID | None = None) -> bool:
        return all(self.left[one] > 0 for one in self.around(queue_id, deployment_id))

    def take(self, run: sa.RowMapping) -> None:
        for one in self.around(run["work_queue_id"], run["deployment_id"]):
            self.left[one] -= 1

    def full_deployments(self) -> list[UUID]:
        return [deployment_id for deployment_id, limit_id in self.limit_of.items() if self.left[limit_id] <= 0]


def find_due(
    tx: sa.Connection, scope: Scope, *, limit: int, moment: datetime, until: datetime, since: datetime | None = None
) -> Found:
    """The runs that may start, locked until the transaction ends.

    Args:
        scope: whose runs.
        limit: at most so many.
        moment: now; leases that have ended by then do not count.
        until: runs that are due by then; later than now for those who prepare runs ahead of time.
        since: leave out those that were due before.
    """
    is_due = _due(scope, moment, until, since)
    queues = _queues(tx, scope)
    rooms = _rooms(tx, queues, is_due, moment)
    found = Found()
    open_queues = [queue for queue in queues if not queue["paused"]]
    if scope.deployment_ids is None or scope.pool_id is not None or scope.queue_ids is not None:
        for queue in open_queues:
            _pick(tx, sa.and_(flow_run.c.work_queue_id == queue["id"], is_due), rooms, found, limit, queue["id"])
    else:
        elsewhere = [queue["id"] for queue in queues if queue["paused"] or not rooms.room(queue["id"])]
        where = sa.or_(flow_run.c.work_queue_id.is_(None), flow_run.c.work_queue_id.not_in(elsewhere))
        _pick(tx, sa.and_(is_due, where), rooms, found, limit)
    found.full.update(rooms.full_deployments())
    pools = {queue["id"]: queue["pool_id"] for queue in queues}
    if scope.pool_id is None:
        pools |= _pools_of(tx, [run.work_queue_id for run in found.runs if run.work_queue_id])
    found.runs = [
        replace(run, work_pool_id=pools.get(run.work_queue_id) if run.work_queue_id else None) for run in found.runs
    ]
    return found


def tell_those_without_room(
    tx: sa.Connection, scope: Scope, found: Found, *, moment: datetime, until: datetime | None = None
) -> None:
    """Let the due runs of deployments that are full say that they wait; or cancel them, where the deployment says so.

    A run goes on waiting at its place: it stays due when it was. A few at a time; who asks next goes on with the rest.

    Args:
        scope: whose runs were asked for.
        found: what was found for it: those runs have room.
        moment: now.
        until: runs that are due by then; now unless given.
    """
    if not found.full:
        return
    strategy = json_member(deployment.c.concurrency_options, sa.literal("collision_strategy"))
    statement = (
        sa.select(flow_run.c.id, flow_run.c.next_scheduled_start_time, strategy.label("strategy"))
        .join(deployment, flow_run.c.deployment_id == deployment.c.id)
        .where(
            flow_run.c.deployment_id.in_(found.full),
            flow_run.c.id.not_in([run.id for run in found.runs]),
            _due(scope, moment, until or moment, None),
            sa.or_(flow_run.c.state_name != AWAITING_SLOT, strategy == ConcurrencyLimitStrategy.CANCEL_NEW.value),
        )
        .order_by(flow_run.c.next_scheduled_start_time)
        .limit(_TOLD_AT_ONCE)
        .with_for_update(skip_locked=True, of=flow_run)
    )
    for run in tx.execute(statement).all():
        if run.strategy == ConcurrencyLimitStrategy.CANCEL_NEW.value:
            state = RunState(CANCELLED, message="Deployment concurrency limit reached.")
        else:
            due = round(run.next_scheduled_start_time.timestamp() * 1e6)
            state = RunState(
                SCHEDULED, AWAITING_SLOT, "Deployment concurrency limit reached; the run starts when another one has ended.",
                details={"scheduled_time": due},
            )  # fmt: skip
        propose_flow_run_state(tx, run.id, state, force=True)


def note_poll(tx: sa.Connection, scope: Scope, moment: datetime) -> None:
    """Remember that the queues and deployments of a scope are asked for runs; some seconds ago is exact enough."""
    if scope.queue_ids is not None:
        queues = work_queue.c.id.in_(scope.queue_ids)
    elif scope.pool_id is not None:
        queues = work_queue.c.work_pool_id == scope.pool_id
    else:
        queues = None
    if queues is not None:
        _note(tx, work_queue, queues, moment)
        _note(tx, deployment, deployment.c.work_queue_id.in_(sa.select(work_queue.c.id).where(queues)), moment)
    if scope.deployment_ids is not None:
        _note(tx, deployment, deployment.c.id.in_(scope.deployment_ids), moment)


def _note(tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], moment: datetime) -> None:
    old = sa.or_(table.c.last_polled.is_(None), table.c.last_polled < moment - _POLL_NOTED)
    statement = sa.select(table.c.id, table.c.last_polled).where(where, old).with_for_update(skip_locked=True)
    found = tx.execute(statement).all()
    if found:
        # it has not changed: who reads `updated` wants to know of changes that somebody made
        values = {"last_polled": moment, "updated": table.c.updated}
        tx.execute(sa.update(table).where(table.c.id.in_([row.id for row in found])).values(values))
        if any(row.last_polled is None or row.last_polled < moment - _READY for row in found):
            announce(tx, "polled")  # somebody tells that it is ready


def next_due(tx: sa.Connection, scope: Scope, *, after: datetime) -> datetime | None:
    """When the next run will be due, after a moment; None when none is scheduled."""
    table, key = (work_queue, flow_run.c.work_queue_id)
    clauses: list[sa.ColumnElement[bool]] = []
    if scope.queue_ids is not None:
        clauses.append(work_queue.c.id.in_(scope.queue_ids))
    if scope.pool_id is not None:
        clauses.append(work_queue.c.work_pool_id == scope.pool_id)
    if not clauses and scope.deployment_ids is not None:
        table, key = (deployment, flow_run.c.deployment_id)
        clauses.append(deployment.c.id.in_(scope.deployment_ids))
    # one look into an index for each queue or deployment
    first = sa.select(sa.func.min(flow_run.c.next_scheduled_start_time)).where(
        key == table.c.id, flow_run.c.next_scheduled_start_time > after
    )
    return tx.execute(sa.select(sa.func.min(first.scalar_subquery())).select_from(table).where(*clauses)).scalar_one()


# -------------------------------------------------------------------------------------------------------------------


def _due(scope: Scope, moment: datetime, until: datetime, since: datetime | None) -> sa.ColumnElement[bool]:
    # a process that retries a run in itself holds a lease while it waits; one that knows no leases says so in the policy
    lease = sa.select(run_lease.c.flow_run_id).where(run_lease.c.flow_run_id == flow_run.c.id)
    retried_elsewhere = sa.and_(
        flow_run.c.state_name == _AAWAITING_SLOT_RETRY,
        json_member(flow_run.c.empirical_policy, sa.literal("retry_type")) == "in_process",
        ~lease.exists(),
    )
    clauses = [
        flow_run.c.next_scheduled_start_time <= until,
        flow_run.c.state_type == SCHEDULED,
        ~lease.where(run_lease.c.expires > moment).exists(),
        sa.not_(sa.func.coalesce(retried_elsewhere, sa.false())),
    ]
    if since is not None:
        clauses.append(flow_run.c.next_scheduled_start_time >= since)
    if scope.deployment_ids is not None:
        clauses.append(flow_run.c.deployment_id.in_(scope.deployment_ids))
    return sa.and_(*clauses)


def _queues(tx: sa.Connection, scope: Scope) -> Sequence[sa.RowMapping]:
    """The queues whose runs are asked for, in order; where any may be, those that hold runs up."""
    paused = sa.or_(work_queue.c.is_paused, work_pool.c.is_paused)
    limited = sa.or_(work_queue.c.concurrency_limit.is_not(None), work_pool.c.concurrency_limit.is_not(None))
    statement = sa.select(
        work_queue.c.id,
        work_queue.c.concurrency_limit,
        paused.label("paused"),
        work_pool.c.id.label("pool_id"),
        work_pool.c.concurrency_limit.label("pool_limit"),
    ).join(work_pool, work_queue.c.work_pool_id == work_pool.c.id)
    if scope.pool_id is not None:
        statement = statement.where(work_queue.c.work_pool_id == scope.pool_id)
    if scope.queue_ids is not None:
        statement = statement.where(work_queue.c.id.in_(scope.queue_ids))
    if scope.pool_id is None and scope.queue_ids is None:
        statement = statement.where(sa.or_(paused, limited))
    return tx.execute(statement.order_by(work_queue.c.priority, work_queue.c.id)).mappings().all()


def _rooms(
    tx: sa.Connection, queues: Sequence[sa.RowMapping], is_due: sa.ColumnElement[bool], moment: datetime
) -> _Rooms:
    rooms = _Rooms(pool_of={queue["id"]: queue["pool_id"] for queue in queues})
    pools = {queue["pool_id"]: queue["pool_limit"] for queue in queues if queue["pool_limit"] is not None}
    lines = {queue["id"]: queue["concurrency_limit"] for queue in queues if queue["concurrency_limit"] is not None}
    for table, limits in ((work_pool, pools), (work_queue, lines)):
        if limits:
            _lock(tx, table, limits)
            rooms.left |= limits
    if pools:
        for pool_id, count in _under_way(tx, work_queue.c.work_pool_id, pools):
            rooms.left[pool_id] -= count
    if lines:
        for queue_id, count in _under_way(tx, work_queue.c.id, lines):
            rooms.left[queue_id] -= count
    _add_deployments(tx, rooms, is_due, moment)
    return rooms


def _add_deployments(tx: sa.Connection, rooms: _Rooms, is_due: sa.ColumnElement[bool], moment: datetime) -> None:
    """Count the limits of deployments that have runs to start."""
    waiting = sa.exists().where(flow_run.c.deployment_id == deployment.c.id, is_due)
    statement = sa.select(deployment.c.id, deployment.c.concurrency_limit_id).join(
        concurrency_limit, deployment.c.concurrency_limit_id == concurrency_limit.c.id
    )
    statement = statement.where(concurrency_limit.c.active.is_(True), waiting)
    rooms.limit_of = dict(tx.execute(statement).tuples().all())
    if not rooms.limit_of:
        return
    locked = (
        sa.select(concurrency_limit)
        .where(concurrency_limit.c.id.in_(set(rooms.limit_of.values())))
        .order_by(concurrency_limit.c.name)
        .with_for_update()
    )
    limits = tx.execute(locked).mappings().all()
    taken = slots.taken(tx, limits, moment)
    rooms.left |= {limit["id"]: limit["limit"] - slots.shown(taken[limit["id"]]) for limit in limits}


def _lock(tx: sa.Connection, table: sa.Table, ids: Iterable[UUID]) -> None:
    statement = sa.select(table.c.id).where(table.c.id.in_(list(ids))).order_by(table.c.id)
    tx.execute(statement.with_for_update(key_share=True)).all()


def _under_way(tx: sa.Connection, key: sa.Column[Any], ids: Iterable[UUID]) -> Iterable[tuple[UUID, int]]:
    statement = (
        sa.select(key, sa.func.count())
        .join_from(flow_run, work_queue, flow_run.c.work_queue_id == work_queue.c.id)
        .where(key.in_(list(ids)), flow_run.c.state_type.in_(slots.SLOT_STATES))
        .group_by(key)
    )
    return tx.execute(statement).tuples().all()


def _pick(
    tx: sa.Connection,
    where: sa.ColumnElement[bool],
    rooms: _Rooms,
    found: Found,
    limit: int,
    queue_id: UUID | None = None,
) -> None:
    """Take runs in order while there is room. Whenever a deployment is full, look again without it."""
    mine: list[UUID] = []
    while len(found.runs) < limit and rooms.room(queue_id):
        statement = (
            sa.select(
                flow_run.c.id, flow_run.c.deployment_id, flow_run.c.work_queue_id, flow_run.c.next_scheduled_start_time
            )
            .where(where, flow_run.c.id.not_in(mine))
            .order_by(flow_run.c.next_scheduled_start_time, flow_run.c.id)
            .limit(limit - len(found.runs))
            .with_for_update(skip_locked=True, of=flow_run)
        )
        full = rooms.full_deployments()
        if full:
            open_one = sa.or_(flow_run.c.deployment_id.is_(None), flow_run.c.deployment_id.not_in(full))
            statement = statement.where(open_one)
        rows = tx.execute(statement).mappings().all()
        passed_over = False
        for row in rows:
            if rooms.room(row["work_queue_id"], row["deployment_id"]):
                rooms.take(row)
                mine.append(row["id"])
                due = row["next_scheduled_start_time"]
                found.runs.append(DueRun(row["id"], row["deployment_id"], row["work_queue_id"], None, due))
            else:
                passed_over = True
                if not rooms.room(row["work_queue_id"]):
                    where = sa.and_(where, flow_run.c.work_queue_id.is_distinct_from(row["work_queue_id"]))
        if not passed_over:
            return


def _pools_of(tx: sa.Connection, queue_ids: list[UUID]) -> dict[UUID, UUID]:
    if not queue_ids:
        return {}
    statement = sa.select(work_queue.c.id, work_queue.c.work_pool_id).where(work_queue.c.id.in_(set(queue_ids)))
    return dict(tx.execute(statement).tuples().all())
