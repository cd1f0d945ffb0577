"""Cancellations that go on: to the sub-flow runs of a cancelled run, and to runs that nobody is there to stop."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import to_us
from prefect._operations.cleanup_orders import order_for_cancelled
from prefect._operations.errors import NotFound
from prefect._operations.run_children import end_children, is_apart
from prefect._operations.state_changes import enter_state, locked_flow_run, propose_flow_run_state
from prefect._rules.states import CANCELLED, CANCELLING, PAUSED, PENDING, RUNNING, SCHEDULED, TERMINAL, RunState
from prefect._services.framework import Database, Round
from prefect._store import leases
from prefect._store.tables import flow_run, run_lease
from prefect.settings import get_current_settings

_BATCH = 100
_GOING_ON = (SCHEDULED, PENDING, RUNNING, PAUSED)
_LOOK_BACK = timedelta(days=1)
"""Runs that were cancelled before have no children left, or none that anybody waits for."""


def run_once(database: Database, now: datetime) -> Round:
    """Cancel the sub-flow runs of cancelled runs, and end what has been cancelling for too long without a process."""
    timeout = timedelta(seconds=get_current_settings().server.services.cancellation_cleanup.cancelling_timeout_seconds)
    parents = database.read(lambda tx: _parents(tx, now - _LOOK_BACK))
    done = sum(database.write(lambda tx, id=id: _cancel_children(tx, id, now)) for id in parents)
    stuck = database.read(lambda tx: _stuck(tx, now - timeout, now))
    done += sum(database.write(lambda tx, id=id: _end(tx, id, now, timeout)) for id in stuck)
    first = database.read(lambda tx: _next(tx, now - timeout))
    more = _BATCH in (len(parents), len(stuck)) and done > 0
    return Round(more, None if first is None else first + timeout, done)


def _parents(tx: sa.Connection, since: datetime) -> list[UUID]:
    child = flow_run.alias("child")
    # a run that stops takes along what is in its process
    concerned = sa.or_(flow_run.c.state_type == CANCELLED, is_apart(child, flow_run.c.id))
    open_child = sa.exists().where(
        child.c.parent_flow_run_id == flow_run.c.id, child.c.state_type.in_(_GOING_ON), concerned
    )
    ended = sa.and_(flow_run.c.state_type.in_([CANCELLED, CANCELLING]), flow_run.c.state_timestamp >= since)
    statement = sa.select(flow_run.c.id).where(ended, open_child).limit(_BATCH)
    return list(tx.execute(statement).scalars())


def _cancel_children(tx: sa.Connection, id: UUID, now: datetime) -> int:
    try:
        parent = locked_flow_run(tx, id)
    except NotFound:
        return 0
    if parent["state_type"] not in (CANCELLED, CANCELLING):
        return 0
    apart = sa.select(flow_run.c.id, flow_run.c.state_type).where(
        flow_run.c.parent_flow_run_id == id,
        flow_run.c.state_type.not_in([*TERMINAL, CANCELLING]),
        is_apart(flow_run, id),
    )
    message = "The flow run that this sub-flow run belongs to was cancelled."
    children = tx.execute(apart.order_by(flow_run.c.id)).all()
    for child in children:
        # a run that pauses has nobody who would answer
        type = CANCELLED if child.state_type == PAUSED else CANCELLING
        propose_flow_run_state(tx, child.id, RunState(type, message=message, timestamp=to_us(now)))
    if parent["state_type"] == CANCELLED:
        end_children(tx, id, RunState(CANCELLED, timestamp=to_us(now)))
    return max(len(children), 1)


def _unheld(now: datetime) -> sa.ColumnElement[bool]:
    return sa.not_(sa.exists().where(run_lease.c.flow_run_id == flow_run.c.id, leases.lives(now)))


def _stuck(tx: sa.Connection, before: datetime, now: datetime) -> list[UUID]:
    statement = sa.select(flow_run.c.id).where(
        flow_run.c.state_type == CANCELLING, flow_run.c.state_timestamp <= before, _unheld(now)
    )
    return list(tx.execute(statement.limit(_BATCH)).scalars())


def _next(tx: sa.Connection, before: datetime) -> datetime | None:
    statement = sa.select(sa.func.min(flow_run.c.state_timestamp))
    return tx.execute(
        statement.where(flow_run.c.state_type == CANCELLING, flow_run.c.state_timestamp > before)
    ).scalar_one_or_none()


def _end(tx: sa.Connection, id: UUID, now: datetime, timeout: timedelta) -> bool:
    try:
        row = locked_flow_run(tx, id)
    except NotFound:
        return False
    if row["state_type"] != CANCELLING or row["state_timestamp"] > now - timeout:
        return False
    lease = leases.read(tx, id)
    if lease is not None and lease["expires"] is not None and lease["expires"] > now:
        return False  # its process is there: what it does is known when it has ended
    message = f"Nobody confirmed within {timeout.total_seconds():.0f} seconds that it was stopped."
    state = RunState(CANCELLED, message=message, timestamp=to_us(now))
    enter_state(tx, flow_run, row, state)
    order_for_cancelled(tx, row)  # whatever carried it out may still be there
    leases.forget(tx, id)
    end_children(tx, id, state)
    return True
