"""One row at a time, by statements that are built once.

To build a statement of SQLAlchemy, to find it in its cache and to compile one that it does not cache (`ON CONFLICT`)
takes three to ten times as long as to run it. What every run does, it does by these.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from prefect._store import dialects
from prefect._store.prepared import Converter, Row, converted, fetched, from_driver, rows_changed, to_driver


def read(tx: sa.Connection, table: sa.Table, key: Any, *, lock: bool = False) -> Row | None:
    """A row by its primary key, None when there is none.

    Args:
        lock: hold it against other transactions until this one ends. On SQLite there is one writer anyway.
    """
    names = (_key(table),)
    found = fetched(tx, _select(table, tx.dialect.name, lock), _given(table, tx.dialect, names, (key,)))
    return converted(_types(table, tx.dialect).taken, found[0]) if found else None


def insert(tx: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> None:
    """Insert a row.

    Raises:
        sqlalchemy.exc.IntegrityError: a row with the same unique values is there, or one that it refers to is not.
    """
    row = complete(table, values)
    names = tuple(row)
    rows_changed(tx, _insert(table, tx.dialect.name, names), _given(table, tx.dialect, names, row.values()))


def insert_if_new(tx: sa.Connection, table: sa.Table, row: Row) -> bool:
    """Insert a row that is complete; returns whether there was none with the same unique values."""
    names = tuple(row)
    statement = f"{_insert(table, tx.dialect.name, names)} ON CONFLICT DO NOTHING"
    return rows_changed(tx, statement, _given(table, tx.dialect, names, row.values())) == 1


def insert_if_new_with(tx: sa.Connection, table: sa.Table, row: Row, belonging: sa.Table, its_row: Row) -> bool:
    """Insert a row that is complete, and one that refers to it; returns whether there was none with the same unique values.

    Args:
        table: one whose key is `id`.
        row: its row.
        belonging: the table of the other.
        its_row: the row of that, with all that it does not leave to the database.
    """
    if tx.dialect.name == "sqlite":
        is_new = insert_if_new(tx, table, row)
        if is_new:
            insert(tx, belonging, its_row)
        return is_new
    names, its_names = tuple(row), tuple(its_row)
    statement = _insert_both(table, names, belonging, its_names)
    given = _given(table, tx.dialect, names, row.values())
    return rows_changed(tx, statement, (*given, *_given(belonging, tx.dialect, its_names, its_row.values()))) == 1


def insert_new(tx: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> sa.RowMapping | None:
    """Insert a row and return it as it is kept; None when a row with the same unique values is there already."""
    compiled: Any = _insert_new(tx, table, tuple(values))
    return tx.execute(compiled, values).mappings().one_or_none()


def update(tx: sa.Connection, table: sa.Table, key: Any, values: Mapping[str, Any]) -> int:
    """Change a row by its primary key; returns how many rows there were, 0 or 1.

    Args:
        values: what its columns hold from now on: plain values, no SQL.
    """
    changed = {name: make() for name, make in _made_anew(table) if name not in values} | dict(values)
    names = tuple(changed)
    given = _given(table, tx.dialect, (*names, _key(table)), (*changed.values(), key))
    return rows_changed(tx, _update(table, tx.dialect.name, names), given)


def delete(tx: sa.Connection, table: sa.Table, key: Any) -> int:
    """Delete a row by its primary key; returns how many rows there were, 0 or 1."""
    return rows_changed(tx, _delete(table, tx.dialect.name), _given(table, tx.dialect, (_key(table),), (key,)))


def complete(table: sa.Table, values: Mapping[str, Any]) -> Row:
    """A row to insert: the columns that are not given have their defaults, or nothing.

    Those that the database itself fills in are left to it.
    """
    return {name: values[name] if name in values else None if make is None else make() for name, make in _made(table)}


@functools.cache
def _key(table: sa.Table) -> str:
    (key,) = table.primary_key.columns
    return key.name


@functools.cache
def _made(table: sa.Table) -> list[tuple[str, Callable[[], Any] | None]]:
    return [(column.name, _maker(column.default)) for column in table.c if column.server_default is None]


@functools.cache
def _made_anew(table: sa.Table) -> list[tuple[str, Callable[[], Any]]]:
    makers = ((column.name, _maker(column.onupdate)) for column in table.c)
    return [(name, make) for name, make in makers if make is not None]


def _maker(default: Any) -> Callable[[], Any] | None:
    if default is None:
        return None
    if default.is_scalar:
        return lambda: default.arg
    return lambda: default.arg(None)  # SQLAlchemy has made it take a context


class _Types(NamedTuple):
    given: dict[str, Converter]
    taken: list[tuple[str, Converter]]


_known_types: dict[tuple[sa.Table, str], _Types] = {}


def _types(table: sa.Table, dialect: Dialect) -> _Types:
    found = _known_types.get((table, dialect.name))
    if found is None:
        found = _known_types[table, dialect.name] = _Types(
            {column.name: to_driver(column.type, dialect) for column in table.c},
            [(column.name, from_driver(column.type, dialect)) for column in table.c],
        )
    return found


def _given(table: sa.Table, dialect: Dialect, names: Iterable[str], values: Iterable[Any]) -> tuple[Any, ...]:
    converters = _types(table, dialect).given
    return tuple([
        value if convert is None else convert(value)
        for name, value in zip(names, values, strict=True)
        for convert in (converters[name],)
    ])  # fmt: skip


def _mark(dialect_name: str) -> str:
    return "?" if dialect_name == "sqlite" else "%s"


@functools.cache
def _select(table: sa.Table, dialect_name: str, lock: bool) -> str:
    held = " FOR UPDATE" if lock and dialect_name != "sqlite" else ""
    columns = ", ".join(table.c.keys())
    return f"SELECT {columns} FROM {table.name} WHERE {_key(table)} = {_mark(dialect_name)}{held}"


@functools.cache
def _insert(table: sa.Table, dialect_name: str, names: tuple[str, ...]) -> str:
    marks = ", ".join([_mark(dialect_name)] * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"


@functools.cache
def _insert_both(table: sa.Table, names: tuple[str, ...], belonging: sa.Table, its_names: tuple[str, ...]) -> str:
    """For PostgreSQL, which has one question to answer then."""
    types = dialects.postgresql_types(belonging)
    values = ", ".join(f"%s::{types[name]}" for name in its_names)
    return (
        f"WITH made AS ({_insert(table, 'postgresql', names)} ON CONFLICT DO NOTHING RETURNING id) "
        f"INSERT INTO {belonging.name} ({', '.join(its_names)}) SELECT {values} FROM made"
    )


@functools.cache
def _update(table: sa.Table, dialect_name: str, names: tuple[str, ...]) -> str:
    mark = _mark(dialect_name)
    changes = ", ".join(f"{name} = {mark}" for name in names)
    return f"UPDATE {table.name} SET {changes} WHERE {_key(table)} = {mark}"


@functools.cache
def _delete(table: sa.Table, dialect_name: str) -> str:
    return f"DELETE FROM {table.name} WHERE {_key(table)} = {_mark(dialect_name)}"


_compiled: dict[tuple[str, sa.Table, tuple[str, ...]], sa.Compiled] = {}


def _insert_new(tx: sa.Connection, table: sa.Table, columns: tuple[str, ...]) -> sa.Compiled:
    """The statement for these columns. SQLAlchemy keeps no compiled form of one with `ON CONFLICT`, so it is kept here."""
    key = (tx.dialect.name, table, columns)
    found = _compiled.get(key)
    if found is None:
        statement = dialects.insert(tx, table).on_conflict_do_nothing().returning(*table.c)
        found = _compiled[key] = statement.compile(dialect=tx.dialect, column_keys=list(columns))
    return found
