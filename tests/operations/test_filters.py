"""What each condition of a filter selects; and that any combination of them selects what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.logs import LogFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._store import queries
from prefect._store.dialects import make_engine
from prefect._store.tables import flow, flow_run, log, metadata, task_run

from .conftest import NOON, World, after

IDS = [UUID(int=i) for i in range(1, 9)]


@pytest.fixture(scope="module")
def tx() -> Iterator[sa.Connection]:
    """The same runs for every test of this file, which only reads them."""
    engine = make_engine("sqlite:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        _fill(World(connection))
        yield connection
    engine.dispose()


RUNS: dict[str, dict[str, Any]] = {
    "Alpha-1": {"id": IDS[0], "tags": ["db", "eu"], "state": "COMPLETED", "start_time": after(1), "end_time": after(9)},
    "alpha_2": {"id": IDS[1], "tags": ["db"], "state": "FAILED", "state_name": "TimedOut", "start_time": after(2)},
    "beta": {"id": IDS[2], "tags": ["b%", 'quo"ted'], "state": "RUNNING", "start_time": after(3), "flow_version": "v1"},
    "gamma": {"id": IDS[3], "state": "SCHEDULED", "expected_start_time": after(5), "next_scheduled_start_time": after(5)},
    "delta": {
        "id": IDS[4], "state": None, "deployment_id": IDS[7], "work_queue_name": "q", "idempotency_key": "k",
        "parent_flow_run_id": IDS[0], "parent_task_run_id": IDS[5],
        "created_by": {"id": str(IDS[6]), "type": "SCHEDULE", "display_value": "x"},
    },
}  # fmt: skip


def _fill(world: World) -> None:
    etl = world.flow("etl", id=IDS[0], tags=["nightly"])
    world.flow("Report", id=IDS[1])
    for name, values in RUNS.items():
        world.flow_run(etl, name, **values)
    world.task_run(IDS[0], "sub", id=IDS[5], tags=["t"], start_time=after(1), expected_start_time=after(0))
    world.task_run(IDS[0], "Load", "FAILED", id=IDS[6], end_time=after(4))
    world.task_run(None, "alone", id=IDS[7], state_name="Cached")
    world.log("Connection lost", id=IDS[0], level=40, timestamp=after(1), flow_run_id=IDS[0], task_run_id=IDS[5])
    world.log("connection is 100% fine", id=IDS[1], level=20, timestamp=after(2), flow_run_id=IDS[0])
    world.log("debugging", id=IDS[2], level=10, timestamp=after(3), flow_run_id=IDS[1], name="prefect.worker")


def names(tx: sa.Connection, table: sa.Table, clause: sa.ColumnElement[bool]) -> list[str]:
    column = table.c.message if table is log else table.c.name
    return list(tx.execute(sa.select(column).where(clause).order_by(table.c.id)).scalars())


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "Alpha-1 alpha_2 beta gamma delta"),
        ({"operator": "or_"}, "Alpha-1 alpha_2 beta gamma delta"),
        ({"state": {}}, "Alpha-1 alpha_2 beta gamma delta"),
        ({"id": {"any_": [IDS[0], IDS[2]]}}, "Alpha-1 beta"),
        ({"id": {"not_any_": [IDS[0], IDS[2]]}}, "alpha_2 gamma delta"),
        ({"id": {"any_": []}}, ""),
        ({"name": {"any_": ["beta", "nope"]}}, "beta"),
        ({"name": {"like_": "ALPHA"}}, "Alpha-1 alpha_2"),
        ({"name": {"like_": "a%2"}}, "alpha_2"),
        ({"name": {"any_": ["beta"], "like_": "alpha"}}, ""),
        ({"tags": {"all_": ["db", "eu"]}}, "Alpha-1"),
        ({"tags": {"all_": []}}, "Alpha-1 alpha_2 beta gamma delta"),
        ({"tags": {"any_": ["eu", "b%", 'quo"ted']}}, "Alpha-1 beta"),
        ({"tags": {"any_": []}}, ""),
        ({"tags": {"any_": ["b"]}}, ""),
        ({"tags": {"is_null_": True}}, "gamma delta"),
        ({"tags": {"is_null_": False}}, "Alpha-1 alpha_2 beta"),
        ({"tags": {"operator": "or_", "all_": ["db", "eu"], "is_null_": True}}, "Alpha-1 gamma delta"),
        ({"state": {"type": {"any_": ["FAILED", "RUNNING"]}}}, "alpha_2 beta"),
        ({"state": {"type": {"not_any_": ["FAILED", "RUNNING"]}}}, "Alpha-1 gamma delta"),
        ({"state": {"name": {"any_": ["TimedOut"]}}}, "alpha_2"),
        ({"state": {"name": {"not_any_": ["TimedOut"]}}}, "Alpha-1 beta gamma delta"),
        ({"state": {"name": {"any_": ["TimedOut"]}, "type": {"any_": ["RUNNING"]}}}, ""),
        ({"state": {"operator": "or_", "name": {"any_": ["TimedOut"]}, "type": {"any_": ["RUNNING"]}}}, "alpha_2 beta"),
        ({"flow_version": {"any_": ["v1"]}}, "beta"),
        ({"start_time": {"before_": after(2)}}, "Alpha-1 alpha_2"),
        ({"start_time": {"after_": after(2)}}, "alpha_2 beta"),
        ({"start_time": {"after_": after(2), "before_": after(2)}}, "alpha_2"),
        ({"start_time": {"is_null_": True}}, "gamma delta"),
        ({"end_time": {"is_null_": False}}, "Alpha-1"),
        ({"end_time": {"before_": after(10)}}, "Alpha-1"),
        ({"expected_start_time": {"after_": after(5)}}, "gamma"),
        ({"next_scheduled_start_time": {"before_": after(5)}}, "gamma"),
        ({"deployment_id": {"any_": [IDS[7]]}}, "delta"),
        ({"deployment_id": {"is_null_": True}}, "Alpha-1 alpha_2 beta gamma"),
        ({"work_queue_name": {"any_": ["q"]}}, "delta"),
        ({"work_queue_name": {"operator": "or_", "any_": ["q"], "is_null_": False}}, "delta"),
        ({"idempotency_key": {"any_": ["k"]}}, "delta"),
        ({"idempotency_key": {"not_any_": ["k"]}}, "Alpha-1 alpha_2 beta gamma"),
        ({"parent_flow_run_id": {"any_": [IDS[0]]}}, "delta"),
        ({"parent_task_run_id": {"any_": [IDS[5]]}}, "delta"),
        ({"parent_task_run_id": {"is_null_": True}}, "Alpha-1 alpha_2 beta gamma"),
        ({"created_by": {"id_": [IDS[6]]}}, "delta"),
        ({"created_by": {"type_": ["SCHEDULE"]}}, "delta"),
        ({"created_by": {"type_": ["WORKER"]}}, ""),
        ({"created_by": {"is_null_": True}}, "Alpha-1 alpha_2 beta gamma"),
        ({"operator": "or_", "name": {"like_": "gam"}, "tags": {"all_": ["eu"]}}, "Alpha-1 gamma"),
    ],
)
def test_flow_runs(tx: sa.Connection, conditions: dict[str, Any], expected: str) -> None:
    clause = queries.flow_run_matches(FlowRunFilter.model_validate(conditions))
    assert names(tx, flow_run, clause) == expected.split()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "sub Load alone"),
        ({"id": {"any_": [IDS[5]]}}, "sub"),
        ({"name": {"like_": "l"}}, "Load alone"),
        ({"tags": {"all_": ["t"]}}, "sub"),
        ({"tags": {"is_null_": True}}, "Load alone"),
        ({"state": {"type": {"any_": ["FAILED"]}}}, "Load"),
        ({"state": {"name": {"any_": ["Cached"]}}}, "alone"),
        ({"start_time": {"is_null_": False}}, "sub"),
        ({"end_time": {"after_": after(4)}}, "Load"),
        ({"expected_start_time": {"before_": after(0)}}, "sub"),
        ({"subflow_runs": {"exists_": True}}, "sub"),
        ({"subflow_runs": {"exists_": False}}, "Load alone"),
        ({"flow_run_id": {"any_": [IDS[0]]}}, "sub Load"),
        ({"flow_run_id": {"is_null_": True}}, "alone"),
        ({"flow_run_id": {"is_null_": False}}, "sub Load"),
        ({"flow_run_id": {"operator": "or_", "any_": [IDS[1]]}}, ""),
        ({"flow_run_id": {"operator": "or_", "any_": [IDS[1]], "is_null_": True}}, "alone"),
    ],
)
def test_task_runs(tx: sa.Connection, conditions: dict[str, Any], expected: str) -> None:
    clause = queries.task_run_matches(TaskRunFilter.model_validate(conditions))
    assert names(tx, task_run, clause) == expected.split()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"id": {"any_": [IDS[1]]}}, ["Report"]),
        ({"id": {"not_any_": [IDS[1]]}}, ["etl"]),
        ({"name": {"any_": ["etl"]}}, ["etl"]),
        ({"name": {"like_": "REP"}}, ["Report"]),
        ({"tags": {"all_": ["nightly"]}}, ["etl"]),
        ({"tags": {"is_null_": True}}, ["Report"]),
        ({"deployment": {"is_null_": True}}, ["etl", "Report"]),
        ({"deployment": {"is_null_": False}}, []),
    ],
)
def test_flows(tx: sa.Connection, conditions: dict[str, Any], expected: list[str]) -> None:
    assert names(tx, flow, queries.flow_matches(FlowFilter.model_validate(conditions))) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"level": {"ge_": 20}}, [0, 1]),
        ({"level": {"ge_": 20, "le_": 20}}, [1]),
        ({"timestamp": {"after_": after(2)}}, [1, 2]),
        ({"timestamp": {"before_": after(1)}}, [0]),
        ({"flow_run_id": {"any_": [IDS[0]]}}, [0, 1]),
        ({"task_run_id": {"any_": [IDS[5]]}}, [0]),
        ({"task_run_id": {"is_null_": True}}, [1, 2]),
        ({"text": {"query": "CONNECTION"}}, [0, 1]),
        ({"text": {"query": "lost debugging"}}, [0, 2]),
        ({"text": {"query": "connection -lost"}}, [1]),
        ({"text": {"query": "+connection +fine"}}, [1]),
        ({"text": {"query": '"connection lost"'}}, [0]),
        ({"text": {"query": '"0% f"'}}, [1]),
        ({"text": {"query": "de_ugging"}}, []),
        ({"text": {"query": "worker"}}, [2]),
        ({"text": {"query": "  "}}, [0, 1, 2]),
        ({"operator": "or_", "level": {"le_": 10}, "task_run_id": {"is_null_": False}}, [0, 2]),
    ],
)
def test_logs(tx: sa.Connection, conditions: dict[str, Any], expected: list[int]) -> None:
    clause = queries.log_matches(LogFilter.model_validate(conditions))
    lines = names(tx, log, sa.true())
    assert names(tx, log, clause) == [lines[i] for i in expected]


# -- any combination of conditions ----------------------------------------------------------------------------------


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def condition(**operators: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return optional(st.fixed_dictionaries({}, optional=operators))


joined = st.sampled_from(["and_", "or_"])
moments = st.integers(0, 10).map(after)
run_names = st.lists(st.sampled_from([*RUNS, "nobody"]), max_size=3)
types = st.lists(st.sampled_from(["COMPLETED", "FAILED", "RUNNING", "SCHEDULED", "PAUSED"]), max_size=3)
tags = st.lists(st.sampled_from(["db", "eu", "b%", "none"]), max_size=2)

flow_run_filters = st.fixed_dictionaries(
    {"operator": joined},
    optional={
        "id": condition(any_=st.lists(st.sampled_from(IDS)), not_any_=st.lists(st.sampled_from(IDS))),
        "name": condition(any_=run_names, like_=st.sampled_from(["a", "ALPHA", "_", "a%t", ""])),
        "tags": condition(operator=joined, all_=tags, any_=tags, is_null_=st.booleans()),
        "state": condition(operator=joined, type=condition(any_=types, not_any_=types)),
        "start_time": condition(before_=moments, after_=moments, is_null_=st.booleans()),
        "work_queue_name": condition(operator=joined, any_=st.just(["q"]), is_null_=st.booleans()),
    },
)

Value = Any


def _like(value: str, pattern: str) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    return re.search(regex, value, re.IGNORECASE | re.DOTALL) is not None


def _holds(operator: str, wanted: Any, value: Value) -> bool:
    if isinstance(value, list):
        return {
            "all_": lambda: set(wanted) <= set(value),
            "any_": lambda: bool(set(wanted) & set(value)),
            "is_null_": lambda: wanted is not bool(value),
        }[operator]()
    return {
        "any_": lambda: value in wanted,
        "not_any_": lambda: value not in wanted,
        "like_": lambda: _like(value, wanted),
        "before_": lambda: value is not None and value <= wanted,
        "after_": lambda: value is not None and value >= wanted,
        "is_null_": lambda: wanted is (value is None),
    }[operator]()


def _expected(conditions: dict[str, Any] | None, value: Any) -> bool | None:
    """Whether a run (a mapping) or one of its values fits; None when nothing is asked for."""
    if conditions is None:
        return None
    answers = []
    for name, wanted in conditions.items():
        if name == "operator" or wanted is None:
            continue
        if isinstance(wanted, dict):
            answers.append(_expected(wanted, value[name]))
        else:
            answers.append(_holds(name, wanted, value))
    given_answers = [answer for answer in answers if answer is not None]
    if not given_answers:
        # a condition without operators is there, and is met
        return True
    return any(given_answers) if conditions.get("operator") == "or_" else all(given_answers)


@given(conditions=flow_run_filters)
def test_any_combination_of_conditions(tx: sa.Connection, conditions: dict[str, Any]) -> None:
    expected = []
    for name, values in RUNS.items():
        run = {
            "id": values["id"],
            "name": name,
            "tags": values.get("tags", []),
            "state": {"type": values["state"]},
            "start_time": values.get("start_time"),
            "work_queue_name": values.get("work_queue_name"),
        }
        if _expected(conditions, run):
            expected.append(name)
    clause = queries.flow_run_matches(FlowRunFilter.model_validate(conditions))
    assert names(tx, flow_run, clause) == expected


@given(low=st.integers(-5, 15), length=st.integers(0, 20))
def test_a_range_of_time_includes_both_ends(tx: sa.Connection, low: int, length: int) -> None:
    bounds: dict[str, datetime] = {"after_": after(low), "before_": after(low) + timedelta(seconds=length)}
    clause = queries.log_matches(LogFilter.model_validate({"timestamp": bounds}))
    expected = [i for i in (1, 2, 3) if bounds["after_"] <= NOON + timedelta(seconds=i) <= bounds["before_"]]
    assert len(names(tx, log, clause)) == len(expected)
