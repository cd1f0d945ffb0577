"""Task runners: where submitted tasks run.

`flow(task_runner=ThreadPoolTaskRunner(max_workers=8))` runs them on threads (the default), `ProcessPoolTaskRunner` on
processes of this machine. Distributed ones (Dask, Ray) come as integrations; to write one, subclass `TaskRunner`.
"""

from __future__ import annotations

import abc
import contextvars
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from prefect._engine import inputs, submission
from prefect._engine.frames import current_flow
from prefect._engine.pool import ThreadPool
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect.futures import (
    PrefectConcurrentFuture,
    PrefectDistributedFuture,
    PrefectFuture,
    PrefectFutureList,
    ThreadFuture,
)
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import concurrent.futures
    import concurrent.futures as concurrent_futures
    import logging
    import multiprocessing

    from prefect._background import deferral
    from prefect._engine import processes
    from prefect._rules.states import RunState
    from prefect.logging import loggers
    from prefect.tasks import Task
else:
    concurrent_futures = lazy_module("concurrent.futures")
    deferral = lazy_module("prefect._background.deferral")
    loggers = lazy_module("prefect.logging.loggers")
    multiprocessing = lazy_module("multiprocessing")
    processes = lazy_module("prefect._engine.processes")

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=PrefectFuture[Any])

__all__ = [
    "ConcurrentTaskRunner",
    "PrefectTaskRunner",
    "ProcessPoolTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]


class TaskRunner(abc.ABC, Generic[F]):
    """The base of task runners.

    A subclass says how to `submit` one task run and give back a future, and `duplicate` itself (a flow that runs twice
    at a time uses two). A runner is entered when its flow run first submits a task and left when the flow run ends;
    acquire what you need in `__enter__` and give it back in `__exit__`, calling `super()` in both. To carry out a task
    run in another process, call there `prefect.task_engine.run_task_sync` (or `run_task_async`) with `return_type="state"`,
    the `task_run_id` of your future, and `context=prefect.context.serialize_context()` made here.
    """

    def __init__(self) -> None:
        self._started = False

    @property
    def logger(self) -> logging.Logger | logging.LoggerAdapter[Any]:
        """The runner's logger."""
        return loggers.get_logger(f"task_runner.{self.name}")

    @property
    def name(self) -> str:
        """The runner's name: its class's, in lower case and without `TaskRunner`."""
        return type(self).__name__.lower().replace("taskrunner", "")

    @abc.abstractmethod
    def duplicate(self) -> Self:
        """A new runner with the same configuration, not started."""

    @abc.abstractmethod
    def submit(
        self,
        task: Task[P, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> F:
        """Have a task run.

        Args:
            task: the task.
            parameters: its arguments by name; they may contain futures.
            wait_for: futures to wait for before it starts.
            dependencies: the runs it depends on, by parameter, where they are known already.
        """

    def map(
        self, task: Task[P, Any], parameters: dict[str, Any], wait_for: Iterable[PrefectFuture[Any]] | None = None
    ) -> PrefectFutureList[F]:
        """Have a task run once for each element of its iterable arguments.

        Args:
            task: the task.
            parameters: its arguments by name: iterables of equal length, and values that are the same for all runs
                (anything that is not iterable, strings and dicts, and what is wrapped in `unmapped`).
            wait_for: futures to wait for before any of them starts.

        Raises:
            MappingMissingIterable: no argument is iterable.
            MappingLengthMismatch: the iterables differ in length.
        """
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        futures: PrefectFutureList[F] = PrefectFutureList()
        for call in submission.expand(task, parameters):
            futures.append(self.submit(task=task, parameters=call, wait_for=wait_for))
        return futures

    def __enter__(self) -> Self:
        if self._started:
            raise RuntimeError("This task runner is already started")
        self._started = True
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self._started = False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    __hash__ = None  # type: ignore[assignment]


class ThreadPoolTaskRunner(TaskRunner[PrefectConcurrentFuture[R]]):
    """Runs tasks on threads of this process (the default).

    Args:
        max_workers: how many run at a time; default `PREFECT_TASK_RUNNER_THREAD_POOL_MAX_WORKERS`, else as many as
            wait, up to 1,000. A task that waits for another task does not count.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        configured = get_current_settings().tasks.runner.thread_pool_max_workers
        self._max_workers = max_workers if max_workers is not None else configured
        if self._max_workers is not None and self._max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {self._max_workers}.")
        self._pool: ThreadPool | None = None
        self._waiting: dict[ThreadFuture[Any], ThreadPool] = {}  # those whose inputs are not there yet

    def duplicate(self) -> Self:
        return type(self)(max_workers=self._max_workers)

    def submit(
        self,
        task: Task[P, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> ThreadFuture[Any]:
        if not self._started or self._pool is None:
            raise RuntimeError("The task runner must be started before submitting work.")
        frame = submission.begin(task, parameters, wait_for)
        future: ThreadFuture[Any] = ThreadFuture(frame, self._pool)
        context = contextvars.copy_context()
        upstream = inputs.find_futures([*parameters.values(), wait_for])
        if upstream:
            self._waiting[future] = self._pool
            self._pool.expect()
            submission.when_inputs_are_there(upstream, self._inputs_are_there, context, future)
        else:
            self._start(self._pool, context, future)
        return future

    def _inputs_are_there(self, context: contextvars.Context, future: ThreadFuture[Any]) -> None:
        pool = self._waiting.pop(future, None)
        if pool is not None:  # else it was cancelled meanwhile
            try:
                self._start(pool, context, future)
            finally:
                pool.settle()

    @staticmethod
    def _start(pool: ThreadPool, context: contextvars.Context, future: ThreadFuture[Any]) -> None:
        try:
            pool.submit(context, submission.carry_out, future)
        except RuntimeError as exc:  # it has been shut down, or no thread can be had
            context.run(submission.abandon, future, str(exc))

    def cancel_all(self) -> None:
        """Cancel what has not begun."""
        # all of them are taken out first: the end of one would be the beginning of the next
        waiting, self._waiting = self._waiting, {}
        begun = self._pool.cancel_pending() if self._pool is not None else []
        for future in [*(future for (future,) in begun), *waiting]:
            submission.abandon(future)
        for pool in waiting.values():
            pool.settle()

    def __enter__(self) -> Self:
        super().__enter__()
        self._pool = ThreadPool(self._max_workers)
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if self._pool is not None:
            if exc_type is not None:
                self.cancel_all()
            self._pool.drain()
            self._pool.close()
            self._pool = None
        super().__exit__(exc_type, exc_value, traceback)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ThreadPoolTaskRunner) and self._max_workers == other._max_workers

    __hash__ = None  # type: ignore[assignment]


ConcurrentTaskRunner = ThreadPoolTaskRunner
"""The name of `ThreadPoolTaskRunner` in earlier versions of the API."""


class ProcessPoolTaskRunner(TaskRunner[PrefectConcurrentFuture[Any]]):
    """Runs tasks in processes of this machine, for work that keeps a processor busy.

    Tasks, arguments and results travel between processes with cloudpickle.

    Args:
        max_workers: how many processes; default `PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS`, else one for each processor.
        subprocess_message_processor_factories: called in each process to make functions that see each message it sends.
        initializer: called in each process when it starts.
        initargs: its arguments.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        subprocess_message_processor_factories: Iterable[Callable[..., Any]] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__()
        configured = get_current_settings().tasks.runner.process_pool_max_workers
        self._max_workers = max_workers or configured or os.cpu_count() or 1
        self._factories = tuple(subprocess_message_processor_factories or ())
        self._initializer = initializer
        self._initargs = initargs
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None
        self._waiting: dict[Any, Any] = {}  # those whose inputs are not there yet, with how to start them
        self._unfinished: set[Any] = set()

    @property
    def subprocess_message_processor_factories(self) -> tuple[Callable[..., Any], ...]:
        """The factories of message processors."""
        return self._factories

    def set_subprocess_message_processor_factories(
        self, subprocess_message_processor_factories: Iterable[Callable[..., Any]] | None = None
    ) -> None:
        """Replace the factories of message processors; takes effect when the runner next starts."""
        self._factories = tuple(subprocess_message_processor_factories or ())

    def duplicate(self) -> Self:
        return type(self)(
            max_workers=self._max_workers,
            subprocess_message_processor_factories=self._factories,
            initializer=self._initializer,
            initargs=self._initargs,
        )

    def submit(
        self,
        task: Task[P, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> PrefectConcurrentFuture[Any]:
        if not self._started or self._executor is None:
            raise RuntimeError("The task runner must be started before submitting work.")
        task_run_id = new_uuid()
        waiting: concurrent.futures.Future[Any] = concurrent_futures.Future()
        future: PrefectConcurrentFuture[Any] = PrefectConcurrentFuture(task_run_id, waiting)
        self._unfinished.add(waiting)
        waiting.add_done_callback(self._unfinished.discard)
        call = (task, task_run_id, parameters, wait_for)
        self._waiting[waiting] = contextvars.copy_context(), call
        upstream = inputs.find_futures([*parameters.values(), wait_for])
        submission.when_inputs_are_there(upstream, self._start, waiting)
        return future

    def _start(self, waiting: Any) -> None:
        entry = self._waiting.pop(waiting, None)
        if entry is None:
            return  # it was cancelled meanwhile
        context, call = entry

        def end(state: RunState) -> RunState:
            return context.run(processes.not_carried_out, *call, state)

        def lost(exc: BaseException) -> RunState:
            if isinstance(exc, concurrent_futures.BrokenExecutor) and self._executor is executor:
                self._executor = self._new_executor()  # the other tasks of the flow are to have processes, too
            return end(processes.lost(exc))

        executor = self._executor
        try:
            blob = context.run(processes.pack, *call)
            submitted = executor.submit(processes.carry_out, blob)  # type: ignore[union-attr]
        except concurrent_futures.BrokenExecutor as exc:
            waiting.set_result(lost(exc))
        except Exception as exc:
            waiting.set_result(end(processes.not_sent(exc)))
        else:
            processes.pass_on(submitted, waiting, lost, context.get(current_flow))

    def cancel_all(self) -> None:
        """Cancel what has not begun."""
        # all of them are taken out first: the end of one would be the beginning of the next
        entries, self._waiting = self._waiting, {}
        for waiting, (context, call) in entries.items():
            state = processes.lost(concurrent_futures.CancelledError())
            waiting.set_result(context.run(processes.not_carried_out, *call, state))
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self._executor = self._new_executor()
        return self

    def _new_executor(self) -> concurrent.futures.ProcessPoolExecutor:
        return concurrent_futures.ProcessPoolExecutor(
            max_workers=self._max_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=processes.start_process,
            initargs=(processes.setup(self._factories, self._initializer, self._initargs),),
        )

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if self._executor is not None:
            if exc_type is not None:
                self.cancel_all()
            while self._unfinished:  # also those that others of them will start when they end
                concurrent_futures.wait(set(self._unfinished))
            self._executor.shutdown(wait=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessPoolTaskRunner) and self._max_workers == other._max_workers

    __hash__ = None  # type: ignore[assignment]


class PrefectTaskRunner(TaskRunner[PrefectDistributedFuture[Any]]):
    """Hands submitted tasks to task workers, as `.delay()` does; the flow run does not wait for them at its end.

    Task workers are processes that serve the tasks: see `prefect.task_worker.serve`.
    """

    def duplicate(self) -> Self:
        return type(self)()

    def submit(
        self,
        task: Task[P, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> PrefectDistributedFuture[Any]:
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        frame = deferral.defer(task, [(parameters, wait_for)], dependencies=dependencies)[0]
        return PrefectDistributedFuture(frame.id)

    def map(
        self, task: Task[P, Any], parameters: dict[str, Any], wait_for: Iterable[PrefectFuture[Any]] | None = None
    ) -> PrefectFutureList[PrefectDistributedFuture[Any]]:
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        frames = deferral.defer_mapped(task, parameters, wait_for)
        return PrefectFutureList(PrefectDistributedFuture(frame.id) for frame in frames)
