"""Task runs that are left open by flow runs that have ended: nobody will say how they went, so they have crashed."""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect._operations.run_children import MOST_AT_ONCE, end_task_runs, open_task_runs_of_ended
from prefect._services.framework import Database, Round

_GRACE = timedelta(seconds=60)
"""How long after its flow run a task run may still report: clients that tell by events are not in step."""

_BATCH = 50


def run_once(database: Database, now: datetime) -> Round:
    """End the open task runs of flow runs that ended a while ago."""
    found = database.read(lambda tx: open_task_runs_of_ended(tx, now - _GRACE, _BATCH))
    more = len(found) == _BATCH
    done = 0
    for id, end in found:
        ended = database.write(lambda tx, id=id, end=end: end_task_runs(tx, id, end))
        done += ended
        more = more or ended == MOST_AT_ONCE
    return Round(more and done > 0, None, done)
