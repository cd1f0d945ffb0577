"""What lists, pages, workers and services ask often is answered through an index, on both databases.

The plans are those of a database without rows and without statistics: what can be answered through an index is. Each
read names the indexes that it is to go by, so that the test fails when one of them is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import registry
from prefect._operations.local import LocalDatabase
from prefect._operations.queue_runs import Scope, find_due, next_due
from prefect._services import (
    cancellation_cleanup,
    db_vacuum,
    late_runs,
    lease_expiry,
    pause_expirations,
    task_run_leases,
    task_run_reconciliation,
)
from prefect._store.announcements import Bus
from prefect._store.dialects import make_engine
from prefect._store.schema import POSTGRESQL_SCRIPT, read_script
from prefect._store.tables import deployment, flow, metadata, work_pool, work_queue
from store.conftest import PostgreSQL

LARGE = ("flow_run", "flow_run_state", "task_run", "task_run_state", "log", "event", "event_resource", "artifact")
"""The tables that grow with what runs."""

RUN, QUEUE, POOL, DEPLOYMENT = (str(UUID(int=number)) for number in (1, 2, 3, 4))
_NOW = now()
_DAY = {"after_": (_NOW - timedelta(days=1)).isoformat(), "before_": _NOW.isoformat()}
_OCCURRED = {"occurred": {"since": _DAY["after_"], "until": _DAY["before_"]}}
_HISTORY = {
    "history_start": _DAY["after_"], "history_end": _DAY["before_"], "history_interval_seconds": 3600,
}  # fmt: skip


@dataclass
class Place:
    """A database for services: everything happens in one transaction."""

    tx: sa.Connection
    bus: Bus

    def read(self, work: Callable[[sa.Connection], Any]) -> Any:
        return work(self.tx)

    write = read


@contextmanager
def seen(tx: sa.Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed meanwhile, but for those that insert."""
    found: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if not many and not statement.lstrip().upper().startswith("INSERT"):
            found.append((statement, parameters))

    sa.event.listen(tx.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(tx.engine, "before_cursor_execute", note)


def plans(tx: sa.Connection, work: Callable[[], Any], *, in_order: bool = False) -> list[str]:
    """The plan of each statement that some work executes.

    Args:
        tx: where the work is done.
        work: executes statements.
        in_order: whether nothing is to be sorted that an index has in order.
    """
    sqlite = tx.dialect.name == "sqlite"
    if not sqlite:
        # a table without rows is read as a whole, hashed and sorted, whatever indexes it has
        for method in ("seqscan", "hashjoin", "mergejoin", *(("sort",) if in_order else ())):
            tx.exec_driver_sql(f"SET LOCAL enable_{method} = off")
    with seen(tx) as statements:
        work()
    explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
    found = []
    for statement, parameters in statements:
        lines = tx.exec_driver_sql(explain + statement, parameters).all()
        found.append("\n".join(str(line[3] if sqlite else line[0]) for line in lines))
    return found


def scans(plan: str) -> list[str]:
    """The large tables that are read from one end to the other without an index."""
    tables = "|".join(LARGE)
    # SQLite says "SCAN flow_run" or "SCAN flow_run USING INDEX ..."
    found = re.findall(rf"^SCAN ({tables})$", plan, re.MULTILINE)
    return found + re.findall(rf"Seq Scan on ({tables})\b", plan)


def asked(tx: sa.Connection, method: Any, path: str, **given: Any) -> Callable[[], Any]:
    """The call of an operation."""
    operation = registry.BY_ROUTE[method, path]
    body = given.pop("body", None)
    arguments = dict(given)
    if body is not None:
        arguments["body"] = operation.body.model_validate(body)
    return lambda: operation.call(tx, **arguments)


def runs(sort: str = "EXPECTED_START_TIME_DESC", **filters: Any) -> dict[str, Any]:
    return {"sort": sort, "limit": 20, **({"flow_runs": filters} if filters else {})}


_UNDER_WAY = {"type": {"any_": ["SCHEDULED", "RUNNING"]}}
_FLOW_RUNS: list[tuple[str, dict[str, Any], str]] = [
    ("by expected start", runs(), "ix_flow_run__expected"),
    ("by expected start, the first", runs("EXPECTED_START_TIME_ASC"), "ix_flow_run__expected"),
    ("by start", runs("START_TIME_DESC"), "ix_flow_run__started"),
    ("by start, the first", runs("START_TIME_ASC"), "ix_flow_run__started"),
    ("by end", runs("END_TIME_DESC"), "ix_flow_run__end_time"),
    ("of a state", runs(state={"type": {"any_": ["FAILED"]}}), "ix_flow_run__by_state"),
    ("of two states, by start", runs("START_TIME_DESC", state=_UNDER_WAY), "ix_flow_run__started_by_state"),
    ("of two states, the first", runs("EXPECTED_START_TIME_ASC", state=_UNDER_WAY), "ix_flow_run__by_state"),
    ("started in a day", runs("START_TIME_DESC", start_time=_DAY), "ix_flow_run__started"),
    ("ended in a day", runs("END_TIME_DESC", end_time=_DAY), "ix_flow_run__end_time"),
    ("of a parent", runs("ID_DESC", parent_flow_run_id={"any_": [RUN]}), "ix_flow_run__parent_flow_run_id"),
    ("of a task run", runs("ID_DESC", parent_task_run_id={"any_": [RUN]}), "ix_flow_run__parent_task_run_id"),
]
_COUNTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("flow_runs", "of a state", {"state": {"type": {"any_": ["FAILED"]}}}, "ix_flow_run__by_state"),
    ("flow_runs", "started in a day", {"start_time": _DAY}, "ix_flow_run__started"),
    ("flow_runs", "ended in a day", {"end_time": _DAY}, "ix_flow_run__end_time"),
    ("flow_runs", "of a deployment", {"deployment_id": {"any_": [DEPLOYMENT]}}, "ix_flow_run__deployment_id"),
    ("task_runs", "started in a day", {"start_time": _DAY}, "ix_task_run__started"),
    ("task_runs", "of a run", {"flow_run_id": {"any_": [RUN]}}, "ix_task_run__flow_run_id"),
]


def _reads() -> list[Any]:
    found = [
        pytest.param("POST", "/flow_runs/filter", {"body": body}, {index}, id=f"flow runs {what}")
        for what, body, index in _FLOW_RUNS
    ]
    found += [
        pytest.param("POST", f"/{noun}/count", {"body": {noun: body}}, {index}, id=f"count of {noun} {what}")
        for noun, what, body, index in _COUNTS
    ]
    more: list[tuple[str, str, dict[str, Any], set[str]]] = [
        ("POST", "/task_runs/history", {"body": _HISTORY}, {"ix_task_run__expected"}),
        ("POST", "/task_runs/filter", {"body": runs()}, {"ix_task_run__expected"}),
        ("POST", "/ui/task_runs/count", {"body": {"task_runs": {"start_time": _DAY}}}, {"ix_task_run__started"}),
        ("POST", "/ui/task_runs/dashboard/counts", {"body": {"task_runs": {"start_time": _DAY}}},
         {"ix_task_run__started"}),
        ("POST", "/ui/flow_runs/history", {"body": {"flow_runs": {"expected_start_time": _DAY}}},
         {"ix_flow_run__expected"}),
        ("POST", "/ui/flow_runs/count-task-runs", {"body": {"flow_run_ids": [RUN]}},
         {"ix_task_run__flow_run_id", "ix_flow_run__parent_task_run_id"}),
        ("POST", "/logs/filter", {"body": {"logs": {"flow_run_id": {"any_": [RUN]}}}}, {"ix_log__flow_run_id_timestamp"}),
        ("POST", "/logs/filter", {"body": {"logs": {"task_run_id": {"any_": [RUN]}}}}, {"ix_log__task_run_id_timestamp"}),
        ("POST", "/events/filter", {"body": {"filter": _OCCURRED}}, {"ix_event__occurred"}),
        ("POST", "/events/filter", {"body": {"filter": {**_OCCURRED, "any_resource": {"id": ["x"]}}}},
         {"ix_event_resource__resource_id_occurred"}),
    ]  # fmt: skip
    return found + [pytest.param(*one, id=f"{one[1]} {number}") for number, one in enumerate(more)]


@pytest.fixture(scope="module")
def postgresql_engine(postgresql: PostgreSQL) -> Iterator[sa.Engine]:
    # a database of its own: what other tests wrote and took back makes tables larger, and plans depend on that
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    engine = make_engine(postgresql.database("plans", read_script(POSTGRESQL_SCRIPT)))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module", autouse=True)
def _operations() -> None:
    registry.all_operations()


@pytest.mark.parametrize(("method", "path", "given", "indexes"), _reads())
def test_a_read_goes_by_its_index(
    both: sa.Connection, method: str, path: str, given: dict[str, Any], indexes: set[str]
) -> None:
    in_order = given["body"].get("sort", "ID_DESC") != "ID_DESC"
    found = plans(both, asked(both, method, path, **given), in_order=in_order)
    assert found
    assert [table for plan in found for table in scans(plan)] == []
    assert {index for index in indexes if not any(index in plan for plan in found)} == set(), found


_COVERED: list[tuple[str, dict[str, Any], str]] = [
    ("/flow_runs/history", _HISTORY, "ix_flow_run__by_state"),
    ("/flow_runs/history", {**_HISTORY, "flow_runs": {"state": {"name": {"any_": ["Late"]}}}}, "ix_flow_run__by_state"),
    ("/task_runs/history", _HISTORY, "ix_task_run__expected"),
    ("/flow_runs/lateness", {}, "ix_flow_run__by_state"),
    ("/flow_runs/lateness", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}, "ix_flow_run__by_state"),
    ("/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}, "ix_flow_run__by_state"),
    ("/flow_runs/count", {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}}, "ix_flow_run__by_state"),
    ("/flow_runs/count", {"flow_runs": {"parent_task_run_id": {"is_null_": True}}}, "ix_flow_run__expected"),
    ("/flow_runs/count", {"flow_runs": {"expected_start_time": _DAY}}, "ix_flow_run__expected"),
    ("/flow_runs/count", {"flow_runs": {"end_time": _DAY}}, "ix_flow_run__end_time"),
    ("/flow_runs/count", {"work_pools": {"name": {"any_": ["p"]}}}, "ix_flow_run__expected"),
    ("/task_runs/count", {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}}, "ix_task_run__expected"),
    ("/task_runs/count", {"task_runs": {"start_time": _DAY}}, "ix_task_run__started"),
    ("/ui/task_runs/count", {"task_runs": {"start_time": _DAY}}, "ix_task_run__started"),
    ("/ui/task_runs/dashboard/counts", {"task_runs": {"start_time": _DAY}}, "ix_task_run__started"),
]


@pytest.mark.parametrize("sort", ["EXPECTED_START_TIME_DESC", "EXPECTED_START_TIME_ASC"])
@pytest.mark.parametrize("condition", [{}, {"parent_task_run_id": {"is_null_": True}}], ids=["all", "no parent"])
def test_pages_by_expected_start_are_in_the_order_of_their_index(
    both: sa.Connection, sort: str, condition: dict[str, Any]
) -> None:
    found = plans(both, asked(both, "POST", "/flow_runs/filter", body=runs(sort, **condition)), in_order=True)
    if both.dialect.name == "sqlite":
        assert re.search(r"COVERING INDEX ix_flow_run__expected \(expected_start_time>\?\)$", found[0], re.MULTILINE)
        assert found[0].count("TEMP B-TREE FOR ORDER BY") == 1  # of the few rows of the page
        assert "PART OF ORDER BY" not in found[0]
    else:
        assert re.search(r"Limit.*\n *->  Index Only Scan (Backward )?using ix_flow_run__expected", found[0])


def test_the_newest_of_two_states_are_the_first_of_each_in_their_index(both: sa.Connection) -> None:
    if both.dialect.name == "postgresql":
        both.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
    two = runs("START_TIME_DESC", state={"type": {"any_": ["RUNNING", "SCHEDULED"]}})
    found = plans(both, asked(both, "POST", "/flow_runs/filter", body=two), in_order=True)[0]
    assert found.count("ix_flow_run__started_by_state") == 2
    if both.dialect.name == "postgresql":
        # those that have the same time are sorted by their ids, and no others
        assert found.count("Presorted Key: (COALESCE(flow_run") == 2
        assert "id = ANY" in found  # and the page is looked up, not joined


@pytest.mark.parametrize(("path", "body", "index"), _COVERED)
def test_what_is_counted_and_added_up_is_read_from_an_index_alone(
    both: sa.Connection, path: str, body: dict[str, Any], index: str
) -> None:
    if both.dialect.name == "postgresql":
        # what the planner would take for an empty table, where all cost the same
        both.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        if index == "ix_flow_run__by_state":
            both.exec_driver_sql("DROP INDEX ix_flow_run__expected")
    found = plans(both, asked(both, "POST", path, body=body))
    tables = index.removeprefix("ix_").partition("__")[0]
    looked_at = [line for plan in found for line in re.findall(rf"(?m)^.*\b{tables}\b.*$", plan)]
    assert looked_at
    covering = ("COVERING INDEX " if both.dialect.name == "sqlite" else "Index Only Scan using ") + index
    reads = [line for line in looked_at if re.search(r"SEARCH|SCAN|Scan", line)]
    assert [line for line in reads if not re.search(rf"{covering}\b", line)] == []
    assert reads


def test_the_graph_of_a_run_goes_by_its_indexes(both: sa.Connection) -> None:
    id, flow_id = new_uuid(), new_uuid()
    both.execute(flow.insert().values(id=flow_id, name="f"))
    both.execute(metadata.tables["flow_run"].insert().values(id=id, name="r", flow_id=flow_id))
    found = plans(both, asked(both, "GET", "/flow_runs/{id}/graph-v2", id=id))
    assert [table for plan in found for table in scans(plan)] == []
    for index in ("ix_task_run__flow_run_id", "ix_flow_run__parent_task_run_id", "ix_artifact__flow_run_id"):
        assert any(index in plan for plan in found), index


@pytest.fixture
def pool(both: sa.Connection) -> UUID:
    """A pool with a queue and a deployment."""
    id, flow_id = UUID(POOL), new_uuid()
    both.execute(flow.insert().values(id=flow_id, name="f"))
    both.execute(work_pool.insert().values(id=id, name="p", type="process", concurrency_limit=2))
    both.execute(work_queue.insert().values(id=UUID(QUEUE), work_pool_id=id, name="q", description=""))
    both.execute(deployment.insert().values(id=UUID(DEPLOYMENT), name="d", flow_id=flow_id, work_queue_id=UUID(QUEUE)))
    return id


def test_what_is_due_goes_by_the_queue(both: sa.Connection, pool: UUID) -> None:
    found = plans(both, lambda: find_due(both, Scope(pool_id=pool), limit=10, moment=_NOW, until=_NOW))
    found += plans(both, lambda: next_due(both, Scope(pool_id=pool), after=_NOW))
    assert [table for plan in found for table in scans(plan)] == []
    assert any("ix_flow_run__due" in plan for plan in found)
    assert any("ix_flow_run__by_state" in plan for plan in found)  # what holds slots


def test_what_is_due_of_deployments_goes_by_the_deployment(both: sa.Connection, pool: UUID) -> None:
    scope = Scope(deployment_ids=[UUID(DEPLOYMENT)])
    found = plans(both, lambda: find_due(both, scope, limit=10, moment=_NOW, until=_NOW))
    found += plans(both, lambda: next_due(both, scope, after=_NOW))
    assert [table for plan in found for table in scans(plan)] == []
    assert any("ix_flow_run__deployment_id_next_scheduled_start_time" in plan for plan in found)


@pytest.mark.parametrize(
    ("service", "indexes"),
    [
        (late_runs, {"ix_flow_run__by_state"}),
        (
            cancellation_cleanup,
            {
                "ix_flow_run__by_state",
                "ix_flow_run__parent_flow_run_id",
            },
        ),
        (pause_expirations, {"ix_flow_run__by_state"}),
        (lease_expiry, {"ix_run_lease__expires"}),
        (task_run_leases, {"ix_task_run_lease__expires"}),
        (task_run_reconciliation, {"ix_task_run__open"}),
        (db_vacuum, {"ix_event__occurred", "ix_flow_run__by_state", "pk_log"}),
    ],
)
def test_a_service_looks_for_what_is_due_by_an_index(both: sa.Connection, service: Any, indexes: set[str]) -> None:
    found = plans(both, lambda: service.run_once(Place(both, Bus()), _NOW))
    assert [table for plan in found for table in scans(plan)] == []
    if both.dialect.name == "sqlite":
        indexes = {re.sub(r"^pk_(\w+)", r"sqlite_autoindex_\1_1", index) for index in indexes}
    assert {index for index in indexes if not any(index in plan for plan in found)} == set(), found


def test_open_task_runs_are_not_looked_for_among_all_runs_that_have_ended(database: LocalDatabase) -> None:
    with database.read() as tx:
        (found,) = plans(tx, lambda: task_run_reconciliation.run_once(Place(tx, Bus()), _NOW))
    assert "SEARCH flow_run USING INDEX sqlite_autoindex_flow_run_1" in found
