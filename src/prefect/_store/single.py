"""One row at a time, by statements that are built and compiled once.

To build a statement of SQLAlchemy, to find it in its cache and to compile one that it does not cache (`ON CONFLICT`)
takes three to ten times as long as to run it. What every run does, it does by these.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from prefect._store import dialects


def read(tx: sa.Connection, table: sa.Table, key: Any, *, lock: bool = False) -> sa.RowMapping | None:
    """A row by its primary key, None when there is none.

    Args:
        lock: hold it against other transactions until this one ends. On SQLite there is one writer anyway.
    """
    return tx.execute(_select(table, lock), {"_key": key}).mappings().one_or_none()


def insert(tx: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> None:
    """Insert a row.

    Raises:
        sqlalchemy.exc.IntegrityError: a row with the same unique values is there, or one that it refers to is not.
    """
    tx.execute(_insert(table), values)


def insert_new(tx: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> sa.RowMapping | None:
    """Insert a row and return it, complete; None when a row with the same unique values is there already."""
    compiled: Any = _insert_new(tx, table, tuple(values))
    return tx.execute(compiled, values).mappings().one_or_none()


def update(tx: sa.Connection, table: sa.Table, key: Any, values: Mapping[str, Any]) -> int:
    """Change a row by its primary key; returns how many rows there were, 0 or 1.

    Args:
        values: what its columns hold from now on: plain values, no SQL.
    """
    return tx.execute(_update(table), {**values, "_key": key}).rowcount


def delete(tx: sa.Connection, table: sa.Table, key: Any) -> int:
    """Delete a row by its primary key; returns how many rows there were, 0 or 1."""
    return tx.execute(_delete(table), {"_key": key}).rowcount


def _is_the_one(table: sa.Table) -> sa.ColumnElement[bool]:
    (key,) = table.primary_key.columns
    return key == sa.bindparam("_key")


@functools.cache
def _select(table: sa.Table, lock: bool) -> sa.Select[Any]:
    statement = sa.select(table).where(_is_the_one(table))
    return statement.with_for_update() if lock else statement


@functools.cache
def _insert(table: sa.Table) -> sa.Insert:
    return table.insert()


@functools.cache
def _update(table: sa.Table) -> sa.Update:
    return table.update().where(_is_the_one(table))


@functools.cache
def _delete(table: sa.Table) -> sa.Delete:
    return table.delete().where(_is_the_one(table))


_compiled: dict[tuple[str, sa.Table, tuple[str, ...]], sa.Compiled] = {}


def _insert_new(tx: sa.Connection, table: sa.Table, columns: tuple[str, ...]) -> sa.Compiled:
    """The statement for these columns. SQLAlchemy keeps no compiled form of one with `ON CONFLICT`, so it is kept here."""
    key = (tx.dialect.name, table, columns)
    found = _compiled.get(key)
    if found is None:
        statement = dialects.insert(tx, table).on_conflict_do_nothing().returning(*table.c)
        found = _compiled[key] = statement.compile(dialect=tx.dialect, column_keys=list(columns))
    return found
