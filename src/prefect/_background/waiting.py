"""Waiting for runs that other processes carry out.

One thread for each database, while anybody waits: it is woken by the workers' bells, which say what has ended, and
looks for itself once a second, also for workers that died.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from prefect._background import bells
from prefect._background.rescue import EVERY_SECONDS, rescue
from prefect._engine.recorder import get_local_recorder, is_served
from prefect._engine.recording.local import LocalRecorder
from prefect._lazy import lazy_module
from prefect._rules.states import TERMINAL, RunState
from prefect._store.sqlite import DatabaseUnavailable
from prefect.logging.loggers import get_logger
from prefect.settings.context import get_current_settings, push_settings

if TYPE_CHECKING:
    from prefect._background import served_waiting
    from prefect._schemas import states as models
else:
    served_waiting = lazy_module("prefect._background.served_waiting")
    models = lazy_module("prefect._schemas.states")

_log = get_logger("task_runs")

_MANY = 500
_STATES = """
SELECT r.id, r.flow_run_id, s.type, s.name, s.message, s.state_details, s.data, s.timestamp, s.id
FROM task_run r JOIN task_run_state s ON s.task_run_id = r.id AND s.id = r.state_id
WHERE r.id IN ({ids})
"""
_QUEUED = "SELECT task_run_id FROM deferred_run WHERE task_run_id IN ({ids})"

Told = Callable[[Any], None]


class Slot(Protocol):
    """A place in a worker, which a run that waits for another one gives away."""

    def give_way(self) -> None: ...

    def come_back(self) -> None: ...


current_slot: ContextVar[Slot | None] = ContextVar("prefect_task_worker_slot", default=None)


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """Wait in this block without keeping a worker's place, so that runs that wait never keep others from running."""
    slot = current_slot.get()
    if slot is None:
        yield
        return
    slot.give_way()
    try:
        yield
    finally:
        slot.come_back()


def read_states(recorder: LocalRecorder, task_run_ids: Iterable[str]) -> dict[str, tuple[Any, bool]]:
    """The states of runs, and whether nothing more will come of each; ids that are not known are left out."""

    def work(connection: sqlite3.Connection) -> dict[str, tuple[Any, bool]]:
        found: dict[str, tuple[Any, bool]] = {}
        ids = list(task_run_ids)
        for start in range(0, len(ids), _MANY):
            part = ids[start : start + _MANY]
            marks = ", ".join("?" * len(part))
            queued = {id for (id,) in connection.execute(_QUEUED.format(ids=marks), part)}
            for row in connection.execute(_STATES.format(ids=marks), part):
                # a run that never became ready stays pending
                over = row[0] not in queued and (row[2] in TERMINAL or row[3] == "NotReady")
                found[row[0]] = (row, over)
        return found

    return recorder.writer.read(work)


def public_state(row: Any) -> Any:
    """The public model of a state that `read_states` found."""
    run_id, flow_run_id, type_, name, message, details, data, timestamp, state_id = row
    state = RunState(type_, name, message, json.loads(data) if data else None, json.loads(details), timestamp, state_id)
    return models.to_public(state, flow_run_id=flow_run_id, task_run_id=run_id)


def state_now(task_run_id: str) -> tuple[Any, bool] | None:
    """A run's state now, and whether it is its last one; None when there is no such run."""
    if is_served():
        return served_waiting.state_now(task_run_id)
    found = read_states(get_local_recorder(), [task_run_id]).get(task_run_id)
    return (public_state(found[0]), found[1]) if found is not None else None


class Waiter:
    """Tells when runs have ended."""

    def __init__(self, recorder: LocalRecorder) -> None:
        self._recorder = recorder
        self._settings = get_current_settings()
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Told]] = {}
        self._bell: bells.Bell | None = None
        self._thread: threading.Thread | None = None
        self._new: list[str] = []

    def add(self, task_run_id: str, told: Told) -> None:
        """Call `told(state)` when the run has ended, on the thread of this waiter."""
        with self._lock:
            self._waiting.setdefault(task_run_id, []).append(told)
            self._new.append(task_run_id)
            if self._thread is None:
                self._bell = bells.Bell(self._recorder.writer.path, bells.DONE)
                self._thread = threading.Thread(
                    target=self._run, args=(self._bell,), name="prefect-waiter", daemon=True
                )
                self._thread.start()
            elif self._bell is not None:
                self._bell.ring()

    def discard(self, task_run_id: str, told: Told) -> None:
        """Do not call it after all."""
        with self._lock:
            callbacks = self._waiting.get(task_run_id, [])
            if told in callbacks:
                callbacks.remove(told)
            if not callbacks:
                self._waiting.pop(task_run_id, None)

    def clear(self) -> None:
        """Forget everybody who waits."""
        with self._lock:
            self._waiting.clear()
            if self._bell is not None:
                self._bell.ring()

    def _run(self, bell: bells.Bell) -> None:
        push_settings(self._settings)  # a thread begins with those of the process
        path = self._recorder.writer.path
        next_look, reported, looked = 0.0, False, False
        while True:
            if looked and not os.path.exists(path):
                self.clear()  # the database was deleted, as that of a test is; looking again would make a new one
            with self._lock:
                if not self._waiting:
                    self._thread = self._bell = None
                    bell.close()
                    return
                ids, self._new = self._new, []
            try:
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + (EVERY_SECONDS if bell.is_prompt else bells.LOOK_SECONDS)
                    rescue(self._recorder)
                    with self._lock:
                        ids = list(self._waiting)
                self._look(ids)
                looked, reported = True, False
            except Exception as exc:  # whatever it is, those who wait must not wait for ever
                next_look = time.monotonic() + EVERY_SECONDS
                if not reported:
                    reported = True
                    known = isinstance(exc, (DatabaseUnavailable, sqlite3.Error))
                    _log.error(
                        "It cannot be seen now whether task runs have ended, and is tried again: %s",
                        exc, exc_info=None if known else exc,
                    )  # fmt: skip
            heard = bell.wait(max(next_look - time.monotonic(), 0.0))
            with self._lock:
                self._new += [id for id in heard if id in self._waiting]

    def _look(self, ids: list[str]) -> None:
        for task_run_id, (row, over) in read_states(self._recorder, ids).items() if ids else ():
            if not over:
                continue
            with self._lock:
                callbacks = self._waiting.pop(task_run_id, [])
            state = public_state(row) if callbacks else None
            for told in callbacks:
                try:
                    told(state)
                except Exception:
                    _log.exception("A callback for the end of task run %s raised:", task_run_id)


_waiters: dict[str, Any] = {}
_waiters_lock = threading.Lock()


def get_waiter() -> Any:
    """The waiter for the database, or the server, of the current settings."""
    if is_served():
        return served_waiting.get_waiter(_waiters, _waiters_lock)
    recorder = get_local_recorder()
    path = recorder.writer.path
    with _waiters_lock:
        waiter = _waiters.get(path)
        if waiter is None or waiter._recorder is not recorder:
            waiter = _waiters[path] = Waiter(recorder)
        return waiter


def wait(task_run_id: str, timeout: float | None) -> Any:
    """Wait until a run has ended and return its state, or None when `timeout` seconds have gone by before that."""
    now = state_now(task_run_id)
    if now is not None and now[1]:
        return now[0]
    ended: list[Any] = []
    event = threading.Event()

    def told(state: Any) -> None:
        ended.append(state)
        event.set()

    waiter = get_waiter()
    waiter.add(task_run_id, told)
    with giving_way():
        event.wait(timeout)
    if not ended:
        waiter.discard(task_run_id, told)
    return ended[0] if ended else None


async def wait_async(task_run_id: str, timeout: float | None) -> Any:
    """`wait` for asynchronous code."""
    import asyncio  # a program that waits here has imported it

    now = state_now(task_run_id)
    if now is not None and now[1]:
        return now[0]
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()

    def settle(state: Any) -> None:
        if not ended.done():
            ended.set_result(state)

    def told(state: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there any more
            loop.call_soon_threadsafe(settle, state)

    waiter = get_waiter()
    waiter.add(task_run_id, told)
    try:
        with giving_way():
            return await asyncio.wait_for(ended, timeout)
    except TimeoutError:
        return None
    finally:
        waiter.discard(task_run_id, told)


def _after_fork_in_child() -> None:
    global _waiters_lock
    _waiters_lock = threading.Lock()
    _waiters.clear()  # their threads did not come along


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
