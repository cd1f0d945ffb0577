"""Sending events to an API, and following those that it receives.

async with get_events_client() as client:
    await client.emit(Event(event="order.placed", resource={"prefect.resource.id": "shop.order.17"}))

async with get_events_subscriber(filter) as subscriber:
    async for event in subscriber: ...
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._schemas.events import Event, ReceivedEvent
from prefect._schemas.filters.events import EventFilter
from prefect._transport.following import OVERLAP, Following, Subscriber
from prefect._transport.websocket import (
    Attempts,
    StreamRefused,
    cloud_access,
    connection,
    http_to_ws,
    refuse,
    socket_url,
)
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from websockets import exceptions as websockets_exceptions

    from prefect._operations import local, task_run_events
else:
    websockets_exceptions = lazy_module("websockets.exceptions")
    local = lazy_module("prefect._operations.local")
    task_run_events = lazy_module("prefect._operations.task_run_events")

__all__ = [
    "AssertingEventsClient",
    "AssertingPassthroughEventsClient",
    "EventsClient",
    "NullEventsClient",
    "PrefectCloudAccountEventSubscriber",
    "PrefectCloudEventSubscriber",
    "PrefectCloudEventsClient",
    "PrefectEventSubscriber",
    "PrefectEventsClient",
    "events_in_socket_from_api_url",
    "events_out_socket_from_api_url",
    "get_events_client",
    "get_events_subscriber",
    "http_to_ws",
]


_OUT = "/events/out"


def events_in_socket_from_api_url(url: str) -> str:
    """The address of the websocket on which an API takes events."""
    return socket_url(url, "/events/in")


def events_out_socket_from_api_url(url: str) -> str:
    """The address of the websocket on which an API gives out events."""
    return socket_url(url, _OUT)


def get_events_client(
    reconnection_attempts: int = 10, checkpoint_every: int = 700, checkpoint_interval: float = 30.0
) -> EventsClient:
    """A client that sends events to the API of the settings; into the local database when they name none.

    Args:
        reconnection_attempts: failures to connect in a row after which sending fails.
        checkpoint_every: events after which the server is asked whether it has them.
        checkpoint_interval: seconds after which it is asked.
    """
    if not get_current_settings().api.url:
        return _LocalEventsClient()
    return PrefectEventsClient(
        reconnection_attempts=reconnection_attempts,
        checkpoint_every=checkpoint_every,
        checkpoint_interval=checkpoint_interval,
    )


def get_events_subscriber(
    filter: EventFilter | None = None, reconnection_attempts: int = 10, reconnect_on_clean_close: bool = False
) -> PrefectEventSubscriber:
    """Follow the events of the API of the settings; of the local database when they name none.

    Args:
        filter: which events; all, from a minute ago, unless it says otherwise.
        reconnection_attempts: failures to connect in a row after which to give up.
        reconnect_on_clean_close: go on when the server says that it has ended.
    """
    return PrefectEventSubscriber(
        filter=filter,
        reconnection_attempts=reconnection_attempts,
        reconnect_on_clean_close=reconnect_on_clean_close,
    )


# -- sending --------------------------------------------------------------------------------------------------------


class EventsClient:
    """Sends events; what all such clients have in common."""

    _in_context = False

    @property
    def client_name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    async def emit(self, event: Event) -> None:
        """Send an event.

        Raises:
            TypeError: the client is not entered.
        """
        if not self._in_context:
            raise TypeError(
                f"Events may only be emitted while {self.client_name} is entered: `async with client: ...`."
            )
        await self._emit(event)

    async def _emit(self, event: Event) -> None:
        raise NotImplementedError(f"{self.client_name} does not say how it sends events.")

    async def __aenter__(self) -> Self:
        self._in_context = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._in_context = False


class NullEventsClient(EventsClient):
    """Sends events nowhere."""

    async def _emit(self, event: Event) -> None:
        return None


class _LocalEventsClient(EventsClient):
    """Writes events into the local database."""

    async def __aenter__(self) -> Self:
        self._database = await asyncio.to_thread(_made_local)
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: Any) -> None:
        await super().__aexit__(*exc_info)
        await asyncio.to_thread(self._database.close)

    async def _emit(self, event: Event) -> None:
        def write() -> None:
            with self._database.write() as tx:
                task_run_events.receive_events(tx, [event])

        await asyncio.to_thread(write)


def _made_local() -> local.LocalDatabase:
    database = local.open_local()
    database.create()
    return database


class AssertingEventsClient(EventsClient):
    """Keeps events for tests instead of sending them.

    Attributes:
        last: the client that was made last.
        all: all clients since the last `reset`.
        args, kwargs: what the client was made with.
        events: what was emitted.
    """

    last: ClassVar[AssertingEventsClient | None] = None
    all: ClassVar[list[AssertingEventsClient]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        AssertingEventsClient.last = self
        AssertingEventsClient.all.append(self)
        self.args = args
        self.kwargs = kwargs
        self.events: list[Event] = []

    @classmethod
    def reset(cls) -> None:
        """Forget all clients."""
        cls.last = None
        AssertingEventsClient.last = None
        AssertingEventsClient.all = []

    def pop_events(self) -> list[Event]:
        """What was emitted since the last call."""
        events, self.events = self.events, []
        return events

    async def _emit(self, event: Event) -> None:
        self.events.append(event)


class PrefectEventsClient(EventsClient):
    """Sends events to an API over a websocket.

    Events are kept until the server has said that it has them, and sent again after a connection that failed; the
    server keeps each once. Leaving the client waits until everything is there.

    Args:
        api_url: the address of the API; unless given, that of the settings.
        reconnection_attempts: failures to connect in a row after which sending fails.
        checkpoint_every: events after which the server is asked whether it has them.
        checkpoint_interval: seconds after which it is asked.

    Raises:
        ValueError: there is no address.
    """

    def __init__(
        self,
        api_url: str | None = None,
        reconnection_attempts: int = 10,
        checkpoint_every: int = 700,
        checkpoint_interval: float = 30.0,
    ) -> None:
        url = api_url or get_current_settings().api.url
        if not url:
            raise ValueError("There is no API to send events to: give api_url, or set PREFECT_API_URL.")
        self._url = events_in_socket_from_api_url(url)
        self._attempts = reconnection_attempts
        self._every = checkpoint_every
        self._interval = checkpoint_interval
        self._key: str | None = None
        self._unconfirmed: deque[Event] = deque()
        self._asked_at = time.monotonic()
        self._stack: contextlib.AsyncExitStack | None = None
        self._socket: Any = None
        self._answers = False
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._retried(self._connect)
        return await super().__aenter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await super().__aexit__(exc_type, exc_val, exc_tb)
        try:
            async with self._lock:
                if self._unconfirmed:
                    await self._retried(self._confirm)
        finally:
            await self._disconnect()

    async def _emit(self, event: Event) -> None:
        async with self._lock:
            self._unconfirmed.append(event)
            await self._retried(lambda: self._send(event))
            if len(self._unconfirmed) >= self._every or time.monotonic() - self._asked_at >= self._interval:
                await self._retried(self._confirm)

    async def _retried(self, step: Any) -> None:
        tries = Attempts(self._attempts)
        while True:
            try:
                await step()
                return
            except StreamRefused:
                raise
            except (OSError, websockets_exceptions.ConnectionClosed) as exc:
                if isinstance(exc, websockets_exceptions.ConnectionClosed):
                    refuse(self._url, exc)
                await self._disconnect()
                await tries.failed(ConnectionError(f"{self._url} cannot be reached: {exc}"))

    async def _connect(self) -> None:
        """Connect, and send what the server may not have."""
        self._stack = contextlib.AsyncExitStack()
        self._socket, said = await self._stack.enter_async_context(connection(self._url, key=self._key))
        self._answers = bool(said.get("checkpoints"))
        for event in self._unconfirmed:
            await self._socket.send(event.model_dump_json())

    async def _disconnect(self) -> None:
        stack, self._stack, self._socket = self._stack, None, None
        if stack is not None:
            with contextlib.suppress(OSError, websockets_exceptions.ConnectionClosed):
                await stack.aclose()

    async def _send(self, event: Event) -> None:
        if self._socket is None:
            await self._connect()  # which sends it, too
        else:
            await self._socket.send(event.model_dump_json())

    async def _confirm(self) -> None:
        """Wait until the server has everything that was sent."""
        if self._socket is None:
            await self._connect()
        socket: Any = self._socket
        if self._answers:
            mark = str(new_uuid())
            await socket.send(json.dumps({"type": "checkpoint", "id": mark}, separators=(",", ":")))
            while json.loads(await socket.recv()).get("id") != mark:
                pass
        else:  # another server: that it answers at all is all that can be known
            await (await socket.ping())
        self._unconfirmed.clear()
        self._asked_at = time.monotonic()


class AssertingPassthroughEventsClient(PrefectEventsClient):
    """Sends events, and keeps them for tests.

    Attributes:
        last, all, args, kwargs, events: see `AssertingEventsClient`.
    """

    last: ClassVar[AssertingPassthroughEventsClient | None] = None
    all: ClassVar[list[AssertingPassthroughEventsClient]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        AssertingPassthroughEventsClient.last = self
        AssertingPassthroughEventsClient.all.append(self)
        self.args = args
        self.kwargs = kwargs
        self.events: list[Event] = []

    @classmethod
    def reset(cls) -> None:
        """Forget all clients."""
        AssertingPassthroughEventsClient.last = None
        AssertingPassthroughEventsClient.all = []

    def pop_events(self) -> list[Event]:
        """What was emitted since the last call."""
        events, self.events = self.events, []
        return events

    async def _emit(self, event: Event) -> None:
        await super()._emit(event)
        self.events.append(event)


class PrefectCloudEventsClient(PrefectEventsClient):
    """Sends events to Prefect Cloud.

    Args:
        api_url: the address of the API; unless given, that of the settings.
        api_key: unless given, that of the settings.
        reconnection_attempts, checkpoint_every, checkpoint_interval: see `PrefectEventsClient`.

    Raises:
        ValueError: there is no address or no key.
    """

    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | None = None,
        reconnection_attempts: int = 10,
        checkpoint_every: int = 700,
        checkpoint_interval: float = 30.0,
    ) -> None:
        url, key = cloud_access(api_url, api_key)
        super().__init__(url, reconnection_attempts, checkpoint_every, checkpoint_interval)
        self._key = key


# -- following ------------------------------------------------------------------------------------------------------


class PrefectEventSubscriber(Subscriber[ReceivedEvent, EventFilter]):
    """Follows the events of an API.

    A connection that fails is made again, and the events received meanwhile come then; no event comes twice.

    Args:
        api_url: the address of the API; unless given, that of the settings, or the local database.
        filter: which events; all, from a minute ago, unless it says otherwise.
        reconnection_attempts: failures to connect in a row after which to give up.
        reconnect_on_clean_close: go on when the server says that it has ended.
    """

    _path = _OUT

    def _following(self, began: datetime) -> Following[ReceivedEvent]:
        filter = (self._filter or EventFilter()).model_copy(deep=True)
        given: Mapping[str, Any] = filter.occurred.__dict__ if "occurred" in filter.model_fields_set else {}
        said = filter.occurred.model_fields_set if given else set[str]()
        first = filter.occurred.since if "since" in said else began - OVERLAP
        filter.occurred.until = filter.occurred.until if "until" in said else began + timedelta(days=365)

        def wanted(since: datetime | None) -> dict[str, Any]:
            filter.occurred.since = first if since is None else max(first, since)
            return filter.model_dump(mode="json")

        return Following("event", ReceivedEvent, wanted)


class PrefectCloudEventSubscriber(PrefectEventSubscriber):
    """Follows the events of Prefect Cloud.

    Args:
        api_url: the address of the API; unless given, that of the settings.
        api_key: unless given, that of the settings.
        filter, reconnection_attempts, reconnect_on_clean_close: see `PrefectEventSubscriber`.

    Raises:
        ValueError: there is no address or no key.
    """

    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | None = None,
        filter: EventFilter | None = None,
        reconnection_attempts: int = 10,
        reconnect_on_clean_close: bool = False,
    ) -> None:
        url, key = cloud_access(api_url, api_key)
        super().__init__(url, filter, reconnection_attempts, reconnect_on_clean_close)
        self._key = key


class PrefectCloudAccountEventSubscriber(PrefectCloudEventSubscriber):
    """Follows the events of a whole account of Prefect Cloud.

    Args:
        api_url: the address of the account, or of a workspace in it.
        api_key, filter, reconnection_attempts, reconnect_on_clean_close: see `PrefectCloudEventSubscriber`.
    """

    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | None = None,
        filter: EventFilter | None = None,
        reconnection_attempts: int = 10,
        reconnect_on_clean_close: bool = False,
    ) -> None:
        url, _ = cloud_access(api_url, api_key)
        account = url.partition("/workspaces/")[0]
        super().__init__(account, api_key, filter, reconnection_attempts, reconnect_on_clean_close)
