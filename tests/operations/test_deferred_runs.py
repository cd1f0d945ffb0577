"""Claims of deferred task runs: one at a time, under a token, taken back from those that are not heard of any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import deferred_runs, recording
from prefect._operations.registry import NotYet
from prefect._operations.task_runs import read_task_run_states, task_run_of
from prefect._schemas.task_runs import TaskRun


def defer(tx: sa.Connection, *, retries: int = 0, due: float = 0.0) -> UUID:
    id = new_uuid()
    moment = now() + timedelta(seconds=due)
    details = {"deferred": True, "scheduled_time": moment.isoformat(), "task_parameters_id": str(new_uuid())}
    state = {"id": str(new_uuid()), "type": "SCHEDULED", "name": "Scheduled", "timestamp": now().isoformat()}
    record(tx, id, {**state, "state_details": details}, retries=retries, next_scheduled_start_time=moment.isoformat())
    return id


def record(
    tx: sa.Connection, id: UUID, state: dict[str, Any], *, token: int | None = None, retries: int = 0, **fields: Any
) -> recording.Recorded:
    said = {
        "id": str(id), "name": "t", "task_key": "k", "dynamic_key": str(id), "lease_token": token, "states": [state],
        "empirical_policy": {"retries": retries, "retry_delay": 0}, **fields,
    }  # fmt: skip
    return recording.record_task_runs(tx, recording.RecordTaskRuns.model_validate({"task_runs": [said]}))


def enter(tx: sa.Connection, id: UUID, type: str, token: int | None, **fields: Any) -> recording.Recorded:
    state = {"id": str(new_uuid()), "type": type, "name": type.capitalize(), "timestamp": now().isoformat()}
    return record(tx, id, state, token=token, **fields)


def claim(tx: sa.Connection, **fields: Any) -> list[deferred_runs.ClaimedTaskRun]:
    body = deferred_runs.ClaimTaskRuns.model_validate({"worker": "w", "task_keys": ["k"], "limit": 10, **fields})
    answer = deferred_runs.claim_task_runs(tx, body)
    return [] if isinstance(answer, NotYet) else answer


def expire(tx: sa.Connection, id: UUID) -> Any:
    return deferred_runs.expire(tx, id, now() + timedelta(seconds=61))


def states(tx: sa.Connection, id: UUID) -> list[str]:
    return [state.name for state in read_task_run_states(tx, id)]


def test_a_run_is_claimed_once_and_when_it_is_due(both: sa.Connection) -> None:
    id, later = defer(both), defer(both, due=60)
    (found,) = claim(both)
    assert found.task_run.id == id
    assert found.task_parameters_id is not None
    assert found.task_run.state_name == "Pending"
    assert claim(both) == []
    (early,) = claim(both, task_run_ids=[str(later)])
    assert early.task_run.id == later


def test_who_waits_is_told_when_the_next_one_is_due(both: sa.Connection) -> None:
    defer(both, due=60)
    body = deferred_runs.ClaimTaskRuns(worker="w", task_keys=["k"], wait_seconds=10)
    answer = deferred_runs.claim_task_runs(both, body)
    assert isinstance(answer, NotYet)
    assert answer.topics == ("task_runs:k",)
    assert answer.until is not None
    assert answer.until > now() + timedelta(seconds=50)


def test_what_is_recorded_under_an_old_claim_is_refused(both: sa.Connection) -> None:
    id = defer(both)
    (first,) = claim(both)
    assert expire(both, id).name == "Scheduled"
    (second,) = claim(both)
    assert second.token > first.token
    assert second.unbegun == 2
    assert enter(both, id, "RUNNING", first.token).fenced == [id]
    assert enter(both, id, "RUNNING", second.token).fenced == []
    assert task_run_of(both, id).state_name == "Running"
    assert states(both, id).count("Running") == 1


def test_a_run_that_had_begun_counts_as_a_failed_attempt(both: sa.Connection) -> None:
    id = defer(both, retries=1)
    (first,) = claim(both)
    enter(both, id, "RUNNING", first.token, run_count=1, retries=1)
    assert expire(both, id).name == "AwaitingRetry"
    (second,) = claim(both)
    assert second.task_parameters_id == first.task_parameters_id
    enter(both, id, "RUNNING", second.token, run_count=2, retries=1)
    assert expire(both, id).name == "Crashed"
    assert claim(both) == []


def test_a_run_that_kills_workers_before_it_begins_is_given_up(both: sa.Connection) -> None:
    id = defer(both)
    for _ in range(deferred_runs.MAX_UNBEGUN_CLAIMS - 1):
        claim(both)
        assert expire(both, id).name == "Scheduled"
    claim(both)
    assert expire(both, id).name == "Crashed"


def test_leases_that_are_renewed_do_not_end(both: sa.Connection) -> None:
    id = defer(both)
    (held,) = claim(both)
    until = deferred_runs.next_expiry(both)
    assert until is not None
    leases = [deferred_runs.HeldTaskRun(task_run_id=id, token=held.token)]
    assert deferred_runs.renew_task_run_leases(both, deferred_runs.RenewTaskRuns(leases=leases)).lost == []
    assert deferred_runs.expire(both, id, until) is None
    assert deferred_runs.expired(both, now() + timedelta(seconds=90), 10) == [id]
    wrong = [deferred_runs.HeldTaskRun(task_run_id=id, token=held.token - 1)]
    assert deferred_runs.renew_task_run_leases(both, deferred_runs.RenewTaskRuns(leases=wrong)).lost == [id]


def test_a_run_that_has_ended_is_held_by_nobody(both: sa.Connection) -> None:
    id = defer(both)
    (held,) = claim(both)
    enter(both, id, "RUNNING", held.token, run_count=1)
    waits = deferred_runs.WaitForTaskRuns(ids=[id])
    assert isinstance(deferred_runs.wait_for_task_runs(both, waits), NotYet)
    enter(both, id, "COMPLETED", held.token, end_time=now().isoformat())
    ended = deferred_runs.wait_for_task_runs(both, waits)
    assert isinstance(ended, list)
    assert [isinstance(run, TaskRun) and run.id for run in ended] == [id]
    assert deferred_runs.next_expiry(both) is None
    assert expire(both, id) is None
