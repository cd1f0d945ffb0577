"""Where a task worker gets its runs from: the local database (`LocalSource`), or a server (`served.ServedSource`)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from typing import Any, Protocol

from prefect._background import bells, claims
from prefect._background.rescue import EVERY_SECONDS, rescue, settle
from prefect._clock import now_us
from prefect._engine.frames import TaskFrame
from prefect._engine.recorder import get_local_recorder
from prefect._store import deferred_queue as queue
from prefect._store.deferred_queue import Claim, ClaimLost
from prefect._store.sqlite import DatabaseUnavailable
from prefect.logging.loggers import get_logger

_log = get_logger("task_worker")

REST_SECONDS = 0.5
"""How long to rest when no bell rings and nothing is due."""


class Source(Protocol):
    """Hands out claims of task runs. One thread claims; the rest is called from any."""

    @property
    def unavailable(self) -> tuple[type[Exception], ...]:
        """What is raised while nothing can be asked or written."""
        ...

    def open(self) -> None:
        """Be ready to wait."""

    def claim(self, limit: int) -> list[Claim]:
        """Claim up to `limit` runs that are due; waits a while for one, or until `wake`. Nothing is claimed for 0."""
        ...

    def claim_one(self, task_run_id: str) -> Claim | None:
        """Claim one run, whether due or not; None when it is not to be had."""
        ...

    def wake(self) -> None:
        """Let `claim` return: something has changed."""

    def rest(self, seconds: float) -> None:
        """Wait, or until `wake`."""

    def frame_of(self, claim: Claim, task: Any, parameters: dict[str, Any], wait_for: Any) -> TaskFrame:
        """The frame of a claimed run, whose states are recorded under the claim."""
        ...

    def give_back(self, claim: Claim) -> None:
        """Let another worker have a run that has not begun, as soon as that can be written."""

    def ended(self, claim: Claim) -> None:
        """Hold on to a claim no more."""

    def abandon(self, left: list[Claim]) -> None:
        """Give up the runs that are left as if this process had died: what they have yet to report is refused."""

    def drain(self) -> None:
        """Have everything written."""

    def close(self) -> None:
        """Let go of what is held."""


class LocalSource:
    """The queue of the local database.

    Args:
        by_key, by_place: the tasks, by what they are called in records and by where they are defined.
    """

    unavailable = (DatabaseUnavailable, sqlite3.Error)

    def __init__(self, by_key: dict[str, Any], by_place: dict[str, Any]) -> None:
        self._recorder = get_local_recorder()
        self._keys, self._places = list(by_key), list(by_place)
        self._late: deque[Any] = deque()
        self._bell: bells.Bell | None = None
        self._lock = threading.Lock()
        self._next_rescue = 0.0

    def open(self) -> None:
        self._bell = bells.Bell(self._recorder.writer.path, bells.WORK)

    def claim(self, limit: int) -> list[Claim]:
        self._write_late()
        if time.monotonic() >= self._next_rescue:
            rescue(self._recorder)
            self._next_rescue = time.monotonic() + EVERY_SECONDS
        early = self._seconds_until_due() if limit > 0 else REST_SECONDS
        if early > 0:
            self.rest(min(early, REST_SECONDS))
            return []
        writer, owner = self._recorder.writer, self._recorder.owner
        return writer.commit(lambda c: queue.claim(c, owner.ensure(c), self._keys, self._places, limit))

    def _seconds_until_due(self) -> float:
        due = self._recorder.writer.read(lambda c: queue.next_due(c, self._keys, self._places))
        return REST_SECONDS if due is None else (due - now_us()) / 1e6

    def claim_one(self, task_run_id: str) -> Claim | None:
        owner = self._recorder.owner
        return self._recorder.writer.commit(lambda c: queue.claim_one(c, owner.ensure(c), task_run_id))

    def wake(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.ring()

    def rest(self, seconds: float) -> None:
        bell = self._bell
        if bell is not None:
            bell.wait(seconds)

    def frame_of(self, claim: Claim, task: Any, parameters: dict[str, Any], wait_for: Any) -> TaskFrame:
        recorder = claims.ClaimRecorder(self._recorder, claim, self._late.append)
        return claims.frame_of(recorder, claim, task, parameters, wait_for)

    def give_back(self, claim: Claim) -> None:
        self._late.append(_Release(claim, self._recorder.writer.path))

    def ended(self, claim: Claim) -> None:
        self.wake()

    def abandon(self, left: list[Claim]) -> None:
        settle(self._recorder, [(self._recorder.owner.id, os.getpid())])

    def drain(self) -> None:
        self._write_late()
        self._recorder.flush()

    def close(self) -> None:
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.close()

    def _write_late(self) -> None:
        """Write states that could not be written when they were entered."""
        while self._late:
            unit = self._late[0]
            try:
                self._recorder.writer.commit(unit)
            except ClaimLost as exc:
                _log.error("%s", exc)
            self._late.popleft()
            unit.tell()


class _Release:
    """Gives a run back that was claimed and has not begun."""

    def __init__(self, claim: Claim, path: str) -> None:
        self._claim, self._path = claim, path

    def __call__(self, connection: sqlite3.Connection) -> None:
        queue.check(connection, self._claim)
        queue.release(connection, self._claim)

    def tell(self) -> None:
        bells.ring(self._path, bells.WORK)
