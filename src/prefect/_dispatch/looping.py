"""The loops of programs that work until they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._dispatch.claims import is_passing
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import PrefectClient

T = TypeVar("T")

PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Seconds to rest after the first failure in a row, the second, ...; after that always the last."""
_CANCELLING_AT_ONCE = 50


async def forever(work: Callable[[], Awaitable[Any]], interval: float, logger: logging.Logger, trouble: str) -> None:
    """Do something again and again. Errors are told once in a row, and the work is done more rarely until they are over.

    Args:
        work: what to do.
        interval: seconds between the end of one time and the beginning of the next.
        logger: is told of errors.
        trouble: what an error means, for the log.
    """
    failures = 0
    while True:
        try:
            await work()
            if failures:
                logger.info("The API answers again.")
            failures = 0
        except Exception as exc:
            failures += 1
            if failures == 1 or not is_passing(exc):
                logger.warning(
                    "%s: %s: %s. Trying again every few seconds.", trouble, type(exc).__name__, exc,
                    exc_info=not is_passing(exc) and failures == 1,
                )  # fmt: skip
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES)) - 1])
        else:
            await asyncio.sleep(interval)


async def persistently(work: Callable[[], Awaitable[T]], logger: logging.Logger) -> T:
    """Do something that must be done, however long the API is away.

    Raises:
        Exception: an error that does not pass.
    """
    failures = 0
    while True:
        try:
            return await work()
        except Exception as exc:
            if not is_passing(exc):
                raise
            failures += 1
            if failures == 1:
                logger.warning("The API does not answer: %s. Trying again every few seconds.", exc)
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES)) - 1])


@contextlib.contextmanager
def signals(handler: Callable[[int], None], printer: Callable[..., Any] | None = None) -> Iterator[None]:
    """Let a program hear of Ctrl-C and termination signals, for the duration of a `with` block.

    Args:
        handler: called in the event loop with how many there have been.
        printer: told of each.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    count = 0

    def heard(number: int) -> None:
        nonlocal count
        count += 1
        if printer is not None:
            printer(f"{signal.Signals(number).name} received: {'stopping' if count == 1 else 'stopping at once'}.")
        handler(count)

    added = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels the program's main task
            loop.add_signal_handler(number, heard, number)
            added.append(number)
    try:
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)


async def cancelling_runs(client: PrefectClient, work_pool_name: str) -> list[FlowRun]:
    """Runs of a work pool that are to be cancelled."""
    runs = FlowRunFilter.model_validate({"state": {"type": {"any_": ["CANCELLING"]}}})
    pool = WorkPoolFilter.model_validate({"name": {"any_": [work_pool_name]}})
    return await client.read_flow_runs(flow_run_filter=runs, work_pool_filter=pool, limit=_CANCELLING_AT_ONCE)
