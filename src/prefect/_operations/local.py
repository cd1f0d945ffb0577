"""The local database, as those who look at it from outside a run open it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from prefect._operations.errors import NotLocal
from prefect._store import reconciling, sqlite
from prefect._store.announcements import Bus, collected
from prefect._store.dialects import is_sqlite, make_engine, parse_url, sqlite_path
from prefect._store.schema import SQLITE_SCRIPT, read_script, statements
from prefect.settings import get_current_settings


def open_local() -> LocalDatabase:
    """The run database that the current settings name.

    Raises:
        NotLocal: they name a server, or a database that only a server opens.
    """
    settings = get_current_settings()
    if settings.api.url:
        raise NotLocal(
            f"PREFECT_API_URL is set to {settings.api.url!r}, but this version looks only at the local database. "
            "Unset it, or switch to a profile without it."
        )
    configured = settings.server.database.connection_url
    url = parse_url(configured.get_secret_value() if configured else "sqlite://")
    if not is_sqlite(url):
        raise NotLocal(
            f"The settings name a {url.get_backend_name()} database, which only a server opens. Unset "
            "PREFECT_SERVER_DATABASE_CONNECTION_URL, or name an SQLite file."
        )
    path = sqlite_path(url)
    # without a file runs are kept in the default one
    return LocalDatabase(str(settings.home / "pluperfect.db") if path == ":memory:" else os.path.abspath(path))


class LocalDatabase:
    """The run database of the current settings.

    Args:
        path: the SQLite file. One that does not exist reads as an empty database and is not made by reading.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bus = Bus()
        """Told what was announced in this object's transactions, once they are committed."""
        self._lock = sqlite.WriteLock(f"{path}.lock")
        self._engine: sa.Engine | None = None

    def create(self) -> None:
        """Make the file with its tables, unless it is there.

        Raises:
            DatabaseUnavailable: it cannot be made.
        """
        if not os.path.exists(self.path):
            sqlite.open_database(self.path, self._lock).close()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one moment of the database.

        Raises:
            DatabaseUnavailable: the file cannot be read or is not a database of ours.
        """
        with self._explained(), self._open().connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that may write; committed at the end, rolled back when the body raises.

        Raises:
            DatabaseUnavailable: the file cannot be written or is not a database of ours.
        """
        with (
            self._explained(),
            self._open().connect().execution_options(write=True) as connection,
            self._lock,
            connection.begin(),
        ):
            collected(connection)  # of an earlier transaction on this connection, which failed
            yield connection
            topics = collected(connection)
        self.bus.publish(topics)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        self._lock.close()

    def __enter__(self) -> LocalDatabase:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa_exc.OperationalError as exc:
            raise sqlite.DatabaseUnavailable(self.path, exc.orig or exc) from exc

    def _open(self) -> sa.Engine:
        if self._engine is None:
            self._engine = self._make_engine()
        return self._engine

    def _make_engine(self) -> sa.Engine:
        if not os.path.exists(self.path):
            engine = make_engine("sqlite:///:memory:")
            with engine.connect() as connection:
                for statement in statements(read_script(SQLITE_SCRIPT)):
                    connection.exec_driver_sql(statement)
                connection.commit()
            return engine
        url = sa.URL.create("sqlite", database=self.path)
        if not os.access(self.path, os.W_OK):
            return make_engine(url, read_only=True)
        self._reconcile()
        return make_engine(url)

    def _reconcile(self) -> None:
        """Bring an older schema up to date, and end the runs whose process has died."""
        connection = sqlite.open_database(self.path, self._lock)
        try:
            if reconciling.is_due(connection, self.path):
                with sqlite.immediate(connection, self._lock):
                    reconciling.reconcile(connection, self.path)
        except sqlite3.Error as exc:
            raise sqlite.DatabaseUnavailable(self.path, exc) from exc
        finally:
            connection.close()


_LOOK_SECONDS = 0.1
"""How often a change that another process made is looked for."""


class Changes:
    """Notices that a database was written to, by whatever process.

    Args:
        path: the SQLite file. One that does not exist never changes.
    """

    def __init__(self, path: str) -> None:
        self._connection = sqlite.connect(path, read_only=True) if os.path.exists(path) else None
        self._version = self._read()

    def _read(self) -> int:
        # changes whenever another connection has committed; reads no table
        return 0 if self._connection is None else self._connection.execute("PRAGMA data_version").fetchone()[0]

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until somebody has written since the last call, `seconds` at most, or until `stop` is set.

        Returns:
            whether somebody has written.
        """
        end = time.monotonic() + seconds
        while not stop.is_set():
            version, before = self._read(), self._version
            if version != before:
                self._version = version
                return True
            left = end - time.monotonic()
            if left <= 0 or stop.wait(min(left, _LOOK_SECONDS)):
                break
        return False

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._connection is not None:
            self._connection.close()
