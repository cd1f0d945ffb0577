"""Where synchronous and asynchronous code meet, for integrations. The real thing is `prefect._bridge`."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn, ParamSpec, TypeGuard, TypeVar
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import anyio
import anyio.abc
import anyio.from_thread
import anyio.to_thread

from prefect import _bridge
from prefect._bridge import in_running_loop, sync_compatible

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = [
    "GatherIncomplete",
    "GatherTaskGroup",
    "LazySemaphore",
    "add_event_loop_shutdown_callback",
    "asyncnullcontext",
    "call_with_mark",
    "create_gather_task_group",
    "create_task",
    "gather",
    "get_thread_limiter",
    "in_async_main_thread",
    "in_async_worker_thread",
    "is_async_fn",
    "is_async_gen_fn",
    "mark_as_worker_thread",
    "run_async_from_worker_thread",
    "run_async_in_new_loop",
    "run_coro_as_sync",
    "run_sync_in_worker_thread",
    "sync",
    "sync_compatible",
]

_worker_thread: contextvars.ContextVar[bool] = contextvars.ContextVar("prefect_worker_thread", default=False)
_tasks: set[asyncio.Task[Any]] = set()
_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, anyio.CapacityLimiter] = WeakKeyDictionary()
_THREADS = 250


def get_thread_limiter() -> anyio.CapacityLimiter:
    """How many threads `run_sync_in_worker_thread` uses at once, in the running event loop."""
    return _limiters.setdefault(asyncio.get_running_loop(), anyio.CapacityLimiter(_THREADS))


def is_async_fn(func: Callable[P, R | Awaitable[R]]) -> TypeGuard[Callable[P, Coroutine[Any, Any, Any]]]:
    """Whether a function, also a wrapped one, is a coroutine function."""
    return inspect.iscoroutinefunction(inspect.unwrap(func))


def is_async_gen_fn(func: Callable[P, Any]) -> TypeGuard[Callable[P, Any]]:
    """Whether a function, also a wrapped one, is an asynchronous generator function."""
    return inspect.isasyncgenfunction(inspect.unwrap(func))


def create_task(coroutine: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    """Start a task that nobody needs to hold on to: it is kept until it has ended."""
    task = asyncio.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def run_coro_as_sync(
    coroutine: Coroutine[Any, Any, R], *, force_new_thread: bool = False, wait_for_result: bool = True
) -> R | None:
    """Run a coroutine to its end from synchronous code.

    Args:
        coroutine: what to run.
        force_new_thread: run it in another thread, also where it could run in this one.
        wait_for_result: wait, and return its result; else return None at once.
    """
    if wait_for_result and not force_new_thread:
        return _bridge.run_coro_as_sync(coroutine)
    context = contextvars.copy_context()
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, context.run(asyncio.run, coroutine)))
        except BaseException as exc:
            outcome.append((False, exc))
            if not wait_for_result:
                raise

    thread = threading.Thread(target=run, name="prefect-sync-bridge", daemon=True)
    thread.start()
    if not wait_for_result:
        return None
    thread.join()
    succeeded, value = outcome[0]
    if succeeded:
        return value
    raise value


async def run_sync_in_worker_thread(__fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that may block on another thread, so that the event loop goes on; returns what it returns.

    The thread is not waited for when the caller is cancelled.
    """
    call = partial(__fn, *args, **kwargs)
    return await anyio.to_thread.run_sync(call_with_mark, call, abandon_on_cancel=True, limiter=get_thread_limiter())


def call_with_mark(call: Callable[..., R]) -> R:
    """Make a call on a thread that is known as a worker thread from then on."""
    mark_as_worker_thread()
    return call()


def mark_as_worker_thread() -> None:
    """Let `in_async_worker_thread` be true in this context."""
    _worker_thread.set(True)


def in_async_worker_thread() -> bool:
    """Whether this code runs on a thread that `run_sync_in_worker_thread` started."""
    return _worker_thread.get()


def in_async_main_thread() -> bool:
    """Whether this code runs in an event loop."""
    return in_running_loop() and not in_async_worker_thread()


def run_async_from_worker_thread(__fn: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a coroutine function in the event loop that started this worker thread."""
    return anyio.from_thread.run(partial(__fn, *args, **kwargs))


def run_async_in_new_loop(__fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a coroutine function in an event loop of its own, on this thread."""
    return anyio.run(partial(__fn, *args, **kwargs))


def sync(__async_fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a coroutine function from synchronous code and return its result."""
    return _bridge.run_coro_as_sync(__async_fn(*args, **kwargs))


async def add_event_loop_shutdown_callback(coroutine_fn: Callable[[], Awaitable[Any]]) -> None:
    """Have a coroutine function called when the running event loop is closed by `asyncio.run` and the like."""

    async def wait_for_the_end() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await coroutine_fn()

    # a loop that ends closes the asynchronous generators that it has begun
    generator = wait_for_the_end()
    await anext(generator)
    _generators.setdefault(asyncio.get_running_loop(), []).append(generator)


_generators: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Any]] = WeakKeyDictionary()


@asynccontextmanager
async def asyncnullcontext(value: R | None = None, *args: Any, **kwargs: Any) -> AsyncIterator[R | None]:
    """A context that does nothing, for asynchronous code."""
    yield value


class GatherIncomplete(RuntimeError):
    """The result of a task of a group was asked for before the group had ended."""


class GatherTaskGroup(anyio.abc.TaskGroup):
    """A group of tasks whose results are kept.

    Args:
        task_group: the group that runs them.
    """

    def __init__(self, task_group: anyio.abc.TaskGroup) -> None:
        self._results: dict[UUID, Any] = {}
        self._task_group = task_group
        self.cancel_scope = task_group.cancel_scope

    async def _run_and_store(self, key: UUID, fn: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self._results[key] = await fn(*args)

    def start_soon(self, func: Callable[..., Awaitable[Any]], *args: Any, name: object = None) -> UUID:  # type: ignore[override]
        """Start a task; returns the key of its result."""
        key = uuid4()
        self._results[key] = GatherIncomplete
        self._task_group.start_soon(self._run_and_store, key, func, *args, name=name)
        return key

    async def start(self, func: object, *args: object, name: object = None) -> NoReturn:  # type: ignore[override]
        """Not available: what a task says when it has started is not its result."""
        raise RuntimeError("A GatherTaskGroup starts its tasks with `start_soon`.")

    def create_task(self, coro: Any, *, name: object = None, context: Any = None) -> Any:  # type: ignore[override]
        """Start a coroutine; returns the key of its result."""
        return self.start_soon(lambda: coro, name=name)

    def get_result(self, key: UUID) -> Any:
        """What the task of a key returned.

        Raises:
            GatherIncomplete: it has not ended.
        """
        result = self._results[key]
        if result is GatherIncomplete:
            raise GatherIncomplete("The task has not ended: leave the block of the group before you ask for results.")
        return result

    async def __aenter__(self) -> GatherTaskGroup:
        await self._task_group.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> bool:
        return bool(await self._task_group.__aexit__(*exc_info))


def create_gather_task_group() -> GatherTaskGroup:
    """A group of tasks whose results are kept."""
    return GatherTaskGroup(anyio.create_task_group())


async def gather(*calls: Callable[[], Coroutine[Any, Any, T]]) -> list[T]:
    """Call coroutine functions at the same time and return their results, in order."""
    group = create_gather_task_group()
    keys: list[UUID] = []
    async with group:
        keys += [group.start_soon(call) for call in calls]
    return [group.get_result(key) for key in keys]


class LazySemaphore:
    """A semaphore whose size is asked for when it is first used.

    Args:
        initial_value_func: says how many may be inside at once.
    """

    def __init__(self, initial_value_func: Callable[[], int]) -> None:
        self._initial_value_func = initial_value_func
        self._semaphore: asyncio.Semaphore | None = None

    async def __aenter__(self) -> asyncio.Semaphore:
        if self._semaphore is None:
            self._semaphore = asyncio.Semaphore(self._initial_value_func())
        await self._semaphore.acquire()
        return self._semaphore

    async def __aexit__(self, *exc_info: Any) -> None:
        if self._semaphore is not None:
            self._semaphore.release()
