"""Those who wait for slots of concurrency limits: their places, and telling them when it is their turn.

A place is kept as long as its owner asks again; who goes away leaves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from prefect._operations import slot_counts
from prefect._rules.lines import Line, Waiter, walk
from prefect._store.announcements import announce
from prefect._store.dialects import insert
from prefect._store.tables import concurrency_limit, concurrency_waiter

KEPT = timedelta(seconds=30)
"""How long a place is kept for who does not ask again."""

ASK_AGAIN = timedelta(seconds=10)
"""How often who waits asks again at the latest."""

_MOST_TOLD = 200


def topic(waiter_id: UUID) -> str:
    """The announcement that it is somebody's turn."""
    return f"concurrency:{waiter_id}"


def enter(tx: sa.Connection, waiter_id: UUID, limits: Iterable[UUID], slots: int, moment: datetime) -> None:
    """Take a place at the end of the line, or keep the one there is."""
    own = concurrency_waiter.c.waiter_id == waiter_id
    there = tx.execute(sa.select(sa.func.min(concurrency_waiter.c.expires)).where(own)).scalar_one()
    if there is None:
        places = [
            {"limit_id": limit, "waiter_id": waiter_id, "slots": slots, "since": moment, "expires": moment + KEPT}
            for limit in limits
        ]
        tx.execute(insert(tx, concurrency_waiter).values(places).on_conflict_do_nothing())
    elif there < moment + KEPT / 2:
        tx.execute(sa.update(concurrency_waiter).where(own).values(expires=moment + KEPT))


def leave(tx: sa.Connection, waiter_id: UUID) -> list[UUID]:
    """Give a place up; returns the limits at which it was."""
    statement = sa.delete(concurrency_waiter).where(concurrency_waiter.c.waiter_id == waiter_id)
    return list(tx.execute(statement.returning(concurrency_waiter.c.limit_id)).scalars())


def forget_gone(tx: sa.Connection, moment: datetime) -> set[UUID]:
    """Give up the places of those who do not ask any more; returns the limits at which they were."""
    statement = sa.delete(concurrency_waiter).where(concurrency_waiter.c.expires <= moment)
    return set(tx.execute(statement.returning(concurrency_waiter.c.limit_id)).scalars())


def waiters(tx: sa.Connection, limits: Sequence[UUID], moment: datetime) -> list[tuple[datetime, Waiter]]:
    """Those who wait for any of these limits in their order, each with all that he waits for and since when."""
    at_these = sa.select(concurrency_waiter.c.waiter_id).where(concurrency_waiter.c.limit_id.in_(limits))
    columns = (concurrency_waiter.c.since, concurrency_waiter.c.waiter_id)
    statement = (
        sa.select(*columns, concurrency_waiter.c.slots, concurrency_waiter.c.limit_id)
        .where(concurrency_waiter.c.waiter_id.in_(at_these), concurrency_waiter.c.expires > moment)
        .order_by(*columns)
    )
    found: dict[UUID, tuple[datetime, Waiter]] = {}
    for row in tx.execute(statement):
        _, before = found.get(row.waiter_id, (row.since, Waiter(row.waiter_id, row.slots, ())))
        found[row.waiter_id] = (row.since, before._replace(limits=(*before.limits, row.limit_id)))
    return list(found.values())


def line_before(
    tx: sa.Connection, limits: Sequence[sa.RowMapping], waiter_id: UUID | None, moment: datetime
) -> Line | None:
    """The line in front of somebody who wants slots of limits; None when there is nobody."""
    line = waiters(tx, [limit["id"] for limit in limits], moment)
    own = next(((since, id) for since, (id, _, _) in line if id == waiter_id), None)
    before = [waiter for since, waiter in line if own is None or (since, waiter.id) < own]
    return walk(before, _free(tx, before, moment, [limit["id"] for limit in limits])) if before else None


def tell(tx: sa.Connection, limits: Iterable[UUID], moment: datetime) -> None:
    """Tell those whose turn it is that slots of limits may have come free."""
    ids = list(limits)
    line = [waiter for _, waiter in waiters(tx, ids, moment)][:_MOST_TOLD] if ids else []
    if line:
        announce(tx, *(topic(id) for id in walk(line, _free(tx, line, moment)).ready))


def _free(tx: sa.Connection, line: Iterable[Waiter], moment: datetime, more: Iterable[UUID] = ()) -> dict[UUID, float]:
    ids = {limit for waiter in line for limit in waiter.limits}.union(more)
    rows = tx.execute(sa.select(concurrency_limit).where(concurrency_limit.c.id.in_(ids))).mappings().all()
    counts = slot_counts.taken(tx, rows, moment)
    return {row["id"]: row["limit"] - counts[row["id"]] if row["active"] else float("inf") for row in rows}
