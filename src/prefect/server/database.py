"""The server's database: where it keeps everything, in an SQLite file or on PostgreSQL."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sqlalchemy as sa

from prefect._store.announcements import Bus
from prefect._store.dialects import is_sqlite, parse_url, sqlite_path
from prefect.server.postgresql import PostgreSQLDatabase
from prefect.server.sqlite import SQLiteDatabase

if TYPE_CHECKING:
    from prefect.settings import Settings
    from prefect.settings.models.server.database import ServerDatabaseSettings, SQLAlchemyTLSSettings

T = TypeVar("T")


class Database(Protocol):
    """Where a server keeps everything. Usable from any thread."""

    bus: Bus
    """Told what was announced in the transactions of `write`, once they are committed."""

    def open(self) -> None:
        """Connect, and bring the schema up to date."""

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)`, which reads. On SQLite it sees one moment of the database, elsewhere each of its statements does."""
        ...

    def write(self, work: Callable[[sa.Connection], T], *, alone: bool = False) -> T:
        """Run `work(tx)` in a transaction and return its value once it is committed.

        It may be run more than once, if the database takes back what it wrote.

        Args:
            work: reads and writes.
            alone: whether it is one statement, which is a transaction anyway.

        Raises:
            DatabaseUnavailable: the database cannot be opened or written; nothing of this work was written.
            Exception: whatever `work` raised; nothing it wrote is kept.
        """
        ...

    def close(self) -> None:
        """Write what is pending and let go of all connections."""


def make_database(url: str, *, migrate_on_start: bool = True, pool: Mapping[str, Any] | None = None) -> Database:
    """The database of a URL, not yet open.

    Args:
        url: an SQLite or PostgreSQL URL; SQLite in memory is kept in a temporary file that ends with the server.
        migrate_on_start: bring an older schema up to date when it is opened.
        pool: arguments of `sqlalchemy.create_engine` about the connections to PostgreSQL; of them `echo` counts for
            SQLite, too.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return PostgreSQLDatabase(parsed, migrate_on_start=migrate_on_start, pool=pool)
    path = sqlite_path(parsed)
    return SQLiteDatabase(None if path == ":memory:" else os.path.abspath(path), echo=bool((pool or {}).get("echo")))


def database_of(settings: Settings) -> Database:
    """The database that a server with these settings keeps everything in, not yet open."""
    url = settings.server.database.connection_url
    return make_database(
        url.get_secret_value() if url else f"sqlite:///{settings.home / 'pluperfect.db'}",
        migrate_on_start=settings.server.database.migrate_on_start,
        pool=_connections(settings.server.database, url.get_secret_value() if url else ""),
    )


def _tls(settings: SQLAlchemyTLSSettings) -> dict[str, str]:
    """The arguments of libpq for what the settings say about TLS."""
    if not settings.enabled:
        return {}
    checked = "verify-full" if settings.check_hostname else "verify-ca" if settings.ca_file else "require"
    # without a file of authorities: those of the system, which libpq takes only together with the host's name
    authorities = settings.ca_file or ("system" if settings.check_hostname else None)
    given = {"sslrootcert": authorities, "sslcert": settings.cert_file, "sslkey": settings.key_file}
    return {"sslmode": checked, **{name: value for name, value in given.items() if value is not None}}


def _connections(settings: ServerDatabaseSettings, url: str) -> dict[str, Any]:
    """How a server connects to PostgreSQL, and how long it waits for it; what the URL says comes first."""
    arguments: dict[str, Any] = {"application_name": settings.sqlalchemy.connect_args.application_name or "prefect"}
    if settings.connection_timeout is not None:
        arguments["connect_timeout"] = max(1, math.ceil(settings.connection_timeout))
    given = {"search_path": settings.sqlalchemy.connect_args.search_path}
    if settings.timeout is not None:
        given["statement_timeout"] = str(max(1, round(settings.timeout * 1000)))
    # blanks end a value unless they are escaped
    options = [f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in given.items() if value is not None]
    if options and "options=" not in url:
        arguments["options"] = " ".join(options)
    if "sslmode=" not in url:
        arguments |= _tls(settings.sqlalchemy.connect_args.tls)
    if settings.sqlalchemy.connect_args.statement_cache_size == 0:  # as poolers between us and PostgreSQL may want it
        arguments["prepare_threshold"] = None
    limits = settings.sqlalchemy
    return {
        "pool_size": limits.pool_size,
        "max_overflow": limits.max_overflow,
        "pool_timeout": _FOR_EVER if limits.pool_timeout is None else limits.pool_timeout,
        "pool_recycle": limits.pool_recycle,
        "echo": settings.echo,
        "connect_args": arguments,
    }


_FOR_EVER = 1e6
