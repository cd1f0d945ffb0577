"""Arithmetic with moments inside the database, in whole microseconds, alike on both databases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from prefect._clock import to_us
from prefect._rules.states import RUNNING, TERMINAL
from prefect._store.types import Timestamp

Column = sa.ColumnElement[Any]


class microseconds_between(FunctionElement[int]):
    """Microseconds from a moment to a later one: `microseconds_between(earlier, later)`.

    Exact for spans of less than 68 years, which a double holds in microseconds with bits to spare.
    """

    name = "microseconds_between"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(microseconds_between, "sqlite")
def _on_sqlite(element: microseconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({later} - {earlier})"


@compiles(microseconds_between, "postgresql")
def _on_postgresql(element: microseconds_between, compiler: Any, **kw: Any) -> str:
    # EXTRACT would give a numeric, which takes many times as long; the cast rounds
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(date_part('epoch', {later} - {earlier}) * 1000000 AS BIGINT)"


def _whole(number: int) -> Column:
    return sa.literal(number, sa.BigInteger)


def _at(moment: datetime) -> Column:
    return sa.literal(moment, Timestamp)


def interval_index(column: Column, start: datetime, length_us: int) -> Column:
    """The number of the interval, from 0, that a moment at or after `start` falls into."""
    return microseconds_between(_at(start), column) // _whole(length_us)


def estimated_run_time(run: sa.Table, moment: datetime) -> Column:
    """Microseconds that a run has been running, up to `moment` when it runs now."""
    finished = sa.type_coerce(run.c.total_run_time, sa.BigInteger)
    running = finished + microseconds_between(run.c.state_timestamp, _at(moment))
    return sa.case((run.c.state_type == RUNNING, running), else_=finished)


def lateness(run: sa.Table, moment: datetime) -> Column:
    """Microseconds that a run started late, or is late by `moment` when it should have started."""
    expected = run.c.expected_start_time
    overdue = sa.and_(run.c.start_time.is_(None), expected < moment, run.c.state_type.not_in(sorted(TERMINAL)))
    return sa.case(
        (run.c.start_time > expected, microseconds_between(expected, run.c.start_time)),
        (overdue, microseconds_between(expected, _at(moment))),
        else_=_whole(0),
    )


def numbers(count: int) -> sa.CTE:
    """A table of the numbers from 0 on, in its column `n`."""
    first = sa.select(_whole(0).label("n")).cte("numbers", recursive=True)
    return first.union_all(sa.select(first.c.n + _whole(1)).where(first.c.n < _whole(count - 1)))


def within_interval(
    column: Column,
    start: datetime,
    length_us: int,
    number: Column,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> sa.ColumnElement[bool]:
    """The moments in the interval of a number, on SQLite, in a form that goes by an index of them.

    Args:
        column: the moments.
        start: where interval 0 begins.
        length_us: how long each is, in microseconds.
        number: of the interval.
        since: none that is earlier.
        until: none that is later.
    """
    at, first = sa.type_coerce(column, sa.BigInteger), _whole(to_us(start))
    begin, end = first + number * _whole(length_us), first + (number + _whole(1)) * _whole(length_us)
    if since is not None:
        begin = sa.func.max(begin, _whole(to_us(since)))  # one bound, as an index takes no more
    if until is not None:
        end = sa.func.min(end, _whole(to_us(until) + 1))
    return sa.and_(at >= begin, at < end)
