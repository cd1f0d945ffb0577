"""What becomes of a run whose holder is not heard of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.leases import MOST_CLAIMS, Held, decide_ended, decide_expired
from prefect._rules.states import (
    CANCELLED,
    CANCELLING,
    CRASHED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    STATE_TYPES,
    TERMINAL,
    RunState,
)

NOW = 1_700_000_000_000_000
MAY_BECOME = {
    PENDING: {SCHEDULED, CRASHED},
    RUNNING: {SCHEDULED, CRASHED},
    SCHEDULED: {None, CRASHED},
    PAUSED: {None, CRASHED},
    CANCELLING: {CANCELLED},
    **{type: {None} for type in TERMINAL},
}

states = st.builds(
    RunState,
    st.sampled_from(sorted(STATE_TYPES)),
    details=st.fixed_dictionaries({}, optional={
        "scheduled_time": st.integers(NOW - 10**9, NOW + 10**9), "pause_reschedule": st.booleans(),
    }),
)  # fmt: skip
runs = st.builds(
    Held,
    state=states,
    holder=st.just("Worker w"),
    silence=st.floats(0, 1e6),
    claims=st.integers(0, 10),
    can_be_claimed=st.booleans(),
    run_count=st.integers(0, 5),
    retries=st.integers(0, 5),
    retry_delay=st.floats(0, 3600),
)


@given(runs)
def test_every_run_comes_to_something_and_says_why(run: Held) -> None:
    state = decide_expired(run, NOW).state
    assert (None if state is None else state.type) in MAY_BECOME[run.state.type]
    if state is not None:
        assert state.timestamp >= NOW or state.name == "AwaitingRetry"
        assert state.message is not None
        assert "Worker w" in state.message


@given(runs)
def test_nothing_is_left_to_nobody(run: Held) -> None:
    """A run that nobody else can start does not wait to be started."""
    state = decide_expired(run, NOW).state
    waits = run.state.type == SCHEDULED if state is None else state.type == SCHEDULED
    assert run.can_be_claimed or not waits


@given(runs)
def test_nothing_goes_round_for_ever(run: Held) -> None:
    state = decide_expired(run, NOW).state
    if run.state.type == PENDING and run.claims >= MOST_CLAIMS:
        assert state is not None
        assert state.type == CRASHED
    if run.state.type == RUNNING and run.run_count > run.retries:
        assert state is not None
        assert state.type == CRASHED


@given(st.integers(NOW - 10**9, NOW + 10**9))
def test_a_run_that_was_not_started_stays_due_when_it_was(due: int) -> None:
    run = Held(RunState(PENDING, details={"scheduled_time": due}), "Worker w", 60, claims=1, can_be_claimed=True)
    state = decide_expired(run, NOW).state
    assert state is not None
    assert state.details["scheduled_time"] == due


@given(runs)
def test_a_process_that_is_known_to_be_gone(run: Held) -> None:
    """As when the lease ends, but it says how the process ended; and a run it never began has crashed at once."""
    outcome = decide_ended(run, "It was killed.", NOW)
    entered, expired = outcome.state, decide_expired(run, NOW).state
    assert (entered.type if entered else None) in MAY_BECOME[run.state.type]
    if entered is not None:
        assert (entered.message or "").startswith("It was killed.")
        if run.state.type == PENDING:
            assert entered.type == CRASHED
        else:
            assert expired is not None and expired.type == entered.type
    if run.state.type == RUNNING and run.run_count > run.retries:
        assert entered is not None and entered.type == CRASHED
