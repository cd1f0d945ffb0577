"""Events by which clients report their task runs: each is a state that a task run has entered.

The client that Prefect publishes decides the states of task runs itself, and tells of them only so. The event's id is
the state's, and it carries the run as it was then; so events may come twice and in any order.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import ValidationError

from prefect._operations import heartbeats, outbox
from prefect._operations.recording import StateRecord, TaskRunRecord, keep_task_runs
from prefect._schemas.events import Event

_log = logging.getLogger("prefect.server")

_PREFIX = "prefect.task-run."
_FIELDS = frozenset(TaskRunRecord.model_fields) - {"id", "flow_run_id", "states"}


def receive_events(tx: sa.Connection, events: Sequence[Event]) -> None:
    """Write events, and the task runs that they report."""
    outbox.write(tx, [new_event(one) for one in events])
    heartbeats.receive(tx, [one.resource.id for one in events if one.event == heartbeats.HEARTBEAT])
    records = [record for one in events if is_report(one) if (record := _record(one)) is not None]
    if records:
        keep_task_runs(tx, records, tell=False)


def new_event(one: Event) -> outbox.NewEvent:
    """An event as the outbox takes it."""
    related = [resource.root for resource in one.related]
    return outbox.NewEvent(one.event, one.resource.root, related, one.payload, one.occurred, one.id, one.follows)


def is_report(one: Event) -> bool:
    """Whether an event reports a state of a task run that its client decided."""
    return one.event.startswith(_PREFIX) and one.resource.get("prefect.orchestration") == "client"


def _record(one: Event) -> TaskRunRecord | None:
    try:
        run, state = one.payload["task_run"], one.payload["validated_state"]
        flow_run = one.resource_in_role.get("flow-run")
        values: dict[str, Any] = {name: value for name, value in run.items() if name in _FIELDS and value is not None}
        return TaskRunRecord(
            **values,
            id=one.resource.prefect_object_id("prefect.task-run"),
            flow_run_id=None if flow_run is None else flow_run.prefect_object_id("prefect.flow-run"),
            states=[_state(one, state)],
        )
    except (KeyError, AttributeError, TypeError, ValueError, ValidationError) as exc:
        _log.warning("The event %s (%s) does not describe a task run: %s", one.event, one.id, exc)
        return None


def _state(one: Event, state: dict[str, Any]) -> StateRecord:
    return StateRecord(
        id=UUID(str(one.id)),
        type=state["type"],
        name=state.get("name") or one.event.removeprefix(_PREFIX),
        timestamp=one.occurred,
        message=state.get("message") or None,
        state_details=state.get("state_details") or {},
        data=state.get("data"),
    )
