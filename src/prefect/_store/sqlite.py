"""Connections to the local SQLite database, and the lock that orders its writers.

Nothing here imports SQLAlchemy: a flow run records itself through plain `sqlite3`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from prefect._store.schema import SCHEMA_REVISION, SQLITE_SCRIPT, read_script, statements

try:
    import fcntl
except ImportError:  # Windows: SQLite's own locks and busy timeout order the writers
    fcntl = None  # type: ignore[assignment]

BUSY_TIMEOUT_SECONDS = 120.0
"""How long a statement waits for another program that holds SQLite's lock without taking ours."""


class DatabaseUnavailable(Exception):
    """The local database cannot be opened or written. The message names the file, the reason and the remedy."""

    def __init__(self, path: str | os.PathLike[str], cause: BaseException) -> None:
        self.path = str(path)
        super().__init__(
            f"The run database {self.path} cannot be used: {cause}. Make the folder writable, free some space, "
            "or set PREFECT_HOME to a folder that is."
        )


class WriteLock:
    """Lets one process at a time write to a database file, first come first served.

    SQLite itself makes waiting writers poll and gives up after a timeout; under a few hundred processes some would
    starve and see "database is locked". A lock on a file beside the database queues them in the kernel instead, and
    is released by it when a process dies.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> None:
        if fcntl is not None:
            fcntl.flock(self._open(), fcntl.LOCK_EX)

    def take_if_free(self) -> bool:
        """Take the lock if nobody has it; taking it again later, and giving it back then, is what gives it back."""
        if fcntl is not None:
            try:
                fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self._fd

    def __exit__(self, *exc_info: object) -> None:
        if fcntl is not None and self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode (transactions are begun explicitly) with our settings.

    Args:
        path: the database file, or `":memory:"`.
        read_only: refuse to write, and do not create the file.
    """
    if read_only:
        connection = sqlite3.connect(
            f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, isolation_level=None,
            check_same_thread=False, timeout=BUSY_TIMEOUT_SECONDS,
        )  # fmt: skip
    else:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_SECONDS)
    # NORMAL in WAL mode: a killed process loses nothing it committed, a power cut at most the newest commits
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def open_database(path: str, lock: WriteLock) -> sqlite3.Connection:
    """Open the database file for writing, making it with the current schema when it is new.

    Raises:
        DatabaseUnavailable: the file or its folder cannot be written, or is not a database of ours.
    """
    try:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        connection = connect(path)
        if not _is_current(connection):
            with lock:
                _prepare(connection, path)
    except (OSError, sqlite3.Error) as exc:
        raise DatabaseUnavailable(path, exc) from exc
    return connection


def _is_current(connection: sqlite3.Connection) -> bool:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return False
    return row is not None and row[0] == SCHEMA_REVISION


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the schema, or bring an older one up to date. Called under the write lock."""
    if _is_current(connection):
        return
    connection.execute("PRAGMA journal_mode = WAL")
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
    if tables == 0:
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements(read_script(SQLITE_SCRIPT)):
            connection.execute(statement)
        connection.execute("COMMIT")
        return
    from prefect._store import migrate  # imports SQLAlchemy and Alembic; only an older database needs them

    migrate.upgrade(f"sqlite:///{path}")


@contextlib.contextmanager
def immediate(connection: sqlite3.Connection, lock: WriteLock) -> Iterator[sqlite3.Connection]:
    """A write transaction: committed at the end, rolled back when the body raises."""
    with lock:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
