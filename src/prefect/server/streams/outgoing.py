"""`/events/out` and `/logs/out`: what happened lately, then what happens.

After the client has authenticated it sends `{"type": "filter", "filter": {...}}`. With `"backfill": false` it is told
only of what comes. Each message carries the `place` that it stands at; a client that was cut off says `"after": place`
and gets everything from there on, nothing twice, however long it was away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocket

from prefect._clock import now
from prefect._operations.streams import Stream
from prefect._store import tail
from prefect._store.tail import Place
from prefect.server.streams.feeds import Feed
from prefect.server.streams.sockets import (
    FIRST_MESSAGE_SECONDS,
    PROTOCOL_ERROR,
    Refusal,
    Socket,
    Work,
    while_connected,
)
from prefect.settings.context import push_settings

T = TypeVar("T", bound=BaseModel)


class Outgoing(Generic[T]):
    """The handler of a stream.

    Args:
        work: runs work on the database.
        stream: what is streamed.
    """

    def __init__(self, work: Work, stream: Stream[T]) -> None:
        self._work = work
        self._stream = stream
        self._feed: Feed[T] = Feed(work, stream.table, stream.topic, self._load)
        limits = work.settings.server.events
        self._longest_backfill = limits.maximum_websocket_backfill
        self._page = limits.websocket_backfill_page_size

    async def __call__(self, socket: Socket, websocket: WebSocket) -> None:
        request = await socket.receive(FIRST_MESSAGE_SECONDS)
        if request.get("type") != "filter":
            raise Refusal(PROTOCOL_ERROR, "Expected 'filter' message")
        filter, after = self._parse(request)
        wanted = self._stream.wanted(filter)
        async with while_connected(socket), self._feed.followed() as end:
            if after is None:
                if request.get("backfill", True):
                    async for text in self._past(filter, end):
                        await socket.send(text)
                after = end
            async for batch in self._feed.after(after):
                for entry in batch:
                    if entry.matches(wanted):
                        await socket.send(entry.text)

    def _parse(self, request: dict[str, Any]) -> tuple[Any, Place | None]:
        push_settings(self._work.settings)
        try:
            filter = self._stream.parse(request["filter"])
        except KeyError:
            raise Refusal(PROTOCOL_ERROR, "There is no 'filter' in the message") from None
        except ValidationError as exc:
            fault = exc.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise Refusal(PROTOCOL_ERROR, f"The filter is not valid: {where}: {fault['msg']}") from None
        try:
            return filter, Place.parse(request["after"]) if request.get("after") else None
        except (ValueError, AttributeError):
            raise Refusal(PROTOCOL_ERROR, "'after' is not a place that this stream gave") from None

    async def _past(self, filter: Any, until: Place) -> AsyncIterator[str]:
        since, after = now() - self._longest_backfill, None
        while True:
            found, after = await self._work.read(
                lambda tx: self._stream.page(tx, filter, since, until, after, self._page)  # noqa: B023
            )
            for one in found:
                yield self._message(one)
            if len(found) < self._page:
                return

    def _load(self, tx: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[tuple[T, str]]:
        found = self._stream.load(tx, rows)
        return [
            (one, self._message(one, tail.place_of(self._stream.table, row)))
            for row, one in zip(rows, found, strict=True)
        ]

    def _message(self, one: T, place: Place | None = None) -> str:
        standing = "" if place is None else f',"place":"{place}"'
        name = self._stream.name
        return f'{{"type":"{name}","{name}":{one.model_dump_json()}{standing}}}'
