"""Finding runs whose worker died: done by every worker, and by everyone who waits for a run."""

from __future__ import annotations

from prefect._background import bells, payloads
from prefect._engine.recording.local import LocalRecorder
from prefect._store import deferred_queue as queue
from prefect.logging.loggers import get_logger

_log = get_logger("task_worker")

EVERY_SECONDS = 1.0
"""How often to look: one query of a small index, and one look at a lock for each worker that has runs."""


def rescue(recorder: LocalRecorder) -> None:
    """Put the runs of dead workers back into the queue, or end them, and tell those who wait: see `queue`.

    Raises:
        DatabaseUnavailable, sqlite3.Error: the database cannot be read or written.
    """
    writer = recorder.writer
    dead = writer.read(lambda connection: queue.dead_owners(connection, writer.path))
    if dead:
        settle(recorder, dead)


def settle(recorder: LocalRecorder, owners: list[tuple[str, int]]) -> None:
    """The same for owners that are known to have ended."""
    path = recorder.writer.path
    outcome = recorder.writer.commit(lambda connection: queue.reclaim(connection, owners))
    for identifier in outcome.parameters:
        payloads.forget(identifier)
    for task_run_id in outcome.ended:
        bells.ring(path, bells.DONE, task_run_id)
    if outcome.queued or outcome.ended:
        bells.ring(path, bells.WORK)
        _log.warning(
            "%d task worker(s) ended without finishing their task runs: %d scheduled again, %d marked as crashed.",
            len(owners), outcome.queued, len(outcome.ended),
        )  # fmt: skip
