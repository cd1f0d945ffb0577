"""Work queues: the lines in which the runs of a pool wait, the one with the lowest priority number first."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import edits, outbox, rows
from prefect._operations.errors import Conflict, Invalid
from prefect._operations.registry import operation
from prefect._operations.work_pools import SLOT_STATES, make_pool, pool_row
from prefect._rules.states import PAUSED, SCHEDULED
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkQueueCreate, WorkQueueUpdate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import WorkQueueStatus
from prefect._schemas.filters.work_pools import WorkQueueFilter
from prefect._schemas.work_pools import (
    DEFAULT_AGENT_WORK_POOL_NAME,
    WorkQueue,
    WorkQueueHealthPolicy,
    WorkQueueStatusDetail,
)
from prefect._store import pools, single
from prefect._store.announcements import announce
from prefect._store.tables import deployment, flow_run, work_pool, work_queue
from prefect.settings import get_current_settings

_KIND = "work queue"
_LATE = "Late"
_CHARACTERS_OF_PATHS = frozenset("/%&><")


class WorkQueueQuery(PrefectBaseModel):
    """A page of work queues."""

    work_queues: WorkQueueFilter | None = None
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many work queues.")
    offset: int = Field(default=0, ge=0, description="Leave out so many work queues first.")

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.true() if self.work_queues is None else pools.work_queue_matches(self.work_queues)


_SELECT = sa.select(work_queue, work_pool.c.name.label("work_pool_name")).join_from(
    work_queue, work_pool, work_queue.c.work_pool_id == work_pool.c.id
)

# -- by pool and name -----------------------------------------------------------------------------------------------


@operation("POST", "/work_pools/{work_pool_name}/queues", writes=True, status=201)
def create_pool_queue(tx: sa.Connection, work_pool_name: str, body: WorkQueueCreate) -> WorkQueue:
    """Make a queue of a pool; those at its priority and after it move back by one.

    Raises:
        NotFound: there is no such work pool.
        Conflict: the pool has a queue of that name.
        Invalid: the name holds a character that cannot be part of a path.
    """
    return _create(tx, pool_row(tx, work_pool_name)["id"], body)


@operation("GET", "/work_pools/{work_pool_name}/queues/{name}")
def read_pool_queue(tx: sa.Connection, work_pool_name: str, name: str) -> WorkQueue:
    """One queue of a pool.

    Raises:
        NotFound: there is no such work pool or queue.
    """
    return _views(tx, [_in_pool(tx, work_pool_name, name)])[0]


@operation("POST", "/work_pools/{work_pool_name}/queues/filter")
def read_pool_queues(tx: sa.Connection, work_pool_name: str, body: WorkQueueQuery) -> list[WorkQueue]:
    """The queues of a pool that match by priority, a page of them.

    Raises:
        NotFound: there is no such work pool.
    """
    of_pool = work_queue.c.work_pool_id == pool_row(tx, work_pool_name)["id"]
    statement = _SELECT.where(of_pool, body.clause()).order_by(work_queue.c.priority, work_queue.c.id)
    return _views(tx, list(tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()))


@operation("PATCH", "/work_pools/{work_pool_name}/queues/{name}", writes=True, status=204)
def update_pool_queue(tx: sa.Connection, work_pool_name: str, name: str, body: WorkQueueUpdate) -> None:
    """Change a queue of a pool; what is not given stays as it is.

    Raises:
        NotFound: there is no such work pool or queue.
        Conflict: the pool has another queue of the new name.
    """
    _update(tx, _in_pool(tx, work_pool_name, name), body)


@operation("DELETE", "/work_pools/{work_pool_name}/queues/{name}", writes=True, status=204)
def delete_pool_queue(tx: sa.Connection, work_pool_name: str, name: str) -> None:
    """Delete a queue of a pool; its deployments and the runs that wait in it go to the pool's default queue.

    Raises:
        NotFound: there is no such work pool or queue.
        Conflict: it is the default queue of the pool.
    """
    _delete(tx, _in_pool(tx, work_pool_name, name))


# -- by id ----------------------------------------------------------------------------------------------------------


@operation("POST", "/work_queues/", writes=True, status=201)
def create_work_queue(tx: sa.Connection, body: WorkQueueCreate) -> WorkQueue:
    """Make a queue of the pool of agents, and that pool if need be.

    Raises:
        Conflict: there is a queue of that name.
        Invalid: the name holds a character that cannot be part of a path.
    """
    make_pool(tx, WorkPoolCreate(name=DEFAULT_AGENT_WORK_POOL_NAME))
    return _create(tx, pool_row(tx, DEFAULT_AGENT_WORK_POOL_NAME)["id"], body)


@operation("GET", "/work_queues/{id}")
def read_work_queue(tx: sa.Connection, id: UUID) -> WorkQueue:
    """One work queue.

    Raises:
        NotFound: there is no such work queue.
    """
    return _views(tx, [_by_id(tx, id)])[0]


@operation("GET", "/work_queues/name/{name}")
def read_work_queue_by_name(tx: sa.Connection, name: str) -> WorkQueue:
    """The work queue of a name: that of the pool of agents, or else the oldest.

    Raises:
        NotFound: there is no such work queue.
    """
    of_agents = sa.case((work_pool.c.name == DEFAULT_AGENT_WORK_POOL_NAME, 0), else_=1)
    statement = _SELECT.where(work_queue.c.name == name).order_by(of_agents, work_queue.c.id).limit(1)
    return _views(tx, [rows.one(tx, statement, _KIND, name)])[0]


@operation("POST", "/work_queues/filter")
def read_work_queues(tx: sa.Connection, body: WorkQueueQuery) -> list[WorkQueue]:
    """The work queues of all pools that match by name, a page of them."""
    statement = _SELECT.where(body.clause()).order_by(work_queue.c.name, work_queue.c.id)
    return _views(tx, list(tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()))


@operation("PATCH", "/work_queues/{id}", writes=True, status=204)
def update_work_queue(tx: sa.Connection, id: UUID, body: WorkQueueUpdate) -> None:
    """Change a work queue; what is not given stays as it is.

    Raises:
        NotFound: there is no such work queue.
        Conflict: its pool has another queue of the new name.
    """
    _update(tx, _by_id(tx, id), body)


@operation("DELETE", "/work_queues/{id}", writes=True, status=204)
def delete_work_queue(tx: sa.Connection, id: UUID) -> None:
    """Delete a work queue; its deployments and the runs that wait in it go to the default queue of its pool.

    Raises:
        NotFound: there is no such work queue.
        Conflict: it is the default queue of its pool.
    """
    _delete(tx, _by_id(tx, id))


@operation("GET", "/work_queues/{id}/status")
def read_work_queue_status(tx: sa.Connection, id: UUID) -> WorkQueueStatusDetail:
    """How a work queue does: whether it is asked for runs, and how many of them are late.

    Raises:
        NotFound: there is no such work queue.
    """
    polled = _by_id(tx, id)["last_polled"]
    late = sa.and_(flow_run.c.work_queue_id == id, flow_run.c.state_type == SCHEDULED, flow_run.c.state_name == _LATE)
    late_runs = rows.count(tx, flow_run, late)
    policy = WorkQueueHealthPolicy()
    return WorkQueueStatusDetail(
        healthy=policy.evaluate_health_status(late_runs, polled),
        late_runs_count=late_runs,
        last_polled=polled,
        health_check_policy=policy,
    )


# -------------------------------------------------------------------------------------------------------------------


def ensure_queue(tx: sa.Connection, pool: sa.RowMapping, name: str | None) -> sa.RowMapping:
    """The queue of a pool that has this name, made if need be; without a name, the pool's default queue."""
    if name is None:
        return _by_id(tx, pool["default_queue_id"])
    statement = _SELECT.where(work_queue.c.work_pool_id == pool["id"], work_queue.c.name == name)
    found = tx.execute(statement).mappings().one_or_none()
    return found or _by_id(tx, _create(tx, pool["id"], WorkQueueCreate(name=name)).id)


def _by_id(tx: sa.Connection, id: UUID) -> sa.RowMapping:
    return rows.one(tx, _SELECT.where(work_queue.c.id == id), _KIND, id)


def _in_pool(tx: sa.Connection, work_pool_name: str, name: str) -> sa.RowMapping:
    of_pool = work_queue.c.work_pool_id == pool_row(tx, work_pool_name)["id"]
    statement = _SELECT.where(of_pool, work_queue.c.name == name)
    return rows.one(tx, statement, "work pool queue", f"{work_pool_name}/{name}")


def _create(tx: sa.Connection, pool_id: UUID, body: WorkQueueCreate) -> WorkQueue:
    _check_name(body.name)
    highest = sa.select(sa.func.max(work_queue.c.priority)).where(work_queue.c.work_pool_id == pool_id)
    last = tx.execute(highest).scalar_one_or_none() or 0
    values = body.model_dump(mode="json") | {
        "work_pool_id": pool_id,
        "description": body.description or "",
        "priority": body.priority or last + 1,
    }
    row = single.insert_new(tx, work_queue, values)
    if row is None:
        raise _taken(body.name)
    outbox.work_queue_changed(tx, row, _pool_of(tx, row), "created")
    _make_room(tx, row)
    return _views(tx, [_by_id(tx, row["id"])])[0]


def _update(tx: sa.Connection, row: sa.RowMapping, body: WorkQueueUpdate) -> None:
    if body.name is not None:
        _check_name(body.name)
    values = edits.changes(work_queue, body)
    if body.filter is not None:
        values["filter"] = body.filter.model_dump(mode="json")
    edits.update(tx, work_queue, work_queue.c.id == row["id"], values, taken=str(_taken(body.name or row["name"])))
    changed = outbox.changes(row, {name: value for name, value in values.items() if name != "is_paused"})
    if changed["updated_fields"]:
        outbox.work_queue_changed(tx, row, _pool_of(tx, row), "updated", changed)
    announce(tx, "polled", "scheduled")  # it may be paused, or have more room
    if "priority" in values:
        _make_room(tx, {**row, **values})


def _make_room(tx: sa.Connection, row: sa.RowMapping | dict[str, object]) -> None:
    """Move the queues back that would share a queue's priority, and those behind them."""
    others = sa.and_(work_queue.c.work_pool_id == row["work_pool_id"], work_queue.c.id != row["id"])
    shared = sa.select(work_queue.c.id).where(others, work_queue.c.priority == row["priority"])
    if tx.execute(shared).first() is not None:
        behind = sa.and_(others, work_queue.c.priority >= row["priority"])
        tx.execute(sa.update(work_queue).where(behind).values(priority=work_queue.c.priority + 1))


def _delete(tx: sa.Connection, row: sa.RowMapping) -> None:
    default = sa.select(work_pool.c.id).where(work_pool.c.default_queue_id == row["id"])
    if tx.execute(default).first() is not None:
        raise Conflict(
            f"{row['name']!r} is the default queue of work pool {row['work_pool_name']!r}, which cannot do without it. "
            "Pause it instead, or delete the pool."
        )
    pool = _pool_of(tx, row)
    outbox.work_queue_changed(tx, row, pool, "deleted")
    # before the row goes, which would leave its deployments without a pool
    _move(tx, row["id"], pool["default_queue_id"])
    tx.execute(sa.delete(work_queue).where(work_queue.c.id == row["id"]))


def _move(tx: sa.Connection, id: UUID, to: UUID | None) -> None:
    """Put the deployments of a queue, and its runs that wait, into another."""
    name = tx.execute(sa.select(work_queue.c.name).where(work_queue.c.id == to)).scalar_one_or_none()
    if name is None:
        return
    values = {"work_queue_id": to, "work_queue_name": name}
    tx.execute(sa.update(deployment).where(deployment.c.work_queue_id == id).values(values))
    waits = sa.and_(flow_run.c.work_queue_id == id, flow_run.c.state_type.in_((SCHEDULED, PAUSED)))
    tx.execute(sa.update(flow_run).where(waits).values(values))
    announce(tx, "scheduled")


def _pool_of(tx: sa.Connection, queue: sa.RowMapping) -> sa.RowMapping:
    return tx.execute(sa.select(work_pool).where(work_pool.c.id == queue["work_pool_id"])).mappings().one()


def _check_name(name: str) -> None:
    if not name or _CHARACTERS_OF_PATHS & set(name):
        raise Invalid(f"name must have a character and none of {' '.join(sorted(_CHARACTERS_OF_PATHS))}: {name!r}.")


def _taken(name: str) -> Conflict:
    return Conflict(f"A work queue with the name {name!r} already exists in this work pool.")


def _views(tx: sa.Connection, found: list[sa.RowMapping]) -> list[WorkQueue]:
    limited = [row["id"] for row in found if row["concurrency_limit"] is not None]
    held = (
        sa.select(flow_run.c.work_queue_id, sa.func.count())
        .where(flow_run.c.work_queue_id.in_(limited), flow_run.c.state_type.in_(SLOT_STATES))
        .group_by(flow_run.c.work_queue_id)
    )
    slots = dict(tx.execute(held).tuples().all()) if limited else {}
    moment = now()
    return [
        WorkQueue.model_validate(
            {
                **row,
                "status": _status(row, moment),
                # only a limit has slots
                "active_slots": slots.get(row["id"], 0) if row["concurrency_limit"] is not None else None,
            }
        )
        for row in found
    ]


def _status(queue: sa.RowMapping, moment: datetime) -> WorkQueueStatus:
    if queue["is_paused"]:
        return WorkQueueStatus.PAUSED
    patience = get_current_settings().server.services.foreman
    lately = timedelta(seconds=patience.work_queue_last_polled_timeout_seconds)
    polled = queue["last_polled"]
    return WorkQueueStatus.READY if polled is not None and moment - polled < lately else WorkQueueStatus.NOT_READY
