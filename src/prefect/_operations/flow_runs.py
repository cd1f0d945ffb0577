"""Flow runs and the states they went through."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import rendering, rows
from prefect._operations.errors import NotFound
from prefect._operations.registry import Rendered, operation
from prefect._operations.run_reads import RunReads
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import Operator
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from prefect._schemas.flow_runs import FlowRun, FlowRunPolicy
from prefect._schemas.sorting import FlowRunSort
from prefect._schemas.states import State, StateType
from prefect._store import pages, placement, queries
from prefect._store.tables import flow_run, flow_run_input, flow_run_state, log, task_run, task_run_state


class FlowRunSelection(PrefectBaseModel):
    """Which flow runs: those that match, of flows that match, with task runs that match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None
    # an older request for histories calls them so
    work_queues: WorkQueueFilter | None = None
    deployments: DeploymentFilter | None = None

    def state_types(self) -> list[str]:
        """The types of the states that all runs that match are in; empty when they may be in any."""
        filter = self.flow_runs
        state = None if filter is None or filter.operator != Operator.and_ else filter.state
        if state is None or state.type is None or state.type.any_ is None:
            return []
        if state.operator != Operator.and_ and state.name is not None:
            return []
        return sorted({type.value for type in state.type.any_})

    def clauses_by_state(self) -> list[sa.ColumnElement[bool]]:
        """For runs in one of several states: a clause for those in each. Empty when there is nothing to tell apart."""
        types = self.state_types()
        return [self._in_state(type).clause() for type in types] if len(types) > 1 else []

    def _in_state(self, type: str) -> Self:
        assert self.flow_runs is not None
        assert self.flow_runs.state is not None
        assert self.flow_runs.state.type is not None
        of_type = self.flow_runs.state.type.model_copy(update={"any_": [StateType(type)]})
        state = self.flow_runs.state.model_copy(update={"type": of_type})
        return self.model_copy(update={"flow_runs": self.flow_runs.model_copy(update={"state": state})})

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            queries.where_flow_runs(flows=self.flows, flow_runs=self.flow_runs, task_runs=self.task_runs),
            placement.where_placed(
                deployments=self.deployments,
                work_pools=self.work_pools,
                work_queues=self.work_pool_queues or self.work_queues,
            ),
        )


class FlowRunQuery(FlowRunSelection, rows.Cut):
    """A page of flow runs."""

    sort: FlowRunSort = FlowRunSort.ID_DESC


class FlowRunPages(FlowRunSelection, rows.Pages):
    """A page of flow runs, by its number."""

    sort: FlowRunSort = FlowRunSort.ID_DESC


class FlowRunPaginationResponse(PrefectBaseModel):
    """A page of flow runs, and how many there are."""

    results: list[FlowRun]
    count: int
    limit: int
    pages: int
    page: int


class FlowRunsToDelete(PrefectBaseModel):
    """The flow runs that match, up to fifty at once."""

    flow_runs: FlowRunFilter | None = None
    limit: int = Field(default=50, ge=1, le=50, description="At most so many runs.")


@functools.cache
def _runs() -> sa.Select[Any]:
    return rows.runs_with_states(flow_run, flow_run_state).add_columns(*placement.pool_columns())


def _flow_run(row: sa.RowMapping) -> FlowRun:
    fields = rows.run_fields(row, flow_run_id=row["id"], task_run_id=None)
    fields["empirical_policy"] = policy_as_read(row["empirical_policy"])
    return FlowRun.model_validate(fields)


def policy_as_read(recorded: dict[str, Any]) -> dict[str, Any]:
    """The policy as the API has it: there a flow has one delay, in whole seconds, and the exact one has an older name."""
    delay = recorded.get("retry_delay")
    if isinstance(delay, list):
        delay = delay[0] if delay else 0
    if not isinstance(delay, float) or not math.isfinite(delay):
        return {**recorded, "retry_delay": delay}
    return {**recorded, "retry_delay": math.ceil(delay), "retry_delay_seconds": delay}


@functools.cache
def reads() -> RunReads:
    """How flow runs are read for those who want JSON."""
    nothing = FlowRunPolicy().model_dump_json().encode()
    documents = {"empirical_policy": rendering.as_model(FlowRunPolicy, nothing, as_read=policy_as_read)}
    return RunReads(_runs(), flow_run, rendering.Rendering(_runs(), FlowRun, documents), _cut)


def _cut(body: FlowRunQuery | FlowRunPages) -> pages.Cut:
    order = queries.FLOW_RUN_ORDERS[body.sort.value]
    return pages.Cut(body.clause(), order, body.limit, body.offset, body.clauses_by_state())


@operation("GET", "/flow_runs/{id}")
def read_flow_run(tx: sa.Connection, id: UUID) -> Rendered[FlowRun]:
    """One flow run.

    Raises:
        NotFound: there is no such flow run.
    """
    return Rendered(reads().one(tx, "flow run", id))


def flow_run_of(tx: sa.Connection, id: UUID) -> FlowRun:
    """One flow run.

    Raises:
        NotFound: there is no such flow run.
    """
    return _flow_run(rows.one(tx, reads().by_id, "flow run", id, {"id": id}))


def flow_runs_of(tx: sa.Connection, ids: Sequence[UUID]) -> list[FlowRun]:
    """The flow runs of these ids, in their order; those that are not there are left out."""
    found = {row["id"]: _flow_run(row) for row in tx.execute(_runs().where(flow_run.c.id.in_(ids))).mappings()}
    return [found[id] for id in ids if id in found]


def flow_runs_by_id(tx: sa.Connection, ids: Iterable[UUID]) -> dict[UUID, FlowRun]:
    """Flow runs by their ids; those that are not there are left out."""
    statement = _runs().where(flow_run.c.id.in_(list(ids)))
    return {row["id"]: _flow_run(row) for row in tx.execute(statement).mappings()}


@operation("POST", "/flow_runs/filter")
def read_flow_runs(tx: sa.Connection, body: FlowRunQuery) -> Rendered[list[FlowRun]]:
    """The flow runs that match, a page of them."""
    return Rendered(reads().page(tx, body))


def matching_flow_runs(tx: sa.Connection, query: FlowRunQuery) -> list[FlowRun]:
    """The flow runs that match, a page of them."""
    return [_flow_run(row) for row in tx.execute(pages.page(tx, _runs(), _cut(query))).mappings()]


@operation("POST", "/flow_runs/paginate")
def paginate_flow_runs(tx: sa.Connection, body: FlowRunPages) -> Rendered[FlowRunPaginationResponse]:
    """The flow runs that match, a page of them by its number."""
    return Rendered(reads().numbered_page(tx, body))


@operation("POST", "/flow_runs/count")
def count_flow_runs(tx: sa.Connection, body: FlowRunSelection) -> int:
    """How many flow runs match."""
    return rows.count(tx, flow_run, body.clause())


@operation("GET", "/flow_run_states/")
def read_flow_run_states(tx: sa.Connection, flow_run_id: UUID) -> list[State]:
    """The states that a flow run went through, oldest first."""
    return rows.state_history(tx, flow_run_state, flow_run_id)


@operation("GET", "/flow_run_states/{id}")
def read_flow_run_state(tx: sa.Connection, id: UUID) -> State:
    """One state that a flow run went through.

    Raises:
        NotFound: there is no such state.
    """
    row = rows.one(tx, sa.select(flow_run_state).where(flow_run_state.c.id == id), "flow run state", id)
    return rows.state_from(row, flow_run_id=row["flow_run_id"], task_run_id=None)


@operation("POST", "/flow_runs/bulk_delete", writes=True)
def bulk_delete_flow_runs(tx: sa.Connection, body: FlowRunsToDelete) -> rows.Deleted:
    """Delete the flow runs that match, up to fifty at once, with all that belongs to them."""
    where = queries.where_flow_runs(flow_runs=body.flow_runs)
    ids = tx.execute(sa.select(flow_run.c.id).where(where).order_by(flow_run.c.id.desc()).limit(body.limit)).scalars()
    deleted = list(ids.all())
    for id in deleted:
        delete_flow_run(tx, id)
    return rows.Deleted(deleted=deleted)


@operation("DELETE", "/flow_runs/{id}", writes=True, status=204)
def delete_flow_run(tx: sa.Connection, id: UUID) -> None:
    """Delete a flow run with its states, task runs and logs. Its sub-flow runs stay, as runs without a parent.

    Raises:
        NotFound: there is no such flow run.
    """
    own_task_runs = sa.select(task_run.c.id).where(task_run.c.flow_run_id == id)
    # from the leaves up, so that nothing depends on whether this connection enforces foreign keys
    tx.execute(
        sa.update(flow_run)
        .where(sa.or_(flow_run.c.parent_flow_run_id == id, flow_run.c.parent_task_run_id.in_(own_task_runs)))
        .values(parent_flow_run_id=None, parent_task_run_id=None)
    )
    tx.execute(sa.delete(log).where(log.c.flow_run_id == id))
    tx.execute(sa.delete(flow_run_input).where(flow_run_input.c.flow_run_id == id))
    tx.execute(sa.delete(task_run_state).where(task_run_state.c.task_run_id.in_(own_task_runs)))
    tx.execute(sa.delete(task_run).where(task_run.c.flow_run_id == id))
    tx.execute(sa.delete(flow_run_state).where(flow_run_state.c.flow_run_id == id))
    if tx.execute(sa.delete(flow_run).where(flow_run.c.id == id)).rowcount == 0:
        raise NotFound("flow run", id)
