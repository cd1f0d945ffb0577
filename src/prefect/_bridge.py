"""The only place where synchronous and asynchronous code meet.

Bodies that must serve both worlds are written once, as `async def`. A synchronous caller finishes such a
coroutine with `run` (it never suspends) or with `run_coro_as_sync` (it does: its own event loop);
`async_dispatch` gives one public name that does the right thing in either world.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._lazy import imported, lazy_module

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_module("asyncio")  # 45 ms that a synchronous run never needs

R = TypeVar("R")


def run(coro: Coroutine[Any, Any, R]) -> R:
    """Finish a coroutine that never suspends, on this thread, without an event loop.

    Raises:
        RuntimeError: the coroutine tried to wait for something asynchronous.
    """
    try:
        coro.send(None)
    except StopIteration as done:
        return done.value
    else:
        raise RuntimeError(f"{coro.__qualname__} tried to wait asynchronously in a synchronous run.")
    finally:
        coro.close()


async def settle(answer: Any) -> Any:
    """What a client of either kind answers: that of an asynchronous one is awaited, the other's is there already.

    With it a body is written once for both, and finished with `run` where the client is synchronous.
    """
    return await answer if hasattr(answer, "__await__") else answer


_run_is_async: Callable[[], bool | None] = lambda: None  # noqa: E731


def tell_run_kind(fn: Callable[[], bool | None]) -> None:
    """Let the engine say whether the code of the current run is asynchronous (None: there is no run)."""
    global _run_is_async
    _run_is_async = fn


def in_async_context() -> bool:
    """Whether a name that serves both worlds is being called from asynchronous code.

    The current run knows best: a synchronous flow called from a coroutine is synchronous code, although the thread
    runs an event loop. Outside of runs, a running event loop decides.
    """
    if not in_running_loop():
        return False
    return _run_is_async() is not False


def in_running_loop() -> bool:
    """Whether this thread is running an event loop (never imports asyncio)."""
    events = imported("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def run_coro_as_sync(coro: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine to its end from synchronous code and return its result.

    Uses a fresh event loop on this thread; if this thread already runs a loop, a fresh thread (with this
    thread's context variables), so that it never dead-locks on the loop it was called from.
    """
    if not in_running_loop():
        return asyncio.run(coro)
    context = contextvars.copy_context()
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append((True, context.run(asyncio.run, coro)))
        except BaseException as exc:
            outcome.append((False, exc))

    thread = threading.Thread(target=target, name="prefect-sync-bridge", daemon=True)
    thread.start()
    thread.join()
    succeeded, value = outcome[0]
    if succeeded:
        return value
    raise value


def async_dispatch(async_fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Give a synchronous function the asynchronous twin `async_fn`.

    The decorated name runs its own (synchronous) body when no event loop runs on this thread and returns
    `async_fn`'s coroutine when one does; `name.aio` is always the twin, and `_sync=True` / `_sync=False`
    chooses explicitly.
    """

    def decorate(sync_fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(sync_fn)
        def dispatch(*args: Any, _sync: bool | None = None, **kwargs: Any) -> Any:
            if _sync is True or (_sync is None and not in_async_context()):
                return sync_fn(*args, **kwargs)
            return async_fn(*args, **kwargs)

        dispatch.aio = async_fn  # type: ignore[attr-defined]
        return dispatch

    return decorate


def sync_compatible(async_fn: Callable[..., Coroutine[Any, Any, R]]) -> Callable[..., Any]:
    """Let an `async def` be called from both worlds: a coroutine in a running loop, the result elsewhere."""

    @functools.wraps(async_fn)
    def dispatch(*args: Any, _sync: bool | None = None, **kwargs: Any) -> Any:
        coro = async_fn(*args, **kwargs)
        if _sync is True or (_sync is None and not in_async_context()):
            return run_coro_as_sync(coro)
        return coro

    dispatch.aio = async_fn  # type: ignore[attr-defined]
    return dispatch
