"""What is old is removed: events, log lines, flow runs with all that belongs to them, and what nobody can use any more.

Each class has its own age (`server.services.db_vacuum`). A little is removed in each transaction, so that nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import to_us
from prefect._operations import cleanup_orders
from prefect._operations.errors import NotFound
from prefect._operations.flow_runs import delete_flow_run
from prefect._rules.states import TERMINAL
from prefect._services.framework import Database, KnowsOwners, Round
from prefect._store.tables import (
    artifact,
    artifact_collection,
    cleanup_message,
    csrf_token,
    event,
    event_resource,
    flow_run,
    log,
    owner,
    task_run,
    worker,
)
from prefect.settings import get_current_settings

_FORGOTTEN_WORKERS = timedelta(days=30)
"""How long a worker that is not heard of is remembered. Workers without a name of their own get a new one each time."""

_FORGOTTEN_PROCESSES = timedelta(days=1)


def run_once(database: Database, now: datetime) -> Round:
    """Remove one batch of each class of data that is old enough."""
    settings = get_current_settings()
    wanted = settings.server.services.db_vacuum
    kinds, batch = wanted.enabled_vacuum_types, wanted.batch_size
    removed = [database.write(lambda tx: _remove_expired(tx, now, batch))]
    if isinstance(database, KnowsOwners):
        removed.append(_remove_owners(database, now, batch))
    if "events" in kinds:
        for name, age in wanted.event_retention_overrides.items():
            removed.append(
                database.write(lambda tx, n=name, a=age: _remove_events(tx, now - a, batch, event.c.event == n))
            )
        others = event.c.event.not_in(list(wanted.event_retention_overrides))
        before = now - settings.server.events.retention_period
        removed.append(database.write(lambda tx: _remove_events(tx, before, batch, others)))
    if "logs" in kinds:
        before = now - wanted.age_of_logs(settings)
        removed.append(database.write(lambda tx: _remove_logs(tx, before, batch)))
    if "flow_runs" in kinds:
        removed.append(_remove_flow_runs(database, now - wanted.age_of_flow_runs(settings), batch))
    return Round(batch in removed, now + timedelta(seconds=wanted.loop_seconds), sum(removed))


def _remove_expired(tx: sa.Connection, now: datetime, batch: int) -> int:
    count = _delete(tx, csrf_token, csrf_token.c.expiration < now, batch)
    count = max(count, _delete(tx, cleanup_message, cleanup_message.c.created < now - cleanup_orders.KEPT, batch))
    return max(count, _delete(tx, worker, worker.c.offline_at < now - _FORGOTTEN_WORKERS, batch))


def _remove_owners(database: Database, now: datetime, batch: int) -> int:
    """Forget the processes that have ended and left nothing unfinished."""
    needed = sa.exists().where(flow_run.c.owner == owner.c.id)
    idle = sa.select(owner.c.id).where(owner.c.created < now - _FORGOTTEN_PROCESSES, sa.not_(needed))
    ids = database.read(lambda tx: tx.execute(idle.order_by(owner.c.created).limit(batch)).scalars().all())
    ended = [id for id in ids if not cast("KnowsOwners", database).owner_lives(str(id))]
    if ended:
        database.write(lambda tx: tx.execute(sa.delete(owner).where(owner.c.id.in_(ended), sa.not_(needed))))
    return len(ended)


def _delete(tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], batch: int) -> int:
    ids = sa.select(table.c.id).where(where).limit(batch)
    return tx.execute(sa.delete(table).where(table.c.id.in_(ids))).rowcount


def _remove_events(tx: sa.Connection, before: datetime, batch: int, which: sa.ColumnElement[bool]) -> int:
    statement = sa.select(event.c.id).where(event.c.occurred < before, which).order_by(event.c.occurred).limit(batch)
    ids = tx.execute(statement.with_for_update(skip_locked=True)).scalars().all()
    if ids:
        tx.execute(sa.delete(event_resource).where(event_resource.c.event_id.in_(ids)))
        tx.execute(sa.delete(event).where(event.c.id.in_(ids)))
    return len(ids)


def _remove_logs(tx: sa.Connection, before: datetime, batch: int) -> int:
    # the ids of lines are in the order in which they were made, which spares an index by time
    first = UUID(int=(to_us(before) // 1000) << 80)
    ids = sa.select(log.c.id).where(log.c.id < first).order_by(log.c.id).limit(batch)
    return tx.execute(sa.delete(log).where(log.c.id.in_(ids))).rowcount


def _remove_flow_runs(database: Database, before: datetime, batch: int) -> int:
    """Remove flow runs, each in a transaction of its own; sub-flow runs follow when their parent has gone."""
    old: Callable[[sa.Connection], list[UUID]] = lambda tx: list(  # noqa: E731
        tx.execute(
            sa.select(flow_run.c.id)
            .where(
                flow_run.c.state_type.in_(sorted(TERMINAL)),
                flow_run.c.expected_start_time < before,
                flow_run.c.end_time < before,
                flow_run.c.parent_flow_run_id.is_(None),
            )
            .limit(batch)
        ).scalars()
    )
    ids = database.read(old)
    for id in ids:
        database.write(lambda tx, id=id: _remove_flow_run(tx, id))
    return len(ids)


def _remove_flow_run(tx: sa.Connection, id: UUID) -> None:
    own_task_runs = sa.select(task_run.c.id).where(task_run.c.flow_run_id == id)
    latest: Any = sa.exists().where(artifact_collection.c.latest_id == artifact.c.id)
    # the newest artifact of a key is what people look at, however old it is
    of_run = sa.or_(artifact.c.flow_run_id == id, artifact.c.task_run_id.in_(own_task_runs))
    tx.execute(sa.delete(artifact).where(of_run, sa.not_(latest)))
    try:
        delete_flow_run(tx, id)
    except NotFound:
        pass  # somebody was faster
