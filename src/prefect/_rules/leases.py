"""What becomes of a flow run whose holder has not been heard of for too long.

A claimed run is held under a lease, which its holder renews. When a lease ends, what was held goes on without the
holder: a run that had not begun is there for others again, one that had begun has crashed (or is tried again, when
somebody can), one that was to be cancelled is cancelled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from prefect._rules.states import (
    CANCELLED,
    CANCELLING,
    CRASHED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    RunState,
    awaiting_retry,
)

MOST_CLAIMS = 5
"""How often a run is claimed without being started before it is given up."""


class Held(NamedTuple):
    """A flow run whose lease has ended.

    Attributes:
        state: the state it is in.
        holder: who held it, as people read it.
        silence: seconds since the holder was last heard of.
        claims: how often it was claimed without being started.
        can_be_claimed: whether somebody else could start it: it belongs to a deployment or a work queue.
        run_count: how many attempts have begun.
        retries: how many attempts there are beside the first.
        retry_delay: seconds before another attempt.
    """

    state: RunState
    holder: str
    silence: float
    claims: int = 0
    can_be_claimed: bool = False
    run_count: int = 0
    retries: int = 0
    retry_delay: float = 0.0


class Outcome(NamedTuple):
    """What becomes of it.

    Attributes:
        state: the state it enters; None when it stays as it is.
        policy: members of the run's policy that change.
    """

    state: RunState | None
    policy: dict[str, Any] = {}


def decide_expired(run: Held, now_us: int) -> Outcome:
    """Decide what becomes of a flow run whose lease has ended; runs that have finished are none of its business."""
    decide = _DECISIONS.get(run.state.type)
    return Outcome(None) if decide is None else decide(run, now_us)


def decide_ended(run: Held, why: str, now_us: int) -> Outcome:
    """Decide what becomes of a flow run whose process has ended without an end of the run.

    Args:
        run: as its holder knows it; the process is known to be gone, so nobody comes back.
        why: how the process ended.
        now_us: the time, microseconds since the epoch.
    """
    kind = run.state.type
    if kind == RUNNING:
        return _tried_again(run, why, now_us) or Outcome(RunState(CRASHED, message=why, timestamp=now_us))
    if kind == CANCELLING:
        return Outcome(RunState(CANCELLED, message=why, timestamp=now_us))
    left_to_others = kind == SCHEDULED and run.can_be_claimed
    suspended = kind == PAUSED and run.state.details.get("pause_reschedule")
    if left_to_others or suspended or kind not in _DECISIONS:
        return Outcome(None)
    return Outcome(RunState(CRASHED, message=why, timestamp=now_us))


def _tried_again(run: Held, why: str, now_us: int) -> Outcome | None:
    """Another attempt, if the flow has one left and somebody can begin it."""
    if not run.can_be_claimed or run.run_count > run.retries:
        return None
    state = awaiting_retry(now_us + round(run.retry_delay * 1e6), f"{why} It is tried again.")
    return Outcome(state, {"retry_type": "reschedule", "resuming": False, "pause_keys": []})


def _pending(run: Held, now_us: int) -> Outcome:
    """Claimed, and not started."""
    lost = f"Claimed by {run.holder}, which did not start it and was last heard of {_ago(run.silence)}."
    if not run.can_be_claimed:
        return Outcome(RunState(CRASHED, message=lost, timestamp=now_us))
    if run.claims >= MOST_CLAIMS:
        message = f"{lost} It was claimed {run.claims} times and never started: look at the logs of the workers."
        return Outcome(RunState(CRASHED, message=message, timestamp=now_us))
    due = run.state.details.get("scheduled_time", now_us)
    return Outcome(RunState(SCHEDULED, message=lost, details={"scheduled_time": due}, timestamp=now_us))


def _running(run: Held, now_us: int) -> Outcome:
    lost = f"{run.holder} ran this flow run and was last heard of {_ago(run.silence)}."
    return _tried_again(run, lost, now_us) or Outcome(RunState(CRASHED, message=lost, timestamp=now_us))


def _cancelling(run: Held, now_us: int) -> Outcome:
    message = f"It was being cancelled; {run.holder}, which ran it, was last heard of {_ago(run.silence)}."
    return Outcome(RunState(CANCELLED, message=message, timestamp=now_us))


def _scheduled(run: Held, now_us: int) -> Outcome:
    """Its process was to try it again; whoever is there now does."""
    if run.can_be_claimed:
        return Outcome(None)
    message = f"{run.holder} was to try it again and was last heard of {_ago(run.silence)}."
    return Outcome(RunState(CRASHED, message=message, timestamp=now_us))


def _paused(run: Held, now_us: int) -> Outcome:
    """A suspended run has no process, and waits for whoever resumes it; a paused one had a process that waited."""
    if run.state.details.get("pause_reschedule"):
        return Outcome(None)
    message = f"It was paused; {run.holder}, which ran it, was last heard of {_ago(run.silence)}."
    return Outcome(RunState(CRASHED, message=message, timestamp=now_us))


_DECISIONS = {
    PENDING: _pending,
    RUNNING: _running,
    CANCELLING: _cancelling,
    SCHEDULED: _scheduled,
    PAUSED: _paused,
}


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} seconds ago" if seconds < 120 else f"{seconds / 60:.0f} minutes ago"
