"""Reading runs for those who want JSON: one, or a page of a list.

What is asked for again and again, as pages of the same list are, is compiled once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from cachetools import LRUCache

from prefect._operations import rows
from prefect._operations.errors import NotFound
from prefect._operations.rendering import Rendering, page_of
from prefect._store import prepared
from prefect._store.pages import Cut, Reader

_REMEMBERED = 64
"""So many different pages are compiled at a time."""


class Query(Protocol):
    """What is asked for: which runs, and which part of them."""

    limit: int

    def clause(self) -> sa.ColumnElement[bool]: ...
    def model_dump_json(self, *, exclude_unset: bool) -> str: ...


class NumberedQuery(Query, Protocol):
    """What is asked for by the number of its page."""

    page: int

    def pages(self, count: int) -> int: ...


class RunReads:
    """Reads of runs of one kind.

    Args:
        statement: selects runs with their states (`rows.runs_with_states`), and maybe more columns.
        table: the table of the runs.
        rendering: how they are written.
        cut: which rows somebody asks for.
    """

    def __init__(
        self, statement: sa.Select[Any], table: sa.Table, rendering: Rendering, cut: Callable[[Any], Cut]
    ) -> None:
        self.by_id = statement.where(table.c.id == sa.bindparam("id"))
        self._one = prepared.Query(self.by_id)
        self._statement = statement
        self._table = table
        self._rendering = rendering
        self._cut = cut
        self._readers: LRUCache[tuple[str, str], Reader] = LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    def one(self, tx: sa.Connection, kind: str, id: UUID) -> bytes:
        """The JSON of one run.

        Args:
            kind: what it is called when it is not there.

        Raises:
            NotFound: there is no such run.
        """
        found = self._one.as_given(tx, {"id": id})
        if not found:
            raise NotFound(kind, id)
        return self._rendering.object(tx, found[0])

    def written(self, row: prepared.Row, state: prepared.Row) -> bytes:
        """The JSON of a run that was just made.

        Args:
            row: its columns, and what the statement adds to them.
            state: the columns of its state.
        """
        return self._rendering.of(row, state)

    def page(self, tx: sa.Connection, body: Query) -> bytes:
        """The JSON array of a page of runs."""
        return self._rendering.array(tx, self._reader(tx, body).rows(tx))

    def numbered_page(self, tx: sa.Connection, body: NumberedQuery) -> bytes:
        """The JSON of a page of runs, and of how many there are."""
        count = rows.count(tx, self._table, body.clause())
        results = self.page(tx, body)
        return page_of(results, count=count, limit=body.limit, pages=body.pages(count), page=body.page)

    def _reader(self, tx: sa.Connection, body: Query) -> Reader:
        if _depends_on_the_clock(body):
            return Reader(self._statement, self._cut(body), tx.dialect.name)
        key = (tx.dialect.name, f"{type(body).__name__}{body.model_dump_json(exclude_unset=True)}")
        with self._lock:
            reader = self._readers.get(key)
            if reader is None:
                reader = self._readers[key] = Reader(self._statement, self._cut(body), tx.dialect.name)
        return reader


def _depends_on_the_clock(body: Query) -> bool:
    """Whether the same words mean something else later: whether a work pool is ready does."""
    return getattr(body, "work_pools", None) is not None
