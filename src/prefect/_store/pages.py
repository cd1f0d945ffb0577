"""Pages of long lists: which rows are on one is found by their keys alone, before anything wide is read.

Sorting rows with all that belongs to them moves a kilobyte for each run that matches, to show twenty of them. Here the
ids of a page are found first, by an index in the order of the page where there is one. Rows of several states are in no
index's order, but those of each state are: the beginnings of these are merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import Clause, Column
from prefect._store.prepared import Fixed


@dataclass(frozen=True)
class Order:
    """An order of the rows of a table; rows without a value come last.

    It ends in the primary key, so that pages neither repeat nor miss a row.
    """

    id: Column
    """The primary key."""
    key: Column
    """What rows are sorted by."""
    descending: bool = False
    optional: bool = True
    """Whether there may be rows that have no value."""
    by_part: bool = False
    """Whether there are indexes in which the rows of each part, such as those in one state, are in this order."""

    @property
    def clauses(self) -> tuple[Column, ...]:
        """The order of all rows, for `order_by`."""
        if self.key is self.id:
            return (self.directed(self.id),)
        first = self.directed(self.key)
        return (first.nulls_last() if self.optional else first, self.directed(self.id))

    def __iter__(self) -> Iterator[Column]:
        return iter(self.clauses)  # order_by(*order)

    @property
    def of_present(self) -> tuple[Column, ...]:
        """The order of the rows that have a value: that of an index on it, which `NULLS LAST` is not everywhere."""
        return self.clauses if self.key is self.id else (self.directed(self.key), self.directed(self.id))

    def directed(self, column: Column) -> Column:
        """A column, in the direction of this order."""
        return column.desc() if self.descending else column.asc()


@dataclass(frozen=True)
class Cut:
    """Which rows are on a page.

    Args:
        where: which rows match; about the table of the order alone.
        order: their order.
        limit: so many rows at most.
        offset: leave out so many first.
        parts: the same as `where`, as a few clauses of which each row that matches fits exactly one.
    """

    where: Clause
    order: Order
    limit: int
    offset: int = 0
    parts: Sequence[Clause] = ()

    @property
    def present(self) -> Clause:
        """The rows that match and have a value."""
        return self._present(self.where)

    def _present(self, where: Clause) -> Clause:
        return sa.and_(where, self.order.key.is_not(None)) if self.order.optional else sa.and_(where)

    def ids_of_present(self) -> sa.Select[Any]:
        """The ids of those on the page that have a value."""
        order = self.order
        if not order.by_part or not self.parts:
            return self._cut(sa.select(order.id.label("id")).where(self.present).order_by(*order.of_present))
        keys = sa.select(order.id.label("id"), order.key.label("key")).order_by(*order.of_present)
        beginnings = [keys.where(self._present(part)).limit(self.limit + self.offset).subquery() for part in self.parts]
        merged = sa.union_all(*(sa.select(one) for one in beginnings)).subquery()
        by = (order.directed(merged.c.key), order.directed(merged.c.id))
        return self._cut(sa.select(merged.c.id).order_by(*by))

    def ids_of_absent(self, limit: int, offset: int) -> sa.Select[Any]:
        """The ids of those that have no value, in the order of their ids."""
        absent = sa.and_(self.where, self.order.key.is_(None))
        ids = sa.select(self.order.id.label("id")).where(absent).order_by(*self.order.clauses[-1:])
        return ids.limit(limit).offset(offset)

    def _cut(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        return statement.limit(self.limit).offset(self.offset)


def page(tx: sa.Connection, statement: sa.Select[Any], cut: Cut) -> sa.Select[Any]:
    """Restrict a statement to a page of the rows that match, and put them in order.

    Args:
        tx: a transaction; the statement is to be executed in it.
        statement: selects from the table of the order, and from whatever is joined to it.
        cut: which rows.
    """
    return statement.where(cut.order.id.in_(_ids(tx, cut))).order_by(*cut.order.clauses)


def _ids(tx: sa.Connection, cut: Cut) -> list[Any]:
    if cut.limit == 0:
        return []
    found = list(tx.execute(cut.ids_of_present()).scalars())
    if not cut.order.optional or len(found) == cut.limit:
        return found
    offset = 0 if found or not cut.offset else _offset_of_absent(tx, cut)
    return found + list(tx.execute(cut.ids_of_absent(cut.limit - len(found), offset)).scalars())


def _offset_of_absent(tx: sa.Connection, cut: Cut) -> int:
    count = tx.execute(sa.select(sa.func.count()).where(cut.present)).scalar_one()
    return max(cut.offset - count, 0)


class Reader:
    """Reads a page that is asked for again and again: its statements are built and compiled once.

    Args:
        statement: selects from the table of the order, and from whatever is joined to it.
        cut: which rows.
        dialect: of the database, `sqlite` or `postgresql`.
    """

    def __init__(self, statement: sa.Select[Any], cut: Cut, dialect: str) -> None:
        self._statement = statement
        self._cut = cut
        self._dialect = dialect
        self._present = self._of(cut.ids_of_present())

    @cached_property
    def _absent(self) -> Fixed:
        return self._of(self._cut.ids_of_absent(self._cut.limit, 0))

    def _of(self, ids: sa.Select[Any]) -> Fixed:
        order = self._cut.order
        if self._dialect == "postgresql":  # it looks up an array by the index; to join it, it may read the whole table
            on_page = self._statement.where(order.id == sa.any_(sa.func.array(ids.scalar_subquery())))
        else:
            found = ids.subquery()
            on_page = self._statement.join(found, found.c.id == order.id)
        return Fixed(on_page.order_by(*order.clauses))

    def rows(self, tx: sa.Connection) -> list[Sequence[Any]]:
        """The rows of the page, in order, as the driver gives them."""
        cut = self._cut
        if cut.limit == 0:
            return []
        found = self._present.rows(tx)
        if not cut.order.optional or len(found) == cut.limit:
            return found
        offset = 0 if found or not cut.offset else _offset_of_absent(tx, cut)
        if offset:
            return self._of(cut.ids_of_absent(cut.limit, offset)).rows(tx)
        return found + self._absent.rows(tx)[: cut.limit - len(found)]
