"""Orders to clean up infrastructure, for the workers of a pool: each is with one worker at a time, until it is done.

Whoever holds an order has its token. An order that is not acknowledged in time is given out again, and given up after
`server.worker_channel.cleanup_max_delivery_attempts` times.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._schemas.worker_channel import CleanupKind, CleanupOperationStatus
from prefect._store.announcements import announce
from prefect._store.dialects import insert
from prefect._store.tables import cleanup_message

TOPIC = "cleanup"


def order(
    tx: sa.Connection,
    kind: CleanupKind,
    *,
    work_pool_id: UUID,
    flow_run_id: UUID,
    work_queue_id: UUID | None = None,
    target: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Order that what a flow run left behind is taken down. One order of a kind stands for a run, whoever gives it.

    Args:
        tx: the transaction.
        kind: why it has to be taken down.
        work_pool_id: whose workers can do it.
        flow_run_id: the run.
        work_queue_id: only workers that ask this queue for runs.
        target: what more is known of what is to be taken down, as its process id.
        data: anything else for the worker.
    """
    values = {
        "id": new_uuid(), "kind": kind, "work_pool_id": work_pool_id, "work_queue_id": work_queue_id,
        "flow_run_id": flow_run_id, "target": {"flow_run_id": str(flow_run_id), **(target or {})},
        "data": dict(data or {}),
    }  # fmt: skip
    tx.execute(insert(tx, cleanup_message).values(**values).on_conflict_do_nothing())
    announce(tx, TOPIC)


def reserve(
    tx: sa.Connection,
    work_pool_id: UUID,
    kinds: Sequence[str],
    queue_ids: Sequence[UUID],
    moment: datetime,
    *,
    seconds: float,
    attempts: int,
    but: Collection[UUID] = (),
) -> sa.RowMapping | None:
    """Give an order to a worker, the oldest first; None when there is none.

    Args:
        tx: the transaction.
        work_pool_id: the worker's pool.
        kinds: what it can do.
        queue_ids: the queues that it asks for runs.
        moment: now.
        seconds: how long it has.
        attempts: how often an order is given out.
        but: not these, which it has just given back.
    """
    open_ = _open(work_pool_id, kinds, queue_ids, moment)
    if but:
        open_.append(cleanup_message.c.id.not_in(list(but)))
    tx.execute(
        sa.update(cleanup_message)
        .where(*open_, cleanup_message.c.delivery_count >= attempts)
        .values(dead_since=moment, reservation_token=None, reserved_until=None)
    )
    first = sa.select(cleanup_message.c.id).where(*open_).order_by(cleanup_message.c.id).limit(1)
    found = tx.execute(first.with_for_update(skip_locked=True)).scalar_one_or_none()
    if found is None:
        return None
    values = {
        "reservation_token": secrets.token_urlsafe(24),
        "reserved_until": moment + timedelta(seconds=seconds),
        "delivery_count": cleanup_message.c.delivery_count + 1,
    }
    statement = sa.update(cleanup_message).where(cleanup_message.c.id == found).values(**values)
    return tx.execute(statement.returning(cleanup_message)).mappings().one()


def next_open(
    tx: sa.Connection,
    work_pool_id: UUID,
    kinds: Sequence[str],
    queue_ids: Sequence[UUID],
    but: Collection[UUID] = (),
) -> datetime | None:
    """When the next order can be had, in the past if one can be had now; None when there is none."""
    until = sa.func.coalesce(cleanup_message.c.reserved_until, cleanup_message.c.created)
    mine = _of(work_pool_id, kinds, queue_ids)
    if but:
        mine.append(cleanup_message.c.id.not_in(list(but)))
    return tx.execute(sa.select(sa.func.min(until)).where(*mine)).scalar_one()


def acknowledge(tx: sa.Connection, id: UUID, token: str, moment: datetime) -> CleanupOperationStatus:
    """An order was carried out."""
    status = _standing(tx, id, token, moment)
    if status == "accepted":
        tx.execute(sa.delete(cleanup_message).where(cleanup_message.c.id == id))
    return status


def release(tx: sa.Connection, id: UUID, token: str, moment: datetime) -> CleanupOperationStatus:
    """An order is given back, for another worker."""
    status = _standing(tx, id, token, moment)
    if status == "accepted":
        give_back(tx, [id])
    return status


def renew(
    tx: sa.Connection, id: UUID, token: str, moment: datetime, *, seconds: float
) -> tuple[CleanupOperationStatus, datetime | None]:
    """More time is needed for an order; returns until when, if it is granted."""
    status = _standing(tx, id, token, moment)
    if status != "accepted":
        return status, None
    until = moment + timedelta(seconds=seconds)
    tx.execute(sa.update(cleanup_message).where(cleanup_message.c.id == id).values(reserved_until=until))
    return status, until


def give_back(tx: sa.Connection, ids: Sequence[UUID], tokens: Sequence[str] | None = None) -> None:
    """Let others have orders at once, as when their worker has gone.

    Args:
        tx: the transaction.
        ids: the orders.
        tokens: only those that are still held with one of these.
    """
    where = [cleanup_message.c.id.in_(ids)]
    if tokens is not None:
        where.append(cleanup_message.c.reservation_token.in_(tokens))
    tx.execute(sa.update(cleanup_message).where(*where).values(reservation_token=None, reserved_until=None))
    announce(tx, TOPIC)


def _of(work_pool_id: UUID, kinds: Sequence[str], queue_ids: Sequence[UUID]) -> list[sa.ColumnElement[bool]]:
    return [
        cleanup_message.c.work_pool_id == work_pool_id,
        cleanup_message.c.kind.in_(kinds),
        cleanup_message.c.dead_since.is_(None),
        sa.or_(cleanup_message.c.work_queue_id.is_(None), cleanup_message.c.work_queue_id.in_(queue_ids)),
    ]


def _open(
    work_pool_id: UUID, kinds: Sequence[str], queue_ids: Sequence[UUID], moment: datetime
) -> list[sa.ColumnElement[bool]]:
    free = sa.or_(cleanup_message.c.reserved_until.is_(None), cleanup_message.c.reserved_until <= moment)
    return [*_of(work_pool_id, kinds, queue_ids), free]


def _standing(tx: sa.Connection, id: UUID, token: str, moment: datetime) -> CleanupOperationStatus:
    statement = sa.select(cleanup_message).where(cleanup_message.c.id == id).with_for_update()
    row = tx.execute(statement).mappings().one_or_none()
    if row is None:
        return "not_found"
    if row["dead_since"] is not None:
        return "dead_lettered"
    if row["reservation_token"] is None or not secrets.compare_digest(row["reservation_token"], token):
        return "not_current"
    return "accepted" if row["reserved_until"] > moment else "expired"
