"""Following a table: what has been written since one looked last, in the order in which it was committed.

A place is where one has read to. On SQLite there is one writer at a time, so the number of a row says when it was
committed. PostgreSQL gives numbers to transactions when they begin, not when they end; what is read is what belongs to
transactions older than the oldest that is still going on, so nothing can appear later before a place that was passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import from_us, to_us

_FIRST_ID = "00000000-0000-0000-0000-000000000000"
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_LAST_MOMENT = 253_000_000_000_000_000  # in the year 9987
_MOMENTS = {"event": "occurred", "log": "timestamp"}


class Place(NamedTuple):
    """Where one has read to. It can be kept as text, and compared.

    Attributes:
        number: of the row, on PostgreSQL of its transaction.
        moment: on PostgreSQL, when it happened, microseconds: the order of what one transaction wrote.
        id: on PostgreSQL, the row's.
    """

    number: int
    moment: int = 0
    id: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.moment}:{self.id}" if self.id else str(self.number)

    @classmethod
    def parse(cls, text: str) -> Self:
        """A place from its text.

        Raises:
            ValueError: it is none.
        """
        number, _, rest = text.partition(":")
        moment, _, id = rest.partition(":")
        return cls(int(number), int(moment), str(UUID(id))) if rest else cls(int(number))


class Read(NamedTuple):
    """What was read."""

    rows: Sequence[sa.RowMapping]
    place: Place
    """Where to read on."""
    more: bool
    """Whether there is more to be read at once."""
    held_back: bool
    """Whether something is written, but may not be read yet: look again in a moment."""


def end(tx: sa.Connection, table: sa.Table) -> Place:
    """The place after everything that is committed now."""
    if tx.dialect.name == "sqlite":
        return Place(tx.execute(sa.select(sa.func.max(_rowid(table))).select_from(table)).scalar_one() or 0)
    return Place(_oldest_transaction(tx) - 1, _LAST_MOMENT, _LAST_ID)


def read_after(tx: sa.Connection, table: sa.Table, place: Place, limit: int, *, until: Place | None = None) -> Read:
    """The rows that were committed after a place.

    Args:
        tx: a transaction.
        table: `event` or `log`.
        place: where to begin.
        limit: so many rows at most.
        until: where to end; unless given, at the newest.
    """
    if tx.dialect.name == "sqlite":
        return _read_sqlite(tx, table, place, limit, until)
    oldest = _oldest_transaction(tx)
    key = sa.tuple_(*_key(table))
    where = [table.c.xid < oldest, key > _literal(table, place)]
    if until is not None:
        where.append(key <= _literal(table, until))
    statement = sa.select(table).where(*where).order_by(*_key(table)).limit(limit)
    rows = tx.execute(statement).mappings().all()
    if rows:
        place = place_of(table, rows[-1])
    held_back = len(rows) < limit and until is None and _has_newer(tx, table, oldest)
    return Read(rows, place, len(rows) == limit, held_back)


def place_of(table: sa.Table, row: sa.RowMapping) -> Place:
    """The place of a row that `read_after` gave."""
    if "rowid" in row:
        return Place(row["rowid"])
    return Place(row["xid"], to_us(row[_MOMENTS[table.name]]), str(row["id"]))


def not_after(tx: sa.Connection, table: sa.Table, place: Place) -> sa.ColumnElement[bool]:
    """The clause of what was committed up to a place."""
    if tx.dialect.name == "sqlite":
        return _rowid(table) <= place.number
    # rows of an older version do not say which transaction wrote them
    return sa.or_(table.c.xid.is_(None), sa.tuple_(*_key(table)) <= _literal(table, place))


def _read_sqlite(tx: sa.Connection, table: sa.Table, place: Place, limit: int, until: Place | None) -> Read:
    rowid = _rowid(table)
    where = [rowid > place.number]
    if until is not None:
        where.append(rowid <= until.number)
    statement = sa.select(table, rowid.label("rowid")).where(*where).order_by(rowid).limit(limit)
    rows = tx.execute(statement).mappings().all()
    if rows:
        return Read(rows, place_of(table, rows[-1]), len(rows) == limit, False)
    # numbers begin anew when a table was emptied
    newest = end(tx, table)
    return Read(rows, min(place, newest), False, False)


def _rowid(table: sa.Table) -> sa.ColumnElement[int]:
    return sa.literal_column(f"{table.name}.rowid", sa.Integer)


def _oldest_transaction(tx: sa.Connection) -> int:
    """All transactions with lower numbers have ended."""
    return tx.exec_driver_sql("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").scalar_one()


def _has_newer(tx: sa.Connection, table: sa.Table, number: int) -> bool:
    return tx.execute(sa.select(sa.literal(1)).where(table.c.xid >= number).limit(1)).first() is not None


def _key(table: sa.Table) -> tuple[sa.Column[Any], ...]:
    return table.c.xid, table.c[_MOMENTS[table.name]], table.c.id


def _literal(table: sa.Table, place: Place) -> Any:
    values = (place.number, from_us(place.moment), place.id or _FIRST_ID)
    return sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(values, _key(table), strict=True)))
