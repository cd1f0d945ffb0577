"""Taking slots of concurrency limits, waiting for them, giving them back.

Written once for synchronous and asynchronous programs: `io` waits as theirs do, `api` is a client of either kind.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from prefect._bridge import settle
from prefect._engine.frames import current_flow, current_task
from prefect._engine.port import Port
from prefect._events.emitting import emit_event
from prefect._ids import new_uuid
from prefect._schemas.concurrency import ConcurrencyLeaseHolder, MinimalConcurrencyLimitResponse
from prefect._transport.errors import explanation
from prefect._transport.port import Reply, Request
from prefect.exceptions import ConfigurationError, PrefectHTTPStatusError
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect._schemas.events import Event
    from prefect.client.wire import SlotAnswer

Mode = Literal["concurrency", "rate_limit"]

_WAIT_SECONDS = 20.0
"""How long one request may be kept by the API: shorter than what clients and proxies bear."""
_LONGEST_SLEEP = 5.0
"""Seconds between two requests to an API that does not keep them, at most."""


class ConcurrencySlotAcquisitionError(Exception):
    """Slots of concurrency limits could not be taken."""


class AcquireConcurrencySlotTimeoutError(TimeoutError):
    """There were no free slots of concurrency limits in the time that was given."""


@dataclass(frozen=True)
class Wish:
    """What slots somebody wants."""

    names: list[str]
    slots: int = 1
    mode: Mode = "concurrency"
    lease_duration: float | None = None
    """Seconds; None for slots without a lease."""
    holder: ConcurrencyLeaseHolder | None = None
    strict: bool = False
    """Whether it is an error when none of the limits exist."""


@dataclass
class Taken:
    """Slots that somebody has."""

    wish: Wish
    limits: list[MinimalConcurrencyLimitResponse]
    lease_id: UUID | None = None
    since: float = field(default_factory=time.monotonic)
    acquired: dict[UUID, Event | None] = field(default_factory=dict)


def named(names: str | list[str]) -> list[str]:
    """Names of limits, each once."""
    return list(dict.fromkeys([names] if isinstance(names, str) else names))


def holder_of_current_run() -> ConcurrencyLeaseHolder | None:
    """The run that is current, as what holds slots."""
    task_frame, flow_frame = current_task.get(), current_flow.get()
    if task_frame is not None:
        return ConcurrencyLeaseHolder(type="task_run", id=UUID(task_frame.id))
    if flow_frame is not None:
        return ConcurrencyLeaseHolder(type="flow_run", id=UUID(flow_frame.id))
    return None


async def acquire(
    io: Port, api: Any, wish: Wish, timeout_seconds: float | None = None, max_retries: int | None = None
) -> Taken:
    """Take slots, waiting until there are some.

    Args:
        timeout_seconds: how long to wait; None for as long as it takes.
        max_retries: how often to ask again when there are none; None for as often as it takes.

    Raises:
        AcquireConcurrencySlotTimeoutError: there were none in time.
        ConcurrencySlotAcquisitionError: they cannot be had; none of the limits exist and the wish is strict; there were
            none and it was asked often enough.
    """
    waiter_id = new_uuid()

    def ask(wait_seconds: float) -> Any:
        return api.request_concurrency_slots(
            wish.names, wish.slots, wish.mode, wish.lease_duration, wish.holder, wait_seconds, waiter_id
        )

    answer = await wait_for_slots(io, ask, wish.names, timeout_seconds, max_retries, "concurrency slots")
    if not answer.limits:
        if wish.strict:
            raise ConcurrencySlotAcquisitionError(
                f"Concurrency limits {wish.names} must be created before acquiring slots. "
                "`prefect gcl create NAME --limit N` makes one."
            )
        get_logger("concurrency").warning("Concurrency limits %s do not exist - skipping acquisition.", wish.names)
    taken = Taken(wish, answer.limits, answer.lease_id)
    tell(taken, "acquired")
    return taken


async def wait_for_slots(
    io: Port,
    ask: Callable[[float], Awaitable[SlotAnswer] | SlotAnswer],
    names: list[str],
    timeout_seconds: float | None,
    max_retries: int | None,
    what: str,
    *,
    keeps: bool = True,
) -> SlotAnswer:
    """Ask until the answer is that slots were taken.

    Args:
        ask: asks once; given how many seconds the API may keep the request.
        what: how to call what is waited for.
        keeps: whether the API may keep a request.
    """
    began = time.monotonic()
    tries = 0
    while True:
        asked = time.monotonic()
        left = None if timeout_seconds is None else timeout_seconds - (asked - began)
        kept = _WAIT_SECONDS if left is None else min(max(left, 0.0), _WAIT_SECONDS)
        if not keeps or max_retries is not None:  # who counts the tries wants each answered at once
            kept = 0.0
        try:
            answer: SlotAnswer = await settle(ask(kept))
        except PrefectHTTPStatusError as exc:
            raise ConcurrencySlotAcquisitionError(f"Unable to acquire {what} on {names}: {_reason(exc)}") from exc
        if answer.retry_after is None:
            return answer
        if max_retries is not None and tries >= max_retries:
            raise ConcurrencySlotAcquisitionError(f"Unable to acquire {what} on {names}: 423 Locked, {tries + 1} times")
        tries += 1
        moment = time.monotonic()
        if timeout_seconds is not None and moment - began >= timeout_seconds:
            raise AcquireConcurrencySlotTimeoutError(
                f"Attempt to acquire {what} timed out after {timeout_seconds} second(s)"
            )
        if moment - asked >= kept > 0:
            continue  # the API has done the waiting
        pause = min(answer.retry_after, _LONGEST_SLEEP) * random.uniform(0.8, 1.2)
        if timeout_seconds is not None:
            pause = min(pause, timeout_seconds - (moment - began))
        await io.sleep(max(pause, 0.01))


async def give_back(api: Any, taken: Taken) -> None:
    """Give slots back."""
    held = max(time.monotonic() - taken.since, 1e-6)
    if taken.lease_id is not None:
        await settle(api.release_concurrency_slots_with_lease(lease_id=taken.lease_id))
    else:
        names = [limit.name for limit in taken.limits]
        await settle(api.release_concurrency_slots(names, taken.wish.slots, held))
    tell(taken, "released")


def tell(taken: Taken, what: str) -> None:
    """Emit an event for each limit that slots were taken from or given back to."""
    for limit in taken.limits:
        others = [
            {
                "prefect.resource.id": f"prefect.concurrency-limit.{other.id}",
                "prefect.resource.role": "concurrency-limit",
            }
            for other in taken.limits
            if other.id != limit.id
        ]
        resource = {
            "prefect.resource.id": f"prefect.concurrency-limit.{limit.id}",
            "prefect.resource.name": limit.name,
            "slots-acquired": str(taken.wish.slots),
            "limit": str(limit.limit),
        }
        try:
            event = emit_event(
                f"prefect.concurrency-limit.{what}", resource, related=others, follows=taken.acquired.get(limit.id)
            )
        except (
            ConfigurationError
        ) as exc:  # events have nowhere to go; the work that the slots are for does not depend on it
            get_logger("concurrency").debug("No event tells that slots of %r were %s: %s", limit.name, what, exc)
            return
        taken.acquired[limit.id] = event


def _reason(exc: PrefectHTTPStatusError) -> str:
    response = exc.response
    said = explanation(Reply(Request("", ""), response.status_code, response.content))
    return f"{response.status_code} {response.reason_phrase}: {said}"
