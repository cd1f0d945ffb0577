"""Making a deployment known to the API."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import in_async_context
from prefect._deploying import parameters, schedules
from prefect._deploying.references import client_or_new
from prefect._lazy import lazy_module
from prefect._schemas.deployments import VersionInfo
from prefect._transport.errors import OperationUnavailable
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

if TYPE_CHECKING:
    from prefect import exceptions
    from prefect._deploying.runner_deployment import RunnerDeployment
    from prefect.client.orchestration import PrefectClient
else:
    exceptions = lazy_module("prefect.exceptions")

__all__ = ["DeploymentApplyError", "apply", "in_async_context"]

_ATTEMPTS = 3

BASE = "$STORAGE_BASE_PATH"
"""Stands for the folder that a runner fetches code to, in the path of a deployment."""


class DeploymentApplyError(RuntimeError):
    """A deployment cannot be made; the message says what does not fit."""

    __module__ = "prefect.deployments.runner"


async def apply(
    deployment: RunnerDeployment,
    *,
    schedules: list[dict[str, Any]] | None,
    work_pool_name: str | None,
    image: str | None,
    version_info: VersionInfo | None,
) -> UUID:
    """See `RunnerDeployment.apply`."""
    pool = work_pool_name or deployment.work_pool_name
    if image and not pool:
        raise ValueError("An image can only be provided when registering a deployment with a work pool.")
    if deployment.work_queue_name and not pool:
        raise ValueError(
            f"Deployment {deployment.full_name!r} names the work queue {deployment.work_queue_name!r} but no work pool. "
            "A work queue can only be provided when registering a deployment with a work pool."
        )
    deployment.validate_deployment_parameters()
    if version_info is None:
        version_info = await asyncio.to_thread(deployment.version_of_code)
    async with client_or_new(None) as client:
        fields = _fields(deployment, schedules, pool, image, version_info)
        id = await _create(client, deployment, fields, pool)
        await _add_triggers(client, deployment, id)
        await _add_service_levels(client, deployment, id)
    return id


async def _create(
    client: PrefectClient, deployment: RunnerDeployment, fields: dict[str, Any], pool: str | None
) -> UUID:
    attempts = _ATTEMPTS
    while True:
        try:
            flow_id = await client.create_flow_from_name(str(deployment.flow_name))
            return await client.create_deployment(flow_id=flow_id, **fields)
        except ObjectNotFound as error:
            what = f"Could not find work pool {pool!r}" if pool else str(error)
            raise DeploymentApplyError(
                f"Deployment {deployment.full_name!r} cannot be made: {what}. `prefect work-pool ls` lists those that "
                "there are, and `prefect work-pool create` makes one."
            ) from error
        except ObjectAlreadyExists as error:
            # also the status of a parameter that is refused; but somebody else may have made it at the same moment
            attempts -= 1
            if not attempts:
                raise DeploymentApplyError(f"Deployment {deployment.full_name!r} cannot be made: {error}") from error
        except exceptions.PrefectHTTPStatusError as error:
            raise DeploymentApplyError(
                f"Deployment {deployment.full_name!r} cannot be made: {reason_of(error)}"
            ) from error


def _fields(
    deployment: RunnerDeployment,
    given_schedules: list[dict[str, Any]] | None,
    pool: str | None,
    image: str | None,
    version_info: VersionInfo | None,
) -> dict[str, Any]:
    job_variables = {**deployment.job_variables, **({"image": image} if image else {})}
    storage_fields = _storage_fields(deployment, pool)
    return {
        "name": deployment.name,
        "version": _version(deployment, version_info),
        "version_info": version_info,
        "description": deployment.description,
        "tags": deployment.tags,
        "schedules": deployment.schedules if given_schedules is None else schedules.normalized(given_schedules),
        "paused": deployment.paused,
        "concurrency_limit": deployment.concurrency_limit,
        "concurrency_options": deployment.concurrency_options,
        "parameters": parameters.as_json(deployment.parameters, f"deployment {deployment.full_name!r}"),
        "parameter_openapi_schema": deployment._parameter_openapi_schema,
        "enforce_parameter_schema": deployment.enforce_parameter_schema,
        "entrypoint": deployment.entrypoint,
        "work_pool_name": pool,
        "work_queue_name": deployment.work_queue_name,
        "job_variables": job_variables,
        **storage_fields,
    }


def _version(deployment: RunnerDeployment, version_info: VersionInfo | None) -> str | None:
    """What was written down, else the commit, else the fingerprint of the flow's file."""
    found = version_info.version if version_info is not None else None
    return deployment._named_version() or found or deployment.version


def _storage_fields(deployment: RunnerDeployment, pool: str | None) -> dict[str, Any]:
    """How whoever runs the deployment gets its code: a worker by pull steps, a runner from the folder it pulls to."""
    storage = deployment.storage
    if storage is None:
        return {"path": deployment._path, "pull_steps": []}
    if pool:
        step = storage.to_pull_step()
        return {"path": None, "pull_steps": step if isinstance(step, list) else [step]}
    base = getattr(storage, "_storage_base_path", None)
    destination = str(storage.destination)
    if base is not None and destination.startswith(str(base)):
        destination = f"{BASE}{destination[len(str(base)) :]}"
    return {"path": destination, "pull_steps": []}


async def _add_triggers(client: PrefectClient, deployment: RunnerDeployment, id: UUID) -> None:
    """Put the automations of the deployment's triggers in the place of those it had."""
    try:
        await client.delete_resource_owned_automations(f"prefect.deployment.{id}")
    except (exceptions.PrefectException, exceptions.PrefectHTTPStatusError):
        if deployment.triggers:  # otherwise a server without automations is no obstacle
            raise
    for trigger in deployment.triggers:
        trigger.set_deployment_id(id)
        await client.create_automation(trigger.as_automation())


async def _add_service_levels(client: PrefectClient, deployment: RunnerDeployment, id: UUID) -> None:
    if not deployment._sla:
        return
    levels = deployment._sla if isinstance(deployment._sla, list) else [deployment._sla]
    try:
        await client.apply_slas_for_deployment(id, levels)
    except (OperationUnavailable, exceptions.PrefectHTTPStatusError, TypeError) as error:
        raise DeploymentApplyError(
            f"Deployment {deployment.full_name!r} is made, but without its service levels, which Prefect Cloud keeps: "
            f"{error}"
        ) from error


def reason_of(error: Any) -> str:
    """What an answer of the API says, in words."""
    try:
        body = error.response.json()
    except ValueError:
        return str(error)
    detail = body.get("detail") or body.get("exception_detail") or body.get("exception_message") or body
    if isinstance(detail, list):
        parts = [f"{'.'.join(map(str, item.get('loc', [])))}: {item.get('msg')}" for item in detail]
        return "; ".join(parts)
    return detail if isinstance(detail, str) else json.dumps(detail)
