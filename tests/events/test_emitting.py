"""Events that programs and runs emit, as they are recorded."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from prefect import flow, tags, task
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import Event, Resource, emit_event
from prefect.events.related import related_resources_from_run_context
from prefect.settings import (
    PREFECT_SERVER_EVENTS_MAXIMUM_EVENT_NAME_LENGTH,
    PREFECT_SERVER_EVENTS_MAXIMUM_RELATED_RESOURCES,
    PREFECT_SERVER_EVENTS_MAXIMUM_SIZE_BYTES,
    temporary_settings,
)

X = {"prefect.resource.id": "x"}


def by_role(event: Event) -> list[tuple[str, str | None]]:
    return [(resource.role, resource.name or resource.id) for resource in event.related]


def test_outside_a_run(recorded):
    before = datetime.now(UTC)
    made = emit_event("order.placed", {**X, "shop": "north"}, payload={"total": 42})
    assert made is not None and before <= made.occurred <= datetime.now(UTC)
    assert recorded() == {
        "order.placed": {
            "id": str(made.id),
            "payload": {"total": 42},
            "follows": None,
            "resource": {**X, "shop": "north"},
            "related": [],
        }
    }


def test_all_that_can_be_said(recorded):
    id, occurred = uuid4(), datetime(2026, 1, 1, tzinfo=UTC)
    related = [{"prefect.resource.id": "y", "prefect.resource.role": "cause"}]
    made = emit_event(event="e", resource=Resource(X), occurred=occurred, related=related, payload={"a": 1}, id=id)
    assert made == Event(event="e", resource=X, occurred=occurred, related=related, payload={"a": 1}, id=id)
    assert recorded()["e"] == {"id": str(id), "payload": {"a": 1}, "follows": None, "resource": X, "related": related}


def test_an_event_that_is_recorded_again_is_kept_once(recorded, home):
    id = uuid4()
    emit_event("first", X, id=id)
    recorded()
    emit_event("second", X, id=id, related=[{"prefect.resource.id": "y", "prefect.resource.role": "r"}])
    assert list(recorded()) == ["first"] and recorded()["first"]["related"] == []


def test_a_run_adds_what_it_knows(recorded):
    events = []

    @task(tags=["of-task"])
    def step():
        run = TaskRunContext.get().task_run
        events.append((run.name, emit_event("in.task", X)))

    @flow(name="etl")
    def pipeline():
        run = FlowRunContext.get().flow_run
        events.append((run.name, emit_event("in.flow", X, related=[{**X, "prefect.resource.role": "self"}])))
        step()

    with tags("of-block"):
        pipeline()
    (run_name, in_flow), (task_name, in_task) = events
    assert by_role(in_flow) == [("self", "x"), ("flow-run", run_name), ("flow", "etl"), ("tag", "prefect.tag.of-block")]
    assert by_role(in_task) == [
        ("flow-run", run_name),
        ("task-run", task_name),
        ("flow", "etl"),
        ("tag", "prefect.tag.of-block"),
        ("tag", "prefect.tag.of-task"),
    ]
    assert recorded()["in.task"]["related"] == [resource.root for resource in in_task.related]


def test_a_subflow_speaks_for_itself_and_a_task_without_a_flow_too(home):
    @flow(name="inner")
    def inner():
        return emit_event("e", X)

    @flow(name="outer")
    def outer():
        return inner()

    @task(name="alone", task_run_name="alone-1")
    def alone():
        return emit_event("e", X)

    assert [name for role, name in by_role(outer()) if role == "flow"] == ["inner"]
    assert by_role(alone()) == [("task-run", "alone-1")]


def test_a_resource_is_not_related_to_itself(home):
    @flow(name="etl")
    def pipeline():
        run = FlowRunContext.get().flow_run
        return emit_event("e", {"prefect.resource.id": f"prefect.flow-run.{run.id}"})

    assert by_role(pipeline()) == [("flow", "etl")]


def test_the_ids_are_those_of_the_runs(recorded):
    @flow
    def pipeline():
        made = emit_event("e", X)
        run = FlowRunContext.get().flow_run
        return run.id, run.flow_id, made

    run_id, flow_id, made = pipeline()
    roles = made.resource_in_role
    assert roles["flow-run"].prefect_object_id("prefect.flow-run") == run_id
    assert roles["flow"].prefect_object_id("prefect.flow") == flow_id


async def test_in_asynchronous_runs(home):
    @task(task_run_name="step-{number}")
    async def step(number: int):
        await asyncio.sleep(0)
        return emit_event("e", X)

    @flow(name="etl")
    async def pipeline():
        resources = await related_resources_from_run_context(None, exclude=set())
        return [resource.role for resource in resources], await asyncio.gather(*map(step, range(5)))

    roles, made = await pipeline()
    assert roles == ["flow-run", "flow"]
    assert [event.resource_in_role["task-run"].name for event in made] == [f"step-{number}" for number in range(5)]


async def test_outside_a_run_nothing_is_related(home):
    assert await related_resources_from_run_context(None) == []


def test_from_many_threads(recorded):
    def emit(thread: int) -> None:
        for number in range(50):
            emit_event(f"{thread}.{number}", X)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(emit, number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorded()) == 400


@pytest.mark.parametrize(
    ("seconds", "kept"), [(0, True), (299, True), (-299, True), (300, False), (-300, False), (600, False)]
)
def test_what_follows_is_near(recorded, seconds, kept):
    first = emit_event("first", X)
    second = emit_event("second", X, occurred=first.occurred + timedelta(seconds=seconds), follows=first)
    assert second.follows == (first.id if kept else None)
    assert recorded()["second"]["follows"] == (str(first.id) if kept else None)


def test_more_of_the_payload_by_name(recorded):
    emit_event("e", X, payload={"b": 2}, attributes={"usage": 0.95}, b=1)
    assert recorded()["e"]["payload"] == {"attributes": {"usage": 0.95}, "b": 2}


class Order(BaseModel):
    total: int


def test_values_that_json_does_not_know(recorded):
    moment, id = datetime(2026, 1, 1, tzinfo=UTC), UUID(int=7)
    emit_event(
        "e", X, payload={"order": Order(total=1), "at": moment, "id": id, "half": "\ud800", "big": 2**70, "n": {1}}
    )
    payload = recorded()["e"]["payload"]
    assert payload == {"order": {"total": 1}, "at": "2026-01-01T00:00:00Z", "id": str(id), "half": "?", "big": 2**70, "n": [1]}  # fmt: skip
    made = emit_event("text", X, payload={"value": threading.Lock()})
    assert isinstance(made.payload["value"], str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(), JSON, max_size=4), st.text())
def test_any_json_comes_back(recorded, payload, name):
    made = emit_event(f"property.{name}", X, payload=payload)
    assert made is not None
    assert recorded()[f"property.{name}"]["payload"] == payload


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"resource": {}}, "must include the prefect.resource.id"),
        ({"resource": {"prefect.resource.id": ""}}, "must be non-empty"),
        ({"resource": "x"}, "valid dictionary"),
        ({"related": [X]}, "prefect.resource.role"),
        ({"payload": "text"}, "payload must be a dictionary, not str"),
        ({"id": "no"}, "valid UUID"),
        ({"follows": UUID(int=1)}, "follows must be an Event"),
    ],
)
def test_what_is_no_event_is_told_and_the_program_goes_on(recorded, caplog, arguments, reason):
    assert emit_event(**{"event": "bad.one", "resource": X, **arguments}) is None
    assert "'bad.one' is not valid and was not recorded" in caplog.text and reason in caplog.text
    emit_event("good", X)
    assert list(recorded()) == ["good"]


@pytest.mark.parametrize(
    ("setting", "arguments", "reason"),
    [
        (PREFECT_SERVER_EVENTS_MAXIMUM_EVENT_NAME_LENGTH, {"event": "e" * 101}, "101 characters, 100 are allowed"),
        (PREFECT_SERVER_EVENTS_MAXIMUM_SIZE_BYTES, {"payload": {"a": "x" * 101}}, "bytes, 100 are allowed"),
    ],
)
def test_limits(home, caplog, setting, arguments, reason):
    with temporary_settings({setting: 100}):
        assert emit_event(**{"event": "e", "resource": X, **arguments}) is None
    assert reason in caplog.text


def test_what_the_run_adds_does_not_count(recorded):
    @flow
    def pipeline():
        return emit_event("e", X, related=[{"prefect.resource.id": "y", "prefect.resource.role": "r"}])

    with temporary_settings({PREFECT_SERVER_EVENTS_MAXIMUM_RELATED_RESOURCES: 1}):
        assert len(pipeline().related) == 3
    assert len(recorded()["e"]["related"]) == 3


def test_a_program_that_ends_at_once_loses_nothing(run_script):
    done = run_script(
        """
        from prefect.events import emit_event
        for number in range(10):
            emit_event(f"e{number}", {"prefect.resource.id": "x"})
        """
    ).ok()
    with sqlite3.connect(done.home / "pluperfect.db") as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (10,)


def test_runs_that_emit_nothing_load_nothing(run_script):
    done = run_script(
        """
        import sys
        from prefect import flow
        from prefect.events import __all__
        @flow
        def hello():
            return 1
        hello()
        heavy = {"pydantic", "sqlalchemy", "asyncio", "prefect._events.emitting", "prefect._schemas.events"}
        print(sorted(heavy & sys.modules.keys()))
        """
    ).ok()
    assert done.stdout.strip() == "[]"


def test_a_task_in_another_process_knows_its_flow(run_script):
    done = run_script(
        """
        from prefect import flow, task
        from prefect.events import emit_event
        from prefect.task_runners import ProcessPoolTaskRunner

        @task(name="far")
        def far():
            return emit_event("e", {"prefect.resource.id": "x"})

        @flow(name="etl", task_runner=ProcessPoolTaskRunner(max_workers=1))
        def pipeline():
            return far.submit().result()

        if __name__ == "__main__":
            made = pipeline()
            print([resource.role for resource in made.related], made.resource_in_role["flow"].name)
        """
    ).ok()
    assert done.stdout.strip() == "['flow-run', 'task-run', 'flow'] etl"
    with sqlite3.connect(next(done.home.glob("*.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (1,)
