"""How many runs there were, in which states, over time; and how late they were."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations.errors import Invalid
from prefect._operations.flow_runs import FlowRunSelection
from prefect._operations.registry import operation
from prefect._operations.task_runs import TaskRunSelection
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.moments import DateTime
from prefect._schemas.orchestration import HistoryResponse, HistoryResponseState
from prefect._schemas.states import StateType
from prefect._store.histories import Counted, Intervals, count_runs
from prefect._store.intervals import lateness
from prefect._store.tables import flow_run, task_run

MAX_INTERVALS = 10_000
_MICROSECOND = timedelta(microseconds=1)


class Span(PrefectBaseModel):
    """A span of time in intervals of one length."""

    history_start: DateTime = Field(description="Where the first interval begins.")
    history_end: DateTime = Field(description="No interval begins after this moment.")
    history_interval_seconds: timedelta = Field(description="The length of an interval, in seconds.")


class FlowRunHistory(FlowRunSelection, Span):
    """The flow runs that match, by when they were expected to start."""


class TaskRunHistory(TaskRunSelection, Span):
    """The task runs that match, by when they were expected to start."""


@operation("POST", "/flow_runs/history")
def flow_run_history(tx: sa.Connection, body: FlowRunHistory) -> list[HistoryResponse]:
    """Count flow runs by state in every interval of a span of time.

    Raises:
        Invalid: the intervals are shorter than a second, or too many.
    """
    return _history(tx, flow_run, body.clause(), body)


@operation("POST", "/task_runs/history")
def task_run_history(tx: sa.Connection, body: TaskRunHistory) -> list[HistoryResponse]:
    """Count task runs by state in every interval of a span of time.

    Raises:
        Invalid: the intervals are shorter than a second, or too many.
    """
    return _history(tx, task_run, body.clause(), body)


def _history(tx: sa.Connection, run: sa.Table, where: sa.ColumnElement[bool], span: Span) -> list[HistoryResponse]:
    length = span.history_interval_seconds
    if length < timedelta(seconds=1):
        raise Invalid("History interval must not be less than 1 second.")
    count = max(1, -(-(span.history_end - span.history_start) // length))
    if count > MAX_INTERVALS:
        raise Invalid(f"These are {count} intervals, more than {MAX_INTERVALS}: make history_interval_seconds longer.")
    intervals = Intervals(span.history_start, length // _MICROSECOND, count)
    states: dict[int, list[HistoryResponseState]] = {}
    for one in count_runs(tx, run, where, intervals, now()):
        states.setdefault(one.number, []).append(_state(one))
    starts = [span.history_start + index * length for index in range(count)]
    return [
        HistoryResponse(interval_start=start, interval_end=start + length, states=states.get(index, []))
        for index, start in enumerate(starts)
    ]


def _state(counted: Counted) -> HistoryResponseState:
    return HistoryResponseState(
        state_type=StateType(counted.type),
        state_name=counted.name,
        count_runs=counted.runs,
        sum_estimated_run_time=timedelta(microseconds=counted.run_time_us),
        sum_estimated_lateness=timedelta(microseconds=counted.lateness_us),
    )


@operation("POST", "/flow_runs/lateness")
def average_flow_run_lateness(tx: sa.Connection, body: FlowRunSelection) -> float | None:
    """How many seconds the flow runs that match started late on average; null when none match."""
    late = sa.select(sa.func.avg(lateness(flow_run, now()))).where(body.clause())
    average = tx.execute(late).scalar_one()
    return None if average is None else float(average) / 1e6
