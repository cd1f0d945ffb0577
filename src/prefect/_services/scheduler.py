"""The runs of schedules, and those of backfills."""

from __future__ import annotations

from datetime import datetime

from prefect._operations import scheduling
from prefect._services.framework import Database, Round
from prefect.settings import get_current_settings


def run_once(database: Database, now: datetime) -> Round:
    """Make the runs that are to be made at a moment, of as many schedules as the settings allow at once."""
    made = scheduling.Made()
    if database.read(lambda tx: scheduling.is_work(tx, now)):
        batch = get_current_settings().server.services.scheduler.deployment_batch_size
        horizon = scheduling.horizon_of_settings()
        made = database.write(lambda tx: scheduling.make_runs(tx, now, horizon, batch))
    return Round(made.more, database.read(lambda tx: scheduling.next_look(tx, now)), made.runs)
