"""Running a deployment: a run of it is made, and waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._clock import now
from prefect._deploying import parameters as written
from prefect._deploying import waiting
from prefect._deploying.references import client_or_new
from prefect._engine import inputs
from prefect._engine.frames import FlowFrame, current_flow, current_task
from prefect._engine.port import Port
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._schemas.actions.runs import TaskRunCreate
from prefect.exceptions import ObjectAlreadyExists, ParameterTypeError, UpstreamTaskError

if TYPE_CHECKING:
    from prefect import states
    from prefect._schemas.deployments import DeploymentResponse
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client import operations, wire
    from prefect.client.orchestration import PrefectClient
else:
    wire = lazy_module("prefect.client.wire")
    operations = lazy_module("prefect.client.operations")
    states = lazy_module("prefect.states")


@dataclass(frozen=True)
class Order:
    """A run that is to be made of a deployment."""

    name: str | UUID
    """`flow-name/deployment-name`, or the deployment's id."""
    parameters: dict[str, Any]
    links: dict[str, list[dict[str, str]]]
    """From which runs the parameters come."""
    scheduled_time: datetime | None
    flow_run_name: str | None
    tags: Iterable[str] | None
    idempotency_key: str | None
    work_queue_name: str | None
    job_variables: dict[str, Any] | None
    as_subflow: bool


async def resolved(io: Port, parameters: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters with the results of futures and states among them, and the runs that they come from.

    Raises:
        UpstreamTaskError: a run that one of them comes from did not complete.
    """
    try:
        found = await inputs.resolve(io, dict(parameters or {}), None, current_flow.get())
    except inputs.UpstreamNotReady as error:
        raise UpstreamTaskError(str(error)) from error
    return found.parameters, found.links or {}


async def run(order: Order, client: PrefectClient | None, timeout: float | None, poll_interval: float) -> FlowRun:
    """Make the run, and wait until it has ended.

    Args:
        order: what is to be run.
        client: for the API; one of the settings unless given.
        timeout: seconds to wait at most; 0 for not at all, None for ever.
        poll_interval: seconds between two looks, for an API that does not answer by itself.

    Returns:
        The run, ended or as it is when the time is over.

    Raises:
        ObjectNotFound: there is no such deployment.
        ParameterTypeError: the parameters do not fit.
    """
    async with client_or_new(client) as api:
        deployment = await _find(api, order.name)
        parent = current_flow.get() if order.as_subflow else None
        stand = await _stand_for(api, parent, deployment, order) if parent is not None else None
        made = await _make(api, deployment, order, stand)
        if timeout is not None and timeout <= 0:
            return made
        return await waiting.until_ended(api, made.id, timeout, poll_interval)


async def _make(api: PrefectClient, deployment: DeploymentResponse, order: Order, stand: UUID | None) -> FlowRun:
    try:
        return await api.create_flow_run_from_deployment(
            deployment.id,
            parameters=written.as_json(order.parameters, f"a run of deployment {deployment.name!r}"),
            state=states.Scheduled(scheduled_time=order.scheduled_time or now()),
            name=order.flow_run_name,
            tags=order.tags,
            # a request that is sent again, because its answer was lost, must not make a second run
            idempotency_key=order.idempotency_key or f"run_deployment {new_uuid()}",
            parent_task_run_id=stand,
            work_queue_name=order.work_queue_name,
            job_variables=order.job_variables,
        )
    except ObjectAlreadyExists as error:  # the status with which the API refuses parameters
        raise ParameterTypeError(f"No run of deployment {deployment.name!r} can be made: {error}") from error


async def _find(api: PrefectClient, name: str | UUID) -> DeploymentResponse:
    id = name if isinstance(name, UUID) else _as_id(name)
    return await (api.read_deployment(id) if id is not None else api.read_deployment_by_name(str(name)))


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def _stand_for(api: PrefectClient, parent: FlowFrame, deployment: DeploymentResponse, order: Order) -> UUID:
    flow_name = str(order.name).partition("/")[0] if "/" in str(order.name) else deployment.name
    key = f"prefect.deployments.run_deployment.{flow_name}/{deployment.name}"
    return await stand_for(api, parent, flow_name, key, deployment.version, order.links)


async def stand_for(
    api: PrefectClient, parent: FlowFrame, name: str, key: str, version: str | None, links: dict[str, Any]
) -> UUID:
    """Make the task run that stands for a new run in the flow run that asks for it.

    Args:
        api: the client.
        parent: the flow run that asks.
        name: of the flow.
        key: the same for all runs of the kind.
        version: of the flow, or of its deployment.
        links: from which runs its parameters come.

    Returns:
        its id.
    """
    id = new_uuid()
    task = current_task.get()
    links = dict(links)
    if task is not None:
        links["__parents__"] = [{"input_type": "task_run", "id": task.id}]
    body = TaskRunCreate(
        id=id,
        name=f"{name}-{str(id)[-3:]}",
        flow_run_id=UUID(parent.id),
        task_key=key,
        dynamic_key=str(id),
        task_version=version,
        labels={},
        state=states.to_state_create(states.Pending()),
        task_inputs=links,
    )
    await operations.call(api, "POST", "/task_runs/", wire.changes(body, exclude_none=True))
    return id
