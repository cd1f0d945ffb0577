"""Carrying out runs that exist already."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prefect import flow, runtime, task
from prefect._schemas.flow_runs import FlowRun
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import CancelledRun
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Completed, Scheduled

from .conftest import Database


@task
def one(number: int) -> int:
    return number + 1


@flow
def adopted(number: int = 1) -> dict[str, Any]:
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    return {
        "number": one(number),
        "id": runtime.flow_run.id,
        "name": runtime.flow_run.name,
        "tags": runtime.flow_run.tags,
        "count": runtime.flow_run.run_count,
        "model": context.flow_run,
    }


def make_run(subject: Any = adopted, **options: Any) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.create_flow_run(subject, **options)


def read_run(id: Any) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(id)


def test_a_run_keeps_what_it_is(database: Database) -> None:
    made = make_run(parameters={"number": 4}, name="the-run", tags=["a"], state=Scheduled())
    seen = run_flow(adopted, flow_run=made, parameters={"number": 4})
    assert seen["number"] == 5
    assert (seen["id"], seen["name"], seen["tags"], seen["count"]) == (str(made.id), "the-run", ["a"], 1)
    assert seen["model"].flow_id == made.flow_id
    ended = read_run(made.id)
    assert (ended.name, ended.run_count, ended.parameters) == ("the-run", 1, {"number": 4})
    assert database.flow_states() == ["Scheduled", "Running", "Completed"]
    assert database.one("SELECT count(*) FROM flow_run") == 1
    assert database.one("SELECT flow_run_id FROM task_run") == str(made.id)


def test_an_asynchronous_run(database: Database) -> None:
    @flow
    async def waits(number: int) -> int:
        await asyncio.sleep(0)
        return number

    made = make_run(waits, parameters={"number": 4})
    assert asyncio.run(run_flow(waits, flow_run=made, parameters={"number": 4})) == 4
    assert database.flow_states() == ["Pending", "Running", "Completed"]


def test_a_second_attempt_counts_on(database: Database) -> None:
    made = make_run()
    again = made.model_copy(update={"run_count": 1})
    assert run_flow(adopted, flow_run=again)["count"] == 2


def test_a_run_that_has_ended_is_not_run_again(database: Database) -> None:
    calls = []

    @flow
    def once() -> None:
        calls.append(1)

    made = make_run(once, state=Completed(message="before"))
    state = run_flow(once, flow_run=made, return_type="state")
    assert state.message == "before"
    assert not calls


def test_a_run_that_was_cancelled_meanwhile_does_not_begin(database: Database) -> None:
    calls = []

    @flow
    def never() -> None:
        calls.append(1)

    made = make_run(never)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(made.id, Cancelled())
    with pytest.raises(CancelledRun):
        run_flow(never, flow_run=made)
    assert not calls
    assert read_run(made.id).state_name == "Cancelled"


def test_a_run_that_is_not_recorded_is_recorded(database: Database) -> None:
    unknown = FlowRun(flow_id="0190a0a0-0000-7000-8000-000000000000", name="from-nowhere")  # type: ignore[arg-type]
    assert run_flow(adopted, flow_run=unknown)["name"] == "from-nowhere"
    assert database.flow_states() == ["Pending", "Running", "Completed"]


def test_the_task_run_that_stands_for_it_in_another_process_follows(database: Database) -> None:
    @flow
    def parent() -> Any:
        return runtime.flow_run.id

    parent_id = parent()
    with get_client(sync_client=True) as client:
        stand = client.create_task_run(one, flow_run_id=parent_id, dynamic_key="0")
        made = client.create_flow_run(adopted, parent_task_run_id=stand.id)
    run_flow(adopted, flow_run=made)
    with get_client(sync_client=True) as client:
        after = client.read_task_run(stand.id)
        assert after.state is not None
        assert after.state.name == "Completed"
        assert str(after.state.state_details.child_flow_run_id) == str(made.id)
        assert after.run_count == 1
