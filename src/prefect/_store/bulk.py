"""Many rows at once: the statements behind recording, which bypass what makes single statements convenient.

SQLite runs one prepared statement over tuples. PostgreSQL takes all rows as one JSON document in one statement and
turns it into rows itself: one round trip, and nothing to bind value by value.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from prefect._clock import to_us
from prefect._store.dialects import postgresql_types
from prefect._store.documents import json_text
from prefect._store.prepared import fetched, rows_changed
from prefect._store.types import Duration, Id, Json, Timestamp

Row = dict[str, Any]
"""A value for each column that is written, in the types of Python: UUID, aware datetime, timedelta, JSON values."""

_MICROSECOND = timedelta(microseconds=1)
_MANY = 20


def insert_new(tx: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> int:
    """Insert rows, by one statement; those whose key is taken are left out. Returns how many were inserted."""
    return _execute(tx, table, columns, rows, "ON CONFLICT DO NOTHING")


def upsert_newer(
    tx: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row], *, changes: Sequence[str], by: str
) -> None:
    """Insert rows, or change those that are there.

    Args:
        tx: the transaction.
        table: one whose key is `id`; no two of the rows have the same one.
        columns: the columns that the rows have.
        rows: the rows.
        changes: the columns that are changed of a row that is there.
        by: the column that says which of two is newer; an older row changes nothing.
    """
    sets = ", ".join(f"{name} = excluded.{name}" for name in changes)
    newer = f"excluded.{by} >= {table.name}.{by} OR {table.name}.{by} IS NULL"
    _execute(tx, table, columns, rows, f"ON CONFLICT (id) DO UPDATE SET {sets} WHERE {newer}")


class Parts(NamedTuple):
    """Rows that belong to others which are inserted with them.

    Attributes:
        table: theirs.
        columns: those that the rows have.
        rows: the rows.
        whole: the column that says to which row they belong, by its `id`.
    """

    table: sa.Table
    columns: Sequence[str]
    rows: Sequence[Row]
    whole: str


def insert_new_with_parts(
    tx: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row], parts: Parts
) -> int:
    """Insert rows and what belongs to them; those whose key is taken are left out. Returns how many rows were inserted.

    Args:
        table: one whose key is `id`; no two of the rows have the same one.
    """
    if not rows:
        return 0
    if tx.dialect.name == "sqlite":
        return _insert_with_parts_on_sqlite(tx, table, columns, rows, parts)
    into, given = _source(table, columns, rows)
    of_parts, given_of_parts = _source(parts.table, parts.columns, parts.rows, key=parts.whole)
    statement = (
        f"WITH made AS ({into} ON CONFLICT DO NOTHING RETURNING id), "
        f"belonging AS ({of_parts} JOIN made ON made.id = given.{parts.whole}) SELECT count(*) FROM made"
    )
    count: int = fetched(tx, statement, (*given, *given_of_parts))[0][0]
    return count


def _insert_with_parts_on_sqlite(
    tx: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row], parts: Parts
) -> int:
    belonging = parts.rows
    if len(rows) > 1:  # one is looked for by inserting it
        known = _known(tx, table, [row["id"] for row in rows])
        rows = [row for row in rows if row["id"] not in known]
        belonging = [part for part in belonging if part[parts.whole] not in known]
    inserted = _execute(tx, table, columns, rows, "ON CONFLICT DO NOTHING")
    if inserted:
        _execute(tx, parts.table, parts.columns, belonging, "ON CONFLICT DO NOTHING")
    return inserted


def _known(tx: sa.Connection, table: sa.Table, ids: list[Any]) -> set[Any]:
    return set(tx.execute(_find(table), {"ids": ids}).scalars())


@functools.cache
def _find(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.id).where(table.c.id.in_(sa.bindparam("ids", expanding=True)))


def _execute(tx: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row], conflict: str) -> int:
    if not rows:
        return 0
    if tx.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) {conflict}"
        return rows_changed(tx, statement, list(_tuples(table, tuple(columns), rows)))
    into, given = _source(table, columns, rows)
    return rows_changed(tx, f"{into} {conflict}", given)


def _source(
    table: sa.Table, columns: Sequence[str], rows: Sequence[Row], *, key: str = "id"
) -> tuple[str, tuple[Any, ...]]:
    """The beginning of a statement for PostgreSQL that inserts rows, and its values.

    Args:
        key: a column of the rows `given` that the rest of the statement needs.
    """
    durations = [name for name in columns if isinstance(table.c[name].type, Duration)]
    if durations:
        rows = [{**row, **{name: row[name] // _MICROSECOND for name in durations}} for row in rows]
    common = _in_common(table, [name for name in columns if name != key], rows)
    given = [rows[0][name] for name in common]
    if common:
        varying = [name for name in columns if name not in common]
        rows = [{name: row[name] for name in varying} for row in rows]
    values = ", ".join(f"%s::{common[name]}" if name in common else f"given.{name}" for name in columns)
    statement = (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {values} "
        f"FROM json_populate_recordset(NULL::{table.name}, %s::json) AS given"
    )
    return statement, (*given, json_text(rows))


def _in_common(table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """The columns in which all rows have the same value, in their order, with their types on PostgreSQL.

    What is written into the document once a row takes as long to parse as the row takes to be inserted. A few rows are written
    whole, so that the statement is always the same: it is planned once.
    """
    if len(rows) < _MANY:
        return {}
    plain = _plain(table)
    return {
        name: plain[name]
        for name in columns
        if name in plain
        for values in ([row[name] for row in rows],)
        if values.count(values[0]) == len(values)
    }


@functools.cache
def _plain(table: sa.Table) -> dict[str, str]:
    kinds = (Id, Timestamp, sa.Text, sa.Integer)
    return {name: kind for name, kind in postgresql_types(table).items() if isinstance(table.c[name].type, kinds)}


def _tuples(table: sa.Table, columns: tuple[str, ...], rows: Sequence[Row]) -> Iterable[tuple[Any, ...]]:
    # column by column: what is done to a value is looked up once, and what all rows have in common is done once
    return zip(*(_column(rows, name, convert) for name, convert in _converters(table, columns)), strict=True)


def _column(rows: Sequence[Row], name: str, convert: Callable[[Any], Any] | None) -> Iterable[Any]:
    values = [row[name] for row in rows]
    if convert is None:
        return values
    first = values[0]
    if all(value is first for value in values):
        return itertools.repeat(None if first is None else convert(first), len(values))
    return [None if value is None else convert(value) for value in values]


@functools.cache
def _converters(table: sa.Table, columns: tuple[str, ...]) -> list[tuple[str, Callable[[Any], Any] | None]]:
    return [(name, _converter(table.c[name].type)) for name in columns]


def _converter(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """From Python to what SQLite keeps, None for a value that stays as it is."""
    if isinstance(kind, Id):
        return str
    if isinstance(kind, Timestamp):
        return to_us
    if isinstance(kind, Duration):
        return lambda value: value // _MICROSECOND
    if isinstance(kind, Json):
        return json_text
    return None
