"""What processes that have died left unfinished in a local database: found, and brought to an end or back to a start."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prefect._clock import now_us
from prefect._lazy import lazy_module
from prefect._store import owners, state_events, statements

if TYPE_CHECKING:
    from prefect._store import deferred_queue
else:
    deferred_queue = lazy_module("prefect._store.deferred_queue")

_ANY_CLAIM: Final = "SELECT 1 FROM deferred_run WHERE owner IS NOT NULL LIMIT 1"


def dead_owners(connection: sqlite3.Connection, database_path: str) -> list[tuple[str, int]]:
    """The owners (id, process id) of unfinished runs that are no longer alive, among those of this machine."""
    rows = connection.execute(statements.OWNERS_OF_UNFINISHED_RUNS, (now_us(),)).fetchall()
    return [
        (owner_id, pid) for owner_id, host, boot, pid in rows if owners.is_dead(database_path, owner_id, host, boot)
    ]


def is_due(connection: sqlite3.Connection, database_path: str) -> bool:
    """Whether `reconcile` would find something."""
    return bool(dead_owners(connection, database_path) or _dead_workers(connection, database_path))


def _dead_workers(connection: sqlite3.Connection, database_path: str) -> list[tuple[str, int]]:
    if connection.execute(_ANY_CLAIM).fetchone() is None:
        return []  # as ever: the module is not even loaded
    return deferred_queue.dead_owners(connection, database_path, of_open_runs=True)


def reconcile(connection: sqlite3.Connection, database_path: str) -> int:
    """Mark the unfinished runs of dead processes as crashed, or as to be tried again; return how many flow runs were.

    What they had claimed of the queue of deferred runs can be had again. Runs in the caller's write transaction. Cheap
    when there is nothing to do: two looks at small partial indexes.
    """
    dead_workers = _dead_workers(connection, database_path)
    if dead_workers:
        deferred_queue.reclaim(connection, dead_workers, tidy=False)
    marked = 0
    for owner_id, pid in dead_owners(connection, database_path):
        message = f"The process that ran this flow run (process {pid}) ended without reporting how it went."
        tell = functools.partial(state_events.flow_run_entered, connection)
        marked += statements.crash_runs_of(connection, owner_id, message, tell)
        try:
            Path(f"{database_path}.owners", owner_id).unlink()
        except OSError:
            pass
    return marked
