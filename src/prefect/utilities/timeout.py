"""Time limits for code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect._engine.timeouts import SyncTimeout
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import anyio
else:
    anyio = lazy_module("anyio")


def fail_if_not_timeout_error(timeout_exc_type: type[Exception]) -> None:
    """Refuse an exception type that is no `TimeoutError`.

    Raises:
        ValueError: it is not.
    """
    if not issubclass(timeout_exc_type, TimeoutError):
        raise ValueError("The `timeout_exc_type` argument must be a subclass of `TimeoutError`.")


@contextmanager
def timeout(seconds: float | None = None, timeout_exc_type: type[TimeoutError] = TimeoutError) -> Iterator[None]:
    """Limit the time that a block of synchronous code may take.

    On the main thread blocking calls are interrupted; on other threads the exception comes when the call returns.

    Args:
        seconds: the limit; None for none.
        timeout_exc_type: what is raised.

    Raises:
        TimeoutError: the block took longer.
        ValueError: `timeout_exc_type` is no `TimeoutError`.
    """
    fail_if_not_timeout_error(timeout_exc_type)
    if seconds is None:
        yield
        return
    with SyncTimeout(seconds, timeout_exc_type):
        yield


@contextmanager
def timeout_async(seconds: float | None = None, timeout_exc_type: type[TimeoutError] = TimeoutError) -> Iterator[None]:
    """Limit the time that a block of asynchronous code may take; it is cancelled at its next `await`.

    Args:
        seconds: the limit; None for none.
        timeout_exc_type: what is raised.

    Raises:
        TimeoutError: the block took longer.
        ValueError: `timeout_exc_type` is no `TimeoutError`.
    """
    fail_if_not_timeout_error(timeout_exc_type)
    if seconds is None:
        yield
        return
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise timeout_exc_type(f"Scope timed out after {seconds} second(s).")
