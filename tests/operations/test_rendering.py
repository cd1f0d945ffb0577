"""What is rendered from rows is what the models would write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter

from prefect._clock import to_us
from prefect._operations import flow_runs, rendering, task_runs
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.task_runs import TaskRun
from prefect._store.tables import flow_run

from .conftest import NOON, World

_MOVING = ("estimated_run_time", "estimated_start_time_delta")
_OTHER = str(UUID(int=7))

DETAILS: list[dict[str, Any]] = [
    {},
    {"scheduled_time": to_us(NOON), "pause_timeout": to_us(NOON) + 5, "cache_expiration": to_us(NOON)},
    {"pause_key": "k", "pause_reschedule": True, "run_input_keyset": {"a": "b"}, "retriable": False},
    {"child_flow_run_id": _OTHER, "transition_id": _OTHER, "traceparent": "00-ab", "untrackable_result": True},
    {"deferred": True, "cache_key": "ü\u2028", "refresh_cache": True, "task_parameters_id": _OTHER},
    {"unheard_of": 1},
]
DATA: list[Any] = [None, {"type": "unpersisted"}, {"type": "reference", "n": 1.5}, [1, "a", None], "text", 0, True]


def same(rendered: bytes, models: list[Any], kind: type[Any]) -> None:
    shown = orjson.loads(rendered)
    expected = orjson.loads(b"[" + b",".join(TypeAdapter(kind).dump_json(one) for one in models) + b"]")
    assert [list(one) for one in shown] == [list(one) for one in expected]
    for one, other in zip(shown, expected, strict=True):
        for name in _MOVING:
            assert one.pop(name) == pytest.approx(other.pop(name), abs=5)
        for state in (one["state"], other["state"]):
            if state is not None and state["type"] == "SCHEDULED":
                state["state_details"]["scheduled_time"] = bool(state["state_details"]["scheduled_time"])
    assert shown == expected


@pytest.fixture
def world(both: sa.Connection) -> World:
    return World(both)


def fill(world: World) -> None:
    flow = world.flow()
    types = ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "PAUSED"]
    for place, (details, data) in enumerate((details, data) for details in DETAILS for data in DATA):
        type = types[place % len(types)]
        about = {"state_details": details, "data": data, "message": None if place % 2 else "Why\nnot “so”"}
        policies = [{}, {"retries": 2, "retry_delay": 0.5}, {"max_retries": 1}, {"pause_keys": ["a"], "resuming": True}]
        policy = policies[place % len(policies)]
        moment = datetime(2024, 1, 1, 0, 0, 0, place, tzinfo=UTC)
        times: dict[str, Any] = {
            "expected_start_time": moment, "next_scheduled_start_time": moment if place % 3 else None,
            "start_time": moment + timedelta(seconds=1) if place % 2 else None, "end_time": None,
            "total_run_time": timedelta(microseconds=place * 333_333), "run_count": place, "tags": ["b", "a ü"],
        }  # fmt: skip
        run = world.flow_run(
            flow, parameters={"x": [1.0, {"ß": None}], "big": [2**70, -(2**64), 1e20]}, empirical_policy=policy, labels={"a": 1},
            job_variables={"env": {}}, auto_scheduled=bool(place % 2), idempotency_key=str(place), state=type,
            state_timestamp=moment, infrastructure_pid="host:1", **times, **about,
        )  # fmt: skip
        inputs: dict[str, Any] = {"x": [{"input_type": "constant", "type": "int"}], "y": [{"id": _OTHER}]}
        policy = {"retries": 1, "retry_delay": [0.5, 1]} if place % 2 else {}
        world.task_run(
            run if place % 4 else None, empirical_policy=policy, task_inputs=inputs if place % 2 else {},
            cache_key="k", cache_expiration=moment, labels={"a": 1.5}, state=type, state_timestamp=moment,
            dynamic_key=str(place), **times, **about,
        )  # fmt: skip
    world.flow_run(flow, state=None)
    world.task_run(None, state=None)


def test_lists_of_runs_are_what_the_models_write(world: World):
    fill(world)
    runs = flow_runs.FlowRunQuery(limit=200)
    of_tasks = task_runs.TaskRunQuery(limit=200)
    found = flow_runs.matching_flow_runs(world.tx, runs)
    assert len(found) == len(DETAILS) * len(DATA) + 1
    same(flow_runs.read_flow_runs(world.tx, runs).json, found, FlowRun)
    same(task_runs.read_task_runs(world.tx, of_tasks).json, task_runs.matching_task_runs(world.tx, of_tasks), TaskRun)


def test_one_run_is_what_its_model_writes(world: World):
    fill(world)
    for run in flow_runs.matching_flow_runs(world.tx, flow_runs.FlowRunQuery(limit=9)):
        same(b"[" + flow_runs.read_flow_run(world.tx, run.id).json + b"]", [run], FlowRun)
    for run in task_runs.matching_task_runs(world.tx, task_runs.TaskRunQuery(limit=9)):
        same(b"[" + task_runs.read_task_run(world.tx, run.id).json + b"]", [run], TaskRun)


def test_a_page_says_how_many_there_are(world: World):
    fill(world)
    query = flow_runs.FlowRunPages(limit=5, page=2)
    page = flow_runs.FlowRunPaginationResponse.model_validate_json(flow_runs.paginate_flow_runs(world.tx, query).json)
    count = len(DETAILS) * len(DATA) + 1
    assert (page.count, page.limit, page.page, page.pages) == (count, 5, 2, -(-count // 5))
    assert [run.id for run in page.results] == [
        run.id for run in flow_runs.matching_flow_runs(world.tx, flow_runs.FlowRunQuery(limit=5, offset=5))
    ]


def test_every_field_has_a_source(world: World):
    """A field that is added to a model, and neither read nor made here, would be null without anybody noticing."""
    made = {"state", *_MOVING}
    for statement, model in ((flow_runs._runs(), FlowRun), (task_runs._runs(), TaskRun)):
        columns = {name for name in statement.selected_columns.keys() if not name.startswith(rendering._STATE_PREFIX)}  # noqa: SIM118
        assert set(model.model_fields) - columns - made == set()


def test_what_is_written_of_a_row_follows_the_row_and_the_time(world: World, monkeypatch: pytest.MonkeyPatch):
    late = world.flow_run(world.flow(), state="SCHEDULED", expected_start_time=NOON)

    def shown(at: datetime) -> dict[str, Any]:
        monkeypatch.setattr(rendering, "now", lambda: at)
        (one,) = orjson.loads(flow_runs.read_flow_runs(world.tx, flow_runs.FlowRunQuery()).json)
        return one

    first, second = shown(NOON + timedelta(seconds=5)), shown(NOON + timedelta(seconds=9.5))
    assert (first.pop("estimated_start_time_delta"), second.pop("estimated_start_time_delta")) == (5.0, 9.5)
    moments = [one["state"]["state_details"].pop("scheduled_time") for one in (first, second)]
    # what is scheduled without a time is scheduled for now
    assert [datetime.fromisoformat(moment) - NOON for moment in moments] == [
        timedelta(seconds=5), timedelta(seconds=9.5),
    ]  # fmt: skip
    assert first == second
    running = {"state_type": "RUNNING", "state_timestamp": NOON, "start_time": NOON, "name": "renamed"}
    world.tx.execute(sa.update(flow_run).where(flow_run.c.id == late).values(**running))
    third = shown(NOON + timedelta(seconds=7))
    assert (third["name"], third["estimated_run_time"], third["estimated_start_time_delta"]) == ("renamed", 7.0, 0.0)
    ended = {"state_type": "COMPLETED", "total_run_time": timedelta(seconds=8)}
    world.tx.execute(sa.update(flow_run).where(flow_run.c.id == late).values(**ended))
    assert shown(NOON + timedelta(days=1))["estimated_run_time"] == 8.0


def test_no_more_rows_are_kept_than_are_of_use(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rendering, "_KEPT", 3)
    flow = world.flow()
    runs = [world.flow_run(flow, name=str(number)) for number in range(8)]
    for _ in range(2):
        names = [one["name"] for one in orjson.loads(flow_runs.read_flow_runs(world.tx, flow_runs.FlowRunQuery()).json)]
        assert sorted(names) == [str(number) for number in range(8)]
    kept = flow_runs.reads()._rendering._written
    assert 0 < len(kept) <= 3 and {row.row[0] for row in kept.values()} <= {*runs, *map(str, runs)}
