"""Work on the database for code in the event loop.

To hand work to a thread and back costs more than most of this work takes, and threads that want the interpreter at the
same time slow each other down. A database that is a file is therefore read and written in the event loop itself, as
long as that is a matter of milliseconds. A read that takes longer is broken off and begun again in a thread. What is to be
written at the same time is written in one transaction, by a thread when one would have to wait for somebody else. A
database on the network is asked in threads, where others go on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from prefect._store.announcements import Bus
from prefect._store.writer import Unit
from prefect.server.database import Database
from prefect.server.sqlite import SQLiteDatabase, TookLong

T = TypeVar("T")

BRIEF_SECONDS = 0.01
"""For so long a piece of work may keep the event loop from other things."""

_REST_SECONDS = 1.0
_MOST_AT_ONCE = 16
_MOST_TOGETHER = 64
_MOST_IN_LOOP = 64
"""After so many writes in the event loop, some are left to the thread: SQLite moves what was written to its file then,
which can take as long as the disk likes."""


class Pace:
    """Whether work of one kind is brief. After a piece that was not, that of the next second is done in threads."""

    def __init__(self) -> None:
        self._rests_until = 0.0

    @property
    def is_brief(self) -> bool:
        return time.monotonic() >= self._rests_until

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Measures what is done in its block."""
        began = time.monotonic()
        try:
            yield
        finally:
            now = time.monotonic()
            if now - began > BRIEF_SECONDS:
                self._rests_until = now + _REST_SECONDS


class Calls(Protocol):
    """Has work done on a database. Each piece of work runs in a copy of the caller's context."""

    bus: Bus
    """Told what was announced, as `Database.bus`."""

    async def read(self, work: Callable[[sa.Connection], T], pace: Pace | None = None) -> T:
        """As `Database.read`.

        Args:
            pace: of work of this kind; without it the work is not done in the event loop.
        """
        ...

    async def write(self, work: Callable[[sa.Connection], T], pace: Pace | None = None, *, alone: bool = False) -> T:
        """As `Database.write`.

        Args:
            pace: as for `read`.
            alone: whether the work is one statement.
        """
        ...

    def close(self) -> None:
        """Let go of threads; for when nobody calls any more."""


def calls_of(database: Database) -> Calls:
    """What has work done on a database in the way that suits it."""
    return _Near(database) if isinstance(database, SQLiteDatabase) else _Far(database)


class _Far:
    """For a database that answers over the network: each call has a thread, and waits in it."""

    def __init__(self, database: Database) -> None:
        self.bus = database.bus
        self._database = database

    async def read(self, work: Callable[[sa.Connection], T], pace: Pace | None = None) -> T:
        return await run_in_threadpool(self._database.read, work)

    async def write(self, work: Callable[[sa.Connection], T], pace: Pace | None = None, *, alone: bool = False) -> T:
        return await run_in_threadpool(self._database.write, work, alone=alone)

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Waiting:
    """A piece of work that somebody waits for.

    Attributes:
        future: told what comes of it.
        context: that of the caller.
        work: what is to be done.
        pace: of work of its kind.
    """

    future: asyncio.Future[Any]
    context: contextvars.Context
    work: Callable[[sa.Connection], Any]
    pace: Pace | None

    def do(self, tx: sa.Connection) -> Any:
        """Do it."""
        return self.context.run(self.work, tx)

    def do_in_loop(self, tx: sa.Connection) -> Any:
        """Do it, and see whether that is brief. In a thread one would measure what others take."""
        assert self.pace is not None
        with self.pace.measured():
            return self.do(tx)


class _Near:
    """For a file: what is brief is done in the event loop, the first one that asks."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self.bus = database.bus
        self._database = database
        self._lane = _Lane(database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: deque[_Waiting] = deque()
        self._comes_back = False
        """Whether `_write_pending` will be called in any case."""
        self._left = _MOST_IN_LOOP

    async def read(self, work: Callable[[sa.Connection], T], pace: Pace | None = None) -> T:
        if pace is not None and pace.is_brief:
            # TookLong: whatever it has done so far is done again
            with contextlib.suppress(TookLong), pace.measured():
                return contextvars.copy_context().run(self._database.read_briefly, work, BRIEF_SECONDS)
        return await run_in_threadpool(self._database.read, work)

    async def write(self, work: Callable[[sa.Connection], T], pace: Pace | None = None, *, alone: bool = False) -> T:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        waiting = _Waiting(loop.create_future(), contextvars.copy_context(), work, pace)
        if loop is self._loop and pace is not None and pace.is_brief:
            self._pending.append(waiting)
            self._come_back(loop)
        else:
            self._lane.put([waiting])
        return await waiting.future

    def _come_back(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._pending and not self._comes_back:
            self._comes_back = True
            loop.call_soon(self._write_pending, loop)  # after what else there is to do: more may come in

    def _write_pending(self, loop: asyncio.AbstractEventLoop) -> None:
        together = [self._pending.popleft() for _ in range(min(len(self._pending), _MOST_AT_ONCE))]
        units = self._database.write_at_once([one.do_in_loop for one in together]) if self._left > 0 else None
        if units is not None:
            self._left -= len(units)
            self._comes_back = False
            _settle(together, units)
            self._come_back(loop)
        else:  # what comes in meanwhile waits here: it is written in the loop again when these are done
            self._left = _MOST_IN_LOOP
            try:
                self._lane.put(together, self._go_on)
            except RuntimeError as error:  # the system has no thread left
                for one in together:
                    one.future.set_exception(error)
                self._go_on(loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._comes_back = False
        self._come_back(loop)

    def close(self) -> None:
        self._lane.close()


class _Lane:
    """A thread that writes all that waits for it in one transaction, and then what has come in meanwhile."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, waiting: list[_Waiting], then: Callable[[asyncio.AbstractEventLoop], object] | None = None) -> None:
        """Have work done.

        Args:
            waiting: the work, of callers in one event loop.
            then: called in the loop when it is done.

        Raises:
            RuntimeError: there is no thread, and none can be started.
        """
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="prefect-writes", daemon=True)
                thread.start()
                self._thread = thread
        self._calls.put(_Call(waiting, then))

    def _run(self) -> None:
        while (first := self._calls.get()) is not None:
            calls = [first, *self._others()]
            units = iter(self._database.write_together([one.do for call in calls for one in call.waiting]))
            for call in calls:
                call.tell([next(units) for _ in call.waiting])

    def _others(self) -> Iterator[_Call]:
        for _ in range(_MOST_TOGETHER - 1):
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                return
            if call is None:
                self._calls.put(None)  # for the next round
                return
            yield call

    def close(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
            thread.join()


class _Call(NamedTuple):
    """Work that was put into the lane together."""

    waiting: list[_Waiting]
    then: Callable[[asyncio.AbstractEventLoop], object] | None

    def tell(self, units: list[Unit]) -> None:
        """Tell those who wait what came of it."""
        loop = self.waiting[0].future.get_loop()
        with contextlib.suppress(RuntimeError):  # a loop that has ended: nobody waits any more
            loop.call_soon_threadsafe(_settle, self.waiting, units)
            if self.then is not None:
                loop.call_soon_threadsafe(self.then, loop)


def _settle(waiting: list[_Waiting], units: list[Unit]) -> None:
    for one, unit in zip(waiting, units, strict=True):
        if one.future.done():
            continue  # cancelled
        if unit.error is None:
            one.future.set_result(unit.value)
        else:
            one.future.set_exception(unit.error)
