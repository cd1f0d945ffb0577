"""Aggregates for pages: one request for each picture, however many runs it is about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import rows, task_runs
from prefect._operations.errors import Invalid
from prefect._operations.flow_runs import FlowRunQuery
from prefect._operations.registry import operation
from prefect._operations.task_runs import TaskRunSelection
from prefect._rules.states import COMPLETED, CRASHED, FAILED, SCHEDULED
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from prefect._schemas.moments import DateTime
from prefect._schemas.sorting import FlowRunSort
from prefect._schemas.states import StateType
from prefect._schemas.task_runs import TaskRun
from prefect._store import pages, placement, queries
from prefect._store.intervals import interval_index
from prefect._store.tables import flow_run, task_run

BUCKETS = 20
"""Columns of the picture of recent task runs."""


class RecentFlowRuns(FlowRunQuery):
    """A page of flow runs, as points of a picture."""

    sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_DESC
    limit: int = Field(default=1000, ge=0, le=1000, description="At most so many runs.")


class SimpleFlowRun(PrefectBaseModel):
    """A flow run as a point of a picture."""

    id: UUID
    state_type: StateType
    timestamp: DateTime = Field(description="When it started, or was expected to.")
    duration: timedelta
    lateness: timedelta


class FlowRunIds(PrefectBaseModel):
    """Some flow runs."""

    flow_run_ids: list[UUID] = Field(max_length=200)


class FlowIds(PrefectBaseModel):
    """Some flows."""

    flow_ids: list[UUID] = Field(max_length=200)


class SimpleNextFlowRun(PrefectBaseModel):
    """The run of a flow that is due next."""

    id: UUID
    flow_id: UUID
    name: str
    state_name: str
    state_type: StateType
    next_scheduled_start_time: DateTime


class CountByState(PrefectBaseModel):
    """How many runs are in a state of each type."""

    COMPLETED: int = 0
    PENDING: int = 0
    RUNNING: int = 0
    FAILED: int = 0
    CANCELLED: int = 0
    CRASHED: int = 0
    PAUSED: int = 0
    CANCELLING: int = 0
    SCHEDULED: int = 0


class TaskRunDashboard(TaskRunSelection):
    """The task runs that match; the range of their start times says what is shown."""

    task_runs: TaskRunFilter  # type: ignore[assignment]
    work_pools: WorkPoolFilter | None = None  # type: ignore[assignment]
    work_queues: WorkQueueFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        placed = placement.where_task_runs_placed(work_pools=self.work_pools, work_queues=self.work_queues)
        return sa.and_(super().clause(), placed)


class TaskRunCount(PrefectBaseModel):
    """How many task runs of a span of time completed, and failed."""

    completed: int = 0
    failed: int = 0


class UITaskRun(TaskRun):
    """A task run with the name of its flow run."""

    flow_run_name: str | None = None


@operation("POST", "/ui/flow_runs/history")
def read_flow_run_history(tx: sa.Connection, body: RecentFlowRuns) -> list[SimpleFlowRun]:
    """The flow runs that match, as points of a picture."""
    moment = now()
    columns = (
        "id", "state_type", "state_timestamp", "start_time", "expected_start_time", "total_run_time",
    )  # fmt: skip
    is_shown = sa.and_(flow_run.c.state_type.is_not(None), flow_run.c.expected_start_time.is_not(None))
    order = queries.FLOW_RUN_ORDERS[body.sort.value]
    runs = sa.select(*(flow_run.c[name] for name in columns))
    parts = [sa.and_(part, is_shown) for part in body.clauses_by_state()]
    cut = pages.Cut(sa.and_(body.clause(), is_shown), order, body.limit, body.offset, parts)
    statement = pages.page(tx, runs, cut)
    return [
        SimpleFlowRun(
            id=row["id"],
            state_type=row["state_type"],
            timestamp=row["start_time"] or row["expected_start_time"],
            duration=rows.estimated_run_time(row, moment),
            lateness=rows.estimated_start_time_delta(row, moment),
        )
        for row in tx.execute(statement).mappings()
    ]


@operation("POST", "/ui/flow_runs/count-task-runs")
def count_task_runs_by_flow_run(tx: sa.Connection, body: FlowRunIds) -> dict[UUID, int]:
    """How many task runs some flow runs have; those that stand for a sub-flow do not count."""
    sub = flow_run.alias("sub")
    statement = (
        sa.select(task_run.c.flow_run_id, sa.func.count())
        .where(task_run.c.flow_run_id.in_(body.flow_run_ids))
        .where(~sa.exists().where(sub.c.parent_task_run_id == task_run.c.id))
        .group_by(task_run.c.flow_run_id)
    )
    counts: dict[UUID, int] = dict.fromkeys(body.flow_run_ids, 0)
    counts.update({row[0]: row[1] for row in tx.execute(statement)})
    return counts


@operation("POST", "/ui/flows/next-runs")
def next_runs_by_flow(tx: sa.Connection, body: FlowIds) -> dict[UUID, SimpleNextFlowRun | None]:
    """The run that is due next of each of some flows; null where none is scheduled."""
    order = (flow_run.c.next_scheduled_start_time, flow_run.c.id)
    place = sa.func.row_number().over(partition_by=flow_run.c.flow_id, order_by=order).label("place")
    scheduled = (
        sa.select(*(flow_run.c[name] for name in SimpleNextFlowRun.model_fields), place)
        .where(flow_run.c.flow_id.in_(body.flow_ids), flow_run.c.state_type == SCHEDULED)
        .where(flow_run.c.next_scheduled_start_time.is_not(None))
        .subquery()
    )
    found: dict[UUID, SimpleNextFlowRun | None] = dict.fromkeys(body.flow_ids)
    for row in tx.execute(sa.select(scheduled).where(scheduled.c.place == 1)).mappings():
        found[row["flow_id"]] = SimpleNextFlowRun.model_validate(dict(row))
    return found


@operation("POST", "/ui/task_runs/count")
def read_task_run_counts_by_state(tx: sa.Connection, body: TaskRunSelection) -> CountByState:
    """How many of the task runs that match are in a state of each type."""
    statement = sa.select(task_run.c.state_type, sa.func.count()).where(
        body.clause(), task_run.c.state_type.is_not(None)
    )
    counts = {row[0]: row[1] for row in tx.execute(statement.group_by(task_run.c.state_type))}
    return CountByState.model_validate(counts)


@operation("POST", "/ui/task_runs/dashboard/counts")
def read_dashboard_task_run_counts(tx: sa.Connection, body: TaskRunDashboard) -> list[TaskRunCount]:
    """How many of the task runs that match completed, and failed, in each of twenty parts of the span of time asked for.

    Raises:
        Invalid: `task_runs.start_time` does not say from when to when.
    """
    start, length = _bucket(body.task_runs)
    number = interval_index(task_run.c.start_time, start, length)
    statement = (
        sa.select(
            number.label("number"),
            sa.func.sum(sa.case((task_run.c.state_type == COMPLETED, 1), else_=0)).label("completed"),
            sa.func.sum(sa.case((task_run.c.state_type.in_([FAILED, CRASHED]), 1), else_=0)).label("failed"),
        )
        .where(body.clause(), task_run.c.start_time.is_not(None))
        .group_by(sa.text("1"))  # the first column
    )
    counts = [TaskRunCount() for _ in range(BUCKETS)]
    for row in tx.execute(statement):
        # a run that started at the very end belongs to the last part
        bucket = counts[min(int(row.number), BUCKETS - 1)]
        bucket.completed += row.completed
        bucket.failed += row.failed
    return counts


def _bucket(wanted: TaskRunFilter) -> tuple[datetime, int]:
    """Where the first part begins, and the length of each in microseconds."""
    span = wanted.start_time
    if span is None or span.after_ is None or span.before_ is None or span.after_ >= span.before_:
        raise Invalid("task_runs.start_time must say from when (after_) to when (before_) task runs are counted.")
    return span.after_, max(1, -(-((span.before_ - span.after_) // timedelta(microseconds=1)) // BUCKETS))


@operation("GET", "/ui/task_runs/{id}")
def read_task_run_with_flow_run_name(tx: sa.Connection, id: UUID) -> UITaskRun:
    """One task run, with the name of its flow run.

    Raises:
        NotFound: there is no such task run.
    """
    found = task_runs.task_run_of(tx, id)
    fields: dict[str, Any] = dict(found)
    if found.flow_run_id is not None:
        name = sa.select(flow_run.c.name).where(flow_run.c.id == found.flow_run_id)
        fields["flow_run_name"] = tx.execute(name).scalar_one_or_none()
    return UITaskRun.model_validate(fields)
