"""Conditions on deployments."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from prefect._schemas.filters.conditions import (
    AllTags,
    AnyId,
    AnyName,
    AnyTags,
    AnyText,
    Condition,
    IsNull,
    Like,
    NumberRange,
    OperatorMixin,
)


class DeploymentFilterId(AnyId):
    """On the id of a deployment."""

    not_any_: list[UUID] | None = Field(default=None, description="Has none of these ids")


class DeploymentFilterName(AnyName):
    """On the name of a deployment."""


class DeploymentOrFlowNameFilter(Like):
    """On the name of a deployment or that of its flow."""


class DeploymentFilterPaused(Condition):
    """On whether a deployment is paused."""

    eq_: bool | None = Field(default=None, description="Is paused (true), or is not (false)")


class DeploymentFilterTags(OperatorMixin, AllTags, AnyTags, IsNull):
    """On the tags of a deployment."""


class DeploymentFilterWorkQueueName(AnyText):
    """On the work queue of a deployment."""


class DeploymentFilterConcurrencyLimit(NumberRange, IsNull):
    """On how many runs of a deployment may run at once."""


class DeploymentFilter(OperatorMixin):
    """Which deployments."""

    id: DeploymentFilterId | None = None
    name: DeploymentFilterName | None = None
    flow_or_deployment_name: DeploymentOrFlowNameFilter | None = None
    paused: DeploymentFilterPaused | None = None
    tags: DeploymentFilterTags | None = None
    work_queue_name: DeploymentFilterWorkQueueName | None = None
    concurrency_limit: DeploymentFilterConcurrencyLimit | None = None
