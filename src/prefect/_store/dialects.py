"""The two databases: their URLs, their engines, and the SQL that differs between them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool, StaticPool

from prefect._store import sqlite

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
}


class UnsupportedDatabase(ValueError):
    """The connection URL names a database that is neither SQLite nor PostgreSQL."""

    def __init__(self, scheme: str) -> None:
        super().__init__(
            f"The database URL begins with {scheme!r}, which is not supported. "
            "Use sqlite:////path/to/prefect.db or postgresql://user:password@host:5432/prefect."
        )


def parse_url(url: str | sa.URL) -> sa.URL:
    """The URL with the driver we use; the peer's asynchronous drivers mean the same databases here.

    Raises:
        UnsupportedDatabase: neither SQLite nor PostgreSQL.
        sqlalchemy.exc.ArgumentError: not a database URL.
    """
    parsed = sa.make_url(url)
    try:
        return parsed.set(drivername=_DRIVERS[parsed.drivername])
    except KeyError:
        raise UnsupportedDatabase(parsed.drivername) from None


def is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def sqlite_path(url: str | sa.URL) -> str:
    """The database file of an SQLite URL, or `":memory:"`."""
    path = parse_url(url).database or ":memory:"
    return ":memory:" if path.startswith((":memory:", "file::memory:")) else path.removeprefix("file:").split("?")[0]


def make_engine(url: str | sa.URL, *, read_only: bool = False, foreign_keys: bool = True) -> sa.Engine:
    """An engine for a database; a transaction on SQLite begins deferred, or at once with the option `write=True`.

    Args:
        url: an SQLite or PostgreSQL URL.
        read_only: SQLite only: refuse to write, and do not make the file.
        foreign_keys: SQLite only: enforce foreign keys. Migrations do not: SQLite empties a table before it drops
            it, and the deletion would cascade.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return sa.create_engine(parsed, pool_pre_ping=True)
    path = sqlite_path(parsed)

    def connect() -> Any:
        connection = sqlite.connect(path, read_only=read_only)
        if not foreign_keys:
            connection.execute("PRAGMA foreign_keys = OFF")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=StaticPool if path == ":memory:" else NullPool)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    # sqlite3 is in autocommit mode, so that reads and DDL are in the transaction too
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class json_array_contains(sa.sql.expression.ColumnElement[bool]):
    """Whether a JSON array of strings contains a string."""

    inherit_cache = True
    type = sa.Boolean()
    _traverse_internals = [
        ("array", sa.sql.visitors.InternalTraversal.dp_clauseelement),
        ("value", sa.sql.visitors.InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, array: sa.ColumnElement[Any], value: str) -> None:
        self.array = array
        self.value = sa.bindparam(None, value, type_=sa.Text, unique=True)


@compiles(json_array_contains, "sqlite")
def _contains_sqlite(element: json_array_contains, compiler: Any, **kw: Any) -> str:
    array, value = compiler.process(element.array, **kw), compiler.process(element.value, **kw)
    return f"EXISTS (SELECT 1 FROM json_each({array}) WHERE json_each.value = {value})"


@compiles(json_array_contains, "postgresql")
def _contains_postgresql(element: json_array_contains, compiler: Any, **kw: Any) -> str:
    array, value = compiler.process(element.array, **kw), compiler.process(element.value, **kw)
    return f"jsonb_exists({array}, {value})"


class json_array_is_empty(sa.sql.expression.ColumnElement[bool]):
    """Whether a JSON array has no elements."""

    inherit_cache = True
    type = sa.Boolean()
    _traverse_internals = [("array", sa.sql.visitors.InternalTraversal.dp_clauseelement)]

    def __init__(self, array: sa.ColumnElement[Any]) -> None:
        self.array = array


@compiles(json_array_is_empty, "sqlite")
def _empty_sqlite(element: json_array_is_empty, compiler: Any, **kw: Any) -> str:
    return f"json_array_length({compiler.process(element.array, **kw)}) = 0"


@compiles(json_array_is_empty, "postgresql")
def _empty_postgresql(element: json_array_is_empty, compiler: Any, **kw: Any) -> str:
    return f"jsonb_array_length({compiler.process(element.array, **kw)}) = 0"


class json_text(sa.sql.expression.ColumnElement[str]):
    """A top-level text member of a JSON object, NULL when absent."""

    inherit_cache = True
    type = sa.Text()
    _traverse_internals = [
        ("document", sa.sql.visitors.InternalTraversal.dp_clauseelement),
        ("key", sa.sql.visitors.InternalTraversal.dp_string),
    ]

    def __init__(self, document: sa.ColumnElement[Any], key: str) -> None:
        if not key.isidentifier():
            raise ValueError(f"{key!r} is not a plain JSON member name.")  # it becomes part of the SQL text
        self.document = document
        self.key = key


@compiles(json_text, "sqlite")
def _json_text_sqlite(element: json_text, compiler: Any, **kw: Any) -> str:
    return f"json_extract({compiler.process(element.document, **kw)}, '$.{element.key}')"


@compiles(json_text, "postgresql")
def _json_text_postgresql(element: json_text, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(element.document, **kw)} ->> '{element.key}')"
