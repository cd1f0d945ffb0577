"""Flow runs whose holder is not heard of any more: crashed, tried again, or there for others. See `_rules.leases`."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import sqlalchemy as sa

from prefect._operations import leases
from prefect._schemas.leases import LEASE_SECONDS
from prefect._services.framework import Database, KnowsOwners, Round
from prefect._store.tables import flow_run, run_lease

_log = logging.getLogger("prefect.server.services")

_BATCH = 100


def run_once(database: Database, now: datetime) -> Round:
    """End the leases that have ended by now, each in a transaction of its own."""
    ended = database.read(lambda tx: leases.expired(tx, now, _BATCH))
    done = 0
    until = now + timedelta(seconds=LEASE_SECONDS)
    for id in ended:
        if isinstance(database, KnowsOwners) and _owner_lives(database, id):
            database.write(lambda tx, id=id: leases.prolong(tx, id, until))
            continue
        state = database.write(lambda tx, id=id: leases.expire(tx, id, now))
        if state is not None:
            done += 1
            _log.warning("Flow run %s is %s now: %s", id, state.name, state.message)
    return Round(len(ended) == _BATCH, database.read(leases.next_expiry), done)


def _owner_lives(database: KnowsOwners, flow_run_id: UUID) -> bool:
    statement = sa.select(flow_run.c.owner).where(flow_run.c.id == flow_run_id)
    owner = cast("Database", database).read(lambda tx: tx.execute(statement).scalar_one_or_none())
    return owner is not None and database.owner_lives(str(owner))


def begin(database: Database, now: datetime) -> None:
    """Give everybody time to renew: nobody could while no server was there, or while the machine slept.

    What was renewed later than now was so by a clock that has been set back: it lasts no longer than what is renewed now.
    """
    until = now + timedelta(seconds=LEASE_SECONDS)
    by_another_clock = sa.and_(run_lease.c.renewed_at > now, run_lease.c.expires > until)

    def work(tx: sa.Connection) -> None:
        tx.execute(sa.update(run_lease).where(by_another_clock).values(renewed_at=now, expires=until))
        tx.execute(sa.update(run_lease).where(run_lease.c.expires < until).values(expires=until))

    database.write(work)
