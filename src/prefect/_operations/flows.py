"""Flows: what runs are runs of."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from prefect._operations import rows
from prefect._operations.registry import operation
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.flows import Flow
from prefect._schemas.sorting import FlowSort
from prefect._store import queries
from prefect._store.tables import flow


class FlowSelection(PrefectBaseModel):
    """Which flows: those that match, and that have runs that match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return queries.where_flows(flows=self.flows, flow_runs=self.flow_runs, task_runs=self.task_runs)


class FlowQuery(FlowSelection, rows.Page):
    """A page of flows."""

    sort: FlowSort = FlowSort.NAME_ASC


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
    statement = sa.select(flow).where(body.clause()).order_by(*queries.FLOW_ORDERS[body.sort.value])
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [Flow.model_validate(row) for row in found]


@operation("POST", "/flows/count")
def count_flows(tx: sa.Connection, body: FlowSelection) -> int:
    """How many flows match."""
    return rows.count(tx, flow, body.clause())
