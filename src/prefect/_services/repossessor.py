"""Concurrency slots of those who are not heard of any more: they are free when the lease ends; who waits is told."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from prefect._operations import slots
from prefect._services.framework import Database, Round, Service
from prefect._store.tables import concurrency_lease


def run_once(database: Database, now: datetime) -> Round:
    """Delete the leases of slots that have ended, and tell those who wait for them."""
    ended = concurrency_lease.c.expires <= now
    any_ended = sa.select(concurrency_lease.c.id).where(ended).limit(1)
    done = 0
    if database.read(lambda tx: tx.execute(any_ended).first()) is not None:
        done = database.write(lambda tx: slots.forget_ended_leases(tx, now))
    first = database.read(
        lambda tx: tx.execute(sa.select(sa.func.min(concurrency_lease.c.expires))).scalar_one_or_none()
    )
    return Round(next_at=first, done=done)


SERVICE = Service(
    name="repossessor",
    description="Takes back concurrency slots whose lease has ended",
    run_once=run_once,
    every=30.0,
    rest=0.2,
    topics=("concurrency_lease",),
    is_local=True,
)
