"""Task workers: processes that carry out what `.delay()` and its kin have deferred.

```python
from prefect import task
from prefect.task_worker import serve

@task
def send_mail(to: str) -> None: ...

if __name__ == "__main__":
    serve(send_mail)
```
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from prefect._background import payloads, status
from prefect._background.worker import Worker
from prefect._bridge import async_dispatch
from prefect._clock import now
from prefect.logging.configuration import ensure_logging_setup
from prefect.logging.loggers import get_logger
from prefect.results import ResultStore
from prefect.tasks import Task

if TYPE_CHECKING:
    from prefect._schemas.task_runs import TaskRun

logger = get_logger("task_worker")

__all__ = [
    "StopTaskWorker",
    "TaskWorker",
    "aserve",
    "create_status_server",
    "read_parameters",
    "serve",
    "should_try_to_read_parameters",
    "store_parameters",
]


class StopTaskWorker(Exception):
    """A task worker was told to end a second time, and ended with task runs unfinished."""


def should_try_to_read_parameters(task: Task[..., Any], task_run: TaskRun) -> bool:
    """Whether parameters were kept for a deferred run."""
    return task_run.state is not None and task_run.state.state_details.task_parameters_id is not None


async def store_parameters(result_store: ResultStore, identifier: UUID, parameters: dict[str, Any]) -> None:
    """Keep a run's parameters in a result store.

    Args:
        result_store: the store.
        identifier: finds them again; the `task_parameters_id` of the run's state.
        parameters: the parameters.

    Raises:
        SerializationError: the store's serializer cannot store them.
    """
    await result_store.awrite(parameters, key=payloads.key_of(identifier))


async def read_parameters(result_store: ResultStore, identifier: UUID) -> dict[str, Any]:
    """The parameters kept by `store_parameters`.

    Raises:
        ValueError: there are none with that identifier.
    """
    return (await result_store.aread(payloads.key_of(identifier))).result


class TaskWorker:
    """Carries out deferred runs of tasks in this process.

    Use `serve` unless you need to hold the worker: `await worker.astart()` runs it until it is stopped;
    `async with TaskWorker(...) as worker` lets you carry out single runs with `execute_task_run`.

    Args:
        tasks: the tasks.
        limit: how many runs at a time; None or 0: no limit. A run that waits for another one does not count.

    Raises:
        TypeError: something in `tasks` is no task.
        ConfigurationError: the settings name a server.
    """

    def __init__(self, *tasks: Task[..., Any], limit: int | None = 10) -> None:
        for each in tasks:
            if not isinstance(each, Task):
                raise TypeError(
                    f"A task worker serves tasks, not {type(each).__name__} {each!r}. Decorate it with @task."
                )
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be at least 1, or None for no limit; not {limit}.")
        self.tasks = list(tasks)
        self._worker = Worker(tasks, limit or None)
        self._client_id = f"{os.uname().nodename if hasattr(os, 'uname') else 'localhost'}-{os.getpid()}"
        self._started_at: datetime | None = None
        self._opened = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_stop: asyncio.Event | None = None
        self._told_to_hurry: asyncio.Event | None = None
        self._ended: asyncio.Event | None = None

    @property
    def client_id(self) -> str:
        """The worker's name: its host and process id."""
        return self._client_id

    @property
    def started(self) -> bool:
        """Whether it is claiming runs."""
        return self._started_at is not None

    @property
    def started_at(self) -> datetime | None:
        """Since when it does."""
        return self._started_at

    @property
    def limit(self) -> int | None:
        """How many runs it carries out at a time; None: no limit."""
        return self._worker.limit

    @property
    def current_tasks(self) -> int:
        """How many runs it is carrying out."""
        return self._worker.running

    @property
    def available_tasks(self) -> int | None:
        """How many more it could; None: no limit."""
        return max(0, self.limit - self.current_tasks) if self.limit is not None else None

    # -- running -----------------------------------------------------------------------------------------------------

    async def astart(self, timeout: float | None = None) -> None:
        """`start` for asynchronous code; asynchronous tasks run on the loop that this is awaited on."""
        await self.__aenter__()
        names = ", ".join(repr(task.name) for task in self.tasks)
        limit = f"up to {self.limit} runs at a time" if self.limit else "without a limit"
        with self._sigterm_stops():
            self._started_at = now()
            self._worker.start()
            logger.info("Task worker %s serves %s, %s.", self.client_id, names or "no tasks", limit)
            assert self._told_to_stop is not None
            try:
                await asyncio.wait_for(self._told_to_stop.wait(), timeout)
            except TimeoutError:
                pass
            finally:
                await self.__aexit__()

    @async_dispatch(astart)
    def start(self, timeout: float | None = None) -> None:
        """Claim and carry out runs until the worker is stopped.

        On SIGTERM or Ctrl-C the worker claims nothing more and ends when its runs have; told a second time, it ends
        at once, and its runs are treated as those of a worker that died.

        Args:
            timeout: stop after so many seconds.

        Raises:
            StopTaskWorker: it was told twice to end.
        """
        asyncio.run(self.astart(timeout))

    async def astop(self) -> None:
        """Claim nothing more, and wait until the runs that are being carried out have ended.

        Raises:
            RuntimeError: the worker has not been started.
        """
        self._tell_to_stop()
        assert self._ended is not None
        await self._ended.wait()  # `astart` sees to the rest

    @async_dispatch(astop)
    def stop(self) -> None:
        """Have the worker end when its runs have; from any thread, and without waiting for it.

        Raises:
            RuntimeError: the worker has not been started.
        """
        self._tell_to_stop()

    def _tell_to_stop(self) -> None:
        if not self.started or self._loop is None or self._told_to_stop is None:
            raise RuntimeError("This task worker has not been started, so it cannot be stopped; call `start()` first.")
        self._loop.call_soon_threadsafe(self._told_to_stop.set)

    def handle_sigterm(self, signum: int, frame: FrameType | None) -> None:
        """What the worker does when it is told to end by a signal: see `start`."""
        if self._told_to_stop is None or self._told_to_hurry is None:
            return
        if self._told_to_stop.is_set():
            self._told_to_hurry.set()
        else:
            logger.info("The task worker was told to end and waits for %d task runs.", self.current_tasks)
            self._told_to_stop.set()

    @contextmanager
    def _sigterm_stops(self) -> Iterator[None]:
        """Ctrl-C needs nothing: it cancels `astart`. A program that handles SIGTERM itself goes on doing so."""
        ours = (
            threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        )
        loop = asyncio.get_running_loop()
        if ours:
            try:
                loop.add_signal_handler(signal.SIGTERM, self.handle_sigterm, signal.SIGTERM, None)
            except NotImplementedError:  # Windows
                ours = False
        try:
            yield
        finally:
            if ours:
                loop.remove_signal_handler(signal.SIGTERM)

    async def __aenter__(self) -> Self:
        if self._opened:
            raise RuntimeError("This task worker has been started already; make another one.")
        ensure_logging_setup()
        self._opened = True
        self._loop = asyncio.get_running_loop()
        self._told_to_stop, self._told_to_hurry, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._worker.open(self._loop)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        assert self._told_to_stop is not None
        assert self._told_to_hurry is not None
        assert self._ended is not None
        self._told_to_stop.set()
        self._worker.stop()
        drained = asyncio.ensure_future(_on_a_thread(self._worker.drain))
        hurry = asyncio.ensure_future(self._told_to_hurry.wait())
        try:
            await asyncio.wait({drained, hurry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            ended = drained.done()
            left = self.current_tasks
            if not ended:  # told to hurry, or cancelled once more
                drained.cancel()
                self._worker.abandon()
            self._worker.close()
            self._opened, self._started_at = False, None
            self._ended.set()
        if not ended:
            raise StopTaskWorker(f"The task worker was told to end twice; {left} task runs are left unfinished.")

    async def execute_task_run(self, task_run: TaskRun) -> None:
        """Claim one deferred run, carry it out and wait for its end.

        Raises:
            ValueError: it is no run of this worker's tasks, or nothing to be claimed: it has ended, or another worker
                has it.
        """
        if not self._opened:
            raise RuntimeError(
                "Use the task worker as `async with TaskWorker(...) as worker` to carry out single runs."
            )
        if task_run.task_key not in {task.task_key for task in self.tasks}:
            raise ValueError(
                f"Task run {task_run.name!r} is one of task {task_run.task_key!r}, which is not served here."
            )
        claim = await asyncio.to_thread(self._worker.claim_one, str(task_run.id))
        if claim is None:
            raise ValueError(
                f"Task run {task_run.name!r} ({task_run.id}) cannot be claimed: it was not deferred, has ended, or is "
                "being carried out by another worker."
            )
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._worker.launch(claim, lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()


async def _on_a_thread(fn: Callable[[], None]) -> None:
    """Call a function on a thread that does not keep the process from ending (as those of `to_thread` do)."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def target() -> None:
        fn()
        try:
            loop.call_soon_threadsafe(done.set)
        except RuntimeError:  # nobody waits any more
            pass

    threading.Thread(target=target, name="prefect-task-worker-end", daemon=True).start()
    await done.wait()


def _status(task_worker: TaskWorker) -> dict[str, Any]:
    return {
        "client_id": task_worker.client_id,
        "started_at": task_worker.started_at.isoformat() if task_worker.started_at is not None else None,
        "current_tasks": task_worker.current_tasks,
        "limit": task_worker.limit,
        "available_tasks": task_worker.available_tasks,
        "tasks": [task.name for task in task_worker.tasks],
    }


def create_status_server(task_worker: TaskWorker) -> Callable[..., Awaitable[None]]:
    """An ASGI application that answers `GET /status` with what the worker is doing, as JSON.

    `serve(..., status_server_port=...)` serves the same without any web server being installed.
    """
    return status.application(lambda: _status(task_worker))


async def aserve(
    *tasks: Task[..., Any],
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> None:
    """`serve` for asynchronous code."""
    if not tasks:
        raise ValueError("There is nothing to serve: give `serve` at least one task.")
    task_worker = TaskWorker(*tasks, limit=limit)
    server = None
    if status_server_port is not None:
        server = status.StatusServer(lambda: _status(task_worker), status_server_port)
        logger.info("The status of the task worker is at http://127.0.0.1:%d/status", server.port)
    try:
        await task_worker.astart(timeout)
    finally:
        if server is not None:
            server.close()


@async_dispatch(aserve)
def serve(
    *tasks: Task[..., Any],
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> None:
    """Carry out deferred runs of tasks, until the process is told to end. In asynchronous code, await it.

    Args:
        tasks: the tasks.
        limit: how many runs at a time; None: no limit. A run that waits for another one does not count.
        status_server_port: answer `GET /status` on this port of 127.0.0.1 with what the worker is doing, as JSON.
        timeout: end after so many seconds.

    Raises:
        ValueError: no tasks are given.
        TypeError: something given is no task.
        ConfigurationError: the settings name a server.
    """
    try:
        asyncio.run(aserve(*tasks, limit=limit, status_server_port=status_server_port, timeout=timeout))
    except StopTaskWorker as stopped:
        raise SystemExit(str(stopped)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
