"""A change of a flow run and the event that tells of it are written together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from operations.conftest import World
from operations.conftest import both as both
from operations.conftest import postgresql as postgresql
from operations.conftest import postgresql_engine as postgresql_engine
from operations.conftest import sqlite_engine as sqlite_engine
from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import artifacts, outbox, variables, work_pools
from prefect._operations.events import EventQuery, read_events
from prefect._operations.flow_run_control import SetState, set_flow_run_state
from prefect._operations.recording import RecordTaskRuns, record_task_runs
from prefect._operations.task_run_control import set_task_run_state
from prefect._schemas.actions.records import ArtifactCreate, VariableCreate, VariableUpdate
from prefect._schemas.actions.runs import StateCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate
from prefect._schemas.events import ReceivedEvent
from prefect._schemas.filters.events import EventFilter, EventNameFilter, EventOrder
from prefect._store.announcements import collected
from prefect.settings import temporary_settings


def events(tx: sa.Connection, prefix: str = "") -> list[ReceivedEvent]:
    wanted = EventFilter(event=EventNameFilter(prefix=[prefix]), order=EventOrder.ASC)
    return read_events(tx, EventQuery(filter=wanted)).events


def set_state(tx: sa.Connection, run: UUID, type: str, **more: Any) -> None:
    set_flow_run_state(tx, run, SetState(state=StateCreate(type=type, **more)))  # type: ignore[arg-type]


def test_a_flow_run_tells_of_its_states(both: sa.Connection) -> None:
    world = World(both)
    flow = world.flow("etl", tags=["nightly"])
    run = world.flow_run(flow, "one", state=None, tags=["big", "nightly"])
    set_state(both, run, "PENDING", message="soon")
    set_state(both, run, "RUNNING")
    pending, running = events(both)
    assert [pending.event, running.event] == ["prefect.flow-run.Pending", "prefect.flow-run.Running"]
    assert running.follows == pending.id and pending.follows is None
    assert running.resource["prefect.resource.id"] == f"prefect.flow-run.{run}"
    assert running.resource["prefect.run-count"] == "1" and running.resource["prefect.state-type"] == "RUNNING"
    assert running.payload == {
        "intended": {"from": "PENDING", "to": "RUNNING"},
        "initial_state": {"type": "PENDING", "name": "Pending", "message": "soon"},
        "validated_state": {"type": "RUNNING", "name": "Running"},
    }
    assert [(one.role, one.id) for one in running.related] == [
        ("flow", f"prefect.flow.{flow}"), ("tag", "prefect.tag.big"), ("tag", "prefect.tag.nightly")
    ]  # fmt: skip
    assert {"events", f"flow_run:{run}"} <= collected(both)


def test_a_refused_state_tells_of_nothing(both: sa.Connection) -> None:
    world = World(both)
    run = world.flow_run(world.flow(), state="PENDING")
    set_state(both, run, "PENDING")
    assert events(both) == []


def test_an_event_is_written_once(both: sa.Connection) -> None:
    id = outbox.emit(both, "a", {"prefect.resource.id": "r"}, payload={"n": 1})
    outbox.emit(both, "b", {"prefect.resource.id": "r"}, id=id)
    assert [one.event for one in events(both)] == ["a"]


def test_changes_name_what_is_different() -> None:
    assert outbox.changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == {
        "updated_fields": ["b"], "updates": {"b": {"from": 2, "to": 3}}
    }  # fmt: skip


def record(tx: sa.Connection, run: UUID, *states: str) -> None:
    body = {
        "id": new_uuid(), "name": "t-0", "flow_run_id": run, "task_key": "t", "dynamic_key": "0", "tags": ["big"],
        "run_count": 1, "states": [
            {"id": new_uuid(), "type": state, "name": state.capitalize(), "timestamp": now()} for state in states
        ],
    }  # fmt: skip
    record_task_runs(tx, RecordTaskRuns.model_validate({"task_runs": [body]}))


@pytest.mark.parametrize(("which", "told"), [
    ("every", ["Pending", "Running", "Completed"]), ("latest", ["Completed"]), ("none", []),
])  # fmt: skip
def test_a_task_run_tells_of_its_states(both: sa.Connection, which: str, told: list[str]) -> None:
    world = World(both)
    flow = world.flow("etl")
    run = world.flow_run(flow, "one", state="RUNNING")
    with temporary_settings({"PREFECT_SERVER_EVENTS_TASK_RUN_EVENTS": which}):
        record(both, run, "PENDING", "RUNNING", "COMPLETED")
    found = events(both, "prefect.task-run.")
    assert [one.event for one in found] == [f"prefect.task-run.{name}" for name in told]
    for last in found[-1:]:
        assert last.payload["intended"] == {"from": "RUNNING", "to": "COMPLETED"}
        assert last.payload["task_run"]["task_key"] == "t"
        assert last.resource["prefect.orchestration"] == "client"
        assert [(one.role, one.name) for one in last.related] == [("tag", None), ("flow-run", "one"), ("flow", "etl")]


def test_pools_tell_what_happens_to_them(both: sa.Connection) -> None:
    work_pools.create_work_pool(both, WorkPoolCreate(name="p", type="process"))
    work_pools.update_work_pool(both, "p", WorkPoolUpdate(description="new", is_paused=True))
    work_pools.delete_work_pool(both, "p")
    found = events(both)
    assert [one.event for one in found] == [
        "prefect.work-queue.created", "prefect.work-pool.created", "prefect.work-pool.updated",
        "prefect.work-queue.deleted", "prefect.work-pool.deleted",
    ]  # fmt: skip
    assert found[2].payload == {
        "updated_fields": ["description"], "updates": {"description": {"from": None, "to": "new"}}
    }  # fmt: skip
    assert found[1].resource["prefect.work-pool.type"] == "process"
    assert [one.role for one in found[1].related] == ["default-queue"]


def test_other_objects_tell_what_happens_to_them(both: sa.Connection) -> None:
    made = variables.create_variable(both, VariableCreate(name="v", value=1))
    variables.update_variable_by_name(both, "v", VariableUpdate(value=2))
    variables.delete_variable(both, made.id)
    one = artifacts.create_artifact(both, ArtifactCreate(key="k", type="markdown", data="x"))
    two = artifacts.create_artifact(both, ArtifactCreate(key="k", type="markdown", data="y" * 100_000))
    artifacts.delete_artifact(both, two.id)
    artifacts.delete_artifact(both, one.id)
    found = events(both)
    assert [each.event.removeprefix("prefect.") for each in found] == [
        "variable.created", "variable.updated", "variable.deleted",
        "artifact-collection.created", "artifact-collection.updated", "artifact-collection.deleted",
    ]  # fmt: skip
    assert found[1].payload == {"name": "v", "value": 2, "tags": []}
    assert found[3].related[0].id == f"prefect.artifact.{one.id}" and found[3].payload["data"] == "x"
    assert found[4].payload["data"] is None


def test_a_task_run_that_the_server_decides_about_tells_of_it(both: sa.Connection) -> None:
    world = World(both)
    run = world.task_run(world.flow_run(world.flow("etl"), "one", state="RUNNING"), "t", state="PENDING", tags=["x"])
    set_task_run_state(both, run, SetState(state=StateCreate(type="RUNNING")))  # type: ignore[arg-type]
    (told,) = events(both)
    assert told.event == "prefect.task-run.Running" and told.resource["prefect.orchestration"] == "server"
    assert told.resource["prefect.run-count"] == "1" and told.payload["intended"] == {
        "from": "PENDING",
        "to": "RUNNING",
    }
    assert [one.role for one in told.related] == ["tag", "flow-run", "flow"]
