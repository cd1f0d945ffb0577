"""What is written, handed on to those who follow it.

One reader follows the table for all subscribers, while there are any, and keeps the newest entries, each with the text
that goes over the wire. A subscriber is a place in the table: as long as its place is among the entries kept, it is
served from memory; one that is slow, or that begins in the past, reads the table itself until it has caught up. So
memory does not grow with the number of subscribers, nor with their slowness, and nobody misses anything.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from prefect._operations.streams import Wanted
from prefect._store import tail
from prefect._store.sqlite import DatabaseUnavailable
from prefect._store.tail import Place
from prefect.server.streams.sockets import Work

T = TypeVar("T")

_log = logging.getLogger("prefect.server")

KEPT = 2_000
"""How many entries are kept in memory."""
KEPT_BYTES = 32 * 1024 * 1024
"""How large the entries in memory may be together."""
_BATCH = 200
_LOOK_AGAIN = 0.02
_PAUSE = 1.0


class Entry(Generic[T]):
    """Something that was written.

    Attributes:
        place: where it is in the table.
        item: what it is.
        text: what goes over the wire.
    """

    __slots__ = ("_matching", "item", "place", "text")

    def __init__(self, place: Place, item: T, text: str) -> None:
        self.place = place
        self.item = item
        self.text = text
        self._matching: dict[Hashable, bool] = {}

    def matches(self, wanted: Wanted[T]) -> bool:
        """Whether somebody wants it; asked once for all who want the same."""
        known = self._matching.get(wanted.key)
        if known is None:
            known = self._matching[wanted.key] = wanted.includes(self.item)
        return known


class Feed(Generic[T]):
    """What is written to a table.

    Args:
        work: runs work on the database.
        table: what to follow.
        topic: what is announced when something was written.
        load: from rows to what they stand for, and the text that goes over the wire, in the same order.
    """

    def __init__(
        self,
        work: Work,
        table: sa.Table,
        topic: str,
        load: Callable[[sa.Connection, Sequence[sa.RowMapping]], list[tuple[T, str]]],
    ) -> None:
        self._work = work
        self._table = table
        self._topic = topic
        self._load = load
        self._entries: list[Entry[T]] = []
        self._bytes = 0
        self._begin: Place | None = None
        self._end: Place | None = None
        self._followers = 0
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[Place]:
        """Have the table read while the body runs. Gives the place after everything that is there now."""
        self._followers += 1
        try:
            if self._reader is None:
                self._reader = asyncio.create_task(self._read())
            yield await self._work.read(lambda tx: tail.end(tx, self._table))
        finally:
            self._followers -= 1
            if self._followers == 0 and self._reader is not None:
                reader, self._reader = self._reader, None
                self._forget()
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    async def after(self, place: Place) -> AsyncIterator[Sequence[Entry[T]]]:
        """What comes after a place, in batches, for ever. To be used inside `followed`."""
        while True:
            batch = self._kept_after(place)
            if batch is None:
                batch, place = await self._from_table(place)
            elif batch:
                place = batch[-1].place
            else:
                async with self._news:
                    if not self._kept_after(place):
                        await self._news.wait()
                continue
            if batch:
                yield batch

    def _kept_after(self, place: Place) -> Sequence[Entry[T]] | None:
        """What is kept of what comes after a place; None when some of that is not."""
        if self._begin is None or place < self._begin:
            return None
        if self._end is not None and place > self._end:
            return []  # the reader has not come so far
        return self._entries[bisect.bisect_right(self._entries, place, key=_place) :]

    async def _from_table(self, place: Place) -> tuple[list[Entry[T]], Place]:
        async with self._news:
            while self._end is None:  # the reader begins
                await self._news.wait()
            end = self._end
        if place >= end:
            return [], place
        found = await self._work.read(lambda tx: self._entries_after(tx, place, end))
        return found[0], found[1].place if found[1].more else end

    def _entries_after(
        self, tx: sa.Connection, place: Place, until: Place | None = None
    ) -> tuple[list[Entry[T]], tail.Read]:
        found = tail.read_after(tx, self._table, place, _BATCH, until=until)
        loaded = self._load(tx, found.rows)
        return [
            Entry(tail.place_of(self._table, row), *one) for row, one in zip(found.rows, loaded, strict=True)
        ], found

    # -- the reader -------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._entries, self._bytes = [], 0
        self._begin = self._end = None

    async def _read(self) -> None:
        told = asyncio.Event()
        wake = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        with self._work.calls.bus.subscribe(self._topic, wake=wake):
            while True:
                told.clear()
                try:
                    pause = await self._read_new()
                except (DatabaseUnavailable, sa_exc.SQLAlchemyError) as exc:
                    _log.warning("What was written cannot be read: %s Trying again.", exc)
                    pause = _PAUSE
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await told.wait()

    async def _read_new(self) -> float | None:
        """Read everything that is new. Returns the seconds after which to look again in any case."""
        while True:
            if self._end is None:
                end = await self._work.read(lambda tx: tail.end(tx, self._table))
                entries: list[Entry[T]] = []
                found = None
            else:
                place = self._end
                entries, found = await self._work.read(lambda tx: self._entries_after(tx, place))  # noqa: B023
                end = found.place
            await self._keep(entries, end)
            if found is not None and not found.more:
                return _LOOK_AGAIN if found.held_back else None

    async def _keep(self, entries: list[Entry[T]], end: Place) -> None:
        async with self._news:
            if self._begin is None:
                self._begin = end
            self._end = end
            self._entries += entries
            self._bytes += sum(len(entry.text) for entry in entries)
            if len(self._entries) > 2 * KEPT or self._bytes > KEPT_BYTES:
                self._drop()
            if entries or not self._entries:
                self._news.notify_all()

    def _drop(self) -> None:
        """Drop the oldest entries: at least half of them, and as many as are too many bytes."""
        count = len(self._entries) // 2
        while count < len(self._entries) and sum(len(e.text) for e in self._entries[count:]) > KEPT_BYTES // 2:
            count += max(1, (len(self._entries) - count) // 4)
        self._begin = self._entries[count - 1].place
        del self._entries[:count]
        self._bytes = sum(len(entry.text) for entry in self._entries)


def _place(entry: Entry[Any]) -> Place:
    return entry.place
