"""The task worker: claims runs that are due and carries them out.

One thread claims (woken by a bell, by a place that gets free, or by the clock); synchronous tasks run on a pool of
threads, asynchronous ones on the event loop that the worker was started on. Claiming, beginning and ending a run are
one transaction each, so at any moment it is on disk who has which run and how far it is.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from prefect._background import bells, claims, payloads, queue
from prefect._background.deferral import place_of
from prefect._background.queue import Claim, ClaimLost
from prefect._background.rescue import EVERY_SECONDS, rescue, settle
from prefect._background.waiting import current_slot
from prefect._bridge import run as run_now
from prefect._clock import now_us
from prefect._engine import failing, task_run, transfer
from prefect._engine.frames import TaskFrame
from prefect._engine.pool import ThreadPool
from prefect._engine.port import ASYNC, SYNC
from prefect._engine.recorder import get_local_recorder
from prefect._engine.recording.local import LocalRecorder
from prefect._store.sqlite import DatabaseUnavailable
from prefect.logging.loggers import get_logger

_log = get_logger("task_worker")

REST_SECONDS = 0.5
"""How long to rest when no bell rings and nothing is due."""
AT_A_TIME = 500
"""How many runs are claimed in one transaction, at most."""
MANY_THREADS = 100_000
"""The pool has no limit of its own: how many runs there are at a time is decided when they are claimed."""

Ended = Callable[[], object]


class _Place:
    """A run's place in the worker; free while the run waits for another run."""

    __slots__ = ("_worker",)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def give_way(self) -> None:
        self._worker.count_waiting(1)

    def come_back(self) -> None:
        self._worker.count_waiting(-1)


class Worker:
    """Carries out the deferred runs of some tasks.

    Args:
        tasks: the tasks.
        limit: how many runs at a time, those not counted that wait for other runs; None: as many as there are.
    """

    def __init__(self, tasks: Iterable[Any], limit: int | None) -> None:
        self.limit = limit
        self._by_key = {task.task_key: task for task in tasks}
        self._by_place = {place: task for task in tasks if (place := place_of(task))}
        self._recorder: LocalRecorder = get_local_recorder()
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._running: dict[str, Claim] = {}
        self._waiting = 0
        self._late: deque[Any] = deque()
        self._bell: bells.Bell | None = None
        self._thread: threading.Thread | None = None
        self._pool: ThreadPool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._async_runs: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._told_of_outage = False

    # -- from outside ------------------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """How many runs it is carrying out."""
        return len(self._running)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be ready to carry out runs, asynchronous ones on `loop`."""
        self._loop = loop
        self._stopping = False
        self._pool = ThreadPool(MANY_THREADS, "prefect-task-worker")

    def start(self) -> None:
        """Begin to claim runs, on a thread."""
        self._bell = bells.Bell(self._recorder.writer.path, bells.WORK)
        context = contextvars.copy_context()  # the settings in force here
        self._thread = threading.Thread(
            target=context.run, args=(self._claim_runs, self._bell), name="prefect-task-worker-claims", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Claim no more runs. Those that run go on; those that would wait for a retry go back to the queue."""
        self._stopping = True
        self._ring()

    def drain(self) -> None:
        """Wait until no run is left and everything is on disk."""
        thread = self._thread
        if thread is not None:
            thread.join()
        with self._lock:
            while self._running:
                self._quiet.wait()
        self._write_late()
        self._recorder.flush()

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.close()
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def abandon(self) -> None:
        """Give up the runs that are left as if this process had died: what they have yet to report is refused."""
        self.stop()
        with self._lock:
            left = len(self._running)
        if left:
            _log.error("The task worker ends with %d task runs unfinished.", left)
            settle(self._recorder, [(self._recorder.owner.id, os.getpid())])
        for run in self._async_runs:
            run.cancel()

    def count_waiting(self, change: int) -> None:
        with self._lock:
            self._waiting += change
        if change > 0:
            self._ring()

    def _ring(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.ring()

    def claim_one(self, task_run_id: str) -> Claim | None:
        """Claim one run, whether due or not."""
        owner = self._recorder.owner
        return self._recorder.writer.commit(lambda c: queue.claim_one(c, owner.ensure(c), task_run_id))

    # -- claiming ----------------------------------------------------------------------------------------------------

    def _claim_runs(self, bell: bells.Bell) -> None:
        next_rescue = 0.0
        while not self._stopping:
            rest = REST_SECONDS
            try:
                self._write_late()
                if time.monotonic() >= next_rescue:
                    rescue(self._recorder)
                    next_rescue = time.monotonic() + EVERY_SECONDS
                rest = self._claim_due()
                self._told_of_outage = False
            except (DatabaseUnavailable, sqlite3.Error) as exc:
                if not self._told_of_outage:
                    _log.error("Task runs cannot be claimed now, and it is tried again: %s", exc)
                self._told_of_outage = True
            except Exception:  # whatever it is, runs must go on being claimed
                _log.exception("The task worker could not claim runs, and tries again:")
            if rest > 0:
                bell.wait(rest)

    def _claim_due(self) -> float:
        """Claim and launch what is due; return how many seconds to wait before looking again."""
        free = self._free()
        if free <= 0:
            return REST_SECONDS
        keys, places = list(self._by_key), list(self._by_place)
        writer, owner = self._recorder.writer, self._recorder.owner
        due = writer.read(lambda c: queue.next_due(c, keys, places))
        if due is None:
            return REST_SECONDS
        early = (due - now_us()) / 1e6
        if early > 0:
            return min(early, REST_SECONDS)
        for claim in writer.commit(lambda c: queue.claim(c, owner.ensure(c), keys, places, free)):
            self.launch(claim)
        return 0.0

    def _free(self) -> int:
        with self._lock:
            free = (self.limit or MANY_THREADS) - len(self._running) + self._waiting
        return min(free, AT_A_TIME)

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

    # -- carrying out ------------------------------------------------------------------------------------------------

    def launch(self, claim: Claim, ended: Ended | None = None) -> None:
        """Carry out a claimed run on a thread or on the event loop; then call `ended`."""
        task = self._by_key.get(claim.task_key) or self._by_place.get(claim.place)
        with self._lock:
            self._running[claim.id] = claim
        context = contextvars.copy_context()
        context.run(current_slot.set, _Place(self))
        if task is not None and task.isasync:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._launch_async, claim, task, context, ended)
        else:
            assert self._pool is not None
            self._pool.submit(context, self._live, claim, task, ended)

    def _launch_async(self, claim: Claim, task: Any, context: contextvars.Context, ended: Ended | None) -> None:
        run = asyncio.get_running_loop().create_task(self._live_async(claim, task, ended), context=context)
        self._async_runs.add(run)
        run.add_done_callback(self._async_runs.discard)

    def _live(self, claim: Claim, task: Any, ended: Ended | None) -> None:
        frame: TaskFrame | None = None
        try:
            call = self._call_of(claim, task)
            if call is not None:
                parameters, waits_for, context = call
                with transfer.unpacked(context):
                    frame = claims.frame_of(self._recorder, claim, task, parameters, waits_for, self._late.append)
                    if task.isgenerator:
                        _exhaust(frame)
                    else:
                        run_now(task_run.run(SYNC, frame))
        except BaseException as exc:  # a run may end in any way, also by SystemExit; its worker goes on
            self._ended_badly(claim, frame, exc)
        finally:
            self._forget(claim, ended)

    async def _live_async(self, claim: Claim, task: Any, ended: Ended | None) -> None:
        frame: TaskFrame | None = None
        try:
            call = self._call_of(claim, task)
            if call is not None:
                parameters, waits_for, context = call
                with transfer.unpacked(context):
                    frame = claims.frame_of(self._recorder, claim, task, parameters, waits_for, self._late.append)
                    if task.isgenerator:
                        frame.collect = True
                        async for _ in task_run.iterate(ASYNC, frame, True):
                            pass
                    else:
                        await task_run.run(ASYNC, frame)
        except BaseException as exc:
            self._ended_badly(claim, frame, exc)
        finally:
            self._forget(claim, ended)

    def _call_of(self, claim: Claim, task: Any) -> tuple[dict[str, Any], Any, dict[str, Any]] | None:
        """The parameters of the run; None when they cannot be had, and the run has failed."""
        if claim.parameters is None:
            return {}, None, {}
        try:
            return payloads.read(claim.parameters)
        except Exception as exc:  # unpickling runs whatever the parameters' types do
            claims.fail_unread(self._recorder, claim, exc, self._late.append, task)
            return None

    def _ended_badly(self, claim: Claim, frame: TaskFrame | None, exc: BaseException) -> None:
        """Something was raised while a run was carried out. What its function raised is in its state already."""
        if isinstance(exc, claims.GivenBack):
            return
        if isinstance(exc, ClaimLost):
            _log.error("%s", exc)
        elif isinstance(exc, DatabaseUnavailable):
            _log.error("Task run %r did not begin, and goes back to the queue: %s", claim.name, exc)
            self._late.append(_Release(claim, self._recorder.writer.path))
        elif frame is None or not frame.state.is_final:  # type: ignore[union-attr]
            _log.error("Task run %r could not be carried out:", claim.name, exc_info=exc)
            if frame is not None:
                try:
                    failing.crash(frame, exc)
                except ClaimLost as lost:
                    _log.error("%s", lost)

    def _forget(self, claim: Claim, ended: Ended | None) -> None:
        with self._lock:
            self._running.pop(claim.id, None)
            if not self._running:
                self._quiet.notify_all()
        if ended is not None:
            ended()
        self._ring()


class _Release:
    """Gives a run back that was claimed and has not begun."""

    def __init__(self, claim: Claim, path: str) -> None:
        self._claim, self._path = claim, path

    def __call__(self, connection: sqlite3.Connection) -> None:
        queue.check(connection, self._claim)
        queue.release(connection, self._claim)

    def tell(self) -> None:
        bells.ring(self._path, bells.WORK)


def _exhaust(frame: TaskFrame) -> None:
    """Run a generator task to its end; its result is the list of what it yielded."""
    frame.collect = True
    life = task_run.iterate(SYNC, frame, False)
    while True:
        try:
            run_now(life.asend(None))  # type: ignore[arg-type]
        except StopAsyncIteration:
            return
