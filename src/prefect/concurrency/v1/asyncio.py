"""Slots of tags, for asynchronous code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prefect._engine.port import ASYNC
from prefect.client.utilities import async_client
from prefect.concurrency.slots import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError, named
from prefect.concurrency.v1 import _tags

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency"]


@asynccontextmanager
async def concurrency(
    names: str | list[str], task_run_id: UUID, timeout_seconds: float | None = None
) -> AsyncIterator[None]:
    """Have a slot of each tag while the block lasts.

    Args:
        names: the tags, or one; those without a limit are not limited.
        task_run_id: the task run that has the slots.
        timeout_seconds: how long to wait for them; None for as long as it takes.

    Raises:
        AcquireConcurrencySlotTimeoutError: there were no slots in time.
    """
    tags = named(names)
    if not tags:
        yield
        return
    async with async_client() as api:
        await _tags.acquire(ASYNC, api, tags, task_run_id, timeout_seconds)
    since = time.monotonic()
    try:
        yield
    finally:
        # to its end, also when this task is being cancelled
        await asyncio.shield(asyncio.ensure_future(_give_back(tags, task_run_id, since)))


async def _give_back(tags: list[str], task_run_id: UUID, since: float) -> None:
    async with async_client() as api:
        await _tags.give_back(api, tags, task_run_id, since)
