"""Pages of long lists: which rows are on one is found by their keys alone, before anything wide is read.

Sorting rows with all that belongs to them moves a kilobyte for each run that matches, to show twenty of them. Here the
ids of a page are found first, by an index in the order of the page where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._store.clauses import Clause, Column


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

    @property
    def clauses(self) -> tuple[Column, ...]:
        """The order of all rows, for `order_by`."""
        if self.key is self.id:
            return (self._directed(self.id),)
        first = self._directed(self.key)
        return (first.nulls_last() if self.optional else first, self._directed(self.id))

    def __iter__(self) -> Iterator[Column]:
        return iter(self.clauses)  # order_by(*order)

    @property
    def of_present(self) -> tuple[Column, ...]:
        """The order of the rows that have a value: that of an index on it, which `NULLS LAST` is not everywhere."""
        return self.clauses if self.key is self.id else (self._directed(self.key), self._directed(self.id))

    def _directed(self, column: Column) -> Column:
        return column.desc() if self.descending else column.asc()


def page(
    tx: sa.Connection, statement: sa.Select[Any], where: Clause, order: Order, *, limit: int, offset: int
) -> sa.Select[Any]:
    """Restrict a statement to a page of the rows that match, and put them in order.

    Args:
        tx: a transaction; the statement is to be executed in it.
        statement: selects from the table of the order, and from whatever is joined to it.
        where: which rows match; about that table alone.
        order: their order.
        limit: so many rows at most.
        offset: leave out so many first.
    """
    ids = page_ids(tx, where, order, limit=limit, offset=offset)
    return statement.where(order.id.in_(ids)).order_by(*order.clauses)


def page_ids(tx: sa.Connection, where: Clause, order: Order, *, limit: int, offset: int) -> list[UUID]:
    """The ids of the rows on a page."""
    if limit == 0:
        return []
    if not order.optional:
        return _ids(tx, order, sa.and_(where), order.of_present, limit, offset)
    present = sa.and_(where, order.key.is_not(None))
    found = _ids(tx, order, present, order.of_present, limit, offset)
    if len(found) == limit:
        return found
    if not found and offset:
        offset -= tx.execute(sa.select(sa.func.count()).where(present)).scalar_one()
    absent = sa.and_(where, order.key.is_(None))
    by_id = order.clauses[-1:]
    return found + _ids(tx, order, absent, by_id, limit - len(found), 0 if found else max(offset, 0))


def _ids(tx: sa.Connection, order: Order, where: Clause, by: tuple[Column, ...], limit: int, offset: int) -> list[UUID]:
    return list(tx.execute(sa.select(order.id).where(where).order_by(*by).limit(limit).offset(offset)).scalars())
