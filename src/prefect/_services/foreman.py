"""Which work pools, queues and deployments are asked for runs: an event tells when that changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now as clock
from prefect._operations import chains, outbox
from prefect._operations.work_pools import AGENT_TYPE
from prefect._services.framework import Database, Round
from prefect._store.dialects import insert
from prefect._store.tables import deployment, readiness, work_pool, work_queue, worker
from prefect.settings import get_current_settings

_AT_ONCE = 100
_POOL, _QUEUE, _DEPLOYMENT = "work-pool", "work-queue", "deployment"


class _Seen(NamedTuple):
    """What is asked for runs now, what was when somebody looked last, and when that may end."""

    ready: dict[UUID, str]
    known: dict[UUID, str]
    next_at: datetime | None


def run_once(database: Database, now: datetime) -> Round:
    """Tell of what is asked for runs since the last look, and of what is not any more."""
    seen = database.read(lambda tx: _look(tx, now))
    begun = {id: kind for id, kind in seen.ready.items() if id not in seen.known}
    ended = {id: kind for id, kind in seen.known.items() if id not in seen.ready}
    # some at a time: others want to write, too
    first = [*begun][:_AT_ONCE], [*ended][:_AT_ONCE]
    some = [{id: kinds[id] for id in ids} for kinds, ids in zip((begun, ended), first, strict=True)]
    done = database.write(lambda tx: _tell(tx, *some)) if begun or ended else 0
    return Round(len(begun) > _AT_ONCE or len(ended) > _AT_ONCE, seen.next_at, done)


def _look(tx: sa.Connection, now: datetime) -> _Seen:
    ready: dict[UUID, str] = {}
    ends: list[datetime] = []
    online = (
        sa.select(work_pool.c.id, sa.func.max(worker.c.offline_at).label("ends"))
        .join(worker, worker.c.work_pool_id == work_pool.c.id)
        .where(worker.c.offline_at > now, work_pool.c.is_paused.is_(False), work_pool.c.type != AGENT_TYPE)
        .group_by(work_pool.c.id)
    )
    for row in tx.execute(online):
        ready[row.id] = _POOL
        ends.append(row.ends)
    patience = get_current_settings().server.services.foreman
    for kind, table, seconds, more in (
        (_QUEUE, work_queue, patience.work_queue_last_polled_timeout_seconds, work_queue.c.is_paused.is_(False)),
        (_DEPLOYMENT, deployment, patience.deployment_last_polled_timeout_seconds, sa.true()),
    ):
        lately = timedelta(seconds=seconds)
        asked = sa.select(table.c.id, table.c.last_polled).where(table.c.last_polled > now - lately, more)
        for row in tx.execute(asked):
            ready[row.id] = kind
            ends.append(row.last_polled + lately)
    known = dict(tx.execute(sa.select(readiness.c.id, readiness.c.kind)).tuples().all())
    return _Seen(ready, known, min(ends, default=None))


def _tell(tx: sa.Connection, begun: Mapping[UUID, str], ended: Mapping[UUID, str]) -> int:
    told = 0
    for id, kind in sorted(begun.items()):
        made = insert(tx, readiness).values(id=id, kind=kind).on_conflict_do_nothing().returning(readiness.c.id)
        if tx.execute(made).first() is not None:  # else another server was faster
            event = _emit(tx, kind, id, "ready", None)
            tx.execute(sa.update(readiness).where(readiness.c.id == id).values(event_id=event))
            told += 1
    for id, kind in sorted(ended.items()):
        statement = sa.delete(readiness).where(readiness.c.id == id).returning(readiness.c.event_id)
        row = tx.execute(statement).first()
        if row is not None:
            _emit(tx, kind, id, "not-ready", row.event_id)
            told += 1
    return told


def _emit(tx: sa.Connection, kind: str, id: UUID, what: str, follows: UUID | None) -> UUID | None:
    row = _row(tx, {_POOL: work_pool, _QUEUE: work_queue, _DEPLOYMENT: deployment}[kind], id)
    if row is None:
        return None  # deleted
    with chains.because_of(chains.origin_about(tx, f"prefect.{kind}.{id}", clock())):
        if kind == _DEPLOYMENT:
            return outbox.deployment_changed(tx, row, what)
        if row["is_paused"]:
            what = "paused"
        if kind == _POOL:
            return outbox.work_pool_changed(tx, row, what, follows=follows)
        pool = _row(tx, work_pool, row["work_pool_id"])
        return None if pool is None else outbox.work_queue_changed(tx, row, pool, what)


def _row(tx: sa.Connection, table: sa.Table, id: UUID) -> Any:
    return tx.execute(sa.select(table).where(table.c.id == id)).mappings().one_or_none()
