"""Deferred task runs whose worker is not heard of any more: there for others, tried again, or crashed."""

from __future__ import annotations

import logging
from datetime import datetime

from prefect._operations import deferred_runs
from prefect._services.framework import Database, Round

_log = logging.getLogger("prefect.server.services")

_BATCH = 100


def run_once(database: Database, now: datetime) -> Round:
    """End the leases that have ended by now, each in a transaction of its own."""
    ended = database.read(lambda tx: deferred_runs.expired(tx, now, _BATCH))
    done = 0
    for id in ended:
        state = database.write(lambda tx, id=id: deferred_runs.expire(tx, id, now))
        if state is not None:
            done += 1
            _log.warning("Task run %s is %s now: its worker has not been heard of any more.", id, state.name)
    return Round(len(ended) == _BATCH, database.read(deferred_runs.next_expiry), done)


def begin(database: Database, now: datetime) -> None:
    """Give everybody time to renew: nobody could while no server was there, or while the machine slept."""
    database.write(lambda tx: deferred_runs.begin(tx, now))
