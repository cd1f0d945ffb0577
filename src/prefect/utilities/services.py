"""Loops that must go on in spite of passing trouble."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

from prefect._lazy import imported, lazy_module
from prefect.logging.loggers import get_logger
from prefect.utilities.math import clamped_poisson_interval

if TYPE_CHECKING:
    import anyio
else:
    anyio = lazy_module("anyio")

_MAX_BACKOFFS = 6


async def critical_service_loop(
    workload: Callable[..., Awaitable[Any]],
    interval: float,
    memory: int = 10,
    consecutive: int = 3,
    backoff: int = 1,
    printer: Callable[..., Any] = print,
    run_once: bool = False,
    jitter_range: float | None = None,
) -> None:
    """Run a function again and again, and bear with an API that is not there for a while.

    Connection errors and answers 429, 502, 503 and 504 are borne; any other error ends the loop.

    Args:
        workload: what to run.
        interval: seconds between runs.
        memory: how many errors to keep for the report.
        consecutive: so many errors in a row make the loop slow down, or end.
        backoff: how often it slows down (to twice the interval, then four times, ...) before it ends; at most 6.
        printer: what reports are printed with.
        run_once: run it once only.
        jitter_range: vary the interval by up to so many times itself, so that processes do not fall into step.

    Raises:
        RuntimeError: the errors did not end.
    """
    errors: deque[Exception] = deque(maxlen=memory)
    in_a_row = slowed = 0
    while True:
        try:
            await workload()
            if in_a_row:
                printer("The API answers again.")
            in_a_row = slowed = 0
        except Exception as error:
            if not _is_passing(error):
                raise
            get_logger("utilities.services.critical_service_loop").debug(
                "%s failed, which may pass: %r", getattr(workload, "__name__", workload), error
            )
            errors.append(error)
            in_a_row += 1
        if in_a_row and in_a_row % consecutive == 0:
            _report(errors, in_a_row, printer)
            slowed += 1
            if slowed >= min(backoff, _MAX_BACKOFFS):
                raise RuntimeError(
                    f"Service exceeded error threshold: {in_a_row} errors in a row, the last: {errors[-1]!r}"
                )
            printer(f"Backing off due to consecutive errors, using increased interval of {interval * 2**slowed}s.")
        if run_once:
            return
        pause = interval * 2**slowed
        await anyio.sleep(pause if jitter_range is None else clamped_poisson_interval(pause, jitter_range))


def _is_passing(error: Exception) -> bool:
    # httpx is asked only where it is in use: an error of its kind means that it is imported
    httpx: Any = imported("httpx")
    if httpx is not None:
        if isinstance(error, httpx.HTTPStatusError):
            response: Any = error.response  # pyright: ignore[reportAttributeAccessIssue]
            return response.status_code in (429, 502, 503, 504)
        if isinstance(error, httpx.TransportError):
            return True
    return isinstance(error, ConnectionError)


def _report(errors: deque[Exception], in_a_row: int, printer: Callable[..., Any]) -> None:
    printer(f"\nFailed the last {in_a_row} attempts. Please check your environment and configuration.")
    printer("Examples of recent errors:\n")
    shown: set[tuple[type[Exception], str]] = set()
    for error in reversed(errors):
        key = type(error), str(error)
        if key not in shown:
            shown.add(key)
            printer("".join(TracebackException.from_exception(error).format()))
