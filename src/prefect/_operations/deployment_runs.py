"""Runs of deployments, made because somebody asks for them."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect import _names
from prefect._clock import now_us
from prefect._defaults import new_list
from prefect._ids import new_uuid
from prefect._operations import flow_runs, rows
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._operations.registry import Answer, Rendered, operation
from prefect._operations.run_parameters import check_job_variables, check_parameters, make_parameters, plain
from prefect._operations.state_changes import insert_flow_run, insert_flow_run_of_task_run, state_of
from prefect._operations.work_pools import make_pool, pool_row
from prefect._operations.work_queues import ensure_queue
from prefect._rules.states import SCHEDULED, RunState
from prefect._schemas.actions.runs import DeploymentFlowRunCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.work_pools import DEFAULT_AGENT_WORK_POOL_NAME
from prefect._store.announcements import announce
from prefect._store.tables import deployment, flow_run, task_run, work_pool, work_queue

MOST_AT_ONCE = 1000
"""Runs that one request makes at most."""

DEPLOYMENT_LABEL = "prefect.deployment.id"


class FlowRunCreateResult(PrefectBaseModel):
    """What became of one of many runs to be made."""

    flow_run_id: UUID | None = None
    status: Literal["CREATED", "FAILED"]
    error: str | None = Field(default=None, description="Why it was not made.")


class FlowRunBulkCreateResponse(PrefectBaseModel):
    """What became of many runs to be made, in the order of the request."""

    results: list[FlowRunCreateResult] = Field(default_factory=new_list)


@operation("POST", "/deployments/{id}/create_flow_run", writes=True, status=201)
def create_flow_run_from_deployment(
    tx: sa.Connection, id: UUID, body: DeploymentFlowRunCreate
) -> Answer[Rendered[FlowRun]]:
    """Make a run of a deployment (201); or find the one with the same idempotency key (200).

    Parameters and job variables are put over those of the deployment and checked against their schemas.

    Raises:
        NotFound: there is no such deployment.
        Conflict: the parameters do not fit the schema that the deployment enforces.
        Invalid: the job variables do not fit the work pool's, a value cannot be made, or the parameters are too large.
    """
    run_id, made = make_run(tx, deployment_row(tx, id), body)
    return Answer(flow_runs.read_flow_run(tx, run_id), 201 if made else 200)


@operation("POST", "/deployments/{id}/create_flow_run/bulk", writes=True)
def bulk_create_flow_runs_from_deployment(
    tx: sa.Connection, id: UUID, body: list[DeploymentFlowRunCreate]
) -> FlowRunBulkCreateResponse:
    """Make many runs of a deployment; one that cannot be made does not keep the others from being made.

    Raises:
        NotFound: there is no such deployment.
        Invalid: there are more than 1,000.
    """
    row = deployment_row(tx, id)
    if len(body) > MOST_AT_ONCE:
        raise Invalid(f"{len(body)} runs are more than the {MOST_AT_ONCE} that one request may make.")
    results: list[FlowRunCreateResult] = []
    for each in body:
        try:
            with tx.begin_nested():
                run_id, _ = make_run(tx, row, each)
            results.append(FlowRunCreateResult(flow_run_id=run_id, status="CREATED"))
        except (Conflict, Invalid, NotFound) as exc:
            results.append(FlowRunCreateResult(status="FAILED", error=str(exc)))
    return FlowRunBulkCreateResponse(results=results)


# -------------------------------------------------------------------------------------------------------------------


def deployment_row(tx: sa.Connection, id: UUID) -> sa.RowMapping:
    """A deployment with its work pool, as runs are made of it.

    Raises:
        NotFound: there is no such deployment.
    """
    statement = (
        sa.select(
            deployment,
            work_pool.c.name.label("work_pool_name"),
            work_pool.c.base_job_template,
        )
        .outerjoin(work_queue, deployment.c.work_queue_id == work_queue.c.id)
        .outerjoin(work_pool, work_queue.c.work_pool_id == work_pool.c.id)
    )
    return rows.one(tx, statement.where(deployment.c.id == id), "deployment", id)


def make_run(
    tx: sa.Connection, of: sa.RowMapping, body: DeploymentFlowRunCreate, maker: dict[str, Any] | None = None
) -> tuple[UUID, bool]:
    """Make a run of a deployment.

    Args:
        of: the deployment, as `deployment_row` has it.
        body: what the run is to be.
        maker: what made it, as runs tell (`created_by`).

    Returns:
        the id of the run, and whether it was made now; a run with the same idempotency key is there only once.

    Raises:
        Conflict, Invalid: as `create_flow_run_from_deployment`.
    """
    if body.idempotency_key is not None and (before := _same(tx, of["flow_id"], body.idempotency_key)):
        return before, False
    values = values_of_run(of) | {
        "id": new_uuid(),
        "name": body.name or _names.generate_slug(2),
        "parameters": plain(_parameters(tx, of, body)),
        "job_variables": plain(body.job_variables or {}),
        "context": plain(body.context),
        "empirical_policy": body.empirical_policy.model_dump(mode="json"),
        "tags": list(dict.fromkeys([*body.tags, *of["tags"]])),
        "idempotency_key": body.idempotency_key,
        "parent_task_run_id": body.parent_task_run_id,
        **_queue(tx, of, body.work_queue_name),
    }
    check_job_variables({**of["job_variables"], **values["job_variables"]}, of["base_job_template"] or {})
    values["labels"] = values["labels"] | body.labels
    if maker is not None:
        values["created_by"] = maker
    if body.infrastructure_document_id is not None:
        values["infrastructure_document_id"] = body.infrastructure_document_id
    if body.parent_task_run_id is not None:
        parent = sa.select(task_run.c.flow_run_id).where(task_run.c.id == body.parent_task_run_id)
        values["parent_flow_run_id"] = tx.execute(parent).scalar_one_or_none()
    if not _insert(tx, values, _first_state(body)):  # somebody else made it in the meantime
        return _same(tx, of["flow_id"], body.idempotency_key) or values["id"], False
    announce(tx, "scheduled", "flow_runs")
    return values["id"], True


def values_of_run(of: sa.RowMapping) -> dict[str, Any]:
    """What every run of a deployment has from it, as columns."""
    return {
        "flow_id": of["flow_id"],
        "deployment_id": of["id"],
        "deployment_version": of["version"],
        "work_queue_id": of["work_queue_id"],
        "work_queue_name": of["work_queue_name"],
        "infrastructure_document_id": of["infrastructure_document_id"],
        "labels": {**of["labels"], DEPLOYMENT_LABEL: str(of["id"])},
    }


def _same(tx: sa.Connection, flow_id: UUID, key: str | None) -> UUID | None:
    where = sa.and_(flow_run.c.flow_id == flow_id, flow_run.c.idempotency_key == key)
    return tx.execute(sa.select(flow_run.c.id).where(where)).scalar_one_or_none()


def _parameters(tx: sa.Connection, of: sa.RowMapping, body: DeploymentFlowRunCreate) -> dict[str, Any]:
    made = make_parameters(tx, {**of["parameters"], **body.parameters})
    wanted = body.enforce_parameter_schema
    if of["enforce_parameter_schema"] if wanted is None else wanted:
        check_parameters(made, of["parameter_openapi_schema"] or {})
    return made


def _queue(tx: sa.Connection, of: sa.RowMapping, name: str | None) -> dict[str, Any]:
    """The queue that a run is sent to instead of the deployment's; one that is not there is made."""
    if name is None or name == of["work_queue_name"]:
        return {}
    pool_name = of["work_pool_name"]
    if pool_name is None:
        pool_name = DEFAULT_AGENT_WORK_POOL_NAME
        make_pool(tx, WorkPoolCreate(name=pool_name))
    queue = ensure_queue(tx, pool_row(tx, pool_name), name)
    return {"work_queue_id": queue["id"], "work_queue_name": queue["name"]}


def _first_state(body: DeploymentFlowRunCreate) -> RunState:
    if body.state is not None:
        return state_of(body.state)
    moment = now_us()
    return RunState(SCHEDULED, details={"scheduled_time": moment}, timestamp=moment)


def _insert(tx: sa.Connection, values: dict[str, Any], state: RunState) -> bool:
    if values["parent_task_run_id"] is None:
        return insert_flow_run(tx, values, state) is not None
    return insert_flow_run_of_task_run(tx, values, state)
