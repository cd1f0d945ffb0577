"""Events written in the transaction of the change that they tell of: none is lost, none is invented.

`emit` is what an operation calls; whoever follows events is told when the transaction is committed. What happens to flow
runs, task runs, deployments, pools and queues is told by the functions below it, with the names, resources and payloads
that the API documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from pydantic_core import to_jsonable_python

from prefect._clock import from_us, now
from prefect._ids import new_uuid
from prefect._operations import chains
from prefect._rules.states import PAUSED, RunState
from prefect._store import bulk
from prefect._store.announcements import announce
from prefect._store.prepared import Query, Row
from prefect._store.tables import deployment, event, event_resource, flow, flow_run, task_run, work_pool, work_queue
from prefect.settings import get_current_settings

Labels = dict[str, str]
"""A resource: `prefect.resource.id`, for a related one `prefect.resource.role`, and whatever describes it."""

_EVENT_COLUMNS = ("id", "occurred", "event", "resource_id", "payload", "follows", "received")
_RESOURCE_COLUMNS = ("event_id", "position", "resource_id", "role", "labels", "occurred")
_BATCH = 500
_LONGEST_MESSAGE = 100_000


class NewEvent(NamedTuple):
    """An event to write."""

    event: str
    resource: Labels
    related: Sequence[Labels]
    payload: Mapping[str, Any]
    occurred: datetime
    id: UUID
    follows: UUID | None = None


def emit(
    tx: sa.Connection,
    event: str,
    resource: Labels,
    related: Sequence[Labels] = (),
    payload: Mapping[str, Any] | None = None,
    *,
    occurred: datetime | None = None,
    id: UUID | None = None,
    follows: UUID | None = None,
) -> UUID:
    """Write that something happened, in the transaction in which it happens.

    Args:
        tx: the transaction.
        event: the name of what happened, as in `prefect.work-pool.ready`.
        resource: what it happened to.
        related: what has to do with it.
        payload: what describes it further, JSON.
        occurred: when; now unless given.
        id: of the event; one that is there already is not written again.
        follows: the event that came before it.

    Returns:
        the event's id.
    """
    id = id or new_uuid()
    write(tx, [NewEvent(event, resource, related, payload or {}, occurred or now(), id, follows)])
    return id


def write(tx: sa.Connection, events: Sequence[NewEvent]) -> int:
    """Write events; those that are there already are left as they are. Returns how many were new."""
    received = now()
    written = 0
    first = chains.origin_resource()
    if first is not None:
        events = [one._replace(related=(*one.related, first)) for one in events]
    for start in range(0, len(events), _BATCH):
        some = {one.id: one for one in reversed(events[start : start + _BATCH])}
        told = [*reversed(some.values())]
        resources = [row for one in told for row in _resource_rows(one)]
        written += bulk.insert_new_with_parts(
            tx, event, _EVENT_COLUMNS, [_row(one, received) for one in told],
            bulk.Parts(event_resource, _RESOURCE_COLUMNS, resources, "event_id"),
        )  # fmt: skip
    if written:
        announce(tx, "events")
    return written


def _row(one: NewEvent, received: datetime) -> dict[str, Any]:
    return {
        "id": one.id,
        "occurred": one.occurred,
        "event": one.event,
        "resource_id": one.resource["prefect.resource.id"],
        "payload": one.payload,
        "follows": one.follows,
        "received": received,
    }


def _resource_rows(one: NewEvent) -> list[dict[str, Any]]:
    return [
        {
            "event_id": one.id,
            "position": position,
            "resource_id": labels["prefect.resource.id"],
            # what it happened to has no role, whatever its labels say
            "role": labels["prefect.resource.role"] if position else "",
            "labels": labels,
            "occurred": one.occurred,
        }
        for position, labels in enumerate((one.resource, *one.related))
    ]


def resource(kind: str, id: object, name: str | None = None, role: str | None = None) -> Labels:
    """The labels of an object of the API.

    Args:
        kind: what it is, as in `work-pool`.
        id: its id.
        name: what people call it.
        role: what it has to do with an event; for a related resource.
    """
    labels = {"prefect.resource.id": f"prefect.{kind}.{id}"}
    if role is not None:
        labels["prefect.resource.role"] = role
    if name is not None:
        labels["prefect.resource.name"] = name
    return labels


# -- flow runs ------------------------------------------------------------------------------------------------------


def flow_run_entered(
    tx: sa.Connection,
    run: Mapping[str, Any],
    before: RunState | None,
    entered: RunState,
    *,
    run_count: int,
    around: Mapping[str, Any] | None = None,
) -> None:
    """Write that a flow run entered a state. The event's id is the state's: it is written once, whoever tells of it.

    Args:
        tx: the transaction in which the state was written.
        run: the row of the run, as it was before.
        before: the state that it was in.
        entered: the state that it is in now.
        run_count: how many attempts have begun.
        around: what `around_flow_run` found, if it has been asked already.
    """
    subject = {
        **resource("flow-run", run["id"], run["name"]),
        "prefect.run-count": str(run_count),
        **_state_labels(entered),
    }
    follows = None if before is None else UUID(before.id)
    around = around or around_flow_run(tx, run)
    write(tx, [
        NewEvent(
            f"prefect.flow-run.{entered.name}", subject, [] if around is None else _related(run, around),
            _transition(before, entered), from_us(entered.timestamp), UUID(entered.id), follows,
        )
    ])  # fmt: skip


def flow_runs_made(tx: sa.Connection, runs: Sequence[Mapping[Any, Any]], states: Sequence[RunState]) -> None:
    """Write that runs which were just made entered their first states.

    Args:
        tx: the transaction in which they were made.
        runs: their rows.
        states: the state of each.
    """
    joined = (
        flow_run.join(flow, flow.c.id == flow_run.c.flow_id)
        .outerjoin(deployment, deployment.c.id == flow_run.c.deployment_id)
        .outerjoin(work_queue, work_queue.c.id == flow_run.c.work_queue_id)
        .outerjoin(work_pool, work_pool.c.id == work_queue.c.work_pool_id)
        .outerjoin(task_run, task_run.c.id == flow_run.c.parent_task_run_id)
    )
    statement = sa.select(flow_run.c.id.label("run_id"), *_AROUND).select_from(joined)
    found = tx.execute(statement.where(flow_run.c.id.in_([run["id"] for run in runs]))).mappings()
    around = {row["run_id"]: row for row in found}
    write(tx, [
        NewEvent(
            f"prefect.flow-run.{state.name}",
            {**resource("flow-run", run["id"], run["name"]), "prefect.run-count": "0", **_state_labels(state)},
            _related(run, around[run["id"]]), _transition(None, state), from_us(state.timestamp), UUID(state.id),
        )
        for run, state in zip(runs, states, strict=True)
    ])  # fmt: skip


def _state_labels(state: RunState) -> Labels:
    return {
        "prefect.state-message": (state.message or "")[:_LONGEST_MESSAGE],
        "prefect.state-name": state.name,
        "prefect.state-timestamp": from_us(state.timestamp).isoformat(),
        "prefect.state-type": state.type,
    }


def _transition(before: RunState | None, entered: RunState) -> dict[str, Any]:
    return {
        "intended": {"from": None if before is None else before.type, "to": entered.type},
        "initial_state": None if before is None else _described(before),
        "validated_state": _described(entered),
    }


def _described(state: RunState) -> dict[str, str]:
    described = {"type": state.type, "name": state.name}
    if state.message:
        described["message"] = state.message[:_LONGEST_MESSAGE]
    if state.type == PAUSED:
        described["pause_reschedule"] = str(bool(state.details.get("pause_reschedule"))).lower()
    return described


_AROUND = (
    flow.c.name.label("flow"), flow.c.tags.label("flow_tags"), deployment.c.id.label("deployment_id"),
    deployment.c.name.label("deployment"), deployment.c.tags.label("deployment_tags"),
    work_queue.c.id.label("queue_id"), work_queue.c.name.label("queue"), work_pool.c.id.label("pool_id"),
    work_pool.c.name.label("pool"), work_pool.c.type.label("pool_type"), task_run.c.name.label("parent"),
)  # fmt: skip
_OF_ONE = (
    sa.select(*_AROUND, flow.c.labels.label("flow_labels"))
    .select_from(
        flow.outerjoin(deployment, deployment.c.id == sa.bindparam("deployment_id"))
        .outerjoin(work_queue, work_queue.c.id == sa.bindparam("work_queue_id"))
        .outerjoin(work_pool, work_pool.c.id == work_queue.c.work_pool_id)
        .outerjoin(task_run, task_run.c.id == sa.bindparam("parent_task_run_id"))
    )
    .where(flow.c.id == sa.bindparam("flow_id"))
)
_AROUND_ONE = Query(_OF_ONE)
_AROUND_NEW = Query(_OF_ONE.with_for_update(read=True, key_share=True, of=flow))


def around_flow_run(tx: sa.Connection, run: Mapping[str, Any], *, is_new: bool = False) -> Row | None:
    """What has to do with a flow run: flow, deployment, queue, pool, the task run that stands for it. None without flow.

    Args:
        run: its ids of these.
        is_new: it is about to be made: the flow stays there until the transaction ends.
    """
    return (_AROUND_NEW if is_new else _AROUND_ONE).first(tx, run)


def _related(run: Mapping[Any, Any], found: Mapping[Any, Any]) -> list[Labels]:
    related = [resource("flow", run["flow_id"], found["flow"], "flow")]
    if found["deployment_id"] is not None:
        related.append(resource("deployment", found["deployment_id"], found["deployment"], "deployment"))
    if found["queue_id"] is not None:
        related.append(resource("work-queue", found["queue_id"], found["queue"], "work-queue"))
        related.append(pool_resource(found["pool_id"], found["pool"], found["pool_type"], role="work-pool"))
    if found["parent"] is not None:
        related.append(resource("task-run", run["parent_task_run_id"], found["parent"], "task-run"))
    return related + tag_resources(run["tags"], found["flow_tags"], found["deployment_tags"])


def tag_resources(*lists: Iterable[str] | None) -> list[Labels]:
    """Tags as related resources, each once, in alphabetical order."""
    return [resource("tag", tag, None, "tag") for tag in sorted({tag for tags in lists for tag in tags or ()})]


# -- task runs ------------------------------------------------------------------------------------------------------

_OF_THE_RUN = (
    "name",
    "task_key",
    "dynamic_key",
    "tags",
    "labels",
    "empirical_policy",
    "run_count",
    "flow_run_run_count",
)


AroundTaskRuns = Mapping[UUID, list[Labels]]
"""What task runs have to do with, by their flow run: the flow run and its flow."""


def around_task_runs(tx: sa.Connection, records: Sequence[Any]) -> AroundTaskRuns | None:
    """What there is to know before `task_runs_entered`; None when it has nothing to tell.

    Args:
        records: task runs, as `prefect._operations.recording` has them.
    """
    if not records or get_current_settings().server.events.task_run_events == "none":
        return None
    return _flow_runs(tx, {record.flow_run_id for record in records if record.flow_run_id is not None})


def task_runs_entered(tx: sa.Connection, records: Sequence[Any], around: AroundTaskRuns) -> None:
    """Write that task runs entered states, which their processes decided.

    Which of the states is the setting `server.events.task_run_events`: a short task has left all but the last one when
    it is reported, and an event for each would cost several times what the task run itself costs.

    Args:
        tx: the transaction in which the states are written.
        records: task runs with the states that they entered, as `prefect._operations.recording` has them.
        around: what `around_task_runs` found.
    """
    which = get_current_settings().server.events.task_run_events
    told = [one for record in records for one in _of_task_run(record, around, every=which == "every")]
    write(tx, told)


def task_run_entered(
    tx: sa.Connection, run: Mapping[Any, Any], before: RunState | None, entered: RunState, *, run_count: int
) -> None:
    """Write that a task run entered a state by way of the server.

    Args:
        tx: the transaction in which the state was written.
        run: the row of the run, as it was before.
        before: the state that it was in.
        entered: the state that it is in now.
        run_count: how many attempts have begun.
    """
    if get_current_settings().server.events.task_run_events == "none":
        return
    subject = {
        **resource("task-run", run["id"], run["name"]),
        "prefect.orchestration": "server",
        "prefect.run-count": str(run_count),
        **_state_labels(entered),
    }
    of = run["flow_run_id"]
    related = [*tag_resources(run["tags"]), *(_flow_runs(tx, {of}).get(of, ()) if of is not None else ())]
    payload = {**_transition(before, entered), "task_run": {name: run[name] for name in _OF_THE_RUN}}
    payload["task_run"]["run_count"] = run_count
    follows = None if before is None else UUID(before.id)
    write(tx, [
        NewEvent(
            f"prefect.task-run.{entered.name}", subject, related, payload, from_us(entered.timestamp),
            UUID(entered.id), follows,
        )
    ])  # fmt: skip


def _of_task_run(record: Any, around: Mapping[UUID, list[Labels]], *, every: bool) -> Iterable[NewEvent]:
    labels = {**resource("task-run", record.id, record.name), "prefect.orchestration": "client"}
    related = [*tag_resources(record.tags), *around.get(record.flow_run_id, ())]
    run = {name: getattr(record, name) for name in _OF_THE_RUN}
    states = record.states
    for place in range(len(states)) if every else (len(states) - 1,):
        state, before = states[place], states[place - 1] if place else None
        type, message = state.type.value, (state.message or "")[:_LONGEST_MESSAGE]
        subject = {
            **labels,
            "prefect.run-count": str(record.run_count),
            "prefect.state-message": message,
            "prefect.state-name": state.name,
            "prefect.state-timestamp": state.timestamp.isoformat(),
            "prefect.state-type": type,
        }
        payload = {
            "intended": {"from": None if before is None else before.type.value, "to": type},
            "initial_state": None if before is None else {"type": before.type.value, "name": before.name},
            "validated_state": {"type": type, "name": state.name, "message": message},
            "task_run": run,
        }
        follows = before.id if every and before is not None else None
        name = f"prefect.task-run.{state.name}"
        yield NewEvent(name, subject, related, payload, state.timestamp, state.id, follows)


_WITH_FLOW = (
    sa.select(flow_run.c.id, flow_run.c.name, flow.c.id.label("flow_id"), flow.c.name.label("flow"))
    .join(flow, flow.c.id == flow_run.c.flow_id)
    .where(flow_run.c.id.in_(sa.bindparam("ids", expanding=True)))
)


def _flow_runs(tx: sa.Connection, ids: set[UUID]) -> dict[UUID, list[Labels]]:
    """What the task runs of these flow runs have to do with: the flow run and its flow."""
    return {
        row.id: [
            resource("flow-run", row.id, row.name, "flow-run"), resource("flow", row.flow_id, row.flow, "flow")
        ]
        for row in (tx.execute(_WITH_FLOW, {"ids": list(ids)}) if ids else ())
    }  # fmt: skip


# -- pools, queues, deployments -------------------------------------------------------------------------------------


def pool_resource(id: object, name: str, type: str, role: str | None = None) -> Labels:
    """The labels of a work pool."""
    return {**resource("work-pool", id, name, role), "prefect.work-pool.type": type}


def changes(before: Mapping[Any, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of an `updated` event: which fields have another value now, and which.

    Args:
        before: fields and their values before the change.
        after: the same afterwards; fields that are not in `before` are left out.
    """
    changed = {name: value for name, value in after.items() if name in before and before[name] != value}
    return to_jsonable_python({
        "updated_fields": list(changed),
        "updates": {name: {"from": before[name], "to": value} for name, value in changed.items()},
    })  # fmt: skip


def work_pool_changed(
    tx: sa.Connection,
    pool: Mapping[Any, Any],
    what: str,
    payload: Mapping[str, Any] | None = None,
    *,
    follows: UUID | None = None,
) -> UUID:
    """Write that something happened to a work pool.

    Args:
        tx: the transaction of the change.
        pool: its row: `id`, `name`, `type`, `default_queue_id`.
        what: `created`, `updated`, `deleted`, `ready`, `not-ready`, `paused`.
        payload: see `changes`, for `updated`.
        follows: the event of its status before, for a status.
    """
    is_status = what in ("ready", "not-ready", "paused")
    subject = pool_resource(pool["id"], pool["name"], pool["type"], None if is_status else "work-pool")
    related: list[Labels] = []
    if what in ("created", "deleted") and pool.get("default_queue_id") is not None:
        related.append(resource("work-queue", pool["default_queue_id"], None, "default-queue"))
    announce(tx, f"work_pool:{pool['id']}")
    return emit(tx, f"prefect.work-pool.{what}", subject, related, payload, follows=follows)


def work_queue_changed(
    tx: sa.Connection,
    queue: Mapping[Any, Any],
    pool: Mapping[Any, Any],
    what: str,
    payload: Mapping[str, Any] | None = None,
) -> UUID:
    """Write that something happened to a work queue; as `work_pool_changed`."""
    subject = resource("work-queue", queue["id"], queue["name"], "work-queue")
    related = [pool_resource(pool["id"], pool["name"], pool["type"], "work-pool")]
    return emit(tx, f"prefect.work-queue.{what}", subject, related, payload)


def deployment_changed(
    tx: sa.Connection, row: Mapping[Any, Any], what: str, payload: Mapping[str, Any] | None = None
) -> UUID:
    """Write that something happened to a deployment.

    Args:
        tx: the transaction of the change.
        row: its row: `id`, `name`, `flow_id`, `work_queue_id`.
        what: `created`, `updated`, `deleted`, `ready`, `not-ready`.
        payload: see `changes`, for `updated`.
    """
    joined = flow.outerjoin(work_queue, work_queue.c.id == row["work_queue_id"]).outerjoin(
        work_pool, work_pool.c.id == work_queue.c.work_pool_id
    )
    columns = (
        flow.c.name.label("flow"), work_queue.c.name.label("queue"), work_pool.c.id.label("pool_id"),
        work_pool.c.name.label("pool"), work_pool.c.type.label("pool_type"),
    )  # fmt: skip
    found = tx.execute(sa.select(*columns).select_from(joined).where(flow.c.id == row["flow_id"])).mappings().first()
    related: list[Labels] = []
    if found is not None:
        related.append(resource("flow", row["flow_id"], found["flow"], "flow"))
        if found["pool_id"] is not None:
            related.append(resource("work-queue", row["work_queue_id"], found["queue"], "work-queue"))
            related.append(pool_resource(found["pool_id"], found["pool"], found["pool_type"], "work-pool"))
    return emit(tx, f"prefect.deployment.{what}", resource("deployment", row["id"], row["name"]), related, payload)


# -- whatever else has a name ---------------------------------------------------------------------------------------

_LARGEST_DATA = 65_536
"""Characters of an artifact that its event repeats."""


def object_changed(
    tx: sa.Connection, kind: str, row: Mapping[Any, Any], what: str, *fields: str, related: Sequence[Labels] = ()
) -> UUID:
    """Write that something happened to an object that has an id and a name.

    Args:
        tx: the transaction of the change.
        kind: what it is, as in `variable`.
        row: its row.
        what: `created`, `updated`, `deleted`.
        fields: columns of the row that are told.
        related: what has to do with it.
    """
    payload = to_jsonable_python({name: row[name] for name in fields})
    name = row["name"] if "name" in row else row["key"]
    return emit(tx, f"prefect.{kind}.{what}", resource(kind, row["id"], name), related, payload)


def artifact_changed(tx: sa.Connection, collection_id: UUID, latest: Mapping[Any, Any], what: str) -> UUID:
    """Write that a key has another latest artifact, or none any more.

    Args:
        tx: the transaction of the change.
        collection_id: of the key.
        latest: the row of the artifact; for `deleted`, of the last one.
        what: `created`, `updated`, `deleted`.
    """
    data = latest["data"]
    if isinstance(data, str) and len(data) > _LARGEST_DATA:
        data = None  # who wants it reads the artifact
    row = {**latest, "id": collection_id, "data": data}
    related = [resource("artifact", latest["id"], None, "latest")]
    return object_changed(tx, "artifact-collection", row, what, "key", "type", "data", "description", related=related)
