"""Calling a coroutine function again when it fails."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from prefect.logging.loggers import get_logger

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["exponential_backoff_with_jitter", "retry_async_fn"]


def exponential_backoff_with_jitter(attempt: int, base_delay: float, max_delay: float) -> float:
    """Seconds to wait after an attempt: doubled with each, spread by up to half, so that many do not come back at once.

    Args:
        attempt: the number of the attempt that failed, from 1.
        base_delay: seconds after the first.
        max_delay: seconds at most.
    """
    delay = min(base_delay * 2 ** (attempt - 1), max_delay)
    return min(delay * random.uniform(0.5, 1.5), max_delay)


def retry_async_fn(
    max_attempts: int = 3,
    backoff_strategy: Callable[[int, float, float], float] = exponential_backoff_with_jitter,
    base_delay: float = 1,
    max_delay: float = 10,
    retry_on_exceptions: tuple[type[Exception], ...] = (Exception,),
    operation_name: str | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Have a coroutine function called again when it fails.

    Args:
        max_attempts: how often it is called at most.
        backoff_strategy: seconds to wait, from the number of the attempt, `base_delay` and `max_delay`.
        base_delay, max_delay: in seconds.
        retry_on_exceptions: the failures after which to try again.
        operation_name: how messages call it; the function's name unless given.
    """

    def decorate(fn: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        name = operation_name or fn.__name__

        @functools.wraps(fn)
        async def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
            attempt = 1
            while True:
                try:
                    return await fn(*args, **kwargs)
                except retry_on_exceptions as exc:
                    if attempt >= max_attempts:
                        raise
                    delay = backoff_strategy(attempt, base_delay, max_delay)
                    get_logger("retries").warning(
                        "Attempt %d of %d of %r failed: %s. The next one is in %.1f seconds.",
                        attempt, max_attempts, name, exc, delay,
                    )  # fmt: skip
                attempt += 1
                await asyncio.sleep(delay)

        return repeated

    return decorate
