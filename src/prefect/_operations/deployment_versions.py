"""The versions of deployments, and going back to one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import rows
from prefect._operations.deployments import put_deployment, read_deployment
from prefect._operations.errors import Invalid
from prefect._operations.registry import operation
from prefect._schemas.actions.deployments import DeploymentCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.deployments import DeploymentResponse, DeploymentVersion
from prefect._store.tables import deployment, deployment_version

_FIELDS = deployment_version.c


class Rollback(PrefectBaseModel):
    """To which version."""

    version: int = Field(ge=1, description="The number of the version.")


@operation("GET", "/deployments/{id}/versions")
def read_deployment_versions(tx: sa.Connection, id: UUID, limit: int = 100, offset: int = 0) -> list[DeploymentVersion]:
    """What a deployment was after each change of it, the newest first.

    Raises:
        NotFound: there is no such deployment.
        Invalid: limit or offset is below zero.
    """
    if limit < 0 or offset < 0:
        raise Invalid("limit and offset must not be below 0.")
    rows.one(tx, sa.select(deployment.c.id).where(deployment.c.id == id), "deployment", id)
    statement = sa.select(deployment_version).where(_FIELDS.deployment_id == id).order_by(_FIELDS.number.desc())
    found = tx.execute(statement.limit(limit).offset(offset)).mappings()
    return [DeploymentVersion.model_validate(row) for row in found]


@operation("POST", "/deployments/{id}/rollback", writes=True)
def roll_back_deployment(tx: sa.Connection, id: UUID, body: Rollback) -> DeploymentResponse:
    """Make a deployment what it was in an earlier version, its schedules and limit included; that is a new version.

    Whether it is paused stays as it is. Future runs of its schedules are made anew; runs under way are left alone.

    Raises:
        NotFound: there is no such deployment or version, or the work pool of that version is gone.
        Invalid: what the version says does not fit any more, such as the job variables of a changed work pool.
    """
    same = deployment.c.id == id
    row = rows.one(tx, sa.select(deployment.c.flow_id, deployment.c.name).where(same), "deployment", id)
    wanted = sa.select(_FIELDS.content).where(_FIELDS.deployment_id == id, _FIELDS.number == body.version)
    content: dict[str, Any] = dict(rows.one(tx, wanted, "deployment version", str(body.version))["content"])
    try:
        request = DeploymentCreate.model_validate({**content, "flow_id": row["flow_id"], "name": row["name"]})
    except ValueError as exc:
        raise Invalid(f"Version {body.version} cannot be restored: {exc}") from exc
    put_deployment(tx, request, restored=body.version)
    return read_deployment(tx, id)
