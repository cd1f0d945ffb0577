"""The task worker: claims runs that are due and carries them out.

One thread claims (woken by a bell, by a place that gets free, or by the clock); synchronous tasks run on a pool of
threads, asynchronous ones on the event loop that the worker was started on. Claiming, beginning and ending a run are
one transaction each, so at any moment it is on disk who has which run and how far it is.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from prefect._background import claims, payloads
from prefect._background.deferral import place_of
from prefect._background.sources import REST_SECONDS, LocalSource, Source
from prefect._background.waiting import current_slot
from prefect._bridge import run as run_now
from prefect._engine import failing, generators, task_run, transfer
from prefect._engine.frames import TaskFrame
from prefect._engine.pool import ThreadPool
from prefect._engine.port import ASYNC, SYNC
from prefect._engine.recorder import is_served
from prefect._lazy import lazy_module
from prefect._store.deferred_queue import Claim, ClaimLost
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect._background import served
else:
    served = lazy_module("prefect._background.served")

_log = get_logger("task_worker")

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
        self._source: Source = _source(self._by_key, self._by_place)
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._running: dict[str, Claim] = {}
        self._waiting = 0
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
        self._source.open()
        context = contextvars.copy_context()  # the settings in force here
        self._thread = threading.Thread(
            target=context.run, args=(self._claim_runs,), name="prefect-task-worker-claims", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Claim no more runs. Those that run go on; those that would wait for a retry go back to the queue."""
        self._stopping = True
        self._source.wake()

    def drain(self) -> None:
        """Wait until no run is left and everything is on disk."""
        thread = self._thread
        if thread is not None:
            thread.join()
        with self._lock:
            while self._running:
                self._quiet.wait()
        self._source.drain()

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.close()
        self._source.close()

    def abandon(self) -> None:
        """Give up the runs that are left as if this process had died: what they have yet to report is refused."""
        self.stop()
        with self._lock:
            left = list(self._running.values())
        if left:
            _log.error("The task worker ends with %d task runs unfinished.", len(left))
            self._source.abandon(left)
        for run in self._async_runs:
            run.cancel()

    def count_waiting(self, change: int) -> None:
        with self._lock:
            self._waiting += change
        if change > 0:
            self._source.wake()

    def claim_one(self, task_run_id: str) -> Claim | None:
        """Claim one run, whether due or not."""
        return self._source.claim_one(task_run_id)

    # -- claiming ----------------------------------------------------------------------------------------------------

    def _claim_runs(self) -> None:
        while not self._stopping:
            try:
                claimed = self._source.claim(self._free())
                self._told_of_outage = False
            except self._source.unavailable as exc:
                if not self._told_of_outage:
                    _log.error("Task runs cannot be claimed now, and it is tried again: %s", exc)
                self._told_of_outage = True
                self._source.rest(REST_SECONDS)
            except Exception:  # whatever it is, runs must go on being claimed
                _log.exception("The task worker could not claim runs, and tries again:")
                self._source.rest(REST_SECONDS)
            else:
                for claim in claimed:
                    self.launch(claim)

    def _free(self) -> int:
        with self._lock:
            free = (self.limit or MANY_THREADS) - len(self._running) + self._waiting
        return min(free, AT_A_TIME)

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
                    frame = self._source.frame_of(claim, task, parameters, waits_for)
                    if task.isgenerator:
                        frame.collect = True
                        generators.exhaust(task_run.iterate(SYNC, frame, False))
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
                    frame = self._source.frame_of(claim, task, parameters, waits_for)
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
            claims.fail_unread(lambda again: self._source.frame_of(again, task, {}, None), claim, exc)
            return None

    def _ended_badly(self, claim: Claim, frame: TaskFrame | None, exc: BaseException) -> None:
        """Something was raised while a run was carried out. What its function raised is in its state already."""
        if isinstance(exc, claims.GivenBack):
            return
        if isinstance(exc, ClaimLost):
            _log.error("%s", exc)
        elif isinstance(exc, self._source.unavailable):
            _log.error("Task run %r did not begin, and goes back to the queue: %s", claim.name, exc)
            self._source.give_back(claim)
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
        self._source.ended(claim)


def _source(by_key: dict[str, Any], by_place: dict[str, Any]) -> Source:
    return served.ServedSource(by_key) if is_served() else LocalSource(by_key, by_place)
