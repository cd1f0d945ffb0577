"""Work pools: where runs go to be run, and the workers that are there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import edits, outbox, rows
from prefect._operations.errors import Conflict, Forbidden, Invalid, NotFound
from prefect._operations.registry import operation
from prefect._operations.slots import SLOT_STATES as SLOT_STATES
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import WorkPoolStatus
from prefect._schemas.fields import ShortText
from prefect._schemas.filters.work_pools import WorkerFilter, WorkPoolFilter
from prefect._schemas.job_templates import check_job_template
from prefect._schemas.work_pools import Worker, WorkerMetadata, WorkPool
from prefect._store import pools, single
from prefect._store.announcements import announce
from prefect._store.dialects import insert
from prefect._store.tables import flow_run, work_pool, work_queue, worker
from prefect.settings import get_current_settings

DEFAULT_QUEUE = "default"
AGENT_TYPE = "prefect-agent"
"""The type of pools without workers, as there were before them: such a pool has no status."""

_RESERVED = "prefect"


class WorkPoolSelection(PrefectBaseModel):
    """Which work pools."""

    work_pools: WorkPoolFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.true() if self.work_pools is None else pools.work_pool_matches(self.work_pools)


class WorkPoolQuery(WorkPoolSelection):
    """A page of work pools."""

    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many work pools.")
    offset: int = Field(default=0, ge=0, description="Leave out so many work pools first.")


class WorkerQuery(PrefectBaseModel):
    """A page of the workers of a pool."""

    workers: WorkerFilter | None = None
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many workers.")
    offset: int = Field(default=0, ge=0, description="Leave out so many workers first.")


class WorkerHeartbeat(PrefectBaseModel):
    """A worker is there."""

    name: ShortText
    heartbeat_interval_seconds: int | None = Field(default=None, gt=0, description="Seconds until the next heartbeat.")
    metadata: WorkerMetadata | None = Field(default=None, description="What it tells of itself; kept when left out.")


@operation("POST", "/work_pools/", writes=True, status=201)
def create_work_pool(tx: sa.Connection, body: WorkPoolCreate) -> WorkPool:
    """Make a work pool, with its default queue.

    Raises:
        Conflict: there is one of that name.
        Forbidden: the name is reserved.
        Invalid: the job template lacks a part, or uses what it does not declare.
    """
    if body.name.lower().startswith(_RESERVED):
        raise Forbidden("Work pools starting with 'Prefect' are reserved for internal use.")
    _check_template(body.base_job_template)
    pool_id = make_pool(tx, body)
    if pool_id is None:
        raise Conflict(f"A work pool with the name {body.name!r} already exists.")
    return read_work_pool(tx, body.name)


def make_pool(tx: sa.Connection, body: WorkPoolCreate) -> UUID | None:
    """Make a work pool with its default queue and return its id; None when there is one of that name."""
    values = body.model_dump() | {"storage_configuration": body.storage_configuration.model_dump(mode="json")}
    row = single.insert_new(tx, work_pool, values)
    if row is None:
        return None
    queue = {"work_pool_id": row["id"], "name": DEFAULT_QUEUE, "description": "The work pool's default queue."}
    queue_id = tx.execute(sa.insert(work_queue).values(**queue).returning(work_queue.c.id)).scalar_one()
    tx.execute(sa.update(work_pool).where(work_pool.c.id == row["id"]).values(default_queue_id=queue_id))
    outbox.work_queue_changed(tx, {"id": queue_id, "name": DEFAULT_QUEUE}, row, "created")
    outbox.work_pool_changed(tx, {**row, "default_queue_id": queue_id}, "created")
    return row["id"]


@operation("GET", "/work_pools/{name}")
def read_work_pool(tx: sa.Connection, name: str) -> WorkPool:
    """One work pool.

    Raises:
        NotFound: there is no such work pool.
    """
    return _views(tx, [pool_row(tx, name)])[0]


@operation("POST", "/work_pools/filter")
def read_work_pools(tx: sa.Connection, body: WorkPoolQuery) -> list[WorkPool]:
    """The work pools that match by name, a page of them."""
    statement = sa.select(work_pool).where(body.clause()).order_by(work_pool.c.name)
    return _views(tx, list(tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()))


@operation("POST", "/work_pools/count")
def count_work_pools(tx: sa.Connection, body: WorkPoolSelection) -> int:
    """How many work pools match."""
    return rows.count(tx, work_pool, body.clause())


@operation("PATCH", "/work_pools/{name}", writes=True, status=204)
def update_work_pool(tx: sa.Connection, name: str, body: WorkPoolUpdate) -> None:
    """Change a work pool; what is not given stays as it is.

    Raises:
        NotFound: there is no such work pool.
        Invalid: the job template lacks a part or uses what it does not declare, or the limit is below zero.
    """
    if body.base_job_template is not None:
        _check_template(body.base_job_template)
    if body.concurrency_limit is not None and body.concurrency_limit < 0:
        raise Invalid(f"concurrency_limit must not be below 0, but is {body.concurrency_limit}.")
    values = edits.changes(work_pool, body)
    if body.storage_configuration is not None:
        values["storage_configuration"] = body.storage_configuration.model_dump(mode="json")
    before = pool_row(tx, name)
    taken = f"Work pool {name!r} cannot be changed."
    if edits.update(tx, work_pool, work_pool.c.id == before["id"], values, taken=taken) == 0:
        raise NotFound("work pool", name)
    changed = outbox.changes(before, {name: value for name, value in values.items() if name != "is_paused"})
    if changed["updated_fields"]:
        outbox.work_pool_changed(tx, before, "updated", changed)
    announce(tx, f"work_pool:{before['id']}", "polled", "scheduled")


@operation("DELETE", "/work_pools/{name}", writes=True, status=204)
def delete_work_pool(tx: sa.Connection, name: str) -> None:
    """Delete a work pool with its queues and workers.

    Raises:
        NotFound: there is no such work pool.
    """
    pool = pool_row(tx, name)
    for queue in tx.execute(sa.select(work_queue).where(work_queue.c.work_pool_id == pool["id"])).mappings().all():
        outbox.work_queue_changed(tx, queue, pool, "deleted")
    outbox.work_pool_changed(tx, pool, "deleted")
    edits.delete(tx, work_pool, work_pool.c.id == pool["id"], "work pool", name)
    announce(tx, "scheduled")  # who waits for its runs waits in vain


# -- workers --------------------------------------------------------------------------------------------------------


@operation("POST", "/work_pools/{work_pool_name}/workers/heartbeat", writes=True, status=204)
def worker_heartbeat(tx: sa.Connection, work_pool_name: str, body: WorkerHeartbeat) -> None:
    """Note that a worker of a pool is there; one that is not known yet is from now on.

    Raises:
        NotFound: there is no such work pool.
    """
    pool_id = pool_row(tx, work_pool_name)["id"]
    moment = now()
    statement = sa.select(worker.c.heartbeat_interval_seconds, worker.c.offline_at).where(
        worker.c.work_pool_id == pool_id, worker.c.name == body.name
    )
    known = tx.execute(statement).one_or_none()
    if known is None or known.offline_at <= moment:
        announce(tx, "polled")
    interval = body.heartbeat_interval_seconds or (None if known is None else known.heartbeat_interval_seconds)
    patience = get_current_settings().server.services.foreman
    usual = interval or patience.fallback_heartbeat_interval_seconds
    silence = timedelta(seconds=patience.inactivity_heartbeat_multiple * usual)
    values: dict[str, Any] = {
        "heartbeat_interval_seconds": interval,
        "last_heartbeat_time": moment,
        "offline_at": moment + silence,
        "updated": moment,
    }
    if body.metadata is not None:
        values["metadata"] = body.metadata.model_dump(mode="json")
    made = insert(tx, worker).values(work_pool_id=pool_id, name=body.name, **values)
    tx.execute(made.on_conflict_do_update(index_elements=["work_pool_id", "name"], set_=values))


@operation("POST", "/work_pools/{work_pool_name}/workers/filter")
def read_workers(tx: sa.Connection, work_pool_name: str, body: WorkerQuery) -> list[Worker]:
    """The workers of a pool that match, those heard of last first, a page of them.

    Raises:
        NotFound: there is no such work pool.
    """
    of_pool = worker.c.work_pool_id == pool_row(tx, work_pool_name)["id"]
    matches = sa.true() if body.workers is None else pools.worker_matches(body.workers)
    statement = sa.select(worker, pools.worker_status(now()).label("status")).where(of_pool, matches)
    statement = statement.order_by(worker.c.last_heartbeat_time.desc(), worker.c.id).limit(body.limit)
    return [Worker.model_validate(row) for row in tx.execute(statement.offset(body.offset)).mappings()]


@operation("DELETE", "/work_pools/{work_pool_name}/workers/{name}", writes=True, status=204)
def delete_worker(tx: sa.Connection, work_pool_name: str, name: str) -> None:
    """Forget a worker of a pool.

    Raises:
        NotFound: there is no such work pool or worker.
    """
    of_pool = worker.c.work_pool_id == pool_row(tx, work_pool_name)["id"]
    edits.delete(tx, worker, sa.and_(of_pool, worker.c.name == name), "worker", name)


# -- what pools have in common with their queues --------------------------------------------------------------------


def pool_row(tx: sa.Connection, name: str) -> sa.RowMapping:
    """The row of a work pool.

    Raises:
        NotFound: there is no such work pool.
    """
    return rows.one(tx, sa.select(work_pool).where(work_pool.c.name == name), "work pool", name)


def _check_template(template: dict[str, Any]) -> None:
    try:
        check_job_template(template)
    except ValueError as exc:
        raise Invalid(str(exc)) from None


def _views(tx: sa.Connection, found: list[sa.RowMapping]) -> list[WorkPool]:
    ids = [row["id"] for row in found]
    limited = [row["id"] for row in found if row["concurrency_limit"] is not None]
    online = sa.select(worker.c.work_pool_id).where(worker.c.work_pool_id.in_(ids), worker.c.offline_at > now())
    ready = set(tx.execute(online.distinct()).scalars())
    held = (
        sa.select(work_queue.c.work_pool_id, sa.func.count())
        .join(flow_run, flow_run.c.work_queue_id == work_queue.c.id)
        .where(work_queue.c.work_pool_id.in_(limited), flow_run.c.state_type.in_(SLOT_STATES))
        .group_by(work_queue.c.work_pool_id)
    )
    slots = dict(tx.execute(held).tuples().all())
    return [
        WorkPool.model_validate(
            {
                **row,
                "status": _status(row, ready),
                # only a limit has slots
                "active_slots": None if row["concurrency_limit"] is None else slots.get(row["id"], 0),
            }
        )
        for row in found
    ]


def _status(pool: sa.RowMapping, ready: set[UUID]) -> WorkPoolStatus | None:
    if pool["type"] == AGENT_TYPE:
        return None
    if pool["is_paused"]:
        return WorkPoolStatus.PAUSED
    return WorkPoolStatus.READY if pool["id"] in ready else WorkPoolStatus.NOT_READY
