"""Rows that are inserted together (`prefect._store.bulk`, `prefect._store.single`), on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from operations.conftest import World
from operations.conftest import both as both
from operations.conftest import postgresql as postgresql
from operations.conftest import postgresql_engine as postgresql_engine
from operations.conftest import sqlite_engine as sqlite_engine
from prefect._ids import new_uuid
from prefect._store import bulk, single
from prefect._store.tables import event, event_resource, flow_run, flow_run_state, log, task_run

MOMENT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
_LOG = ("id", "created", "name", "level", "message", "timestamp", "flow_run_id", "task_run_id", "worker_id")
_EVENT = ("id", "occurred", "event", "resource_id", "payload", "follows", "received")
_RESOURCE = ("event_id", "position", "resource_id", "role", "labels", "occurred")


def line(number: int, **other: Any) -> dict[str, Any]:
    return {
        "id": new_uuid(), "created": MOMENT, "name": "naïve 'name' 100 %s", "level": 20, "message": f"number {number}",
        "timestamp": MOMENT, "flow_run_id": None, "task_run_id": None, "worker_id": None, **other,
    }  # fmt: skip


def happened(id: UUID, number: int = 0) -> dict[str, Any]:
    return {
        "id": id, "occurred": MOMENT, "event": "it.happened", "resource_id": "it", "payload": {"number": number},
        "follows": None, "received": MOMENT,
    }  # fmt: skip


def resources(id: UUID, count: int) -> list[dict[str, Any]]:
    return [
        {"event_id": id, "position": n, "resource_id": "it", "role": "", "labels": {"n": str(n)}, "occurred": MOMENT}
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [1, 3, 19, 20, 200])
@pytest.mark.parametrize("differ", ["nothing", "timestamp", "level", "worker_id"])
def test_what_rows_have_in_common_and_what_not(both: sa.Connection, count: int, differ: str) -> None:
    values: dict[str, Any] = {
        "nothing": lambda n: {},
        "timestamp": lambda n: {"timestamp": MOMENT + timedelta(microseconds=n)},
        "level": lambda n: {"level": n},
        "worker_id": lambda n: {"worker_id": new_uuid() if n else None},
    }
    lines = [line(number, **values[differ](number)) for number in range(count)]
    assert bulk.insert_new(both, log, _LOG, lines) == count
    kept = {row["id"]: row for row in both.execute(sa.select(*(log.c[name] for name in _LOG))).mappings()}
    assert [dict(kept[one["id"]]) for one in lines] == lines
    assert bulk.insert_new(both, log, _LOG, [*lines[:1], line(0)]) == 1


def test_durations_are_kept_exactly_whether_they_are_the_same_or_not(both: sa.Connection) -> None:
    world = World(both)
    run = world.flow_run(world.flow("etl"), "one")
    columns = ("id", "created", "updated", "name", "flow_run_id", "task_key", "dynamic_key", "total_run_time")
    for times in ([timedelta(microseconds=n + 1) for n in range(25)], [timedelta(hours=3, microseconds=1)] * 25):
        rows: list[dict[str, Any]] = [
            dict(zip(columns, (new_uuid(), MOMENT, MOMENT, "x", run, "k", str(new_uuid()), time), strict=True))
            for time in times
        ]
        rows = [single.complete(task_run, row) for row in rows]
        assert bulk.insert_new(both, task_run, tuple(rows[0]), rows) == 25
        ids = [row["id"] for row in rows]
        found = sa.select(task_run.c.total_run_time).where(task_run.c.id.in_(ids)).order_by(task_run.c.id)
        assert list(both.execute(found).scalars()) == times


def test_parts_come_with_what_they_belong_to(both: sa.Connection) -> None:
    one, two, three = new_uuid(), new_uuid(), new_uuid()

    def write(*given: tuple[UUID, int]) -> int:
        parts = bulk.Parts(event_resource, _RESOURCE, [part for each in given for part in resources(*each)], "event_id")
        return bulk.insert_new_with_parts(both, event, _EVENT, [happened(id) for id, _ in given], parts)

    def kept(id: UUID) -> int:
        found = sa.select(sa.func.count()).where(event_resource.c.event_id == id)
        return both.execute(found).scalar_one()

    assert write() == 0
    assert write((one, 30)) == 1
    assert write((one, 40)) == 0, "what is there stays as it is"
    assert write((one, 1), (two, 2), (three, 0)) == 2
    assert [kept(id) for id in (one, two, three)] == [30, 2, 0]


def test_a_run_is_inserted_with_its_state_or_not_at_all(both: sa.Connection) -> None:
    world = World(both)
    flow = world.flow("etl")

    def insert(id: UUID) -> bool:
        run = single.complete(flow_run, {
            "id": id, "name": "one", "flow_id": flow, "idempotency_key": "key", "parameters": {"a": [1, None]},
        })  # fmt: skip
        state = {
            "id": new_uuid(), "flow_run_id": id, "timestamp": MOMENT, "type": "PENDING", "name": "Pending",
            "message": None, "state_details": {"a": 1}, "data": None,
        }  # fmt: skip
        return single.insert_if_new_with(both, flow_run, run, flow_run_state, state)

    first, second = new_uuid(), new_uuid()
    assert insert(first)
    assert not insert(second), "there is one with this key"
    (state,) = both.execute(sa.select(flow_run_state)).mappings()
    assert (state["flow_run_id"], state["timestamp"], state["state_details"]) == (first, MOMENT, {"a": 1})
    assert (state["message"], state["data"]) == (None, None)
    assert list(both.execute(sa.select(flow_run.c.parameters)).scalars()) == [{"a": [1, None]}]
