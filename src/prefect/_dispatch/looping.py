"""The loops of programs that work until they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._dispatch.claims import is_passing
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter
from prefect._schemas.sorting import FlowRunSort

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import PrefectClient

T = TypeVar("T")

PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Seconds to rest after the first failure in a row, the second, ...; after that always the last."""
_AT_ONCE = 100
_MOST = 1000


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
    return await _runs_of(client, work_pool_name, {"state": {"type": {"any_": ["CANCELLING"]}}})


async def cancelled_runs(
    client: PrefectClient, work_pool_name: str, after: datetime, before: datetime
) -> list[FlowRun]:
    """Runs of a work pool that were cancelled between two moments."""
    ended = {"after_": after, "before_": before}
    return await _runs_of(client, work_pool_name, {"state": {"type": {"any_": ["CANCELLED"]}}, "end_time": ended})


async def _runs_of(client: PrefectClient, work_pool_name: str, matching: dict[str, Any]) -> list[FlowRun]:
    """The runs of a work pool that match, a page at a time: those that are left over are few."""
    runs, pool = (
        FlowRunFilter.model_validate(matching),
        WorkPoolFilter.model_validate({"name": {"any_": [work_pool_name]}}),
    )
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=runs, work_pool_filter=pool, limit=_AT_ONCE, offset=len(found), sort=FlowRunSort.ID_DESC
        )
        found += page
        if len(page) < _AT_ONCE or len(found) >= _MOST:
            return found
