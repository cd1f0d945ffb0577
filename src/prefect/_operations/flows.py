"""Flows: what runs are runs of."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import edits, flow_runs, outbox, rows
from prefect._operations.errors import NotFound
from prefect._operations.registry import Answer, operation
from prefect._schemas.actions.runs import FlowCreate, FlowUpdate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.fields import Name, Short
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter
from prefect._schemas.flows import Flow
from prefect._schemas.sorting import FlowSort
from prefect._store import placement, queries, single
from prefect._store.tables import flow, flow_run


class FlowSelection(PrefectBaseModel):
    """Which flows: those that match, and that have runs that match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    # the API knows no such filter here: absent, or refused; never ignored
    work_pool_queues: None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            queries.where_flows(flows=self.flows, flow_runs=self.flow_runs, task_runs=self.task_runs),
            placement.where_flows_placed(deployments=self.deployments, work_pools=self.work_pools),
        )


class FlowQuery(FlowSelection, rows.Cut):
    """A page of flows."""

    sort: FlowSort = FlowSort.NAME_ASC


class FlowPages(FlowSelection, rows.Pages):
    """A page of flows, by its number."""

    sort: FlowSort = FlowSort.NAME_ASC


class FlowPaginationResponse(PrefectBaseModel):
    """A page of flows, and how many there are."""

    results: list[Flow]
    count: int
    limit: int
    pages: int
    page: int


class NewFlow(FlowCreate):
    """Make a flow, or find the one of that name."""

    name: Annotated[Name, Short]


class FlowsToDelete(PrefectBaseModel):
    """The flows that match, up to fifty at once."""

    flows: FlowFilter | None = None
    limit: int = Field(default=50, ge=1, le=50, description="At most so many flows.")


@operation("POST", "/flows/", writes=True, status=201)
def create_flow(tx: sa.Connection, body: NewFlow) -> Answer[Flow]:
    """Make a flow; the one of that name, when there is one."""
    made = single.insert_new(tx, flow, body.model_dump())
    if made is None:
        return Answer(read_flow_by_name(tx, body.name), 200)
    _tell(tx, made, "created")
    return Answer(Flow.model_validate(made), 201)


@operation("PATCH", "/flows/{id}", writes=True, status=204)
def update_flow(tx: sa.Connection, id: UUID, body: FlowUpdate) -> None:
    """Change a flow.

    Raises:
        NotFound: there is no such flow.
    """
    if edits.update(tx, flow, flow.c.id == id, edits.changes(flow, body), taken="The name is taken.") == 0:
        raise NotFound("flow", id)
    _tell(tx, rows.one(tx, sa.select(flow).where(flow.c.id == id), "flow", id), "updated")


@operation("DELETE", "/flows/{id}", writes=True, status=204)
def delete_flow(tx: sa.Connection, id: UUID) -> None:
    """Delete a flow with its runs.

    Raises:
        NotFound: there is no such flow.
    """
    for run_id in tx.execute(sa.select(flow_run.c.id).where(flow_run.c.flow_id == id)).scalars().all():
        flow_runs.delete_flow_run(tx, run_id)
    _tell(tx, rows.one(tx, sa.select(flow).where(flow.c.id == id), "flow", id), "deleted")
    edits.delete(tx, flow, flow.c.id == id, "flow", id)


def _tell(tx: sa.Connection, row: sa.RowMapping, what: str) -> None:
    outbox.object_changed(tx, "flow", row, what, "name", "tags", "labels")


@operation("POST", "/flows/bulk_delete", writes=True)
def bulk_delete_flows(tx: sa.Connection, body: FlowsToDelete) -> rows.Deleted:
    """Delete the flows that match with their runs, up to fifty at once."""
    ids = (
        tx.execute(sa.select(flow.c.id).where(queries.where_flows(flows=body.flows)).limit(body.limit)).scalars().all()
    )
    for id in ids:
        delete_flow(tx, id)
    return rows.Deleted(deleted=list(ids))


@operation("GET", "/flows/{id}")
def read_flow(tx: sa.Connection, id: UUID) -> Flow:
    """One flow.

    Raises:
        NotFound: there is no such flow.
    """
    return Flow.model_validate(rows.one(tx, sa.select(flow).where(flow.c.id == id), "flow", id))


@operation("GET", "/flows/name/{name}")
def read_flow_by_name(tx: sa.Connection, name: str) -> Flow:
    """The flow of a name.

    Raises:
        NotFound: there is no such flow.
    """
    return Flow.model_validate(rows.one(tx, sa.select(flow).where(flow.c.name == name), "flow", name))


@operation("POST", "/flows/filter")
def read_flows(tx: sa.Connection, body: FlowQuery) -> list[Flow]:
    """The flows that match, a page of them."""
    return _page(tx, body)


@operation("POST", "/flows/paginate")
def paginate_flows(tx: sa.Connection, body: FlowPages) -> FlowPaginationResponse:
    """The flows that match, a page of them by its number."""
    count = rows.count(tx, flow, body.clause())
    return FlowPaginationResponse(
        results=_page(tx, body), count=count, limit=body.limit, pages=body.pages(count), page=body.page
    )


def _page(tx: sa.Connection, body: FlowQuery | FlowPages) -> list[Flow]:
    statement: sa.Select[Any] = sa.select(flow).where(body.clause()).order_by(*queries.FLOW_ORDERS[body.sort.value])
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [Flow.model_validate(row) for row in found]


@operation("POST", "/flows/count")
def count_flows(tx: sa.Connection, body: FlowSelection) -> int:
    """How many flows match."""
    return rows.count(tx, flow, body.clause())
