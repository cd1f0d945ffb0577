"""Runs of backfills, as soon as there is room for them."""

from __future__ import annotations

from datetime import datetime

from prefect._operations import backfills
from prefect._services.framework import Database, Round


def run_once(database: Database, now: datetime) -> Round:
    """Make the runs of backfills for which there is room."""
    if not database.read(backfills.are_under_way):
        return Round()
    made, more = database.write(lambda tx: backfills.go_on(tx, now))
    return Round(more, None, made)
