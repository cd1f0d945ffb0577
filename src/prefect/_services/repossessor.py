"""Concurrency slots of those who are not heard of any more: they are free when the lease ends; who waits is told."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from prefect._operations import slot_line, slots
from prefect._services.framework import Database, Round
from prefect._store.tables import concurrency_lease, concurrency_waiter

_GRACE = timedelta(minutes=2)
"""Holders renew three times while a lease lasts, and leases last five minutes unless somebody says otherwise."""


def begin(database: Database, now: datetime) -> None:
    """Give everybody time to renew: nobody could while no server was there, or by a clock that was set since."""
    until = now + _GRACE
    short = concurrency_lease.c.expires < until
    if (
        database.read(lambda tx: tx.execute(sa.select(concurrency_lease.c.id).where(short).limit(1)).first())
        is not None
    ):
        database.write(lambda tx: tx.execute(sa.update(concurrency_lease).where(short).values(expires=until)))


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
