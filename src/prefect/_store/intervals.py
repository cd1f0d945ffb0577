"""Arithmetic with moments inside the database, in whole microseconds, alike on both databases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from prefect._clock import to_us
from prefect._rules.states import RUNNING, TERMINAL

Column = sa.ColumnElement[Any]


class microseconds(FunctionElement[int]):
    """A moment as microseconds since the epoch: `microseconds(timestamp)`."""

    name = "microseconds"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(microseconds, "sqlite")
def _on_sqlite(element: microseconds, compiler: Any, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(microseconds, "postgresql")
def _on_postgresql(element: microseconds, compiler: Any, **kw: Any) -> str:
    return f"CAST(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **kw)}) * 1000000 AS BIGINT)"


def _whole(number: int) -> Column:
    return sa.literal(number, sa.BigInteger)


def interval_index(column: Column, start: datetime, length_us: int) -> Column:
    """The number of the interval, from 0, that a moment at or after `start` falls into."""
    return (microseconds(column) - _whole(to_us(start))) // _whole(length_us)


def estimated_run_time(run: sa.Table, moment: datetime) -> Column:
    """Microseconds that a run has been running, up to `moment` when it runs now."""
    finished = sa.type_coerce(run.c.total_run_time, sa.BigInteger)
    running = finished + _whole(to_us(moment)) - microseconds(run.c.state_timestamp)
    return sa.case((run.c.state_type == RUNNING, running), else_=finished)


def lateness(run: sa.Table, moment: datetime) -> Column:
    """Microseconds that a run started late, or is late by `moment` when it should have started."""
    expected = microseconds(run.c.expected_start_time)
    started_late = run.c.start_time > run.c.expected_start_time
    overdue = sa.and_(
        run.c.start_time.is_(None), run.c.expected_start_time < moment, run.c.state_type.not_in(sorted(TERMINAL))
    )
    return sa.case(
        (started_late, microseconds(run.c.start_time) - expected),
        (overdue, _whole(to_us(moment)) - expected),
        else_=_whole(0),
    )
