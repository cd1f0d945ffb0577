"""Following one flow run: what it logs and what happens to it, until it has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from prefect._clock import now
from prefect._rules.states import TERMINAL
from prefect._schemas.events import RESOURCE_ID, Event
from prefect._schemas.filters.events import EventAnyResourceFilter, EventFilter, EventOccurredFilter
from prefect._schemas.filters.logs import LogFilter, LogFilterFlowRunId, LogFilterTimestamp
from prefect._schemas.logs import Log
from prefect.client.orchestration import get_client
from prefect.events.clients import get_events_subscriber
from prefect.logging.clients import get_logs_subscriber
from prefect.settings import get_current_settings

__all__ = ["FlowRunSubscriber"]

_LOOK_SECONDS = 5.0
"""How often a run of which nothing is heard is looked at: it may have ended before one began to listen."""
_LOOK_LOCALLY_SECONDS = 0.5
"""The same without a server, where runs that were started by hand have no events."""


class FlowRunSubscriber:
    """Follows a flow run:

        async with FlowRunSubscriber(flow_run_id) as subscriber:
            async for item in subscriber: ...  # a line of its log, or an event

    The iteration ends when the run has ended; of a run that ended before, with what is left of it.

    Args:
        flow_run_id: the run.
        straggler_timeout: seconds to wait for what still comes after the end, since the last that came.
        reconnection_attempts: failures to connect in a row after which to give up.
    """

    def __init__(self, flow_run_id: UUID, straggler_timeout: int = 3, reconnection_attempts: int = 10) -> None:
        self.flow_run_id = flow_run_id
        self._straggler_timeout = straggler_timeout
        self._attempts = reconnection_attempts
        self._resource = f"prefect.flow-run.{flow_run_id}"
        self._items: asyncio.Queue[Log | Event | BaseException] = asyncio.Queue(1_000)
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False

    async def __aenter__(self) -> Self:
        self._look_seconds = _LOOK_SECONDS if get_current_settings().api.url else _LOOK_LOCALLY_SECONDS
        since = await self._begin() - timedelta(minutes=1)
        until = now() + timedelta(days=365)
        lines = LogFilter(
            flow_run_id=LogFilterFlowRunId(any_=[self.flow_run_id]),
            timestamp=LogFilterTimestamp(after_=since, before_=until),
        )
        events = EventFilter(
            any_resource=EventAnyResourceFilter(id=[self._resource]),
            occurred=EventOccurredFilter(since=since, until=until),
        )
        for subscribe, filter in ((get_logs_subscriber, lines), (get_events_subscriber, events)):
            self._tasks.append(asyncio.create_task(self._carry(subscribe, filter)))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Log | Event:
        if not self._tasks:
            raise TypeError("A flow run is followed only inside `async with`.")
        while True:
            try:
                async with asyncio.timeout(self._straggler_timeout if self._ended else self._look_seconds):
                    item = await self._items.get()
            except TimeoutError:
                if self._ended:
                    raise StopAsyncIteration from None
                self._ended = await self._has_ended()
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, Event) and self._is_the_end(item):
                self._ended = True
            return item

    def _is_the_end(self, event: Event) -> bool:
        return event.resource.get(RESOURCE_ID) == self._resource and (
            event.resource.get("prefect.state-type") in TERMINAL
        )

    async def _carry(self, subscribe: Callable[..., Any], filter: Any) -> None:
        try:
            async with subscribe(filter, reconnection_attempts=self._attempts) as subscriber:
                async for item in subscriber:
                    await self._items.put(item)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            await self._items.put(exc)

    async def _begin(self) -> Any:
        async with get_client() as client:
            run = await client.read_flow_run(self.flow_run_id)
        self._ended = run.state_type is not None and run.state_type.value in TERMINAL
        return run.created or now()

    async def _has_ended(self) -> bool:
        with contextlib.suppress(OSError):  # who follows tells of a server that is away
            async with get_client() as client:
                run = await client.read_flow_run(self.flow_run_id)
            return run.state_type is not None and run.state_type.value in TERMINAL
        return False
