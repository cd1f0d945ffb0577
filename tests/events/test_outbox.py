"""A change of a flow run and the event that tells of it are written together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from operations.conftest import World
from operations.conftest import both as both
from operations.conftest import postgresql as postgresql
from operations.conftest import postgresql_engine as postgresql_engine
from operations.conftest import sqlite_engine as sqlite_engine
from prefect._operations import outbox
from prefect._operations.events import EventQuery, read_events
from prefect._operations.flow_run_control import SetState, set_flow_run_state
from prefect._schemas.actions.runs import StateCreate
from prefect._schemas.events import ReceivedEvent
from prefect._schemas.filters.events import EventFilter, EventNameFilter, EventOrder
from prefect._store.announcements import collected


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
