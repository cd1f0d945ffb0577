"""Taking the slots of tags for a task run, and giving them back. Written once, as `prefect.concurrency.slots`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import settle
from prefect._engine.port import Port
from prefect.concurrency.slots import wait_for_slots
from prefect.concurrency.v1.context import ConcurrencyContext

if TYPE_CHECKING:
    from prefect.client.wire import SlotAnswer


async def acquire(io: Port, api: Any, names: list[str], task_run_id: UUID, timeout_seconds: float | None) -> SlotAnswer:
    """Take a slot of each tag, waiting until there is one; tags without a limit are not limited."""

    def ask(wait_seconds: float) -> Any:
        return api.request_v1_concurrency_slots(names, task_run_id)

    return await wait_for_slots(io, ask, names, timeout_seconds, None, "concurrency limits", keeps=False)


async def give_back(api: Any, names: list[str], task_run_id: UUID, since: float) -> None:
    """Give back what a task run holds of tags."""
    held = max(time.monotonic() - since, 1e-6)
    try:
        await settle(api.decrement_v1_concurrency_slots(names, task_run_id, held))
    except Exception:
        around = ConcurrencyContext.get()
        if around is None:
            raise
        around.cleanup_slots.append((names, held, task_run_id))  # it is tried again when that is left
