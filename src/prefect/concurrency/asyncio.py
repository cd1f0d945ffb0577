"""Slots of concurrency limits, for asynchronous code.

```python
async with concurrency("database", occupy=1):
    await query()
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from prefect._engine.port import ASYNC
from prefect.client.utilities import async_client
from prefect.concurrency.holding import could_not_give_back, kept, lost_error, say_lost
from prefect.concurrency.slots import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    Taken,
    Wish,
    acquire,
    give_back,
    holder_of_current_run,
    named,
)

if TYPE_CHECKING:
    from prefect._schemas.concurrency import ConcurrencyLeaseHolder

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]


@asynccontextmanager
async def concurrency(
    names: str | list[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
    holder: ConcurrencyLeaseHolder | None = None,
    raise_on_lease_renewal_failure: bool | None = None,
) -> AsyncIterator[None]:
    """Have slots of concurrency limits while the block lasts.

    They are held under a lease that is renewed in the background, so that those of a process that was killed come free.

    Args:
        names: of the limits, or of one; names without a limit are not limited.
        occupy: how many slots of each.
        timeout_seconds: how long to wait for them; None for as long as it takes.
        max_retries: how often to ask again when there are none; None for as often as it takes.
        lease_duration: seconds after which the slots come free when this process has died, 60 to 86,400.
        strict: whether it is an error when none of the limits exist.
        holder: who is said to have the slots; the current run unless given.
        raise_on_lease_renewal_failure: whether to end the block with an error when the lease has ended because it could
            not be renewed; as `strict` unless given. Otherwise a warning is logged.

    Raises:
        AcquireConcurrencySlotTimeoutError: there were no slots in time.
        ConcurrencySlotAcquisitionError: the slots cannot be had; the lease was lost.
    """
    wanted = named(names)
    if not wanted:
        yield
        return
    wish = Wish(wanted, occupy, "concurrency", lease_duration, holder or holder_of_current_run(), strict)
    async with async_client() as api:
        taken = await acquire(ASYNC, api, wish, timeout_seconds, max_retries)
    raising = strict if raise_on_lease_renewal_failure is None else raise_on_lease_renewal_failure
    cancelling = _LostInTask(taken)
    try:
        with kept(taken, cancelling if raising else partial(say_lost, taken)):
            yield
    except asyncio.CancelledError as exc:
        if cancelling.cancelled:
            raise lost_error(taken) from exc
        raise
    finally:
        # to its end, also when this task is being cancelled
        await asyncio.shield(asyncio.ensure_future(_give_back(taken)))


async def _give_back(taken: Taken) -> None:
    try:
        async with async_client() as api:
            await give_back(api, taken)
    except Exception as exc:
        could_not_give_back(taken, exc)


class _LostInTask:
    """Cancels a task because the lease on its slots has ended."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self.cancelled = False

    def __call__(self, exc: Exception) -> None:
        say_lost(self._taken, exc)
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self.cancelled = True
            self._task.cancel()


async def rate_limit(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Wait until slots of limits with a decay are free, and take them. They come free by themselves.

    Args:
        names: of the limits, or of one; names without a limit are not limited.
        occupy: how many slots of each.
        timeout_seconds: how long to wait for them; None for as long as it takes.
        strict: whether it is an error when none of the limits exist.

    Raises:
        AcquireConcurrencySlotTimeoutError: there were no slots in time.
        ConcurrencySlotAcquisitionError: the slots cannot be had; a limit has no decay.
    """
    wanted = named(names)
    if wanted:
        async with async_client() as api:
            await acquire(ASYNC, api, Wish(wanted, occupy, "rate_limit", strict=strict), timeout_seconds)
