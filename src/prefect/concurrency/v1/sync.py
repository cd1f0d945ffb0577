"""Slots of tags, for synchronous code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect._bridge import run
from prefect._engine.port import SYNC
from prefect.client.utilities import sync_client
from prefect.concurrency.slots import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError, named
from prefect.concurrency.v1 import _tags

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency"]


@contextmanager
def concurrency(names: str | list[str], task_run_id: UUID, timeout_seconds: float | None = None) -> Iterator[None]:
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
    with sync_client() as api:
        run(_tags.acquire(SYNC, api, tags, task_run_id, timeout_seconds))
    since = time.monotonic()
    try:
        yield
    finally:
        with sync_client() as api:
            run(_tags.give_back(api, tags, task_run_id, since))
