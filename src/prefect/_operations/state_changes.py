"""Proposed states: what the rules need is read, what they decide is written."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import from_us, now, now_us, to_us
from prefect._ids import twin_id
from prefect._operations import concurrency_limits, outbox, slot_counts
from prefect._operations.errors import NotFound
from prefect._rules.orchestration import (
    Decision,
    FlowRunFacts,
    TaskRunFacts,
    decide_flow_run,
    decide_task_run,
    without_room,
)
from prefect._rules.progress import Progress, enter
from prefect._rules.states import CANCELLED, CANCELLING, PAUSED, PENDING, RUNNING, SCHEDULED, RunState
from prefect._schemas.actions.runs import StateCreate
from prefect._schemas.enums import ConcurrencyLimitStrategy, SetStateStatus
from prefect._schemas.orchestration import (
    OrchestrationResult,
    StateAbortDetails,
    StateAcceptDetails,
    StateRejectDetails,
    StateWaitDetails,
)
from prefect._schemas.states import State, from_public, to_public
from prefect._store import leases, single
from prefect._store.announcements import announce
from prefect._store.prepared import Query, Row
from prefect._store.tables import flow_run, flow_run_state, task_run, task_run_state

_STATES = {flow_run: (flow_run_state, "flow_run_id"), task_run: (task_run_state, "task_run_id")}
_AT_WORK = (PENDING, RUNNING, CANCELLING)
_OWN_IDS = ("flow_run_id", "task_run_id")


def state_of(body: StateCreate) -> RunState:
    """A proposed state, as the rules have it; it is entered now, whatever the clock of who proposes it says."""
    proposed = from_public(
        State(type=body.type, name=body.name, message=body.message, data=body.data, state_details=body.state_details)
    )
    details = {name: value for name, value in proposed.details.items() if name not in _OWN_IDS}
    return RunState(proposed.type, proposed.name, proposed.message, proposed.data, details)


def propose_flow_run_state(
    tx: sa.Connection,
    id: UUID,
    proposed: RunState,
    *,
    force: bool = False,
    lease_token: int | None = None,
    found: tuple[Mapping[Any, Any], RunState | None] | None = None,
) -> tuple[OrchestrationResult[Any], bool]:
    """Let a flow run enter a state if the rules allow it.

    Args:
        force: whatever the rules say.
        lease_token: of the claim under which it is proposed; one that is not the last is refused, also with `force`.
        found: the row of the run, which is locked, and the state that it is in, if they have been read already.

    Returns:
        the answer, and whether a state was written.

    Raises:
        NotFound: there is no such flow run.
    """
    row = locked_flow_run(tx, id) if found is None else found[0]
    current = current_state(tx, flow_run, row) if found is None else found[1]
    policy = row["empirical_policy"]
    facts = FlowRunFacts(
        run_count=row["run_count"],
        retries=policy.get("retries") or 0,
        retry_delay=flow_retry_delay(policy),
        pause_keys=frozenset(policy.get("pause_keys") or ()),
        has_deployment=row["deployment_id"] is not None,
        is_subflow=row["parent_task_run_id"] is not None,
    )
    decision = decide_flow_run(facts, current, proposed, now_us=now_us(), force=force)
    if decision.kind == "ACCEPT" and not force:
        decision = _no_room(tx, row, current, proposed) or decision
    if lease_token is not None and not _is_repeated(current, proposed):
        decision = _fenced(tx, id, lease_token, current) or decision
    written = _write_flow_run(tx, row, current, decision)
    if written is not None and written.is_final:
        leases.forget(tx, id)
    elif written is not None and written.type == RUNNING and lease_token is not None:
        leases.started(tx, id)
    return _answer(decision, flow_run_id=id, task_run_id=None), written is not None


def _no_room(
    tx: sa.Connection, row: Mapping[Any, Any], current: RunState | None, proposed: RunState
) -> Decision | None:
    """The refusal of a run of a deployment that has as many runs under way as it may."""
    begins = proposed.type == PENDING and (current is None or current.type not in _AT_WORK)
    if not begins or row["deployment_id"] is None:
        return None
    strategy = slot_counts.collision(tx, row["deployment_id"], now())
    if strategy is None:
        return None
    return without_room(current, cancels=strategy == ConcurrencyLimitStrategy.CANCEL_NEW.value, now_us=now_us())


def propose_task_run_state(
    tx: sa.Connection, id: UUID, proposed: RunState, *, force: bool = False, lease_token: int | None = None
) -> tuple[OrchestrationResult[Any], bool]:
    """Let a task run enter a state if the rules allow it; as `propose_flow_run_state`."""
    row = _locked(tx, task_run, id, "task run")
    current = current_state(tx, task_run, row)
    policy = row["empirical_policy"]
    facts = TaskRunFacts(
        run_count=row["run_count"],
        retries=policy.get("retries") or 0,
        retry_delay=policy.get("retry_delay"),
        retry_jitter_factor=policy.get("retry_jitter_factor"),
        flow_run_run_count=row["flow_run_run_count"],
    )
    more: dict[str, Any] = {}
    if row["flow_run_id"] is not None:
        parent = single.read(tx, flow_run, row["flow_run_id"])
        if parent is None:
            raise NotFound("flow run", row["flow_run_id"])
        facts = facts._replace(
            flow_run_id=str(parent["id"]),
            flow_run_state=current_state(tx, flow_run, parent),
            flow_run_count=parent["run_count"],
        )
        if not force:
            more["flow_run_run_count"] = parent["run_count"]
    decision = decide_task_run(facts, current, proposed, now_us=now_us(), force=force)
    if lease_token is not None and row["flow_run_id"] is not None and not _is_repeated(current, proposed):
        decision = _fenced(tx, row["flow_run_id"], lease_token, current) or decision
    begins = decision.state is not None and decision.state is not current and decision.state.type == RUNNING
    if begins and row["tags"] and not force:
        full = concurrency_limits.secure(tx, id, row["tags"])
        if full is not None:
            begins = False
            kind = "ABORT" if full.retry_after is None else "WAIT"
            decision = Decision(kind, current, str(full), full.retry_after or 0.0)
    written = _write(tx, task_run, row, current, decision, **(more if begins else {}))
    return _answer(decision, flow_run_id=row["flow_run_id"], task_run_id=id), written is not None


def enter_state(
    tx: sa.Connection,
    run: sa.Table,
    row: Mapping[Any, Any],
    state: RunState,
    *,
    current: RunState | None = None,
    policy: dict[str, Any] | None = None,
    run_count: int | None = None,
) -> None:
    """Let a run, which is locked, enter a state whatever the rules say. Its lease stays as it is.

    Args:
        current: the state that it is in, if that has been read already.
        policy: members of its policy that change.
        run_count: its count of attempts before it enters the state; unless given, what it is.
    """
    current = current or current_state(tx, run, row)
    if current is not None and state.timestamp < current.timestamp:
        # who looks around takes the time before he looks: what he finds may be newer
        state = RunState(
            state.type, state.name, state.message, state.data, state.details, current.timestamp, state.id
        )  # fmt: skip
    decision = Decision("ACCEPT", state, policy=policy or {}, run_count=run_count)
    if run is flow_run:
        _write_flow_run(tx, row, current, decision)
    else:
        _write(tx, run, row, current, decision)


def enter_first_state(tx: sa.Connection, row: Mapping[Any, Any], state: RunState) -> None:
    """Let a task run that was just made, and has no state, enter one."""
    _write(tx, task_run, row, None, Decision("ACCEPT", state))


def current_state(tx: sa.Connection, run: sa.Table, row: Mapping[Any, Any]) -> RunState | None:
    """The state that a run is in, or None."""
    if row["state_id"] is None:
        return None
    found = _state_of(run).first(tx, {"run": row["id"], "state": row["state_id"]})
    return None if found is None else _state_of_row(found)


@functools.cache
def _state_of(run: sa.Table) -> Query:
    states, run_column = _STATES[run]
    where = sa.and_(states.c[run_column] == sa.bindparam("run"), states.c.id == sa.bindparam("state"))
    return Query(sa.select(states).where(where))


def has_been_in(tx: sa.Connection, run: sa.Table, run_id: UUID, state_id: UUID | str) -> bool:
    """Whether a run has ever been in the state of an id."""
    return _state_of(run).first(tx, {"run": run_id, "state": state_id}) is not None


def current_states(tx: sa.Connection, run: sa.Table, rows: Sequence[Mapping[Any, Any]]) -> dict[UUID, RunState]:
    """The states that runs are in, by run; those that have none are left out."""
    states, run_column = _STATES[run]
    where = sa.and_(
        states.c[run_column].in_([row["id"] for row in rows]), states.c.id.in_([row["state_id"] for row in rows])
    )
    return {row[run_column]: _state_of_row(row) for row in tx.execute(sa.select(states).where(where)).mappings()}


def _state_of_row(row: Mapping[Any, Any]) -> RunState:
    return RunState(
        row["type"], row["name"], row["message"], row["data"], row["state_details"],
        to_us(row["timestamp"]), str(row["id"]),
    )  # fmt: skip


def locked_flow_run(tx: sa.Connection, id: UUID) -> Mapping[Any, Any]:
    """The row of a flow run, held against other transactions until this one ends.

    Raises:
        NotFound: there is no such flow run.
    """
    return _locked(tx, flow_run, id, "flow run")


def locked_task_run(tx: sa.Connection, id: UUID) -> Mapping[Any, Any]:
    """As `locked_flow_run`, for a task run."""
    return _locked(tx, task_run, id, "task run")


def _is_repeated(current: RunState | None, proposed: RunState) -> bool:
    """Whether the answer to this proposal got lost, and it is made again."""
    transition = proposed.details.get("transition_id")
    return current is not None and transition is not None and transition == current.details.get("transition_id")


def _fenced(tx: sa.Connection, flow_run_id: UUID, lease_token: int, current: RunState | None) -> Decision | None:
    """The refusal of who speaks for a flow run and does not hold it any more."""
    stale = leases.stale(tx, {flow_run_id: lease_token})
    return Decision("ABORT", current, leases.refusal(flow_run_id, stale[flow_run_id])) if stale else None


def _locked(tx: sa.Connection, run: sa.Table, id: UUID, kind: str) -> Mapping[Any, Any]:
    row = single.read(tx, run, id, lock=True)
    if row is None:
        raise NotFound(kind, id)
    return row


def _write(
    tx: sa.Connection,
    run: sa.Table,
    row: Mapping[Any, Any],
    current: RunState | None,
    decision: Decision,
    **more: Any,
) -> RunState | None:
    """Write the state that a run enters and what follows from it; returns it, or None when the run stays as it is."""
    entered = decision.state
    if entered is None or entered is current:
        return None
    _insert_state(tx, run, row["id"], entered)
    if run is task_run and row["tags"] and row["state_type"] == RUNNING and entered.type != RUNNING:
        concurrency_limits.release(tx, row["id"])
    before = Progress(
        run_count=row["run_count"] if decision.run_count is None else decision.run_count,
        expected_start_time=_us(row["expected_start_time"]),
        start_time=_us(row["start_time"]),
        total_run_time=round(row["total_run_time"].total_seconds() * 1e6),
    )
    if decision.policy:
        more["empirical_policy"] = {**row["empirical_policy"], **decision.policy}
    values = {**_columns(enter(before, current, entered)), **_copied(entered), **more}
    single.update(tx, run, row["id"], values)
    if run is task_run:
        if entered.type == SCHEDULED:
            announce(tx, f"task_runs:{row['task_key']}")
        if "child_flow_run_id" not in entered.details:  # what happens to a sub-flow run is told of itself
            outbox.task_run_entered(tx, row, current, entered, run_count=values["run_count"])
    return entered


def insert_flow_run(
    tx: sa.Connection, values: Mapping[str, Any], state: RunState, around: Mapping[str, Any] | None = None
) -> tuple[Row, Row] | None:
    """Insert a flow run that is in its first state from the beginning, whatever the rules say.

    Args:
        values: its columns; those that follow from the state are added.
        state: the state that it enters.
        around: what `outbox.around_flow_run` found.

    Returns:
        the run and its state, as their rows are; None when a run with the same unique values is there.
    """
    row = single.complete(flow_run, {**values, **_columns(enter(Progress(), None, state)), **_copied(state)})
    states, state_row = _state_row(flow_run, row["id"], state)
    if not single.insert_if_new_with(tx, flow_run, row, states, state_row):
        return None
    _tell_of_flow_run(tx, row, None, state, begun=0, around=around)
    return row, state_row


def insert_flow_run_of_task_run(tx: sa.Connection, values: Mapping[str, Any], state: RunState) -> bool:
    """Insert a flow run that a task run stands for; the task run follows it into its first state.

    Args:
        values: its columns; those that follow from the state are added.
        state: the state that is proposed to it.

    Returns:
        whether there was no run with the same unique values.
    """
    is_new = single.insert_if_new(tx, flow_run, single.complete(flow_run, values))
    if is_new:
        propose_flow_run_state(tx, values["id"], state)
    return is_new


def _insert_state(tx: sa.Connection, run: sa.Table, run_id: UUID, entered: RunState) -> Row:
    states, row = _state_row(run, run_id, entered)
    single.insert(tx, states, row)
    return row


def _state_row(run: sa.Table, run_id: UUID, entered: RunState) -> tuple[sa.Table, Row]:
    """A state of a run as a row, and its table."""
    states, run_column = _STATES[run]
    row: Row = {
        "id": entered.id, "type": entered.type, "name": entered.name, "message": entered.message, "data": entered.data,
        "state_details": entered.details, "timestamp": from_us(entered.timestamp), run_column: run_id,
    }  # fmt: skip
    return states, row


def _write_flow_run(
    tx: sa.Connection, row: Mapping[Any, Any], current: RunState | None, decision: Decision
) -> RunState | None:
    """As `_write`; those who wait for it are told."""
    written = _write(tx, flow_run, row, current, decision)
    if written is not None:
        begun = row["run_count"] if decision.run_count is None else decision.run_count
        _tell_of_flow_run(tx, row, current, written, begun=begun)
    return written


def _tell_of_flow_run(
    tx: sa.Connection,
    row: Mapping[Any, Any],
    current: RunState | None,
    written: RunState,
    *,
    begun: int,
    around: Mapping[str, Any] | None = None,
) -> None:
    announce(tx, "flow_runs", f"flow_run:{row['id']}")
    run_count = begun + (written.type == RUNNING)
    outbox.flow_run_entered(tx, row, current, written, run_count=run_count, around=around)
    if row["parent_task_run_id"] is not None:
        _tell_parent(tx, row["parent_task_run_id"], row["id"], written)
    if written.type in (CANCELLING, CANCELLED):
        announce(tx, "cancelled")
    elif written.type == PAUSED:
        announce(tx, "paused")
    if row["deployment_id"] is not None or row["work_queue_id"] is not None:
        frees_a_slot = current is not None and current.type in _AT_WORK and written.type not in _AT_WORK
        if frees_a_slot or written.type == SCHEDULED:
            announce(tx, "scheduled")


def _us(moment: Any) -> int | None:
    return None if moment is None else to_us(moment)


def _columns(progress: Progress) -> dict[str, Any]:
    values: dict[str, Any] = progress._asdict()
    for name in ("expected_start_time", "next_scheduled_start_time", "start_time", "end_time"):
        values[name] = None if values[name] is None else from_us(values[name])
    values["total_run_time"] = from_us(progress.total_run_time) - from_us(0)
    return values


def _copied(state: RunState) -> dict[str, Any]:
    """The columns of a run that say which state it is in."""
    return {
        "state_id": state.id,
        "state_type": state.type,
        "state_name": state.name,
        "state_timestamp": from_us(state.timestamp),
    }


def _tell_parent(tx: sa.Connection, task_run_id: UUID, flow_run_id: UUID, state: RunState) -> None:
    """The task run that stands for a sub-flow in its parent is in the state that the sub-flow is in."""
    row = single.read(tx, task_run, task_run_id)
    id = twin_id(state.id)  # the process that carries the sub-flow out says the same
    if row is None or has_been_in(tx, task_run, task_run_id, id):
        return
    details = {**state.details, "child_flow_run_id": str(flow_run_id)}
    copy = RunState(state.type, state.name, state.message, state.data, details, state.timestamp, id)
    _write(tx, task_run, row, current_state(tx, task_run, row), Decision("ACCEPT", copy))


def flow_retry_delay(policy: dict[str, Any]) -> float:
    """Seconds between two attempts of a flow run with this policy."""
    delay = policy.get("retry_delay")
    if delay is None:
        delay = policy.get("retry_delay_seconds")
    if isinstance(delay, list):
        delay = delay[0] if delay else None
    return delay or 0.0


def accepted(flow_run_id: UUID, state: RunState | None) -> OrchestrationResult[Any]:
    """The answer that a flow run is in a state."""
    return _answer(Decision("ACCEPT", state), flow_run_id=flow_run_id, task_run_id=None)


def _answer(decision: Decision, *, flow_run_id: UUID | None, task_run_id: UUID | None) -> OrchestrationResult[Any]:
    reason = decision.reason
    details: Any = {
        "ACCEPT": StateAcceptDetails,
        "REJECT": lambda: StateRejectDetails(reason=reason),
        "ABORT": lambda: StateAbortDetails(reason=reason),
        "WAIT": lambda: StateWaitDetails(reason=reason, delay_seconds=math.ceil(decision.wait_seconds)),
    }[decision.kind]()
    state = None if decision.state is None else public_state(decision.state, flow_run_id, task_run_id)
    return OrchestrationResult(state=state, status=SetStateStatus(decision.kind), details=details)


def public_state(state: RunState, flow_run_id: UUID | None, task_run_id: UUID | None) -> State[Any]:
    """A state as the API shows it."""
    shown = RunState(
        state.type, state.name, state.message, state.data, {"deferred": False, **state.details},
        state.timestamp, state.id,
    )  # fmt: skip
    return to_public(
        shown,
        flow_run_id=None if flow_run_id is None else str(flow_run_id),
        task_run_id=None if task_run_id is None else str(task_run_id),
    )
