"""How many runs were expected in each interval of a span of time, by state, and their sums.

All that is added up is in the indexes `ix_flow_run__by_state` and `ix_task_run__expected`: no run is looked at itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from prefect._rules.states import COMPLETED, STATE_TYPES
from prefect._store.clauses import Clause, Column, is_no_restriction
from prefect._store.intervals import estimated_run_time, interval_index, lateness, numbers, within_interval

_TYPES = sorted(STATE_TYPES)
_COMPLETED_NAME = "Completed"


@dataclass(frozen=True)
class Intervals:
    """A span of time in intervals of one length."""

    start: datetime
    length_us: int
    """How long one is, in microseconds."""
    count: int

    @property
    def end(self) -> datetime:
        """Where the last one ends."""
        return self.start + self.count * timedelta(microseconds=self.length_us)


@dataclass(frozen=True)
class Counted:
    """The runs of one interval in one state."""

    number: int
    """Of the interval, from 0."""
    type: str
    name: str
    runs: int
    run_time_us: int
    lateness_us: int


def count_runs(
    tx: sa.Connection, run: sa.Table, where: Clause, intervals: Intervals, moment: datetime
) -> list[Counted]:
    """Count runs by interval and state, in this order.

    Args:
        tx: a transaction.
        run: the table of flow runs, or of task runs.
        where: which of them.
        intervals: of the time when they were expected to start.
        moment: until when a run that has not ended is running, or late.
    """
    if tx.dialect.name == "sqlite" and is_no_restriction(where):
        found = [*_completed(tx, run, intervals, moment), *_grouped(tx, run, ~_is_completed(run), intervals, moment)]
    else:
        found = list(_grouped(tx, run, where, intervals, moment))
    return sorted(found, key=lambda one: (one.number, one.type, one.name))


def _sums(run: sa.Table, moment: datetime) -> tuple[Column, Column, Column]:
    return sa.func.count(), sa.func.sum(estimated_run_time(run, moment)), sa.func.sum(lateness(run, moment))


def _grouped(
    tx: sa.Connection, run: sa.Table, where: Clause, intervals: Intervals, moment: datetime
) -> Iterator[Counted]:
    number = interval_index(run.c.expected_start_time, intervals.start, intervals.length_us)
    statement = (
        sa.select(number.label("number"), run.c.state_type, run.c.state_name, *_sums(run, moment))
        .where(where, run.c.expected_start_time >= intervals.start, run.c.expected_start_time < intervals.end)
        .where(run.c.state_type.in_(_TYPES))  # all of them, so that an index that begins with the type is of use
        .group_by(sa.text("1"), run.c.state_type, run.c.state_name)  # 1: the first column, the interval
    )
    for number_, type, name, *sums in tx.execute(statement):
        yield Counted(int(number_), type, name, *map(int, sums))


def _is_completed(run: sa.Table) -> Clause:
    return sa.and_(run.c.state_type == COMPLETED, run.c.state_name == _COMPLETED_NAME)


def _completed(tx: sa.Connection, run: sa.Table, intervals: Intervals, moment: datetime) -> Iterator[Counted]:
    """The runs that have completed, of all runs: nearly all of them. SQLite, which would sort them to group them, is asked
    for each interval in turn, which takes a third of the time."""
    number = numbers(intervals.count)
    within = within_interval(run.c.expected_start_time, intervals.start, intervals.length_us, number.c.n)
    sums = sa.select(sa.func.json_array(*_sums(run, moment))).where(_is_completed(run), within).scalar_subquery()
    for number_, text in tx.execute(sa.select(number.c.n, sa.type_coerce(sums, sa.Text))):
        found: list[Any] = json.loads(text)
        if found[0]:
            yield Counted(number_, COMPLETED, _COMPLETED_NAME, *found)
