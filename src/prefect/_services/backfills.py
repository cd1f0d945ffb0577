"""Runs of backfills, as soon as there is room for them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from prefect._operations import backfills
from prefect._services.framework import Database, Round, Service

if TYPE_CHECKING:
    from prefect.settings import Settings


def run_once(database: Database, now: datetime) -> Round:
    """Make the runs of backfills for which there is room."""
    if not database.read(backfills.are_under_way):
        return Round()
    made, more = database.write(lambda tx: backfills.go_on(tx, now))
    return Round(more, None, made)


class _WithScheduler(Service):
    """Part of what the scheduler's setting is about."""

    def enabled(self, settings: Settings) -> bool:
        return bool(settings.server.services.scheduler.enabled)


SERVICE = _WithScheduler(
    name="backfills",
    description="Makes the runs of backfills",
    run_once=run_once,
    # a run that ends makes room, and is announced as `scheduled`
    topics=(backfills.TOPIC, "scheduled"),
    rest=0.1,
    is_local=True,
)
