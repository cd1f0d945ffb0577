"""The rule book of flow run states, under every sequence of proposals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    STATE_TYPES,
    TERMINAL,
    RunState,
    Value,
)
from prefect._rules.transitions import Verdict, decide

NOW = 1_700_000_000_000_000
NAMES = {
    SCHEDULED: ["Scheduled", "Late", "AwaitingRetry", "Resuming"],
    PENDING: ["Pending", "Submitting", "InfrastructurePending"],
    RUNNING: ["Running", "Retrying", "Resuming"],
    PAUSED: ["Paused", "Suspended"],
}
moments = st.integers(NOW - 10_000_000, NOW + 10_000_000)


@st.composite
def run_states(draw: st.DrawFn) -> RunState:
    kind = draw(st.sampled_from(sorted(STATE_TYPES)))
    details: dict[str, object] = {}
    if kind == SCHEDULED and draw(st.booleans()):
        details["scheduled_time"] = draw(moments)
    if kind == PAUSED and draw(st.booleans()):
        details["pause_timeout"] = draw(moments)
    if kind == PAUSED and draw(st.booleans()):
        details["pause_reschedule"] = True
    return RunState(kind, draw(st.sampled_from(NAMES.get(kind, [kind.capitalize()]))), details=details)


proposals = st.lists(st.tuples(run_states(), st.integers(0, 5_000_000)), max_size=12)


def holds(current: RunState | None, proposed: RunState, verdict: Verdict, now_us: int) -> None:
    """What is true of every single decision."""
    assert verdict.kind in ("ACCEPT", "REJECT", "ABORT", "WAIT")
    if verdict.kind == "ACCEPT":
        assert verdict.state is proposed
    else:
        assert verdict.reason, "whoever is refused is told why"
        assert verdict.state is not proposed
    if verdict.kind in ("ABORT", "WAIT"):
        assert verdict.state is current, "neither changes the run"
    assert (verdict.wait_seconds > 0) == (verdict.kind == "WAIT")
    if current is None:
        assert verdict.kind == "ACCEPT"
        return
    after = verdict.state
    assert after is not None
    if current.type in TERMINAL and after is not current:
        assert after.type == SCHEDULED, "a finished run stays finished, unless it is to be run again"
    if current.type == COMPLETED and after is not current:
        assert after.name == "AwaitingRetry"
    if current.type == CANCELLING and after is not current:
        assert after.type in {CANCELLED, CRASHED, CANCELLING}
    if after.type == RUNNING and current.type == SCHEDULED:
        assert current.details.get("scheduled_time", 0) <= now_us, "nothing runs before its time"
    if after.type == RUNNING and current.type == PAUSED:
        assert after.name == "Resuming"
        assert current.name != "Suspended"
        assert not current.details.get("pause_reschedule")
        assert current.details.get("pause_timeout", now_us + 1) > now_us
    if current.type in (SCHEDULED, PENDING):
        assert after.type != PAUSED, "only what runs can be paused"
    if current.type == PENDING and after.type == PENDING and after is not current:
        assert after.name != current.name, "a pending run is claimed once"


@given(proposals)
def test_every_sequence_of_proposals_keeps_the_rules(sequence: list[tuple[RunState, int]]) -> None:
    current: RunState | None = None
    now_us = NOW
    for proposed, later in sequence:
        now_us += later
        verdict = decide(current, proposed, now_us=now_us)
        holds(current, proposed, verdict, now_us)
        current = verdict.state


@given(run_states(), run_states())
def test_a_forced_state_is_always_accepted(current: RunState, proposed: RunState) -> None:
    verdict = decide(current, proposed, now_us=NOW, force=True)
    assert (verdict.kind, verdict.state) == ("ACCEPT", proposed)


@given(run_states())
def test_proposing_the_same_state_again_changes_nothing(state: RunState) -> None:
    again = RunState(state.type, state.name, id=state.id)
    assert decide(state, again, now_us=NOW).kind == "ACCEPT"


@given(run_states(), run_states())
def test_deciding_is_pure(current: RunState, proposed: RunState) -> None:
    before = current.__getstate__(), proposed.__getstate__()
    first, second = (decide(current, proposed, now_us=NOW) for _ in range(2))
    assert (current.__getstate__(), proposed.__getstate__()) == before
    assert (first.kind, first.reason, first.wait_seconds) == (second.kind, second.reason, second.wait_seconds)


@given(run_states(), st.sampled_from(sorted(TERMINAL)))
def test_a_run_can_always_be_crashed_or_cancelled_until_it_has_finished(current: RunState, kind: str) -> None:
    if kind in (CRASHED, CANCELLED) and current.type not in TERMINAL:
        assert decide(current, RunState(kind), now_us=NOW).kind == "ACCEPT"


def test_only_one_process_claims_a_pending_run() -> None:
    claims = [RunState(PENDING), RunState(PENDING), RunState(PENDING)]
    current = RunState(SCHEDULED)
    kinds = []
    for claim in claims:
        verdict = decide(current, claim, now_us=NOW)
        kinds.append(verdict.kind)
        current = verdict.state or current
    assert kinds == ["ACCEPT", "ABORT", "ABORT"]


def test_a_run_that_is_cancelled_while_it_finishes_is_cancelled_and_keeps_its_result() -> None:
    result = Value(42)
    verdict = decide(RunState(CANCELLING), RunState(COMPLETED, data=result), now_us=NOW)
    assert verdict.kind == "REJECT"
    assert verdict.state is not None
    assert (verdict.state.type, verdict.state.data) == (CANCELLED, result)


def test_waiting_until_a_run_is_due_lasts_as_long_as_it_must() -> None:
    current = RunState(SCHEDULED, details={"scheduled_time": NOW + 2_500_000})
    verdict = decide(current, RunState(RUNNING), now_us=NOW)
    assert (verdict.kind, verdict.wait_seconds) == ("WAIT", 2.5)
    assert decide(current, RunState(RUNNING), now_us=NOW + 2_500_000).kind == "ACCEPT"


@pytest.mark.parametrize("name", ["Running", "Resuming"])
def test_a_pause_that_has_expired_fails_the_run(name: str) -> None:
    current = RunState(PAUSED, "Paused", details={"pause_timeout": NOW})
    verdict = decide(current, RunState(RUNNING, name), now_us=NOW)
    assert verdict.kind == "REJECT"
    assert verdict.state is not None
    assert verdict.state.type == FAILED
