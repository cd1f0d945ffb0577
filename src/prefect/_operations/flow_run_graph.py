"""A flow run as a graph: its task runs and sub-flow runs, and what goes from one into another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._defaults import new_list
from prefect._operations import rows
from prefect._operations.registry import operation
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.moments import DateTime
from prefect._schemas.states import State, StateType
from prefect._schemas.task_runs import TaskRunResult
from prefect._store.tables import (
    artifact,
    artifact_collection,
    flow,
    flow_run,
    flow_run_state,
    task_run,
    task_run_state,
)
from prefect.settings import get_current_settings

_EVER = datetime(1, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class GraphState(PrefectBaseModel):
    """A state that the flow run went through."""

    id: UUID
    timestamp: DateTime
    type: StateType
    name: str


class GraphArtifact(PrefectBaseModel):
    """An artifact of a run; its data only where a picture shows it (progress)."""

    id: UUID
    created: DateTime
    key: str | None
    type: str | None
    is_latest: bool
    data: Any | None


class Edge(PrefectBaseModel):
    """A connection to another node."""

    id: UUID


class Node(PrefectBaseModel):
    """A task run, or a sub-flow run."""

    kind: Literal["flow-run", "task-run"]
    id: UUID
    label: str
    state_type: StateType
    start_time: DateTime
    end_time: DateTime | None
    parents: list[Edge] = Field(default_factory=new_list)
    children: list[Edge] = Field(default_factory=new_list)
    encapsulating: list[Edge] = Field(default_factory=new_list)
    artifacts: list[GraphArtifact] = Field(default_factory=new_list)


class Graph(PrefectBaseModel):
    """The graph of a flow run."""

    start_time: DateTime | None
    end_time: DateTime | None
    root_node_ids: list[UUID]
    nodes: list[tuple[UUID, Node]]
    artifacts: list[GraphArtifact]
    states: list[GraphState]


class DependencyResult(PrefectBaseModel):
    """A task run, and the task runs whose results it takes."""

    id: UUID
    name: str
    upstream_dependencies: list[TaskRunResult]
    state: State | None
    expected_start_time: DateTime | None
    start_time: DateTime | None
    end_time: DateTime | None
    total_run_time: timedelta | None
    estimated_run_time: timedelta | None
    untrackable_result: bool


@operation("GET", "/flow_runs/{id}/graph-v2", lengthy=True)
def read_flow_run_graph_v2(tx: sa.Connection, id: UUID, since: DateTime = _EVER) -> Graph:
    """The graph of a flow run: what began, of what was running at `since` or later.

    Raises:
        NotFound: there is no such flow run.
    """
    run = sa.select(flow_run.c.start_time, flow_run.c.expected_start_time, flow_run.c.end_time)
    row = rows.one(tx, run.where(flow_run.c.id == id), "flow run", id)
    nodes = _nodes(tx, id, max(since, _EARLIEST))
    artifacts = _artifacts(tx, id)
    for node in nodes.values():
        node.artifacts = artifacts.get(node.id, [])
    return Graph(
        start_time=row["start_time"] or row["expected_start_time"],
        end_time=row["end_time"],
        root_node_ids=[id for id, node in nodes.items() if not node.parents and not node.encapsulating],
        nodes=list(nodes.items()),
        artifacts=artifacts.get(None, []),
        states=_states(tx, id),
    )


def _nodes(tx: sa.Connection, id: UUID, since: datetime) -> dict[UUID, Node]:
    """The nodes, by id, in the order in which they began. A sub-flow run takes the place of its task run."""
    sub = flow_run.alias("sub")
    began = sa.func.coalesce(sub.c.start_time, task_run.c.start_time)
    ended = sa.case((sub.c.id.is_not(None), sub.c.end_time), else_=task_run.c.end_time)
    statement = (
        sa.select(
            task_run.c.id.label("task_run_id"), task_run.c.task_inputs, sub.c.id.label("sub_id"),
            sa.func.coalesce(flow.c.name + " / " + sub.c.name, task_run.c.name).label("label"),
            sa.func.coalesce(sub.c.state_type, task_run.c.state_type).label("state_type"),
            began.label("start_time"), ended.label("end_time"),
        )
        .select_from(
            task_run.outerjoin(sub, sub.c.parent_task_run_id == task_run.c.id).outerjoin(flow, flow.c.id == sub.c.flow_id)
        )
        .where(task_run.c.flow_run_id == id, began.is_not(None), sa.or_(ended.is_(None), ended >= since))
        .order_by(began, task_run.c.id)
        .limit(get_current_settings().server.flow_run_graph.max_nodes)
    )  # fmt: skip
    found = tx.execute(statement).mappings().all()
    shown_as = {row["task_run_id"]: row["sub_id"] or row["task_run_id"] for row in found}
    nodes = {
        shown_as[row["task_run_id"]]: Node(
            kind="flow-run" if row["sub_id"] else "task-run",
            id=shown_as[row["task_run_id"]],
            label=row["label"],
            state_type=row["state_type"],
            start_time=row["start_time"],
            end_time=row["end_time"],
        )
        for row in found
    }
    for row in found:
        _connect(nodes, shown_as, shown_as[row["task_run_id"]], row["task_inputs"])
    return nodes


def _connect(nodes: dict[UUID, Node], shown_as: dict[UUID, UUID], id: UUID, task_inputs: dict[str, list[Any]]) -> None:
    """Add the edges of what goes into a node."""
    node = nodes[id]
    for parameter, inputs in task_inputs.items():
        for source in (UUID(each["id"]) for each in inputs if each.get("input_type") == "task_run"):
            parent = shown_as.get(source, source)
            edges = node.encapsulating if parameter == "__parents__" else node.parents
            if any(edge.id == parent for edge in edges):
                continue
            edges.append(Edge(id=parent))
            if edges is node.parents and parent in nodes:
                nodes[parent].children.append(Edge(id=id))


def _artifacts(tx: sa.Connection, id: UUID) -> dict[UUID | None, list[GraphArtifact]]:
    """The artifacts of a flow run by task run; None has those of the flow run itself."""
    statement = (
        sa.select(artifact, artifact_collection.c.id.label("collection"))
        .select_from(artifact.outerjoin(artifact_collection, artifact_collection.c.latest_id == artifact.c.id))
        .where(artifact.c.flow_run_id == id, sa.or_(artifact.c.type.is_(None), artifact.c.type != "result"))
        .order_by(artifact.c.id)
        .limit(get_current_settings().server.flow_run_graph.max_artifacts)
    )
    found: dict[UUID | None, list[GraphArtifact]] = {}
    for row in tx.execute(statement).mappings():
        found.setdefault(row["task_run_id"], []).append(
            GraphArtifact(
                id=row["id"],
                created=row["created"],
                key=row["key"],
                type=row["type"],
                is_latest=row["key"] is None or row["collection"] is not None,
                data=row["data"] if row["type"] == "progress" else None,
            )
        )
    return found


def _states(tx: sa.Connection, id: UUID) -> list[GraphState]:
    statement = sa.select(flow_run_state).where(flow_run_state.c.flow_run_id == id)
    found = tx.execute(statement.order_by(flow_run_state.c.timestamp, flow_run_state.c.id)).mappings()
    return [GraphState(id=row["id"], timestamp=row["timestamp"], type=row["type"], name=row["name"]) for row in found]


@operation("GET", "/flow_runs/{id}/graph", lengthy=True)
def read_flow_run_graph_v1(tx: sa.Connection, id: UUID) -> list[DependencyResult]:
    """The task runs of a flow run, each with the task runs whose results it takes.

    Raises:
        NotFound: there is no such flow run.
    """
    rows.one(tx, sa.select(flow_run.c.id).where(flow_run.c.id == id), "flow run", id)
    statement = rows.runs_with_states(task_run, task_run_state).where(task_run.c.flow_run_id == id)
    found = tx.execute(
        statement.order_by(task_run.c.id).limit(get_current_settings().server.flow_run_graph.max_nodes)
    ).mappings()
    return [_dependencies(row, rows.run_fields(row, flow_run_id=id, task_run_id=row["id"])) for row in found]


def _dependencies(row: sa.RowMapping, fields: dict[str, Any]) -> DependencyResult:
    upstream = {
        each["id"]: TaskRunResult(id=each["id"])
        for inputs in row["task_inputs"].values()
        for each in inputs
        if each.get("input_type") == "task_run"
    }
    state: State[Any] | None = fields.get("state")
    return DependencyResult(
        id=row["id"],
        name=row["name"],
        upstream_dependencies=list(upstream.values()),
        state=state,
        expected_start_time=row["expected_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        estimated_run_time=fields["estimated_run_time"],
        untrackable_result=state is not None and state.state_details.untrackable_result,
    )
