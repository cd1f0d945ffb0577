"""Task runs keep to the limits of their tags when they propose to run, and give back what they hold when they end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._operations import concurrency_limits as v1
from prefect._operations.run_children import end_task_runs
from prefect._operations.state_changes import propose_task_run_state
from prefect._rules.states import CRASHED, RUNNING, RunState
from prefect._schemas.actions.concurrency import ConcurrencyLimitCreate

from .conftest import World


class Tagged:
    def __init__(self, tx: sa.Connection) -> None:
        self.tx = tx
        self.world = World(tx)
        self.flow_run = self.world.flow_run(self.world.flow(), state="RUNNING")

    def limit(self, tag: str, slots: int) -> None:
        v1.create_concurrency_limit(self.tx, ConcurrencyLimitCreate(tag=tag, concurrency_limit=slots))

    def task(self, *tags: str) -> UUID:
        return self.world.task_run(self.flow_run, state="PENDING", tags=list(tags))

    def propose(self, task: UUID, type: str, **more: Any) -> Any:
        return propose_task_run_state(self.tx, task, RunState(type), **more)[0]

    def holders(self, tag: str) -> list[UUID]:
        return v1.read_concurrency_limit_by_tag(self.tx, tag).active_slots


@pytest.fixture
def tagged(both: sa.Connection) -> Tagged:
    return Tagged(both)


def test_as_many_run_as_the_tag_allows(tagged: Tagged) -> None:
    tagged.limit("db", 1)
    first, second, free = tagged.task("db", "other"), tagged.task("db"), tagged.task("other")
    assert tagged.propose(first, RUNNING).status == "ACCEPT"
    assert tagged.holders("db") == [first]
    answer = tagged.propose(second, RUNNING)
    assert answer.status == "WAIT"
    assert "db" in answer.details.reason
    assert answer.details.delay_seconds > 0
    assert tagged.propose(free, RUNNING).status == "ACCEPT"
    assert tagged.propose(first, "COMPLETED").status == "ACCEPT"
    assert tagged.holders("db") == []
    assert tagged.propose(second, RUNNING).status == "ACCEPT"


def test_of_several_tags_all_or_none(tagged: Tagged) -> None:
    tagged.limit("a", 1)
    tagged.limit("b", 1)
    tagged.propose(tagged.task("b"), RUNNING)
    assert tagged.propose(tagged.task("a", "b"), RUNNING).status == "WAIT"
    assert tagged.holders("a") == []


def test_a_limit_of_nothing_is_said_at_once(tagged: Tagged) -> None:
    tagged.limit("never", 0)
    answer = tagged.propose(tagged.task("never"), RUNNING)
    assert answer.status == "ABORT"
    assert "never" in answer.details.reason


def test_who_retries_gives_its_slot_to_others(tagged: Tagged) -> None:
    tagged.limit("db", 1)
    task = tagged.world.task_run(tagged.flow_run, state="PENDING", tags=["db"], empirical_policy={"retries": 1})
    tagged.propose(task, RUNNING)
    assert tagged.propose(task, "FAILED").state.name == "AwaitingRetry"
    assert tagged.holders("db") == []


def test_what_is_ended_with_its_flow_run_holds_nothing(tagged: Tagged) -> None:
    tagged.limit("db", 1)
    tagged.propose(tagged.task("db"), RUNNING)
    assert end_task_runs(tagged.tx, tagged.flow_run, RunState(CRASHED)) == 1
    assert tagged.holders("db") == []


def test_an_operator_is_not_kept_waiting(tagged: Tagged) -> None:
    tagged.limit("db", 1)
    tagged.propose(tagged.task("db"), RUNNING)
    assert tagged.propose(tagged.task("db"), RUNNING, force=True).status == "ACCEPT"
