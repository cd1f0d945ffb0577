"""Which state a flow run may enter next.

`decide` is the whole rule book: a pure function of where the run is, where somebody wants it to go, and the time.
It answers with a verdict in the terms of the API: accept it, reject it (and say in which state the run is instead),
abort (the caller must not go on), or wait.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from prefect._rules.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    TERMINAL,
    RunState,
)

VerdictKind = Literal["ACCEPT", "REJECT", "ABORT", "WAIT"]


class Verdict(NamedTuple):
    """The answer to a proposed state.

    Attributes:
        kind: ACCEPT, REJECT, ABORT or WAIT.
        state: the state the run is in after the decision (None: it has none yet).
        reason: why it is not simply accepted.
        wait_seconds: for WAIT, how long until it is worth asking again.
    """

    kind: VerdictKind
    state: RunState | None
    reason: str = ""
    wait_seconds: float = 0.0


def decide(current: RunState | None, proposed: RunState, *, now_us: int, force: bool = False) -> Verdict:
    """Decide whether a flow run in `current` may enter `proposed`.

    Args:
        current: the recorded state; None for a run that has none.
        proposed: the state asked for.
        now_us: the time, microseconds since the epoch.
        force: accept whatever is proposed (an operator's decision).
    """
    if force or current is None or current.id == proposed.id:
        return Verdict("ACCEPT", proposed)
    if current.type in TERMINAL:
        return _from_terminal(current, proposed)
    rule = _RULES.get(current.type)
    return rule(current, proposed, now_us) if rule is not None else Verdict("ACCEPT", proposed)


def _from_terminal(current: RunState, proposed: RunState) -> Verdict:
    """A finished run stays finished, unless it is to be run again."""
    if proposed.type == SCHEDULED and current.type != COMPLETED:
        return Verdict("ACCEPT", proposed)
    if proposed.type == SCHEDULED and proposed.name == "AwaitingRetry":
        return Verdict("ACCEPT", proposed)
    return Verdict("ABORT", current, f"This run has already finished in state {current.name}.")


def _from_cancelling(current: RunState, proposed: RunState, now_us: int) -> Verdict:
    """A run that is being cancelled can only end; finishing of its own accord counts as cancelled."""
    if proposed.type in {CANCELLED, CRASHED, CANCELLING}:
        return Verdict("ACCEPT", proposed)
    if proposed.type in {COMPLETED, FAILED}:
        state = RunState(CANCELLED, message="The run was cancelled while it was finishing.", data=proposed.data)
        return Verdict("REJECT", state, "The run is being cancelled.")
    return Verdict("ABORT", current, "The run is being cancelled.")


def _from_paused(current: RunState, proposed: RunState, now_us: int) -> Verdict:
    """A paused run goes on when it is resumed in time, and can be ended."""
    timeout = current.details.get("pause_timeout")
    if proposed.type == RUNNING:
        if current.name == "Suspended" or current.details.get("pause_reschedule"):
            return Verdict("REJECT", current, "The run is suspended; resume it to schedule it again.")
        if timeout is not None and now_us >= timeout:
            state = RunState(FAILED, message="The flow was paused and never resumed.")
            return Verdict("REJECT", state, "The pause has expired.")
        if proposed.name != "Resuming":
            return Verdict("WAIT", current, "The run is paused.", wait_seconds=1.0)
    if proposed.type == SCHEDULED and timeout is not None and now_us >= timeout:
        state = RunState(FAILED, message="The flow was suspended and never resumed.")
        return Verdict("REJECT", state, "The pause has expired.")
    if proposed.type == PENDING:
        return Verdict("REJECT", current, "The run is paused.")
    return Verdict("ACCEPT", proposed)


def _from_scheduled(current: RunState, proposed: RunState, now_us: int) -> Verdict:
    """A run does not start before its time."""
    if proposed.type == PAUSED:
        return Verdict("ABORT", current, "Only a run that is running can be paused.")
    due = current.details.get("scheduled_time")
    if proposed.type == RUNNING and due is not None and due > now_us:
        return Verdict("WAIT", current, "The run is scheduled for later.", wait_seconds=(due - now_us) / 1e6)
    return Verdict("ACCEPT", proposed)


def _from_pending(current: RunState, proposed: RunState, now_us: int) -> Verdict:
    """A claimed run is claimed once; what it is pending for may change."""
    if proposed.type == PENDING and proposed.name == current.name:
        return Verdict("ABORT", current, "This run has already been claimed by another process.")
    if proposed.type == PAUSED:
        return Verdict("ABORT", current, "Only a run that is running can be paused.")
    return Verdict("ACCEPT", proposed)


_RULES: dict[str, Any] = {
    CANCELLING: _from_cancelling,
    PAUSED: _from_paused,
    SCHEDULED: _from_scheduled,
    PENDING: _from_pending,
}
