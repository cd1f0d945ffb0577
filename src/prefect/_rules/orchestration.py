"""What a server answers to a proposed state: the whole rule book for runs that others drive.

`transitions.decide` governs the runs of this process, whose engine knows what it is doing. A server hears of runs from
workers, people and engines of any version, and keeps to what clients of the API expect: who retries, which states a
paused or cancelling run may enter, who is too late. Both functions are pure: what is known of the run goes in, a
decision comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from prefect._rules.retries import retry_delay
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
    awaiting_retry,
)
from prefect._rules.transitions import VerdictKind

AWAITING_SLOT = "AwaitingConcurrencySlot"
"""The name of the state of a run that is due and has no room."""


class Decision(NamedTuple):
    """The answer to a proposed state.

    Attributes:
        kind: ACCEPT, REJECT, ABORT or WAIT.
        state: the state the run is in after the decision; it is to be written unless it is the current one.
        reason: why it is not simply accepted.
        wait_seconds: for WAIT, how long until it is worth asking again.
        policy: members of the run's policy that change.
        run_count: what the count of attempts is set to before the state is entered; None leaves it.
    """

    kind: VerdictKind
    state: RunState | None
    reason: str = ""
    wait_seconds: float = 0.0
    policy: dict[str, Any] = {}
    run_count: int | None = None


class FlowRunFacts(NamedTuple):
    """What the rules need to know of a flow run beside its state."""

    run_count: int = 0
    retries: int = 0
    retry_delay: float = 0.0
    """Seconds."""
    pause_keys: frozenset[str] = frozenset()
    """The pauses it has been through."""
    has_deployment: bool = False
    """Whether somebody could start it again."""
    is_subflow: bool = False


class TaskRunFacts(NamedTuple):
    """What the rules need to know of a task run beside its state."""

    run_count: int = 0
    retries: int = 0
    retry_delay: float | Sequence[float] | None = None
    """Seconds; a sequence has one for each retry."""
    retry_jitter_factor: float | None = None
    flow_run_id: str | None = None
    flow_run_state: RunState | None = None
    flow_run_count: int = 0
    """How many attempts of the flow run have begun."""
    flow_run_run_count: int = 0
    """In which attempt of the flow run this task run ran last."""


def decide_flow_run(
    run: FlowRunFacts, current: RunState | None, proposed: RunState, *, now_us: int, force: bool = False
) -> Decision:
    """Decide whether a flow run in `current` may enter `proposed`.

    Args:
        run: what else is known of it.
        current: its recorded state; None for a run that has none.
        proposed: the state asked for.
        now_us: the time, microseconds since the epoch.
        force: accept whatever is proposed (an operator's decision).
    """
    if force or current is None:
        return Decision("ACCEPT", proposed)
    if _is_repeated(current, proposed):
        return Decision("REJECT", current, "This run has already made this state transition.")
    if current.type == CANCELLING and proposed.type != CANCELLED:
        reason = "Cannot transition flows that are cancelling to a state other than Cancelled."
        return Decision("REJECT", current, reason)
    if current.type in TERMINAL:
        return _finished_flow_run(run, current, proposed)
    if proposed.type == PAUSED:
        return _pausing(run, current, proposed)
    if proposed.type == PENDING:
        return _claiming(current, proposed)
    if current.type == PAUSED:
        return _leaving_pause(run, current, proposed, now_us)
    if current.type == SCHEDULED and proposed.type == CANCELLING:
        state = RunState(CANCELLED, message=proposed.message)
        return Decision("REJECT", state, "Scheduled flow run has no infrastructure to terminate.")
    if proposed.type == RUNNING and (wait := _too_early(current, now_us)) is not None:
        return wait
    if current.type == RUNNING:
        return _ending_flow_run(run, proposed, now_us)
    return Decision("ACCEPT", proposed)


def _is_repeated(current: RunState, proposed: RunState) -> bool:
    """Whether this is a request that was answered before, and whose answer was lost."""
    transition = proposed.details.get("transition_id")
    return transition is not None and transition == current.details.get("transition_id")


def _finished_flow_run(run: FlowRunFacts, current: RunState, proposed: RunState) -> Decision:
    """A finished run keeps its stored result, and may be run again."""
    if proposed.type in (CRASHED, CANCELLING, PAUSED):
        return Decision("ABORT", current, f"Run is already in terminal state {current.type}.")
    if current.type == COMPLETED and current.data is not None:
        if proposed.type in (SCHEDULED, PENDING, RUNNING):
            return Decision("REJECT", current, "Run is already COMPLETED.")
        if proposed.type == COMPLETED and proposed.data is None:
            reason = "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not."
            return Decision("REJECT", current, reason)
    if proposed.type == SCHEDULED:
        if not run.has_deployment:
            return Decision("ABORT", current, "Cannot reschedule a run without an associated deployment.")
        policy = {"retry_type": "reschedule", "pause_keys": [], "resuming": False}
        return Decision("ACCEPT", proposed, policy=policy)
    if proposed.type == PENDING and current.type == CANCELLED:
        return _not_pending(current)
    return Decision("ACCEPT", proposed, policy={"retry_type": None} if proposed.type == RUNNING else {})


def _pausing(run: FlowRunFacts, current: RunState, proposed: RunState) -> Decision:
    """Only a running flow pauses, and each of its pauses once; to be suspended, somebody must be there to go on."""
    suspends = bool(proposed.details.get("pause_reschedule"))
    if current.type != RUNNING:
        verb = "suspend" if suspends else "pause"
        return Decision("REJECT", current, f"Cannot {verb} flows that are not currently running.")
    key = proposed.details.get("pause_key")
    if key is not None and key in run.pause_keys:
        return Decision("REJECT", current, "This pause has already fired.")
    if suspends and run.is_subflow:
        return Decision("ABORT", current, "Cannot suspend subflows.")
    if suspends and not run.has_deployment:
        return Decision("ABORT", current, "Cannot suspend flows without a deployment.")
    keys = run.pause_keys if key is None else run.pause_keys | {key}
    return Decision("ACCEPT", proposed, policy={"pause_keys": sorted(keys), "resuming": False})


def _claiming(current: RunState, proposed: RunState) -> Decision:
    """A run is claimed once; what a claimed one waits for may change."""
    if current.type == PAUSED:
        reason = "A paused run cannot become PENDING; resume it."
        return Decision("REJECT", current, reason)
    if current.type == PENDING and proposed.name not in (current.name, "Pending"):
        return Decision("ACCEPT", _with_time_of(current, proposed))
    if current.type in (PENDING, RUNNING):
        return _not_pending(current)
    return Decision("ACCEPT", _with_time_of(current, proposed))


def without_room(current: RunState | None, *, cancels: bool, now_us: int) -> Decision:
    """The answer to `Pending` for a run of a deployment that has as many runs under way as it may.

    Args:
        current: the state that the run is in.
        cancels: whether a run too many is cancelled; otherwise it waits at its place in the line.
        now_us: the time, microseconds since the epoch.
    """
    reason = "Deployment concurrency limit reached."
    if cancels:
        return Decision("REJECT", RunState(CANCELLED, message=reason), reason)
    due = now_us if current is None else current.details.get("scheduled_time", now_us)
    if current is not None and current.name == AWAITING_SLOT:
        return Decision("REJECT", current, reason)
    return Decision("REJECT", RunState(SCHEDULED, AWAITING_SLOT, details={"scheduled_time": due}), reason)


def _not_pending(current: RunState) -> Decision:
    reason = f"This run is in a {current.type} state and cannot transition to a PENDING state."
    return Decision("ABORT", current, reason)


def _with_time_of(current: RunState, proposed: RunState) -> RunState:
    """A claimed run remembers when it is due: a worker claims early, the run starts in time."""
    due = current.details.get("scheduled_time")
    if due is None or "scheduled_time" in proposed.details:
        return proposed
    details = {**proposed.details, "scheduled_time": due}
    return RunState(
        proposed.type, proposed.name, proposed.message, proposed.data, details, proposed.timestamp, proposed.id
    )


def _leaving_pause(run: FlowRunFacts, current: RunState, proposed: RunState, now_us: int) -> Decision:
    """A paused run goes on when it is resumed in time; it can be ended at any time."""
    suspended = bool(current.details.get("pause_reschedule"))
    if proposed.type == CANCELLING:
        if suspended:
            state = RunState(CANCELLED, message=proposed.message)
            return Decision("REJECT", state, "Suspended flow run has no infrastructure to terminate.")
        return Decision("REJECT", current, "A paused run cannot become CANCELLING; resume it, or set it to CANCELLED.")
    if proposed.type in (CANCELLED, CRASHED, FAILED):
        return Decision("ACCEPT", proposed)
    if suspended and not run.has_deployment:
        reason = f"Cannot reschedule a {proposed.name.lower()} flow run without a deployment."
        return Decision("REJECT", current, reason)
    timeout = current.details.get("pause_timeout")
    if timeout is not None and timeout < now_us:
        state = RunState(FAILED, message=f"The flow was {proposed.name.lower()} and never resumed.")
        return Decision("REJECT", state, "The flow run pause has timed out and can no longer resume.")
    return Decision("ACCEPT", proposed, policy={"resuming": True})


def _too_early(current: RunState, now_us: int) -> Decision | None:
    """A run does not start before its time, claimed or not."""
    due = current.details.get("scheduled_time") if current.type in (SCHEDULED, PENDING) else None
    if due is None or due <= now_us:
        return None
    return Decision("WAIT", current, "Scheduled time is in the future", wait_seconds=(due - now_us) / 1e6)


def _ending_flow_run(run: FlowRunFacts, proposed: RunState, now_us: int) -> Decision:
    if proposed.type != FAILED:
        return Decision("ACCEPT", proposed, policy={} if proposed.type == RUNNING else {"resuming": False})
    if run.run_count > run.retries:
        return Decision("ACCEPT", proposed, policy={"retry_type": None, "resuming": False})
    state = awaiting_retry(now_us + round(run.retry_delay * 1e6), proposed.message)
    policy = {"retry_type": "in_process", "resuming": False, "pause_keys": []}
    return Decision("REJECT", state, "Retrying", policy=policy)


def decide_task_run(
    run: TaskRunFacts, current: RunState | None, proposed: RunState, *, now_us: int, force: bool = False
) -> Decision:
    """Decide whether a task run in `current` may enter `proposed`. Arguments as of `decide_flow_run`."""
    if force or current is None:
        return Decision("ACCEPT", proposed)
    if _is_repeated(current, proposed):
        return Decision("REJECT", current, "This run has already made this state transition.")
    if current.type in TERMINAL:
        return _finished_task_run(run, current, proposed)
    if proposed.type == RUNNING:
        return _starting_task_run(run, current, proposed, now_us)
    if proposed.type == PENDING and current.type == SCHEDULED:
        return Decision("ACCEPT", _with_time_of(current, proposed))
    retriable = proposed.details.get("retriable") is not False
    if current.type == RUNNING and proposed.type == FAILED and retriable and run.run_count <= run.retries:
        delay = retry_delay(run.retry_delay, max(run.run_count - 1, 0), run.retry_jitter_factor)
        state = awaiting_retry(now_us + round(delay * 1e6), proposed.message, proposed.data)
        return Decision("REJECT", state, "Retrying")
    return Decision("ACCEPT", proposed)


def _finished_task_run(run: TaskRunFacts, current: RunState, proposed: RunState) -> Decision:
    """A finished task run keeps its stored result, and may be run again with its flow."""
    if proposed.type in (CRASHED, CANCELLING, PAUSED):
        return Decision("ABORT", current, f"Run is already {current.type}.")
    if current.type == COMPLETED and current.data is not None:
        return Decision("REJECT", current, "This run is already completed.")
    if proposed.type in TERMINAL:
        return Decision("ACCEPT", proposed)
    if proposed.type == RUNNING:
        refusal = _outside_running_flow(run, current)
        if refusal is not None:
            return refusal
        if run.flow_run_count > run.flow_run_run_count:
            proposed = _renamed(proposed, "Retrying")
    return Decision("ACCEPT", proposed, run_count=0)


def _starting_task_run(run: TaskRunFacts, current: RunState, proposed: RunState, now_us: int) -> Decision:
    refusal = _outside_running_flow(run, current) or _too_early(current, now_us)
    if refusal is not None:
        return refusal
    if run.run_count > 0:
        proposed = _renamed(proposed, "Retrying" if current.name == "AwaitingRetry" else "Rerunning")
    return Decision("ACCEPT", proposed)


def _outside_running_flow(run: TaskRunFacts, current: RunState) -> Decision | None:
    """A task begins only while its flow runs."""
    if run.flow_run_id is None or run.flow_run_state is None or run.flow_run_state.type == RUNNING:
        return None
    if run.flow_run_state.type == PAUSED:
        details = {
            name: run.flow_run_state.details[name]
            for name in ("pause_timeout", "pause_reschedule")
            if name in run.flow_run_state.details
        }
        state = RunState(PAUSED, "NotReady", details=details)
        reason = f"The flow is paused, new tasks can execute after resuming flow run: {run.flow_run_id}."
        return Decision("REJECT", state, reason)
    return Decision("ABORT", current, "The enclosing flow must be running to begin task execution.")


def _renamed(state: RunState, name: str) -> RunState:
    return RunState(state.type, name, state.message, state.data, state.details, state.timestamp, state.id)
