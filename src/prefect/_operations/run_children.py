"""What belongs to a flow run ends with it: its task runs, and the sub-flow runs of the same process."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import from_us
from prefect._operations.state_changes import current_state, enter_state, locked_task_run
from prefect._rules.states import CANCELLED, CANCELLING, CRASHED, TERMINAL, RunState
from prefect._store import leases
from prefect._store.tables import flow_run, run_lease, task_run

MOST_AT_ONCE = 200
"""How many runs are ended in one transaction; the service `task_run_reconciliation` ends the others."""

_ENDING = (CANCELLED, CANCELLING)


def end_children(tx: sa.Connection, flow_run_id: UUID, end: RunState) -> None:
    """End what belongs to a flow run that has ended, or will be tried again in another process.

    Args:
        end: the state that the flow run entered.
    """
    left = MOST_AT_ONCE
    parents = [flow_run_id]
    while parents and left > 0:
        for child in _sub_flow_runs(tx, parents.pop(), left):
            state = _end_of_child(child["name"], "sub-flow run", end)
            enter_state(tx, flow_run, child, state)
            # of what has crashed its process may come back
            (leases.end if state.type == CRASHED else leases.forget)(tx, child["id"])
            parents.append(child["id"])
            left -= 1
            left -= end_task_runs(tx, child["id"], end, left)
    end_task_runs(tx, flow_run_id, end, max(left, 0))


def end_task_runs(tx: sa.Connection, flow_run_id: UUID, end: RunState, limit: int = MOST_AT_ONCE) -> int:
    """End the task runs of a flow run that has ended; returns how many there were."""
    statement = sa.select(task_run.c.id).where(
        task_run.c.flow_run_id == flow_run_id, task_run.c.end_time.is_(None), task_run.c.state_type.not_in(TERMINAL)
    )
    ids = tx.execute(statement.order_by(task_run.c.id).limit(limit)).scalars().all()
    for id in ids:
        row = locked_task_run(tx, id)
        current = current_state(tx, task_run, row)
        state = _end_of_child(row["name"], "task run", end)
        if current is not None:
            # whatever the task run itself reports later is newer, and counts
            state = _at(state, min(current.timestamp + 1, state.timestamp))
        enter_state(tx, task_run, row, state)
    return len(ids)


def is_apart(child: sa.FromClause, parent_id: Any) -> sa.ColumnElement[bool]:
    """Whether a sub-flow run is carried out elsewhere than its parent: by a deployment, a worker, or who else holds it."""
    own, of_parent = run_lease.alias("own_lease"), run_lease.alias("lease_of_parent")
    with_parent = sa.exists().where(of_parent.c.flow_run_id == parent_id, of_parent.c.holder_id == own.c.holder_id)
    held = sa.exists().where(own.c.flow_run_id == child.c.id, own.c.expires.is_not(None), sa.not_(with_parent))
    return sa.or_(child.c.deployment_id.is_not(None), child.c.work_queue_id.is_not(None), held)


def _sub_flow_runs(tx: sa.Connection, parent: UUID, limit: int) -> list[sa.RowMapping]:
    """The unfinished sub-flow runs in the process of their parent."""
    statement = sa.select(flow_run).where(
        flow_run.c.parent_flow_run_id == parent,
        flow_run.c.state_type.not_in(TERMINAL),
        sa.not_(is_apart(flow_run, parent)),
    )
    return list(tx.execute(statement.order_by(flow_run.c.id).limit(limit).with_for_update()).mappings())


def _end_of_child(name: str, kind: str, end: RunState) -> RunState:
    type, verb = (CANCELLED, "was cancelled") if end.type in _ENDING else (CRASHED, "has ended")
    message = f"The flow run that this {kind} belongs to {verb}, and it had not ended."
    return RunState(type, message=message, timestamp=end.timestamp)


def _at(state: RunState, timestamp: int) -> RunState:
    return RunState(state.type, state.name, state.message, state.data, state.details, timestamp, state.id)


def open_task_runs_of_ended(tx: sa.Connection, before: Any, limit: int) -> list[tuple[UUID, RunState]]:
    """Flow runs that ended before a moment and have task runs that did not, each with how it ended."""
    # few task runs are open: the look begins with those, not with the runs that have ended
    left_open = sa.select(task_run.c.flow_run_id).where(
        task_run.c.flow_run_id.is_not(None), task_run.c.end_time.is_(None), task_run.c.state_type.not_in(TERMINAL)
    )
    # nor with the index of states, which SQLite would take to be short
    state_type = sa.func.coalesce(flow_run.c.state_type, "")
    ended = (
        sa.select(flow_run.c.id, flow_run.c.state_type, flow_run.c.end_time)
        .where(flow_run.c.id.in_(left_open), state_type.in_(TERMINAL), flow_run.c.end_time < before)
        .limit(limit)
    )
    return [(row.id, RunState(row.state_type, timestamp=_us(row.end_time))) for row in tx.execute(ended)]


def _us(moment: Any) -> int:
    return round((moment - from_us(0)).total_seconds() * 1e6)
