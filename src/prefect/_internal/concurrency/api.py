"""Calls that are handed to other threads: a new one, or one that runs an event loop for the whole process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["Call", "cast_to_call", "create_call", "from_async", "from_sync"]


class Call(Generic[T]):
    """A function with its arguments, and what came of calling it.

    Attributes:
        fn, args, kwargs: what is called.
        future: holds the result.
    """

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> None:
        self.fn, self.args, self.kwargs = fn, args, kwargs or {}
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._context = contextvars.copy_context()

    def result(self, timeout: float | None = None) -> T:
        """What the call returned, waiting for it on this thread; its exception is raised."""
        return self.future.result(timeout)

    async def aresult(self) -> T:
        """`result` for asynchronous code."""
        return await asyncio.wrap_future(self.future)

    def run(self) -> None:
        """Make the call on this thread, in the context in which it was created; a coroutine runs in a loop of its own."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            value = self._context.run(self.fn, *self.args, **self.kwargs)
            if inspect.isawaitable(value):
                value = self._context.run(asyncio.run, _awaited(value))
        except BaseException as exc:
            self.future.set_exception(exc)
        else:
            self.future.set_result(value)  # type: ignore[arg-type]

    async def run_here(self) -> None:
        """Make the call in the loop that is running."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            value = self._context.run(self.fn, *self.args, **self.kwargs)
            if inspect.isawaitable(value):
                value = await asyncio.get_running_loop().create_task(_awaited(value), context=self._context)
        except BaseException as exc:
            self.future.set_exception(exc)
        else:
            self.future.set_result(value)  # type: ignore[arg-type]


async def _awaited(value: Awaitable[T]) -> T:
    return await value


def create_call(__fn: Callable[P, T | Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Call[T]:
    """A call that has not been made yet."""
    return Call(__fn, args, kwargs)


def cast_to_call(call_like: Callable[[], Any] | Call[T]) -> Call[T]:
    """A call, or one of a function without arguments."""
    return call_like if isinstance(call_like, Call) else Call(call_like)


class _LoopThread:
    """The thread with an event loop that all calls of the process share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, call: Call[Any]) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="prefect-loop", daemon=True).start()
        asyncio.run_coroutine_threadsafe(call.run_here(), self._loop)


_loop_thread = _LoopThread()


def _after_fork_in_child() -> None:
    global _loop_thread
    _loop_thread = _LoopThread()  # the thread stayed with the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _Handing:
    """Handing calls to other threads."""

    @staticmethod
    def call_soon_in_new_thread(__call: Callable[[], T] | Call[T], timeout: float | None = None) -> Call[T]:
        """Have a call made on a new thread, and return it at once."""
        call = cast_to_call(__call)
        threading.Thread(target=call.run, name="prefect-call", daemon=True).start()
        return call

    @staticmethod
    def call_soon_in_loop_thread(__call: Callable[[], Any] | Call[T], timeout: float | None = None) -> Call[T]:
        """Have a call made in the process's event loop, and return it at once."""
        call: Call[T] = cast_to_call(__call)
        _loop_thread.submit(call)
        return call


class from_sync(_Handing):
    """Handing calls to other threads, from synchronous code."""

    @staticmethod
    def call_in_new_thread(__call: Callable[[], T] | Call[T], timeout: float | None = None) -> T:
        """Have a call made on a new thread, and return its result."""
        return from_sync.call_soon_in_new_thread(__call).result(timeout)

    @staticmethod
    def call_in_loop_thread(__call: Callable[[], Any] | Call[T], timeout: float | None = None) -> T:
        """Have a call made in the process's event loop, and return its result."""
        return from_sync.call_soon_in_loop_thread(__call).result(timeout)

    @staticmethod
    def wait_for_call_in_new_thread(
        __call: Callable[[], T] | Call[T],
        timeout: float | None = None,
        done_callbacks: Iterable[Call[Any]] | None = None,
    ) -> T:
        """As `call_in_new_thread`; afterwards the callbacks are called."""
        try:
            return from_sync.call_in_new_thread(__call, timeout)
        finally:
            _call_all(done_callbacks)

    @staticmethod
    def wait_for_call_in_loop_thread(
        __call: Callable[[], Any] | Call[T],
        timeout: float | None = None,
        done_callbacks: Iterable[Call[Any]] | None = None,
        contexts: Iterable[contextlib.AbstractContextManager[Any]] | None = None,
    ) -> T:
        """As `call_in_loop_thread`, in contexts; afterwards the callbacks are called."""
        with contextlib.ExitStack() as stack:
            for context in contexts or ():
                stack.enter_context(context)
            try:
                return from_sync.call_in_loop_thread(__call, timeout)
            finally:
                _call_all(done_callbacks)


class from_async(_Handing):
    """Handing calls to other threads, from asynchronous code."""

    @staticmethod
    async def call_in_new_thread(__call: Callable[[], T] | Call[T], timeout: float | None = None) -> T:
        """Have a call made on a new thread, and return its result."""
        call = from_async.call_soon_in_new_thread(__call)
        return await asyncio.wait_for(call.aresult(), timeout)

    @staticmethod
    async def call_in_loop_thread(__call: Callable[[], Any] | Call[T], timeout: float | None = None) -> T:
        """Have a call made in the process's event loop, and return its result."""
        call: Call[T] = from_async.call_soon_in_loop_thread(__call)
        return await asyncio.wait_for(call.aresult(), timeout)

    @staticmethod
    async def wait_for_call_in_new_thread(
        __call: Callable[[], T] | Call[T],
        timeout: float | None = None,
        done_callbacks: Iterable[Call[Any]] | None = None,
    ) -> T:
        """As `call_in_new_thread`; afterwards the callbacks are called."""
        try:
            return await from_async.call_in_new_thread(__call, timeout)
        finally:
            _call_all(done_callbacks)

    @staticmethod
    async def wait_for_call_in_loop_thread(
        __call: Callable[[], Any] | Call[T],
        timeout: float | None = None,
        done_callbacks: Iterable[Call[Any]] | None = None,
        contexts: Iterable[contextlib.AbstractContextManager[Any]] | None = None,
    ) -> T:
        """As `call_in_loop_thread`, in contexts; afterwards the callbacks are called."""
        with contextlib.ExitStack() as stack:
            for context in contexts or ():
                stack.enter_context(context)
            try:
                return await from_async.call_in_loop_thread(__call, timeout)
            finally:
                _call_all(done_callbacks)


def _call_all(callbacks: Iterable[Call[Any]] | None) -> None:
    for callback in callbacks or ():
        callback.run()
