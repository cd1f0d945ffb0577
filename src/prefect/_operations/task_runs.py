"""Task runs and the states they went through."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._operations import rendering, rows
from prefect._operations.errors import NotFound
from prefect._operations.registry import Rendered, operation
from prefect._operations.run_reads import RunReads
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.sorting import TaskRunSort
from prefect._schemas.states import State
from prefect._schemas.task_runs import TaskRun, TaskRunPolicy
from prefect._store import pages, placement, queries
from prefect._store.tables import flow_run, task_run, task_run_state


class TaskRunSelection(PrefectBaseModel):
    """Which task runs: those that match, of flow runs and flows that match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    # the API knows no such filters here: absent, or refused; never ignored
    work_pools: None = None
    work_pool_queues: None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            queries.where_task_runs(flows=self.flows, flow_runs=self.flow_runs, task_runs=self.task_runs),
            placement.where_task_runs_placed(deployments=self.deployments),
        )


class TaskRunQuery(TaskRunSelection, rows.Cut):
    """A page of task runs."""

    sort: TaskRunSort = TaskRunSort.ID_DESC


class TaskRunPages(TaskRunSelection, rows.Pages):
    """A page of task runs, by its number."""

    sort: TaskRunSort = TaskRunSort.ID_DESC


class TaskRunPaginationResponse(PrefectBaseModel):
    """A page of task runs, and how many there are."""

    results: list[TaskRun]
    count: int
    limit: int
    pages: int
    page: int


def _runs() -> sa.Select[Any]:
    return rows.runs_with_states(task_run, task_run_state)


@functools.cache
def reads() -> RunReads:
    """How task runs are read for those who want JSON."""
    inputs: Any = TaskRun.model_fields["task_inputs"].annotation
    documents = {
        "empirical_policy": rendering.as_model(TaskRunPolicy, TaskRunPolicy().model_dump_json().encode()),
        "task_inputs": rendering.as_model(inputs, b"{}"),
    }
    return RunReads(_runs(), task_run, rendering.Rendering(_runs(), TaskRun, documents), _cut)


def _cut(body: TaskRunQuery | TaskRunPages) -> pages.Cut:
    return pages.Cut(body.clause(), queries.TASK_RUN_ORDERS[body.sort.value], body.limit, body.offset)


def _task_run(row: sa.RowMapping) -> TaskRun:
    return TaskRun.model_validate(rows.run_fields(row, flow_run_id=row["flow_run_id"], task_run_id=row["id"]))


@operation("GET", "/task_runs/{id}")
def read_task_run(tx: sa.Connection, id: UUID) -> Rendered[TaskRun]:
    """One task run.

    Raises:
        NotFound: there is no such task run.
    """
    return Rendered(reads().one(tx, "task run", id))


def task_run_of(tx: sa.Connection, id: UUID) -> TaskRun:
    """One task run.

    Raises:
        NotFound: there is no such task run.
    """
    return _task_run(rows.one(tx, reads().by_id, "task run", id, {"id": id}))


@operation("POST", "/task_runs/filter")
def read_task_runs(tx: sa.Connection, body: TaskRunQuery) -> Rendered[list[TaskRun]]:
    """The task runs that match, a page of them."""
    return Rendered(reads().page(tx, body))


def matching_task_runs(tx: sa.Connection, query: TaskRunQuery) -> list[TaskRun]:
    """The task runs that match, a page of them."""
    return [_task_run(row) for row in tx.execute(pages.page(tx, _runs(), _cut(query))).mappings()]


@operation("POST", "/task_runs/paginate")
def paginate_task_runs(tx: sa.Connection, body: TaskRunPages) -> Rendered[TaskRunPaginationResponse]:
    """The task runs that match, a page of them by its number."""
    return Rendered(reads().numbered_page(tx, body))


@operation("POST", "/task_runs/count")
def count_task_runs(tx: sa.Connection, body: TaskRunSelection) -> int:
    """How many task runs match."""
    return rows.count(tx, task_run, body.clause())


@operation("GET", "/task_run_states/")
def read_task_run_states(tx: sa.Connection, task_run_id: UUID) -> list[State]:
    """The states that a task run went through, oldest first."""
    return rows.state_history(tx, task_run_state, task_run_id)


@operation("GET", "/task_run_states/{id}")
def read_task_run_state(tx: sa.Connection, id: UUID) -> State:
    """One state that a task run went through.

    Raises:
        NotFound: there is no such state.
    """
    row = rows.one(tx, sa.select(task_run_state).where(task_run_state.c.id == id), "task run state", id)
    flow_run_id = tx.execute(sa.select(task_run.c.flow_run_id).where(task_run.c.id == row["task_run_id"])).scalar_one()
    return rows.state_from(row, flow_run_id=flow_run_id, task_run_id=row["task_run_id"])


@operation("DELETE", "/task_runs/{id}", writes=True, status=204)
def delete_task_run(tx: sa.Connection, id: UUID) -> None:
    """Delete a task run with its states. The sub-flow that it stands for stays, as a run without a parent.

    Raises:
        NotFound: there is no such task run.
    """
    tx.execute(sa.update(flow_run).where(flow_run.c.parent_task_run_id == id).values(parent_task_run_id=None))
    tx.execute(sa.delete(task_run_state).where(task_run_state.c.task_run_id == id))
    if tx.execute(sa.delete(task_run).where(task_run.c.id == id)).rowcount == 0:
        raise NotFound("task run", id)


def task_run_names(tx: sa.Connection, flow_run_id: UUID) -> dict[UUID, str]:
    """The names of the task runs of a flow run, by id."""
    found = tx.execute(sa.select(task_run.c.id, task_run.c.name).where(task_run.c.flow_run_id == flow_run_id))
    return {row.id: row.name for row in found}
