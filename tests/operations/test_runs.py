"""Reading runs, their states and flows; deleting a flow run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from prefect._operations import flow_runs, flows, logs, rows, task_runs
from prefect._operations.errors import NotFound
from prefect._operations.registry import BY_ROUTE
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.logs import LogFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.sorting import FlowRunSort, FlowSort, LogSort, TaskRunSort
from prefect._schemas.states import StateType
from prefect._store import queries
from prefect._store.tables import flow_run, flow_run_state, log, metadata, task_run_state

from .conftest import NOON, World, after


def test_a_flow_run_comes_back_with_its_state(world: World) -> None:
    run_id = world.flow_run(
        world.flow(), "amber-otter", "FAILED",
        state_name="TimedOut", message="too slow", parameters={"day": "monday"}, tags=["a"], run_count=2,
        expected_start_time=NOON, start_time=after(2), end_time=after(5), total_run_time=timedelta(seconds=3),
        data={"storage_key": "k"},
    )  # fmt: skip
    run = flow_runs.flow_run_of(world.tx, run_id)
    assert (run.id, run.name, run.parameters, run.tags, run.run_count) == (
        run_id, "amber-otter", {"day": "monday"}, ["a"], 2,
    )  # fmt: skip
    assert run.state is not None
    assert (run.state.type, run.state.name, run.state.message) == (StateType.FAILED, "TimedOut", "too slow")
    assert run.state.id == run.state_id
    assert run.state.state_details.flow_run_id == run_id
    assert run.state.data == {"storage_key": "k"}
    assert run.start_time == after(2)
    assert run.estimated_run_time == timedelta(seconds=3)
    assert run.estimated_start_time_delta == timedelta(seconds=2)


@pytest.mark.parametrize(("recorded", "whole", "exact"), [(0, 0, 0), (3, 3, 0), (0.5, 1, 0.5), ([0.5, 9], 1, 0.5)])
def test_a_delay_of_part_of_a_second_can_be_read(world: World, recorded: object, whole: int, exact: float) -> None:
    run_id = world.flow_run(world.flow(), empirical_policy={"retries": 1, "retry_delay": recorded})
    policy = flow_runs.flow_run_of(world.tx, run_id).empirical_policy
    assert (policy.retries, policy.retry_delay, policy.retry_delay_seconds) == (1, whole, exact)


def test_a_run_without_a_state_has_none(world: World) -> None:
    run = flow_runs.flow_run_of(world.tx, world.flow_run(world.flow(), state=None))
    assert run.state is None
    assert run.state_type is None


def test_the_time_of_a_running_run_goes_on(world: World) -> None:
    run_id = world.flow_run(
        world.flow(), state="RUNNING", state_timestamp=datetime.now(UTC) - timedelta(hours=1), start_time=NOON,
        total_run_time=timedelta(minutes=1),
    )  # fmt: skip
    run = flow_runs.flow_run_of(world.tx, run_id)
    assert run.total_run_time == timedelta(minutes=1)
    assert timedelta(hours=1, minutes=1) <= run.estimated_run_time < timedelta(hours=1, minutes=2)


def test_a_run_that_should_have_started_is_late_by_now(world: World) -> None:
    expected = datetime.now(UTC) - timedelta(hours=1)
    late = flow_runs.flow_run_of(
        world.tx, world.flow_run(world.flow(), state="SCHEDULED", expected_start_time=expected)
    )
    assert late.estimated_start_time_delta >= timedelta(hours=1)
    never = world.flow_run(world.flow("b"), state="CANCELLED", expected_start_time=expected)
    assert flow_runs.flow_run_of(world.tx, never).estimated_start_time_delta == timedelta(0)


def test_times_in_state_details_are_moments(world: World) -> None:
    # the engine records them as microseconds
    run_id = world.task_run(
        None, state_details={"cache_expiration": 1_700_000_000_000_000, "cache_key": "k"}, state="COMPLETED"
    )
    state = task_runs.task_run_of(world.tx, run_id).state
    assert state is not None
    assert state.state_details.cache_expiration == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert state.state_details.cache_key == "k"


@pytest.mark.parametrize(
    ("read", "kind"),
    [(flow_runs.flow_run_of, "Flow run"), (task_runs.task_run_of, "Task run"), (flows.read_flow, "Flow")],
)
def test_what_does_not_exist_is_an_error_that_names_it(world: World, read: object, kind: str) -> None:
    key = uuid4()
    with pytest.raises(NotFound, match=f"{kind} '{key}' not found"):
        read(world.tx, key)  # type: ignore[operator]


def test_the_states_of_a_run_come_in_order(world: World) -> None:
    run_id = world.flow_run(world.flow(), state="COMPLETED", state_timestamp=after(9))
    world.state(run_id, flow_run_state, "flow_run_id", "RUNNING", after(1))
    world.state(run_id, flow_run_state, "flow_run_id", "PENDING", after(0))
    states = flow_runs.read_flow_run_states(world.tx, run_id)
    assert [state.type.value for state in states] == ["PENDING", "RUNNING", "COMPLETED"]
    task_run_id = world.task_run(run_id, state="COMPLETED", state_timestamp=after(3))
    world.state(task_run_id, task_run_state, "task_run_id", "RUNNING", after(2))
    states = task_runs.read_task_run_states(world.tx, task_run_id)
    assert [state.type.value for state in states] == ["RUNNING", "COMPLETED"]
    assert flow_runs.read_flow_run_states(world.tx, uuid4()) == []


def test_pages_neither_repeat_nor_miss(world: World) -> None:
    flow_id = world.flow()
    everything = {world.flow_run(flow_id, "same", expected_start_time=NOON) for _ in range(7)}
    for sort in FlowRunSort:
        seen = []
        for offset in range(0, 9, 3):
            query = flow_runs.FlowRunQuery(sort=sort, limit=3, offset=offset)
            seen += [run.id for run in flow_runs.matching_flow_runs(world.tx, query)]
        assert len(seen) == 7, sort
        assert set(seen) == everything


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (FlowRunSort.ID_DESC, "cba"),
        (FlowRunSort.NAME_ASC, "abc"),
        (FlowRunSort.NAME_DESC, "cba"),
        (FlowRunSort.EXPECTED_START_TIME_ASC, "bac"),
        (FlowRunSort.EXPECTED_START_TIME_DESC, "abc"),
        (FlowRunSort.START_TIME_ASC, "abc"),
        (FlowRunSort.START_TIME_DESC, "bac"),
        (FlowRunSort.END_TIME_DESC, "acb"),
        (FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC, "bca"),
    ],
)
def test_orders_put_missing_values_last(world: World, sort: FlowRunSort, expected: str) -> None:
    flow_id = world.flow()
    # b has not started: it counts with the time it should have
    world.flow_run(flow_id, "a", expected_start_time=after(5), start_time=after(1), end_time=after(9))
    world.flow_run(flow_id, "b", expected_start_time=after(4), next_scheduled_start_time=after(1))
    world.flow_run(flow_id, "c", end_time=after(3), next_scheduled_start_time=after(2))
    found = flow_runs.matching_flow_runs(world.tx, flow_runs.FlowRunQuery(sort=sort))
    assert "".join(run.name for run in found) == expected


def test_other_nouns_sort_too(world: World) -> None:
    world.flow("a", created=after(1), updated=after(8))
    world.flow("b", created=after(2), updated=after(7))
    orders = {
        sort.value: "".join(flow.name for flow in flows.read_flows(world.tx, flows.FlowQuery(sort=sort)))
        for sort in FlowSort
    }
    assert orders == {"CREATED_DESC": "ba", "UPDATED_DESC": "ab", "NAME_ASC": "ab", "NAME_DESC": "ba"}
    for sort in TaskRunSort:
        assert task_runs.matching_task_runs(world.tx, task_runs.TaskRunQuery(sort=sort)) == []


def test_filters_of_several_nouns_hold_together(world: World) -> None:
    etl, report = world.flow("etl"), world.flow("report")
    good, bad = world.flow_run(etl, "good"), world.flow_run(etl, "bad", "FAILED")
    other = world.flow_run(report, "other", "FAILED")
    world.task_run(bad, "load", "FAILED")
    world.task_run(other, "print")
    failed = FlowRunFilter.model_validate({"state": {"type": {"any_": ["FAILED"]}}})
    of_etl = FlowFilter.model_validate({"name": {"any_": ["etl"]}})
    with_load = TaskRunFilter.model_validate({"name": {"any_": ["load"]}})

    def found(**filters: object) -> set[str]:
        query = flow_runs.FlowRunQuery.model_validate(filters)
        assert flow_runs.count_flow_runs(world.tx, query) == len(flow_runs.matching_flow_runs(world.tx, query))
        return {run.name for run in flow_runs.matching_flow_runs(world.tx, query)}

    assert found(flows=of_etl) == {"good", "bad"}
    assert found(flows=of_etl, flow_runs=failed) == {"bad"}
    assert found(task_runs=with_load) == {"bad"}
    assert found(flow_runs=failed) == {"bad", "other"}
    assert good

    names = [flow.name for flow in flows.read_flows(world.tx, flows.FlowQuery(flow_runs=failed))]
    assert names == ["etl", "report"]
    assert [flow.name for flow in flows.read_flows(world.tx, flows.FlowQuery(task_runs=with_load))] == ["etl"]
    assert flows.count_flows(world.tx, flows.FlowSelection(flows=of_etl)) == 1
    of_tasks = task_runs.TaskRunQuery(flows=of_etl, flow_runs=failed)
    assert [run.name for run in task_runs.matching_task_runs(world.tx, of_tasks)] == ["load"]
    assert task_runs.count_task_runs(world.tx, of_tasks) == 1


def test_a_filter_on_what_is_not_kept_is_refused_not_ignored() -> None:
    task_runs.TaskRunQuery.model_validate({"work_pools": None})
    with pytest.raises(ValidationError):
        task_runs.TaskRunQuery.model_validate({"work_pools": {"name": {"any_": ["x"]}}})
    with pytest.raises(ValidationError):
        flow_runs.FlowRunQuery.model_validate({"limit": -1})


def test_flows_by_name(world: World) -> None:
    flow_id = world.flow("etl", tags=["x"])
    flow = flows.read_flow_by_name(world.tx, "etl")
    assert (flow.id, flow.tags) == (flow_id, ["x"])
    assert flows.read_flow(world.tx, flow_id) == flow
    with pytest.raises(NotFound, match="Flow 'nope' not found"):
        flows.read_flow_by_name(world.tx, "nope")


def test_logs_in_either_order_and_in_pages(world: World) -> None:
    run_id = world.flow_run(world.flow())
    for i in range(5):
        world.log(f"line {i}", timestamp=after(i // 2), flow_run_id=run_id)
    world.log("elsewhere")
    of_run = LogFilter.model_validate({"flow_run_id": {"any_": [run_id]}})

    def lines(**query: object) -> list[str]:
        found = logs.read_logs(world.tx, logs.LogQuery.model_validate({"logs": of_run, **query}))
        return [line.message[-1] for line in found]

    assert lines() == list("01234")
    assert lines(sort="TIMESTAMP_DESC") == list("43210")
    assert lines(limit=2, offset=1) == list("12")
    assert len(logs.read_logs(world.tx, logs.LogQuery())) == 6


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 500])
@pytest.mark.parametrize("limit", [None, 0, 1, 4, 9])
def test_logs_are_read_bit_by_bit(world: World, monkeypatch: pytest.MonkeyPatch, batch: int, limit: int | None) -> None:
    monkeypatch.setattr(logs, "_BATCH", batch)
    run_id = world.flow_run(world.flow())
    for i in range(7):
        world.log(f"line {i}", timestamp=after(i // 3), flow_run_id=run_id)
    of_run = LogFilter.model_validate({"flow_run_id": {"any_": [run_id]}})
    for sort, expected in ((LogSort.TIMESTAMP_ASC, "0123456"), (LogSort.TIMESTAMP_DESC, "6543210")):
        read = logs.iterate_logs(world.tx, of_run, sort, limit)
        assert "".join(line.message[-1] for line in read) == expected[:limit]


def test_deleting_a_flow_run_leaves_nothing_of_it_and_everything_else(world: World) -> None:
    flow_id = world.flow()
    doomed, kept = world.flow_run(flow_id, "doomed"), world.flow_run(flow_id, "kept")
    for run in (doomed, kept):
        world.log("line", flow_run_id=run, task_run_id=world.task_run(run))
    child = world.flow_run(flow_id, "child", parent_task_run_id=world.task_run(doomed), parent_flow_run_id=doomed)
    world.tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    flow_runs.delete_flow_run(world.tx, doomed)
    counts = {
        name: world.tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for name, table in metadata.tables.items()
    }
    assert {name: count for name, count in counts.items() if count} == {
        "flow": 1, "flow_run": 2, "flow_run_state": 2, "task_run": 1, "task_run_state": 1, "log": 1,
    }  # fmt: skip
    assert world.tx.execute(sa.select(log.c.flow_run_id)).scalar_one() == kept
    parents = sa.select(flow_run.c.parent_task_run_id, flow_run.c.parent_flow_run_id).where(flow_run.c.id == child)
    assert world.tx.execute(parents).one() == (None, None)
    with pytest.raises(NotFound):
        flow_runs.delete_flow_run(world.tx, doomed)


def _plan(world: World, statement: sa.Select[tuple[object, ...]]) -> str:
    sql = str(statement.compile(world.tx.engine, compile_kwargs={"literal_binds": True}))
    return " ".join(row[3] for row in world.tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))


def test_the_newest_runs_are_found_through_an_index(world: World) -> None:
    newest = (
        rows.runs_with_states(flow_run, flow_run_state)
        .order_by(*queries.FLOW_RUN_ORDERS["EXPECTED_START_TIME_DESC"])
        .limit(15)
    )
    plan = _plan(world, newest)
    assert "USING INDEX ix_flow_run__expected" in plan
    assert "flow_run_state USING PRIMARY KEY" in plan
    # of a state: not by sorting all the runs in it
    plan = _plan(world, newest.where(flow_run.c.state_type.in_(["COMPLETED"])))
    assert "USING INDEX ix_flow_run__by_state" in plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


def test_lines_of_logs_are_written_by_one_statement(world: World) -> None:
    """It may be a transaction of its own (`one_statement`)."""
    assert BY_ROUTE["POST", "/logs/"].one_statement
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    lines = [
        logs.LogLine(name="x", level=number % 7, message=f"number {number}", timestamp=NOON) for number in range(6_000)
    ]
    sa.event.listen(world.tx.engine, "before_cursor_execute", note)
    try:
        logs.create_logs(world.tx, lines)
    finally:
        sa.event.remove(world.tx.engine, "before_cursor_execute", note)
    assert len(statements) == 1
    assert world.tx.execute(sa.select(sa.func.count()).select_from(log)).scalar_one() == 6_000
