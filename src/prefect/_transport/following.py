"""Following events and logs: of a server over a websocket, or of the local database.

A follower that is cut off connects again and goes on where it was. Our server says with each message where it stands in
its stream, so that nothing is missed and nothing comes twice; of another server the follower asks for what happened
shortly before, and leaves out what it has seen.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect._transport.websocket import Attempts, StreamRefused, connection, refuse, socket_url
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    from pydantic import BaseModel
    from websockets import exceptions as websockets_exceptions

    from prefect._operations import local, streams
    from prefect._store import tail
else:
    asyncio = lazy_module("asyncio")
    websockets_exceptions = lazy_module("websockets.exceptions")
    # who follows a server needs no database
    local = lazy_module("prefect._operations.local")
    streams = lazy_module("prefect._operations.streams")
    tail = lazy_module("prefect._store.tail")

T = TypeVar("T", bound="BaseModel")
F = TypeVar("F", bound="BaseModel")

OVERLAP = timedelta(minutes=1)
"""How far back a follower looks when it begins, and when it connects to a server that does not say where it stands."""

_SEEN = 20_000
_BATCH = 200


class Seen:
    """The ids of what was seen lately; the oldest are forgotten."""

    def __init__(self, most: int = _SEEN) -> None:
        self._order: deque[UUID] = deque()
        self._ids: set[UUID] = set()
        self._most = most

    def is_new(self, id: UUID) -> bool:
        """Whether an id was not seen before; from now on it was."""
        if id in self._ids:
            return False
        self._ids.add(id)
        self._order.append(id)
        if len(self._order) > self._most:
            self._ids.discard(self._order.popleft())
        return True


class Following(Generic[T]):
    """How to follow a stream.

    Args:
        name: what one of it is called in messages: `event` or `log`.
        model: what it is made into.
        since: the filter as JSON values, beginning at a moment; where it is to begin at first, when that is None.
    """

    def __init__(self, name: str, model: type[T], since: Callable[[datetime | None], dict[str, Any]]) -> None:
        self.name = name
        self.model = model
        self.since = since

    async def server(
        self,
        url: str,
        *,
        key: str | None = None,
        attempts: int = 10,
        reconnect_on_clean_close: bool = False,
    ) -> AsyncGenerator[T, None]:
        """Follow the stream of a server.

        Args:
            url: of the websocket.
            key: see `connection`.
            attempts: failures to connect in a row after which to give up.
            reconnect_on_clean_close: go on when the server says that it has ended.

        Raises:
            StreamRefused: the server does not want this.
            OSError: it cannot be reached.
        """
        seen, tries = Seen(), Attempts(attempts)
        place: str | None = None
        newest: datetime | None = None
        while True:
            try:
                async with connection(url, key=key) as (socket, _):
                    since = None if newest is None else newest - OVERLAP
                    request: dict[str, Any] = {"type": "filter", "filter": self.since(since)}
                    await socket.send(json.dumps(request if place is None else {**request, "after": place}))
                    async for text in socket:
                        tries.succeeded()
                        message = json.loads(text)
                        place = message.get("place") or place
                        found = self.model.model_validate(message[self.name])
                        newest = now()
                        if seen.is_new(_id(found)):
                            yield found
                if not reconnect_on_clean_close:
                    return
            except websockets_exceptions.ConnectionClosed as exc:
                refuse(url, exc)
                await tries.failed(ConnectionError(f"{url} was closed: {exc}"))
            except StreamRefused:
                raise
            except OSError as exc:
                await tries.failed(exc)

    async def local(self) -> AsyncGenerator[T, None]:
        """Follow the stream of the local database, whichever process writes to it.

        Raises:
            NotLocal: the settings name a server.
            DatabaseUnavailable: the database cannot be read.
        """
        stop = threading.Event()
        reader = _LocalReader(self, stop)
        try:
            await asyncio.to_thread(reader.begin)
            while True:
                for found in await asyncio.to_thread(reader.next):
                    yield found
        finally:
            stop.set()
            await asyncio.to_thread(reader.close)


class Subscriber(Generic[T, F]):
    """Follows a stream of an API, by `async with` and `async for`; what subscribers to events and to logs share.

    Args:
        api_url: the address of the API; unless given, that of the settings, or the local database.
        filter: which messages; all, from a minute ago, unless it says otherwise.
        reconnection_attempts: failures to connect in a row after which to give up.
        reconnect_on_clean_close: go on when the server says that it has ended.
    """

    _path: ClassVar[str]
    """Of the websocket, below the address of the API."""

    _key: str | None = None
    """The key of a cloud; without one the settings say what proves who one is."""

    def __init__(
        self,
        api_url: str | None = None,
        filter: F | None = None,
        reconnection_attempts: int = 10,
        reconnect_on_clean_close: bool = False,
    ) -> None:
        self._api_url = api_url or get_current_settings().api.url
        self._filter = filter
        self._attempts = reconnection_attempts
        self._reconnect_on_clean_close = reconnect_on_clean_close
        self._messages: AsyncGenerator[T, None] | None = None

    @property
    def client_name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    async def __aenter__(self) -> Self:
        self._messages = self._follow()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        messages, self._messages = self._messages, None
        if messages is not None:
            await messages.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._messages is None:
            raise TypeError(f"{self.client_name} follows nothing before it is entered: use it in `async with`.")
        return await self._messages.__anext__()

    def _follow(self) -> AsyncGenerator[T, None]:
        following = self._following(now())
        if self._api_url is None:
            return following.local()
        return following.server(
            socket_url(self._api_url, self._path),
            key=self._key,
            attempts=self._attempts,
            reconnect_on_clean_close=self._reconnect_on_clean_close,
        )

    def _following(self, began: datetime) -> Following[T]:
        """What to follow from a moment on."""
        raise NotImplementedError(f"{self.client_name} does not say what it follows.")


def _id(found: Any) -> UUID:
    return found.id


class _LocalReader(Generic[T]):
    """Reads the local database, in threads, one call at a time."""

    def __init__(self, following: Following[T], stop: threading.Event) -> None:
        self._following = following
        self._stop = stop
        self._lock = threading.Lock()
        self._stream: Any = streams.EventStream() if following.name == "event" else streams.LogStream()

    def begin(self) -> None:
        self._database = local.open_local()
        self._database.create()  # what does not exist cannot be watched
        self._changes = local.Changes(self._database.path)
        self._filter = self._stream.parse(self._following.since(None))
        self._wanted = self._stream.wanted(self._filter)
        with self._database.read() as tx:
            self._place = self._until = tail.end(tx, self._stream.table)
        self._after: Any = None
        self._in_past = True

    def next(self) -> list[T]:
        """What comes next; waits for it. Nothing when this is to stop."""
        with self._lock:
            while not self._stop.is_set():
                found = self._page() if self._in_past else self._new()
                if found:
                    return found
            return []

    def _page(self) -> list[T]:
        with self._database.read() as tx:
            found, self._after = self._stream.page(tx, self._filter, None, self._until, self._after, _BATCH)
        self._in_past = len(found) == _BATCH
        return found

    def _new(self) -> list[T]:
        with self._database.read() as tx:
            read = tail.read_after(tx, self._stream.table, self._place, _BATCH)
            found = [one for one in self._stream.load(tx, read.rows) if self._wanted.includes(one)]
        self._place = read.place
        if not read.rows:
            self._changes.wait(1.0, self._stop)
        return found

    def close(self) -> None:
        with self._lock:
            if hasattr(self, "_database"):
                self._changes.__exit__()
                self._database.close()
