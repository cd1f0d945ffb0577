"""Orders to clean up infrastructure, for the workers of a pool: each is with one worker at a time, until it is done.

Whoever holds an order has its token. An order that is not acknowledged in time is given out again, and given up after
`server.worker_channel.cleanup_max_delivery_attempts` times. What nobody could do within a day is forgotten by the service
`db_vacuum`, so that orders for a pool without workers that can carry them out do not stay for ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._schemas.worker_channel import (
    CANCELLING_TIMEOUT_TEARDOWN,
    PENDING_CLAIM_TEARDOWN,
    CleanupKind,
    CleanupOperationStatus,
)
from prefect._store.announcements import announce
from prefect._store.dialects import insert
from prefect._store.tables import cleanup_message, flow_run, work_queue

TOPIC = "cleanup"
KEPT = timedelta(days=1)
"""How long an order stands."""

NOT_TRIED = frozenset({"infrastructure_not_available", "concurrency_limit_reached"})
"""Reasons of workers for giving an order back that say nothing of whether it can be carried out: they do not count."""


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
    """Order that what a flow run left behind is taken down.

    One order of a kind stands for a run, whoever gives it; the order of a later claim takes the place of that of an
    earlier one.

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
    statement = insert(tx, cleanup_message).values(**values)
    columns = ["work_pool_id", "kind", "flow_run_id"]
    if kind == PENDING_CLAIM_TEARDOWN:
        anew = {"delivery_count": 0, "reservation_token": None, "reserved_until": None, "dead_since": None}
        anew |= {name: statement.excluded[name] for name in ("id", "created", "work_queue_id", "target", "data")}
        tx.execute(statement.on_conflict_do_update(index_elements=columns, set_=anew))
    else:
        tx.execute(statement.on_conflict_do_nothing(index_elements=columns))
    announce(tx, TOPIC)


def order_for_cancelled(tx: sa.Connection, run: Mapping[Any, Any]) -> None:
    """Have the infrastructure of a run taken down that was to be cancelled and whose process did not say that it ended.

    Nothing is ordered for a run that has none, or that no work pool knows.
    """
    pool = _pool_of(tx, run)
    if pool is not None and run["infrastructure_pid"]:
        order(
            tx, CANCELLING_TIMEOUT_TEARDOWN, work_pool_id=pool, flow_run_id=run["id"],
            work_queue_id=run["work_queue_id"], target={"infrastructure_pid": run["infrastructure_pid"]},
        )  # fmt: skip


def order_for_claim(tx: sa.Connection, run: Mapping[Any, Any], token: int) -> None:
    """Have the infrastructure taken down that was started under a claim which ended before the run began.

    The run does not name that infrastructure any more: what is started next is its own.

    Args:
        tx: the transaction.
        run: the run, locked.
        token: of the claim.
    """
    pool = _pool_of(tx, run)
    if pool is None or not run["infrastructure_pid"]:
        return
    target = {"claim_id": str(uuid5(run["id"], str(token))), "infrastructure_pid": run["infrastructure_pid"]}
    order(
        tx, PENDING_CLAIM_TEARDOWN, work_pool_id=pool, flow_run_id=run["id"], work_queue_id=run["work_queue_id"],
        target=target,
    )  # fmt: skip
    tx.execute(sa.update(flow_run).where(flow_run.c.id == run["id"]).values(infrastructure_pid=None))


def withdraw_for_claim(tx: sa.Connection, run: Mapping[Any, Any]) -> None:
    """Whoever a claim was taken from has come back with it: what was started under it is needed."""
    pool = _pool_of(tx, run)
    if pool is None:
        return
    mine = (cleanup_message.c.kind == PENDING_CLAIM_TEARDOWN, cleanup_message.c.flow_run_id == run["id"])
    statement = sa.delete(cleanup_message).where(cleanup_message.c.work_pool_id == pool, *mine)
    target = tx.execute(statement.returning(cleanup_message.c.target)).scalar_one_or_none()
    if target is not None and run["infrastructure_pid"] is None:
        pid = target.get("infrastructure_pid")
        tx.execute(sa.update(flow_run).where(flow_run.c.id == run["id"]).values(infrastructure_pid=pid))


def _pool_of(tx: sa.Connection, run: Mapping[Any, Any]) -> UUID | None:
    if run["work_queue_id"] is None:
        return None
    statement = sa.select(work_queue.c.work_pool_id).where(work_queue.c.id == run["work_queue_id"])
    return tx.execute(statement).scalar_one_or_none()


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


def release(
    tx: sa.Connection, id: UUID, token: str, moment: datetime, reason: str | None = None
) -> CleanupOperationStatus:
    """An order is given back, for another worker.

    Args:
        tx: the transaction.
        id: the order.
        token: of who gives it back.
        moment: now.
        reason: why; one of `NOT_TRIED` does not count as an attempt.
    """
    status = _standing(tx, id, token, moment)
    if status == "accepted":
        if reason in NOT_TRIED:
            count = cleanup_message.c.delivery_count - 1
            tx.execute(sa.update(cleanup_message).where(cleanup_message.c.id == id).values(delivery_count=count))
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
