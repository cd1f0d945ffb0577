"""`/events/out` and `/logs/out`: what happened lately, then what happens.

After the client has authenticated it sends `{"type": "filter", "filter": {...}}`. With `"backfill": false` it is told
only of what comes. Each message carries the `place` that it stands at; a client that was cut off says `"after": place`
and gets everything from there on, nothing twice, however long it was away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from starlette.websockets import WebSocket

from prefect._clock import now
from prefect._operations.events import load_events
from prefect._schemas.events import ReceivedEvent
from prefect._schemas.filters.events import EventFilter
from prefect._schemas.filters.logs import LogFilter, LogFilterTimestamp
from prefect._schemas.logs import Log
from prefect._store import tail
from prefect._store.events import event_matches
from prefect._store.queries import log_matches
from prefect._store.tables import event, log
from prefect._store.tail import Place
from prefect.server.streams.feeds import Feed, Wanted
from prefect.server.streams.matching import wanted_events, wanted_logs
from prefect.server.streams.sockets import (
    FIRST_MESSAGE_SECONDS,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    Refusal,
    Socket,
    Work,
    while_connected,
)
from prefect.settings.context import push_settings

T = TypeVar("T")


class Kind(Protocol[T]):
    """What is streamed."""

    feed: Feed[T]

    def parse(self, filter: Any) -> Any:
        """The filter of a client's message."""
        ...

    def wanted(self, filter: Any) -> Wanted[T]:
        """What of all that is to come is wanted."""
        ...

    def page(
        self, tx: sa.Connection, filter: Any, since: datetime, until: Place, after: Any, limit: int
    ) -> tuple[list[str], Any]:
        """A page of what was written before a place, oldest first: messages, and where the next page begins."""
        ...


class Outgoing(Generic[T]):
    """The handler of a stream.

    Args:
        work: runs work on the database.
        kind: what is streamed.
    """

    def __init__(self, work: Work, kind: Kind[T]) -> None:
        self._work = work
        self._kind = kind
        limits = work.settings.server.events
        self._longest_backfill = limits.maximum_websocket_backfill
        self._page = limits.websocket_backfill_page_size

    async def __call__(self, socket: Socket, websocket: WebSocket) -> None:
        request = await socket.receive(FIRST_MESSAGE_SECONDS)
        if request.get("type") != "filter":
            raise Refusal(PROTOCOL_ERROR, "Expected 'filter' message")
        filter, after = self._parse(request)
        wanted = self._kind.wanted(filter)
        async with while_connected(socket), self._kind.feed.followed() as end:
            if after is None:
                if request.get("backfill", True):
                    async for text in self._past(filter, end):
                        await socket.send(text)
                after = end
            async for batch in self._kind.feed.after(after):
                for entry in batch:
                    if entry.matches(wanted):
                        await socket.send(entry.text)

    def _parse(self, request: dict[str, Any]) -> tuple[Any, Place | None]:
        push_settings(self._work.settings)
        try:
            filter = self._kind.parse(request.get("filter") or {})
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
            texts, after = await self._work.read(
                lambda tx: self._kind.page(tx, filter, since, until, after, self._page)  # noqa: B023
            )
            for text in texts:
                yield text
            if len(texts) < self._page:
                return


class Events:
    """Events, as a `Kind`."""

    def __init__(self, work: Work) -> None:
        self.feed: Feed[ReceivedEvent] = Feed(work, event, "events", self._load)

    def parse(self, filter: Any) -> EventFilter:
        return EventFilter.model_validate(filter)

    def wanted(self, filter: EventFilter) -> Wanted[ReceivedEvent]:
        return wanted_events(filter)

    def page(
        self, tx: sa.Connection, filter: EventFilter, since: datetime, until: Place, after: Any, limit: int
    ) -> tuple[list[str], Any]:
        key = (event.c.occurred, event.c.id)
        where = [event_matches(filter), event.c.occurred >= since, tail.not_after(tx, event, until)]
        if after is not None:
            where.append(sa.tuple_(*key) > _tuple(event, "occurred", after))
        rows = tx.execute(sa.select(event).where(*where).order_by(*key).limit(limit)).mappings().all()
        texts = [_message("event", one) for one in load_events(tx, rows)]
        return texts, (rows[-1]["occurred"], rows[-1]["id"]) if rows else None

    def _load(self, tx: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[tuple[ReceivedEvent, str]]:
        return [
            (one, _message("event", one, tail.place_of(row)))
            for row, one in zip(rows, load_events(tx, rows), strict=True)
        ]


class Logs:
    """Lines of logs, as a `Kind`."""

    def __init__(self, work: Work) -> None:
        self.feed: Feed[Log] = Feed(work, log, "logs", self._load)

    def parse(self, filter: Any) -> LogFilter:
        return LogFilter.model_validate(filter)

    def wanted(self, filter: LogFilter) -> Wanted[Log]:
        return wanted_logs(filter)

    def page(
        self, tx: sa.Connection, filter: LogFilter, since: datetime, until: Place, after: Any, limit: int
    ) -> tuple[list[str], Any]:
        key = (log.c.timestamp, log.c.id)
        where = [log_matches(filter), log.c.timestamp >= _since(filter, since), tail.not_after(tx, log, until)]
        if after is not None:
            where.append(sa.tuple_(*key) > _tuple(log, "timestamp", after))
        rows = tx.execute(sa.select(log).where(*where).order_by(*key).limit(limit)).mappings().all()
        return [_message("log", _line(row)) for row in rows], (rows[-1]["timestamp"], rows[-1]["id"]) if rows else None

    def _load(self, tx: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[tuple[Log, str]]:
        lines = [_line(row) for row in rows]
        return [(one, _message("log", one, tail.place_of(row))) for row, one in zip(rows, lines, strict=True)]


def _since(filter: LogFilter, since: datetime) -> datetime:
    asked = (filter.timestamp or LogFilterTimestamp()).after_
    return since if asked is None else max(asked, since)


def _line(row: sa.RowMapping) -> Log:
    return Log.model_validate({**row, "updated": row["created"]})  # a line never changes


def _tuple(table: sa.Table, moment: str, after: tuple[Any, Any]) -> Any:
    return sa.tuple_(sa.literal(after[0], table.c[moment].type), sa.literal(after[1], table.c.id.type))


def _message(kind: str, one: ReceivedEvent | Log, place: Place | None = None) -> str:
    standing = "" if place is None else f',"place":"{place}"'
    return f'{{"type":"{kind}","{kind}":{one.model_dump_json()}{standing}}}'


def switched_off(socket: Socket, websocket: WebSocket) -> Any:
    """The handler of a stream that the settings do not offer."""
    raise Refusal(POLICY_VIOLATION, "This stream is switched off by the server's settings")
