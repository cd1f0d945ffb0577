"""The port through which the engine touches the world.

The life of a run is written once, as coroutines over a port. With the synchronous port they never suspend, and
`prefect._bridge.run` finishes them on the caller's own thread; with the asynchronous port an event loop runs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Protocol

from prefect._bridge import run_coro_as_sync
from prefect._engine.timeouts import AsyncTimeout, SyncTimeout
from prefect._lazy import lazy_module

asyncio = lazy_module("asyncio")


class Port(Protocol):
    """What the engine asks of the world it runs in."""

    async def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call the user's function and return what it makes."""
        ...

    async def call_within(
        self, seconds: float, error: type[BaseException], fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """The same under a time limit: `error` is raised when it is exceeded."""
        ...

    async def invoke(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call a hook or another function of the user's that may be of either kind."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    async def wait(self, future: Any) -> None:
        """Wait until a `PrefectFuture` has finished."""
        ...

    async def block(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call a function that may block for long."""
        ...


class _SyncPort:
    """Everything happens here and now, on the caller's thread."""

    __slots__ = ()

    async def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    async def call_within(
        self, seconds: float, error: type[BaseException], fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        with SyncTimeout(seconds, error):
            return fn(*args, **kwargs)

    async def invoke(self, fn: Callable[..., Any], *args: Any) -> Any:
        value = fn(*args)
        return run_coro_as_sync(value) if isinstance(value, CoroutineType) else value

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def wait(self, future: Any) -> None:
        future.wait()

    async def block(self, fn: Callable[..., Any], *args: Any) -> Any:
        return fn(*args)


class _AsyncPort:
    """Waiting lets the event loop go on."""

    __slots__ = ()

    async def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return await fn(*args, **kwargs)

    async def call_within(
        self, seconds: float, error: type[BaseException], fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        async with AsyncTimeout(seconds, error):
            return await fn(*args, **kwargs)

    async def invoke(self, fn: Callable[..., Any], *args: Any) -> Any:
        value = fn(*args)
        return await value if hasattr(value, "__await__") else value

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, future: Any) -> None:
        wait_async = getattr(future, "wait_async", None)
        if wait_async is not None:
            await wait_async()
        else:
            await asyncio.to_thread(future.wait)

    async def block(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.to_thread(fn, *args)


SYNC: Port = _SyncPort()
ASYNC: Port = _AsyncPort()
