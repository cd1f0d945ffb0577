"""The two databases: their URLs, their engines, and the SQL that differs between them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.sql.functions import FunctionElement

from prefect._lazy import lazy_module
from prefect._store import sqlite

if TYPE_CHECKING:
    from psycopg.types import string as _psycopg_strings
    from sqlalchemy.dialects import postgresql as _postgresql
    from sqlalchemy.dialects import sqlite as _sqlite
else:
    _psycopg_strings = lazy_module("psycopg.types.string")
    _postgresql = lazy_module("sqlalchemy.dialects.postgresql")  # who looks at SQLite does not wait for it
    _sqlite = lazy_module("sqlalchemy.dialects.sqlite")

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
            "Use sqlite:////path/to/pluperfect.db or postgresql://user:password@host:5432/prefect."
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
    return ":memory:" if path.startswith((":memory:", "file::memory:")) else path.removeprefix("file:")


def make_engine(
    url: str | sa.URL, *, read_only: bool = False, foreign_keys: bool = True, pool: Mapping[str, Any] | None = None
) -> sa.Engine:
    """An engine for a database; a transaction on SQLite begins deferred, or at once with the option `write=True`.

    Args:
        url: an SQLite or PostgreSQL URL.
        read_only: SQLite only: refuse to write, and do not make the file.
        foreign_keys: SQLite only: enforce foreign keys. Migrations do not: SQLite empties a table before it drops
            it, and the deletion would cascade.
        pool: PostgreSQL only: arguments of `sqlalchemy.create_engine` about connections.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        # we have no `hstore`, which each connection would ask for
        engine = sa.create_engine(parsed, use_native_hstore=False, **{"pool_pre_ping": True, **(pool or {})})
        event.listen(engine, "connect", _leave_documents)
        return engine
    path = sqlite_path(parsed)

    def connect() -> Any:
        connection = sqlite.connect(path, read_only=read_only)
        if not foreign_keys:
            connection.execute("PRAGMA foreign_keys = OFF")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=StaticPool if path == ":memory:" else NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def _leave_documents(connection: Any, record: Any) -> None:
    # JSON comes as text: whoever only passes it on need not parse it, and the type `Json` knows how
    connection.adapters.register_loader("jsonb", _psycopg_strings.TextLoader)


def _begin(connection: sa.Connection) -> None:
    # sqlite3 is in autocommit mode, so that reads and DDL are in the transaction too
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@functools.cache
def postgresql_types(table: sa.Table) -> Mapping[str, str]:
    """The types of a table's columns on PostgreSQL, as a cast has them, by name."""
    dialect = _postgresql.dialect()
    return {column.name: column.type.compile(dialect) for column in table.c}


def insert(connection: sa.Connection, table: sa.Table) -> _postgresql.Insert | _sqlite.Insert:
    """An INSERT that knows `ON CONFLICT`."""
    return (_sqlite if connection.dialect.name == "sqlite" else _postgresql).insert(table)


class json_array_contains(FunctionElement[bool]):
    """Whether a JSON array of strings contains a string: `json_array_contains(array, string)`."""

    name = "json_array_contains"
    type = sa.Boolean()
    inherit_cache = True


class json_array_size(FunctionElement[int]):
    """The number of elements of a JSON array: `json_array_size(array)`."""

    name = "json_array_size"
    type = sa.Integer()
    inherit_cache = True


class json_member(FunctionElement[str]):
    """A member of a JSON object as text, NULL when absent: `json_member(document, name)`."""

    name = "json_member"
    type = sa.Text()
    inherit_cache = True


def _render(template: str) -> Any:
    def compile_(element: FunctionElement[Any], compiler: Any, **kw: Any) -> str:
        return template.format(*(compiler.process(clause, **kw) for clause in element.clauses))

    return compile_


_SQL = {
    (json_array_contains, "sqlite"): "(EXISTS (SELECT 1 FROM json_each({0}) WHERE json_each.value = {1}))",
    (json_array_contains, "postgresql"): "jsonb_exists({0}, {1})",
    (json_array_size, "sqlite"): "json_array_length({0})",
    (json_array_size, "postgresql"): "jsonb_array_length({0})",
    (json_member, "sqlite"): "json_extract({0}, '$.' || {1})",
    (json_member, "postgresql"): "({0} ->> {1})",
}
for (_function, _dialect), _template in _SQL.items():
    compiles(_function, _dialect)(_render(_template))
