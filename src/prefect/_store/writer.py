"""The writer: groups what the threads of a process want written into few transactions.

Two kinds of work reach it. *Units* (`commit`) must be on disk before the caller goes on: a flow run's state change.
*Streams* (`add_stream`) are records that may wait a moment: task runs and logs. Whoever needs a commit takes the
lock and writes everything that is pending, its own unit last, so that a terminal flow state is never seen before the
task runs that led to it; the threads that waited meanwhile find their units already written. No thread is handed
anything, and a program that only commits never starts one; a background thread exists only while streams are waiting.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from prefect._store.sqlite import BUSY_TIMEOUT_SECONDS, DatabaseUnavailable, WriteLock, open_database

T = TypeVar("T")

_log = logging.getLogger("prefect.recorder")

_CHECKPOINT_PAGES = 1000
"""After so many pages the log of the database is moved to its file, which is SQLite's own default."""

FLUSH_SECONDS = 0.1
"""How long a record of a stream waits, at most, before the background thread writes it."""


class Stream(Protocol):
    """A source of records that are written in batches."""

    def take(self) -> Any | None:
        """Detach and return the list of what is pending (None when there is nothing)."""

    def write(self, connection: sqlite3.Connection, batch: Any) -> None:
        """Write a batch taken before, in the transaction that is open."""

    def restore(self, batch: Any) -> None:
        """Put a batch back, before anything newer: its transaction was rolled back."""


class Unit:
    """Work that is done as a whole or not at all.

    Attributes:
        work: is called with the connection.
        done: whether it was written, or could not be.
        error: why it could not be.
        value: what the work returned.
    """

    __slots__ = ("done", "error", "value", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.done = False
        self.error: BaseException | None = None
        self.value: Any = None


class Writer:
    """Writes to one SQLite database on behalf of one process.

    Args:
        path: the database file; it and its folder are made when first needed.

    A writer survives a fork (see `before_fork`): the child opens its own connection and leaves what was pending to its
    parent.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._write_lock = WriteLock(f"{path}.lock")
        self._streams: list[Stream] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._units: deque[Unit] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._is_patient = True
        self.failure: BaseException | None = None
        """The error that kept the latest batch of stream records from being written, or None."""

    def add_stream(self, stream: Stream) -> None:
        self._streams.append(stream)

    # -- units --------------------------------------------------------------------------------------------------

    def commit(self, work: Callable[[sqlite3.Connection], T], *, now: bool = False) -> T:
        """Run `work(connection)` in a transaction and return its value once it is committed.

        Everything recorded to the streams before this call is committed with it. While the database cannot be written,
        most calls fail at once, so that a program in such an outage does not spend its time on trying.

        Args:
            work: the unit.
            now: try also when it is soon after a failure.

        Raises:
            DatabaseUnavailable: the database cannot be opened or written; nothing of this unit was written.
            Exception: whatever `work` raised; nothing it wrote is kept, other units are not affected.
        """
        unit = Unit(work)
        self.commit_all([unit], now=now)
        if unit.error is not None:
            raise unit.error
        return unit.value

    def commit_all(self, units: Sequence[Unit], *, now: bool = False) -> None:
        """Commit units together, as `commit` does with one; all are done afterwards, and say themselves what came of them.

        Args:
            units: one or more.
            now: try also when it is soon after a failure.
        """
        self._units.extend(units)
        with self._lock:
            if not units[-1].done:
                self._drain(now=now)

    def commit_at_once(self, units: Sequence[Unit]) -> bool:
        """Commit units as `commit_all` does, unless that means to wait.

        It means to wait while somebody else writes, in this process or in another one, while the file is not open yet
        and after a failure. What such commits add to the log of the database is moved to its file by `commit_all`.

        Returns:
            whether they are done; otherwise nothing was begun.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._connection is None or self._units or self.failure is not None or not self._begin_if_free():
                return False
            self._units.extend(units)
            self._drain()
            return True
        finally:
            if self._connection is not None and self._connection.in_transaction:  # interrupted before it was done
                self._connection.execute("ROLLBACK")
                self._write_lock.__exit__()
            self._lock.release()

    def flush(self, *, now: bool = True) -> None:
        """Write everything that is pending.

        Args:
            now: try also when it is soon after a failure.

        Raises:
            DatabaseUnavailable: it could not be written; it is kept and will be tried again.
        """
        with self._lock:
            self._drain(now=now)
            if self.failure is not None:
                raise DatabaseUnavailable(self.path, self.failure) from self.failure

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work(connection)`, which only reads, outside any transaction of ours."""
        with self._lock:
            return work(self._open())

    # -- streams ------------------------------------------------------------------------------------------------

    def notify(self) -> None:
        """Tell the writer that a stream has records; they are written within `FLUSH_SECONDS`."""
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start_thread()

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._background, name="prefect-writer", daemon=True)
                self._thread.start()

    def _background(self) -> None:
        wake = self._wake
        while True:
            wake.wait()
            if self._wake is not wake:
                return  # closed; a writer that is used again has another event and another thread
            time.sleep(FLUSH_SECONDS)  # let a batch gather; a commit in the meantime takes it along
            wake.clear()
            with self._lock:
                if self._wake is not wake:
                    return
                try:
                    self._drain()
                except Exception:
                    pass  # in `failure`, and raised for the next who flushes; the thread must go on

    # -- writing ------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self.path, self._write_lock)
            self._is_patient = True
        return self._connection

    def _begin_if_free(self) -> bool:
        connection = self._open()
        try:
            if not self._write_lock.take_if_free():
                return False
            self._set_patience(False)
            connection.execute("BEGIN IMMEDIATE")
        except (OSError, sqlite3.OperationalError):
            # a program that does not know our lock writes; or something is wrong, which whoever waits is told
            self._write_lock.__exit__()
            return False
        return True

    def _set_patience(self, patient: bool) -> None:
        """Whether the next commits wait for programs that do not know our lock, and for the disk."""
        if self._connection is not None and patient is not self._is_patient:
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000 if patient else 0:.0f}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES if patient else 0}")
            self._is_patient = patient

    def _drain(self, *, now: bool = False) -> None:
        """Write all that is pending in one transaction. Called with the lock held."""
        began = time.monotonic()
        if self.failure is not None and began < self._retry_at and not now:
            self._refuse(self.failure)
            return
        units: list[Unit] = []
        batches: list[tuple[Stream, Any]] = []
        try:
            while self._units:
                if not self._units[0].done:
                    units.append(self._units[0])  # in this order: a signal in between must not lose a unit
                self._units.popleft()
            for stream in self._streams:
                if (batch := stream.take()) is not None:
                    batches.append((stream, batch))  # noqa: PERF401 (what was taken before a signal is kept)
            if units or batches:
                self._write(units, batches)
            self.failure = None
        except BaseException as exc:
            for stream, batch in reversed(batches):
                stream.restore(batch)
            self.failure = exc
            for unit in units:
                unit.error = exc if isinstance(exc, DatabaseUnavailable) else DatabaseUnavailable(self.path, exc)
            if not isinstance(exc, (DatabaseUnavailable, sqlite3.Error, OSError)):
                raise
            # a batch that grows while it cannot be written takes longer each time: a tenth of the time at most
            took = time.monotonic() - began
            self._retry_at = time.monotonic() + 10 * took if took > 0.01 else 0.0
        finally:
            for unit in units:
                unit.done = True

    def _refuse(self, failure: BaseException) -> None:
        """Fail the units that wait, without trying; the streams keep their records."""
        while self._units:
            unit = self._units.popleft()
            unit.error = (
                failure if isinstance(failure, DatabaseUnavailable) else DatabaseUnavailable(self.path, failure)
            )
            unit.done = True

    def _write(self, units: list[Unit], batches: list[tuple[Stream, Any]]) -> None:
        connection = self._open()
        with self._write_lock:
            if not connection.in_transaction:
                self._set_patience(True)
                connection.execute("BEGIN IMMEDIATE")
            try:
                for stream, batch in batches:
                    _write_batch(connection, stream, batch)
                for unit in units:
                    _run_unit(connection, unit, alone=len(units) == 1 and not batches)
                if connection.in_transaction:
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Write what is pending and let go of the file. The writer opens it again if it is used again."""
        with self._lock:
            self._drain(now=True)
            old, self._wake = self._wake, threading.Event()
            self._thread = None
            old.set()
            self._close_file()
            self._write_lock.close()

    def _close_file(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # -- forks --------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Have no connection open, and no thread in the middle of anything, while the process is forked.

        SQLite knows the locks that a process holds on a file by its own books, which a child inherits although it
        holds none of the locks: even a new connection of the child would work unprotected, on files that another
        process may delete at any time.
        """
        self._lock.acquire()
        if self._connection is not None and not self._connection.in_transaction:
            self._close_file()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start afresh in a forked child. The parent writes what was pending at the fork; the child's copy is dropped."""
        for stream in self._streams:
            stream.take()
        self._reset()
        self._write_lock.close()  # or a dead parent's lock would live on in this process


def _write_batch(connection: sqlite3.Connection, stream: Stream, batch: Any) -> None:
    """Write a batch; if a record of it is at fault, write the others and tell of that one.

    A record that cannot be written must not keep all that come after it waiting for ever.
    """
    connection.execute("SAVEPOINT batch")
    try:
        stream.write(connection, batch)
    except Exception as exc:
        if _is_the_databases_fault(exc):
            raise
        connection.execute("ROLLBACK TO batch")
        for record in batch:
            _write_record(connection, stream, record)
    connection.execute("RELEASE batch")


def _write_record(connection: sqlite3.Connection, stream: Stream, record: Any) -> None:
    connection.execute("SAVEPOINT record")
    try:
        stream.write(connection, [record])
    except Exception as exc:
        if _is_the_databases_fault(exc):
            raise
        connection.execute("ROLLBACK TO record")
        _log.error("A record cannot be written and is left out: %r", record, exc_info=exc)
    connection.execute("RELEASE record")


def _is_the_databases_fault(exc: Exception) -> bool:
    """Whether the database could not be written, as opposed to something that is wrong with a record."""
    at_fault = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError, sqlite3.ProgrammingError)
    return isinstance(exc, (sqlite3.Error, OSError, MemoryError)) and not isinstance(exc, at_fault)


def _run_unit(connection: sqlite3.Connection, unit: Unit, *, alone: bool) -> None:
    """Run one unit under its own savepoint, so that its failure undoes nothing of the others'."""
    if alone:
        try:
            unit.value = unit.work(connection)
        except sqlite3.OperationalError:
            raise
        except Exception as exc:
            connection.execute("ROLLBACK")
            unit.error = exc
        return
    connection.execute("SAVEPOINT unit")
    try:
        unit.value = unit.work(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as exc:
        connection.execute("ROLLBACK TO unit")
        unit.error = exc
    connection.execute("RELEASE unit")
