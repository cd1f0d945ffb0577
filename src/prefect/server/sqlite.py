"""A server's database in an SQLite file: many readers, and one connection that writes.

What is to be written at the same time is committed together, each piece of work under its own savepoint
(`prefect._store.writer`).
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import QueuePool, StaticPool

from prefect._store import sqlite
from prefect._store.announcements import Bus, collected
from prefect._store.writer import Unit, Writer
from prefect.server.notifications import FileWatch

T = TypeVar("T")

_READERS = 16
_STEPS = 10_000
"""So many steps SQLite takes, in some tenths of a millisecond, before a read that is to be brief is asked whether it still is."""
_LONG_READ = 0.03
"""Seconds after which nobody waits any more for somebody who reads."""
_LONGEST_WAIT = 0.5
_MORE_READERS = 48


class TookLong(Exception):
    """A read was broken off."""


class _Turns:
    """Lets those who read an SQLite file do so one after the other, unless one takes long.

    `sqlite3` lets go of the interpreter before each row, and whoever else wants to run then takes it: sixteen threads
    that read at once need three times the processor time of sixteen that take turns. There is nothing to be gained from
    reading at once, but for those who would wait for a long read: they go on beside it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0.0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A turn, for as long as the block lasts."""
        is_mine = self._wait()
        try:
            yield
        finally:
            if is_mine:
                self._lock.release()

    def _wait(self) -> bool:
        """Wait for one's turn; False when somebody takes long, and one goes on without."""
        is_mine, end = self._lock.acquire(blocking=False), time.monotonic() + _LONGEST_WAIT
        while not is_mine:
            left = self._since + _LONG_READ - time.monotonic()
            if left <= 0 or time.monotonic() > end:
                return False
            is_mine = self._lock.acquire(timeout=left)
        self._since = time.monotonic()
        return True


class SQLiteDatabase:
    """An SQLite file.

    Args:
        path: the file, made when it does not exist; None for a temporary one.
        echo: log every statement.
    """

    def __init__(self, path: str | None, *, echo: bool = False) -> None:
        self.bus = Bus()
        self._folder = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="prefect-server-")
            path = os.path.join(self._folder.name, "pluperfect.db")
        self.path = path
        self._writer = Writer(self.path)
        self._writing = _View(echo)
        self._watch = FileWatch(self._writer, self.bus)
        self._turns = _Turns()
        self._brief = _BriefReads(self._connect, echo)
        self._readers = sa.create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=_READERS,
            max_overflow=_MORE_READERS,
            echo=echo,
        )
        event.listen(self._readers, "begin", _begin)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite.connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def open(self) -> None:
        self._writer.commit(lambda connection: None)  # opens the file, makes or upgrades its schema
        self._watch.start()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        with self._turns.taken(), self._readers.connect() as tx, tx.begin():
            return work(tx)

    def read_briefly(self, work: Callable[[sa.Connection], T], seconds: float) -> T:
        """As `read`, by a connection that is kept for this, if the database has answered within `seconds`.

        Raises:
            TookLong: it has not, or somebody else reads in this way just now.
        """
        return self._brief.read(work, seconds)

    def write(self, work: Callable[[sa.Connection], T], *, alone: bool = False) -> T:
        (outcome,) = self.write_together([work])
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def write_together(self, works: Sequence[Callable[[sa.Connection], Any]]) -> list[Unit]:
        """Write, as `write` does, several pieces of work in one transaction; what fails of them undoes nothing else.

        Returns:
            what came of each, in their order.
        """
        with self._units(works) as units:
            self._writer.commit_all(units)
        return units

    def write_at_once(self, works: Sequence[Callable[[sa.Connection], Any]]) -> list[Unit] | None:
        """As `write_together`, unless that means to wait for others; None then: nothing was begun.

        Somebody should call one of the others now and then: only they wait until SQLite has moved to the file what was
        written.
        """
        with self._units(works) as units:
            if not self._writer.commit_at_once(units):
                return None
        return units

    @contextlib.contextmanager
    def _units(self, works: Iterable[Callable[[sa.Connection], Any]]) -> Iterator[list[Unit]]:
        """What is to be committed in the block; told of afterwards, and what goes wrong is each unit's to tell."""
        topics: set[str] = set()
        units = [Unit(functools.partial(self._do, work, topics)) for work in works]
        try:
            yield units
        except Exception as error:
            for unit in units:
                unit.error = unit.error or error
        if any(unit.done and unit.error is None for unit in units):
            self.bus.publish(topics)

    def _do(self, work: Callable[[sa.Connection], T], topics: set[str], connection: sqlite3.Connection) -> T:
        tx = self._writing.on(connection)
        collected(tx)  # of a unit before this one, whose work failed
        try:
            value = work(tx)
            topics.update(collected(tx))
            return value
        except sa_exc.OperationalError as exc:
            if isinstance(exc.orig, sqlite3.OperationalError) and _is_about_the_file(exc.orig):
                raise exc.orig from exc  # nobody in this commit can go on
            raise

    def close(self) -> None:
        self._watch.close()
        self._brief.close()
        self._readers.dispose()
        self._writer.close()
        if self._folder is not None:
            self._folder.cleanup()


def _is_about_the_file(error: sqlite3.OperationalError) -> bool:
    """Whether the file cannot be written (full disk, I/O error, lock), and not only this statement."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


class _BriefReads:
    """Reads that are broken off when they take long.

    Args:
        connect: opens the connection that they use.
        echo: log every statement.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], echo: bool) -> None:
        self._connect = connect
        self._view = _View(echo)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._end = 0.0

    def read(self, work: Callable[[sa.Connection], T], seconds: float) -> T:
        if not self._lock.acquire(blocking=False):
            raise TookLong
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.set_progress_handler(self._is_late, _STEPS)
            self._end = time.monotonic() + seconds
            return self._in_transaction(self._connection, work)
        except (sa_exc.OperationalError, sqlite3.OperationalError) as exc:  # while rows are fetched it is the driver's
            if getattr(getattr(exc, "orig", exc), "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise TookLong from exc
            raise
        finally:
            self._lock.release()

    def _in_transaction(self, connection: sqlite3.Connection, work: Callable[[sa.Connection], T]) -> T:
        connection.execute("BEGIN")
        try:
            return work(self._view.on(connection))
        finally:
            self._end = math.inf
            connection.execute("ROLLBACK")

    def _is_late(self) -> bool:
        return time.monotonic() > self._end

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class _Borrowed:
    """A connection that is lent to SQLAlchemy: its owner alone begins, commits and closes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class _View:
    """SQLAlchemy's view of a connection that somebody else has open. Used by one thread at a time."""

    def __init__(self, echo: bool) -> None:
        self._echo = echo
        self._raw: sqlite3.Connection | None = None
        self._connection: sa.Connection | None = None

    def on(self, raw: sqlite3.Connection) -> sa.Connection:
        if self._connection is None or raw is not self._raw:
            engine = sa.create_engine(
                "sqlite://", creator=lambda: _Borrowed(raw), poolclass=StaticPool, echo=self._echo
            )
            self._raw, self._connection = raw, engine.connect()
        elif self._connection.in_transaction():
            self._connection.rollback()  # of SQLAlchemy's books; the transaction itself is that of the owner
        self._connection.begin()
        return self._connection
