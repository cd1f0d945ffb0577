"""Pauses that lasted longer than they may: the run fails."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import from_us, to_us
from prefect._operations.errors import NotFound
from prefect._operations.run_children import end_children
from prefect._operations.state_changes import current_state, enter_state, locked_flow_run
from prefect._rules.states import FAILED, PAUSED, RunState
from prefect._services.framework import Database, Round
from prefect._store import leases
from prefect._store.dialects import json_member
from prefect._store.tables import flow_run, flow_run_state

_BATCH = 200


def run_once(database: Database, now: datetime) -> Round:
    """Fail the runs whose pause has ended by now without being resumed."""
    ended = database.read(lambda tx: _ended(tx, to_us(now)))
    done = sum(database.write(lambda tx, id=id: _fail(tx, id, now)) for id in ended)
    first = database.read(lambda tx: tx.execute(_paused(sa.func.min(_timeout()))).scalar_one_or_none())
    return Round(len(ended) == _BATCH, None if first is None else from_us(first), done)


def _timeout() -> sa.ColumnElement[int]:
    return sa.cast(json_member(flow_run_state.c.state_details, sa.literal("pause_timeout")), sa.BigInteger)


def _paused(*columns: Any) -> sa.Select[Any]:
    current = sa.and_(flow_run_state.c.flow_run_id == flow_run.c.id, flow_run_state.c.id == flow_run.c.state_id)
    return (
        sa.select(*columns).select_from(flow_run.join(flow_run_state, current)).where(flow_run.c.state_type == PAUSED)
    )


def _ended(tx: sa.Connection, now: int) -> list[UUID]:
    statement = _paused(flow_run.c.id).where(_timeout() <= now).order_by(_timeout()).limit(_BATCH)
    return list(tx.execute(statement).scalars())


def _fail(tx: sa.Connection, id: UUID, now: datetime) -> bool:
    try:
        row = locked_flow_run(tx, id)
    except NotFound:
        return False
    current = current_state(tx, flow_run, row)
    timeout = None if current is None or current.type != PAUSED else current.details.get("pause_timeout")
    if timeout is None or timeout > to_us(now):
        return False  # resumed in the last moment
    state = RunState(FAILED, message="The flow was paused and never resumed.", timestamp=to_us(now))
    enter_state(tx, flow_run, row, state)
    leases.forget(tx, id)
    end_children(tx, id, state)
    return True
