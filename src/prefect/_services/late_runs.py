"""Runs that did not start in time: they are shown as Late, and may start all the same."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import to_us
from prefect._operations import chains
from prefect._operations.errors import NotFound
from prefect._operations.state_changes import enter_state, locked_flow_run
from prefect._rules.states import SCHEDULED, RunState
from prefect._services.framework import Database, Round
from prefect._store import leases
from prefect._store.tables import flow_run, run_lease
from prefect.settings import get_current_settings

_BATCH = 200
_ON_TIME, _LATE = "Scheduled", "Late"


def run_once(database: Database, now: datetime) -> Round:
    """Mark the runs that should have started `late_runs.after_seconds` before now."""
    grace = get_current_settings().server.services.late_runs.after_seconds
    before = now - grace
    late = database.read(lambda tx: _late(tx, before, now))
    done = database.write(lambda tx: sum(_mark(tx, id, before, now) for id in late)) if late else 0
    first = database.read(lambda tx: _next(tx, before))
    return Round(len(late) == _BATCH, None if first is None else first + grace, done)


def _waiting() -> sa.ColumnElement[bool]:
    return sa.and_(flow_run.c.state_type == SCHEDULED, flow_run.c.state_name == _ON_TIME)


def _late(tx: sa.Connection, before: datetime, now: datetime) -> list[UUID]:
    held = sa.exists().where(run_lease.c.flow_run_id == flow_run.c.id, leases.lives(now))
    statement = (
        sa.select(flow_run.c.id)
        # nothing is due before it was first expected; the index of states is in that order
        .where(_waiting(), flow_run.c.expected_start_time <= before, flow_run.c.next_scheduled_start_time <= before)
        .where(sa.not_(held))
        .order_by(flow_run.c.expected_start_time)
        .limit(_BATCH)
    )
    return list(tx.execute(statement).scalars())


def _next(tx: sa.Connection, before: datetime) -> datetime | None:
    statement = sa.select(flow_run.c.expected_start_time).where(_waiting(), flow_run.c.expected_start_time > before)
    return tx.execute(statement.order_by(flow_run.c.expected_start_time).limit(1)).scalar_one_or_none()


def _mark(tx: sa.Connection, id: UUID, before: datetime, now: datetime) -> bool:
    try:
        row = locked_flow_run(tx, id)
    except NotFound:
        return False
    due = row["next_scheduled_start_time"]
    if row["state_type"] != SCHEDULED or row["state_name"] != _ON_TIME or due is None or due > before:
        return False  # it has started, or somebody was faster
    late = RunState(SCHEDULED, _LATE, details={"scheduled_time": to_us(due)}, timestamp=to_us(now))
    by_automation = (row["created_by"] or {}).get("type") == "AUTOMATION"
    with chains.because_of(chains.origin_about(tx, f"prefect.flow-run.{id}", now) if by_automation else None):
        enter_state(tx, flow_run, row, late)
    return True
