"""What is answered to proposed states: the table of observed answers, and what is true of every answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.orchestration import FlowRunFacts, TaskRunFacts, decide_flow_run, decide_task_run
from prefect._rules.progress import Progress, enter
from prefect._rules.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    STATE_TYPES,
    TERMINAL,
    RunState,
)

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND

FACTS = json.loads((Path(__file__).parent / "orchestration_facts.json").read_text())
"""By kind of run, current and proposed state: the answer of a Prefect 3.8 server, and the state it left: the proposed
one ("same"), the current one ("cur"), or another. The runs had begun once when they got to the current state."""

_LABEL = re.compile(r"(?P<name>\w+)(\((?P<type>\w+)\))?(?P<marks>(\+\w+)*)")
_MARKS = {
    "due": {"scheduled_time": NOW - DAY},
    "later": {"scheduled_time": NOW + DAY},
    "waits": {"pause_timeout": NOW + DAY},
    "expired": {"pause_timeout": NOW - DAY},
    "suspended": {"pause_reschedule": True},
}


def state(label: str) -> RunState:
    match = _LABEL.fullmatch(label)
    assert match is not None, label
    marks = match["marks"].split("+")[1:]
    details = {key: value for mark in marks if mark != "data" for key, value in _MARKS[mark].items()}
    data = {"storage_key": "k"} if "data" in marks else None
    return RunState(match["type"] or match["name"].upper(), match["name"], data=data, details=details, timestamp=NOW)


def differs_on_purpose(current: RunState, proposed: RunState) -> bool:
    """A paused run can be ended at any time, also one that nobody can resume."""
    return current.type == PAUSED and proposed.type in TERMINAL - {COMPLETED}


@pytest.mark.parametrize("kind", FACTS)
def test_answers_are_those_that_clients_know(kind: str) -> None:
    retries = 2 if "retries" in kind else 0
    for current_label, proposals in FACTS[kind].items():
        for proposed_label, expected in proposals.items():
            current, proposed = state(current_label), state(proposed_label)
            if kind.startswith("flow"):
                if differs_on_purpose(current, proposed):
                    continue
                flow_run = FlowRunFacts(run_count=2 if current.type == RUNNING else 1, retries=retries)
                decision = decide_flow_run(flow_run, current, proposed, now_us=NOW)
            else:
                task_run = TaskRunFacts(
                    run_count=1, retries=retries, flow_run_id="f", flow_run_state=RunState(RUNNING), flow_run_count=1
                )
                decision = decide_task_run(task_run, current, proposed, now_us=NOW)
            answer, _, left = expected.partition(" ")
            where = f"{kind}: {current_label} -> {proposed_label}"
            assert decision.kind == answer, where
            assert decision.state is not None
            wanted = {"same": (proposed.type, proposed.name), "cur": (current.type, current.name)}
            type_, name = wanted.get(left) or tuple(left.split("/"))
            assert (decision.state.type, decision.state.name) == (type_, name), where


def test_a_paused_run_can_always_be_ended() -> None:
    for mark in ("waits", "expired", "waits+suspended", "expired+suspended"):
        for label in ("Cancelled", "Crashed", "Failed"):
            decision = decide_flow_run(FlowRunFacts(), state(f"Paused+{mark}"), state(label), now_us=NOW)
            assert (decision.kind, decision.state.type) == ("ACCEPT", label.upper())  # type: ignore[union-attr]


def test_a_request_that_is_sent_again_changes_nothing() -> None:
    entered = RunState(PENDING, details={"transition_id": "t"})
    again = RunState(PENDING, details={"transition_id": "t"})
    decision = decide_flow_run(FlowRunFacts(), entered, again, now_us=NOW)
    assert (decision.kind, decision.state) == ("REJECT", entered)
    assert decide_task_run(TaskRunFacts(), entered, again, now_us=NOW).kind == "REJECT"


def test_a_claimed_run_remembers_when_it_is_due() -> None:
    decision = decide_flow_run(FlowRunFacts(), state("Scheduled+later"), state("Pending"), now_us=NOW)
    claimed = decision.state
    assert claimed is not None
    assert claimed.details["scheduled_time"] == NOW + DAY
    wait = decide_flow_run(FlowRunFacts(), claimed, state("Running"), now_us=NOW)
    assert (wait.kind, wait.wait_seconds) == ("WAIT", 86_400)
    assert decide_flow_run(FlowRunFacts(), claimed, state("Running"), now_us=NOW + DAY).kind == "ACCEPT"


def test_a_run_of_a_deployment_can_be_suspended_and_started_again() -> None:
    run = FlowRunFacts(has_deployment=True)
    suspend = RunState(PAUSED, "Suspended", details={"pause_reschedule": True, "pause_key": "1"})
    decision = decide_flow_run(run, RunState(RUNNING), suspend, now_us=NOW)
    assert (decision.kind, decision.policy) == ("ACCEPT", {"pause_keys": ["1"], "resuming": False})
    again = decide_flow_run(run._replace(pause_keys=frozenset({"1"})), RunState(RUNNING), suspend, now_us=NOW)
    assert (again.kind, again.reason) == ("REJECT", "This pause has already fired.")
    sub = decide_flow_run(run._replace(is_subflow=True), RunState(RUNNING), suspend, now_us=NOW)
    assert (sub.kind, sub.reason) == ("ABORT", "Cannot suspend subflows.")
    resumed = decide_flow_run(run, suspend, RunState(SCHEDULED, "Resuming"), now_us=NOW)
    assert (resumed.kind, resumed.policy) == ("ACCEPT", {"resuming": True})
    for finished in sorted(TERMINAL):
        retried = decide_flow_run(run, RunState(finished), state("AwaitingRetry(SCHEDULED)+due"), now_us=NOW)
        assert (retried.kind, retried.policy["retry_type"]) == ("ACCEPT", "reschedule")


def test_retries_come_after_their_delays_and_end() -> None:
    run = FlowRunFacts(run_count=2, retries=2, retry_delay=5)
    decision = decide_flow_run(run, RunState(RUNNING), RunState(FAILED), now_us=NOW)
    assert decision.state is not None
    assert decision.state.details == {"scheduled_time": NOW + 5 * SECOND}
    assert decision.policy["retry_type"] == "in_process"
    last = decide_flow_run(run._replace(run_count=3), RunState(RUNNING), RunState(FAILED), now_us=NOW)
    assert (last.kind, last.policy["retry_type"]) == ("ACCEPT", None)
    delays = []
    for count in (1, 2, 3):
        task_run = TaskRunFacts(run_count=count, retries=3, retry_delay=[1, 5])
        retry = decide_task_run(task_run, RunState(RUNNING), RunState(FAILED), now_us=NOW)
        delays.append((retry.state.details["scheduled_time"] - NOW) / SECOND)  # type: ignore[union-attr]
    assert delays == [1, 5, 5]
    never = RunState(FAILED, details={"retriable": False})
    assert decide_task_run(TaskRunFacts(run_count=1, retries=3), RunState(RUNNING), never, now_us=NOW).kind == "ACCEPT"


@pytest.mark.parametrize("flow_state", sorted(STATE_TYPES - {RUNNING, PAUSED}))
def test_a_task_begins_only_while_its_flow_runs(flow_state: str) -> None:
    run = TaskRunFacts(flow_run_id="f", flow_run_state=RunState(flow_state))
    for current in (RunState(PENDING), RunState(FAILED)):
        assert decide_task_run(run, current, RunState(RUNNING), now_us=NOW).kind == "ABORT"


def test_a_task_of_a_paused_flow_waits_as_long_as_the_flow() -> None:
    paused = RunState(PAUSED, details={"pause_timeout": NOW + DAY, "pause_key": "1"})
    run = TaskRunFacts(flow_run_id="f", flow_run_state=paused)
    decision = decide_task_run(run, RunState(PENDING), RunState(RUNNING), now_us=NOW)
    assert decision.kind == "REJECT"
    assert decision.state is not None
    assert (decision.state.name, decision.state.details) == ("NotReady", {"pause_timeout": NOW + DAY})


LABELS = sorted(
    {label for kind in FACTS.values() for current in kind.values() for label in current} | {"Completed+data"}
)


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 2 * DAY)), max_size=15), st.booleans(), st.integers(0, 2)
)
def test_any_sequence_of_proposals_is_answered_consistently(
    proposals: list[tuple[str, int]], has_deployment: bool, retries: int
) -> None:
    current: RunState | None = None
    run, progress, now = FlowRunFacts(retries=retries, has_deployment=has_deployment), Progress(), NOW
    for label, passed in proposals:
        now += passed
        proposed = state(label)
        decision = decide_flow_run(run, current, proposed, now_us=now)
        assert (decision.kind == "ACCEPT") == (decision.reason == "")
        if decision.kind in ("ABORT", "WAIT"):
            assert decision.state is current
        if current is not None and current.type == CANCELLING and decision.state is not current:
            assert decision.state is not None
            assert decision.state.type == CANCELLED, "what is being cancelled ends cancelled"
        if current is not None and current.data is not None and decision.state is not current:
            assert decision.state is not None
            assert decision.state.type in TERMINAL, "a stored result is not computed again"
        if decision.state is current or decision.state is None:
            continue
        entered = decision.state
        after = enter(progress, current, entered)
        assert (after.end_time is not None) == (entered.type in TERMINAL)
        assert after.run_count - progress.run_count == (entered.type == RUNNING)
        assert (after.next_scheduled_start_time is not None) <= (entered.type == SCHEDULED)
        assert after.expected_start_time is not None
        current, progress = entered, after
        run = run._replace(run_count=progress.run_count)


def test_time_spent_running_adds_up() -> None:
    first, second, third = (
        RunState(RUNNING, timestamp=NOW),
        RunState(FAILED, timestamp=NOW + 5),
        RunState(RUNNING, timestamp=NOW + 9),
    )
    progress = enter(Progress(), None, RunState(SCHEDULED, details={"scheduled_time": NOW - 1}, timestamp=NOW))
    assert (progress.expected_start_time, progress.next_scheduled_start_time) == (NOW - 1, NOW - 1)
    progress = enter(enter(enter(progress, None, first), first, second), second, third)
    assert progress == Progress(2, NOW - 1, None, NOW, None, 5)
    assert enter(progress, third, RunState(COMPLETED, timestamp=NOW + 10)) == Progress(
        2, NOW - 1, None, NOW, NOW + 10, 6
    )
