"""Statements that are built and compiled once, and then given to the driver as it takes them.

To find a statement of SQLAlchemy among those it has compiled, and to bring its values into the driver's form, takes
longer than most of them run. What every run does, and what is asked for again and again, goes by these.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Row = dict[str, Any]
"""The columns of a row by name, in the types of Python."""

Converter = Callable[[Any], Any] | None
"""From Python to the driver or back; None for what stays as it is."""


def to_driver(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Converter:
    """How values of a type are given to the driver."""
    return kind.dialect_impl(dialect).bind_processor(dialect)


def from_driver(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Converter:
    """How values of a type come back from the driver."""
    return kind.dialect_impl(dialect).result_processor(dialect, None)


_WORD = re.compile("[A-Za-z_]+")


class Fixed:
    """A statement that reads, with its values.

    Args:
        statement: the statement. It is for databases of one kind.
    """

    def __init__(self, statement: sa.Select[Any]) -> None:
        self._statement = statement
        self._given: tuple[str, Any] | None = None

    def rows(self, tx: sa.Connection) -> list[Sequence[Any]]:
        """All rows, as the driver gives them."""
        if self._given is None:
            result = tx.execute(self._statement)
            context: Any = result.context
            self._given = _spelled_out(context.statement, context.parameters[0])
            return _all(result)
        return fetched(tx, *self._given)


def _spelled_out(sql: str, parameters: Any) -> tuple[str, Any]:
    """A statement for PostgreSQL with its whole numbers and plain words, such as the types of states, written out.

    It is planned once then, for just these: how many rows are wanted, and how many there are in these states.
    """
    if isinstance(parameters, Mapping):
        for name, value in parameters.items():
            if type(value) is int:
                sql = sql.replace(f"%({name})s", str(value))
            elif isinstance(value, str) and _WORD.fullmatch(value):
                sql = sql.replace(f"%({name})s", f"'{value}'")
    return sql, parameters


class _Form(NamedTuple):
    sql: str
    given: list[tuple[str, Converter]]
    by_name: bool
    taken: list[tuple[str, Converter]]


class Query:
    """A statement that reads, with parameters.

    Args:
        statement: selects columns, by the values of `sa.bindparam(name)`; none of them a list.
    """

    def __init__(self, statement: sa.Select[Any]) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def rows(self, tx: sa.Connection, parameters: Mapping[str, Any]) -> list[Row]:
        """All rows.

        Args:
            parameters: a value for each name.
        """
        form = self._form(tx.dialect)
        return [converted(form.taken, row) for row in self.as_given(tx, parameters)]

    def first(self, tx: sa.Connection, parameters: Mapping[str, Any]) -> Row | None:
        """The first row, None when there is none."""
        form = self._form(tx.dialect)
        found = self.as_given(tx, parameters)
        return converted(form.taken, found[0]) if found else None

    def as_given(self, tx: sa.Connection, parameters: Mapping[str, Any]) -> list[Sequence[Any]]:
        """All rows, as the driver gives them."""
        form = self._form(tx.dialect)
        values: Any = [
            value if convert is None else convert(value)
            for name, convert in form.given
            for value in (parameters[name],)
        ]
        given = (
            {name: value for (name, _), value in zip(form.given, values, strict=True)}
            if form.by_name
            else tuple(values)
        )
        return fetched(tx, form.sql, given)

    def _form(self, dialect: Dialect) -> _Form:
        form = self._forms.get(dialect.name)
        if form is None:
            compiled = cast(SQLCompiler, self._statement.compile(dialect=dialect))
            names = list(compiled.binds) if compiled.positiontup is None else compiled.positiontup
            given = [(name, to_driver(compiled.binds[name].type, dialect)) for name in names]
            taken = [
                (name, from_driver(column.type, dialect)) for name, column in self._statement.selected_columns.items()
            ]
            form = self._forms[dialect.name] = _Form(compiled.string, given, compiled.positiontup is None, taken)
        return form


def converted(columns: Iterable[tuple[str, Converter]], row: Sequence[Any]) -> Row:
    """A row by the names of its columns, in the types of Python."""
    return {
        name: value if convert is None else convert(value) for (name, convert), value in zip(columns, row, strict=True)
    }


def fetched(tx: sa.Connection, sql: str, given: Any) -> list[Sequence[Any]]:
    """All rows of a statement, which and whose values are as the driver takes them; they are as it gives them."""
    cursor = _short_cut(tx, sql, given)
    if cursor is not None:
        with contextlib.suppress(sqlite3.Error):  # when the rows are fetched: it is tried again, as in `_on_sqlite`
            found: list[Sequence[Any]] = cursor.fetchall()
            return found
    return _all(tx.exec_driver_sql(sql, given))


def rows_changed(tx: sa.Connection, sql: str, given: Any) -> int:
    """How many rows a statement has changed.

    Args:
        sql: the statement, as the driver takes it.
        given: its values, as the driver takes them; a list when it is to be carried out for each of several.
    """
    cursor = _short_cut(tx, sql, given)
    changed: int = tx.exec_driver_sql(sql, given).rowcount if cursor is None else cursor.rowcount
    return changed


def _short_cut(tx: sa.Connection, sql: str, given: Any) -> Any:
    """The driver's cursor with the result of a statement; None where SQLAlchemy is to be asked.

    It keeps books of each statement and describes the columns of its result, which takes longer than most statements here.
    Those who want to see all statements, as programs do that trace them, see them.
    """
    if _is_seen(tx):
        return None
    return _on_sqlite(tx, sql, given) if tx.dialect.name == "sqlite" else _on_postgresql(tx, sql, given)


def _is_seen(tx: sa.Connection) -> bool:
    """Whether somebody wants to see all statements."""
    return bool(tx.engine.echo or tx.dispatch.before_cursor_execute)


def _on_sqlite(tx: sa.Connection, sql: str, given: Any) -> sqlite3.Cursor | None:
    if not tx.in_transaction():
        return None
    connection: Any = tx.connection.driver_connection
    try:
        execute = connection.executemany if isinstance(given, list) else connection.execute
        cursor: sqlite3.Cursor = execute(sql, given)
    except sqlite3.Error:
        return None  # it fails again, and SQLAlchemy says so in its own words
    return cursor


def _on_postgresql(tx: sa.Connection, sql: str, given: Any) -> Any:
    if isinstance(given, list):
        return None
    cursor = cast(Any, tx.connection.driver_connection).cursor()
    with _told_as_by_sqlalchemy(tx, sql, given):
        cursor.execute(sql, given)
    return cursor


@contextlib.contextmanager
def _told_as_by_sqlalchemy(tx: sa.Connection, sql: str, given: Any) -> Iterator[None]:
    """The errors of a driver become those of SQLAlchemy. The transaction has failed with one: it cannot be asked again."""
    connection: Any = tx.connection.driver_connection
    try:
        yield
    except tx.dialect.loaded_dbapi.Error as error:
        is_lost = tx.dialect.is_disconnect(error, connection, None)
        if is_lost:
            # it fails again, and SQLAlchemy lets go of this connection and of all others that are kept
            with contextlib.suppress(sa_exc.DBAPIError):
                tx.exec_driver_sql("SELECT 1")
        errors: Any = sa_exc.DBAPIError
        raise errors.instance(
            sql, given, error, tx.dialect.loaded_dbapi.Error, connection_invalidated=is_lost, dialect=tx.dialect,
            hide_parameters=tx.engine.hide_parameters,
        ) from error  # fmt: skip


@contextlib.contextmanager
def sent_ahead(tx: sa.Connection) -> Iterator[None]:
    """Let PostgreSQL work on the statements of a block while the next ones are made; it has done so when the block ends.

    For statements by `fetched` and `rows_changed` only. Of those that write nothing is known before the end, neither how
    many rows they changed nor that they failed.
    """
    driver: Any = tx.dialect.loaded_dbapi
    if tx.dialect.name == "sqlite" or _is_seen(tx) or not driver.Pipeline.is_supported():
        yield
        return
    connection: Any = tx.connection.driver_connection
    with _told_as_by_sqlalchemy(tx, "statements that were sent together", None), connection.pipeline():
        yield


def _all(result: sa.CursorResult[Any]) -> list[Sequence[Any]]:
    cursor: Any = result.cursor
    found: list[Sequence[Any]] = cursor.fetchall()
    result.close()
    return found
