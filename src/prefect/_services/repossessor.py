"""Concurrency slots of those who are not heard of any more: they are free when the lease ends; who waits is told."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from prefect._operations import slot_line, slots
from prefect._services.framework import Database, Round
from prefect._store.tables import concurrency_lease, concurrency_waiter


def run_once(database: Database, now: datetime) -> Round:
    """Delete the leases of slots that have ended, and the places of who does not wait any more; tell who is next."""
    ended = concurrency_lease.c.expires <= now
    any_ended = sa.select(concurrency_lease.c.id).where(ended).limit(1)
    done = 0
    if database.read(lambda tx: tx.execute(any_ended).first()) is not None:
        done = database.write(lambda tx: slots.forget_ended_leases(tx, now))
    gone = sa.select(concurrency_waiter.c.waiter_id).where(concurrency_waiter.c.expires <= now).limit(1)
    if database.read(lambda tx: tx.execute(gone).first()) is not None:
        database.write(lambda tx: slot_line.tell(tx, slot_line.forget_gone(tx, now), now))
    first = database.read(
        lambda tx: tx.execute(sa.select(sa.func.min(concurrency_lease.c.expires))).scalar_one_or_none()
    )
    return Round(next_at=first, done=done)
