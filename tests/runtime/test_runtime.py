"""prefect.runtime: in runs, outside them, and mocked by the environment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from prefect import runtime
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect.runtime import deployment, flow_run, task_run
from prefect.settings import temporary_settings


def _flow(name: str, **fields: Any) -> FlowFrame:
    frame = FlowFrame(None, SimpleNamespace(name=name, version="v7"), {"p": 3})  # type: ignore[arg-type]
    frame.name = f"run-of-{name}"
    for key, value in fields.items():
        setattr(frame, key, value)
    return frame


@pytest.fixture
def parent() -> Iterator[FlowFrame]:
    frame = _flow("f", tags=frozenset({"b", "a"}), run_count=2, expected_us=1_000_000)
    token = current_flow.set(frame)
    yield frame
    current_flow.reset(token)


@pytest.fixture
def child(parent: FlowFrame) -> Iterator[FlowFrame]:
    frame = _flow("child", parent=parent, parent_flow_run_id=parent.id)
    token = current_flow.set(frame)
    yield frame
    current_flow.reset(token)


@pytest.fixture
def task(parent: FlowFrame) -> Iterator[TaskFrame]:
    frame = TaskFrame(None, SimpleNamespace(name="t", retries=0), {"x": 5, "rest": (6, 7)})  # type: ignore[arg-type]
    frame.name, frame.tags, frame.run_count = "t-1", frozenset({"tt"}), 1
    frame.flow_frame, frame.flow_run_id = parent, parent.id
    token = current_task.set(frame)
    yield frame
    current_task.reset(token)


def test_outside_runs() -> None:
    before = datetime.now(UTC)
    shown = {name: getattr(flow_run, name) for name in flow_run.__all__}
    assert before <= shown.pop("scheduled_start_time") <= datetime.now(UTC)
    assert shown == {
        "id": None,
        "tags": [],
        "name": None,
        "flow_name": None,
        "flow_version": None,
        "parameters": {},
        "parent_flow_run_id": None,
        "parent_deployment_id": None,
        "root_flow_run_id": None,
        "run_count": 0,
        "api_url": None,
        "ui_url": None,
        "job_variables": None,
    }
    assert {name: getattr(task_run, name) for name in task_run.__all__} == {
        "id": None,
        "tags": [],
        "name": None,
        "parameters": {},
        "run_count": 0,
        "task_name": None,
        "api_url": None,
        "ui_url": None,
    }
    assert {name: getattr(deployment, name) for name in deployment.__all__} == {
        "id": None,
        "flow_run_id": None,
        "name": None,
        "parameters": {},
        "version": None,
    }


def test_in_a_flow_run(parent: FlowFrame) -> None:
    assert flow_run.id == parent.id
    assert flow_run.name == "run-of-f"
    assert flow_run.tags == ["a", "b"]
    assert flow_run.flow_name == "f"
    assert flow_run.flow_version == "v7"
    assert flow_run.run_count == 2
    assert flow_run.parameters == {"p": 3}
    assert flow_run.scheduled_start_time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert flow_run.parent_flow_run_id is None
    assert flow_run.root_flow_run_id == parent.id
    assert flow_run.job_variables == {}
    assert flow_run.ui_url is None
    assert task_run.id is None
    assert deployment.flow_run_id == parent.id
    assert deployment.parameters == {"p": 3}
    with temporary_settings({"PREFECT_API_URL": "http://host:4200/api"}):
        assert flow_run.ui_url == f"http://host:4200/runs/flow-run/{parent.id}"
        assert flow_run.api_url == f"http://host:4200/api/flow_runs/{parent.id}"


def test_in_a_subflow_run(parent: FlowFrame, child: FlowFrame) -> None:
    assert flow_run.id == child.id
    assert flow_run.parent_flow_run_id == parent.id
    assert flow_run.root_flow_run_id == parent.id


def test_in_a_task_run(parent: FlowFrame, task: TaskFrame) -> None:
    assert flow_run.id == parent.id
    assert task_run.id == task.id
    assert task_run.name == "t-1"
    assert task_run.task_name == "t"
    assert task_run.tags == ["tt"]
    assert task_run.run_count == 1
    assert task_run.parameters == {"x": 5, "rest": (6, 7)}
    with temporary_settings({"PREFECT_API_URL": "http://host:4200/api"}):
        assert task_run.ui_url == f"http://host:4200/runs/task-run/{task.id}"


def test_a_task_run_in_another_thread_knows_its_flow_run(parent: FlowFrame, task: TaskFrame) -> None:
    token = current_flow.set(None)
    assert flow_run.id == parent.id
    current_flow.reset(token)


def test_parameters_are_a_copy(parent: FlowFrame) -> None:
    flow_run.parameters["p"] = 4
    assert parent.parameters == {"p": 3}


def test_the_id_that_a_worker_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "abc")
    assert flow_run.id == "abc"
    assert flow_run.root_flow_run_id == "abc"
    assert deployment.flow_run_id == "abc"


def test_mocked_values_have_the_type_of_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = "PREFECT__RUNTIME__FLOW_RUN__"
    for name, value in {
        "NAME": "mocked",
        "RUN_COUNT": "7",
        "SCHEDULED_START_TIME": "2024-01-01T00:00:00",
        "PARAMETERS": '{"a": 1}',
        "TAGS": '["a"]',
        "INVENTED": "q",
    }.items():
        monkeypatch.setenv(prefix + name, value)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")
    monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__RUN_COUNT", "2")
    assert flow_run.name == "mocked"
    assert flow_run.run_count == 7
    assert flow_run.scheduled_start_time == datetime(2024, 1, 1, tzinfo=UTC)
    assert flow_run.parameters == {"a": 1}
    assert flow_run.tags == ["a"]
    assert flow_run.invented == "q"
    assert deployment.id == "d"
    assert task_run.run_count == 2


@pytest.mark.parametrize(("name", "value"), [("RUN_COUNT", "x"), ("PARAMETERS", "[1]"), ("TAGS", "a,b")])
def test_mocked_values_that_cannot_be(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PREFECT__RUNTIME__FLOW_RUN__{name}", value)
    with pytest.raises(ValueError, match=f"PREFECT__RUNTIME__FLOW_RUN__{name}"):
        getattr(flow_run, name.lower())


def test_mocking_wins_over_the_run(monkeypatch: pytest.MonkeyPatch, parent: FlowFrame) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__NAME", "mocked")
    assert flow_run.name == "mocked"


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'; it has: "):
        flow_run.nothing  # noqa: B018
    assert runtime.flow_run is flow_run
    assert "ui_url" in dir(flow_run)
