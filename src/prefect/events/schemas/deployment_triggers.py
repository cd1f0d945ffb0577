"""Triggers that run the deployment they are given to.

flow.deploy(..., triggers=[DeploymentEventTrigger(expect={"order.placed"}, parameters={"id": 1})])
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from prefect._schemas.automations import (
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    SequenceTrigger,
    TriggerTypes,
    trigger_discriminator,
)
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.fields import NonNegativeTimeDelta

__all__ = [
    "BaseDeploymentTrigger",
    "DeploymentCompoundTrigger",
    "DeploymentEventTrigger",
    "DeploymentMetricTrigger",
    "DeploymentSequenceTrigger",
    "DeploymentTriggerTypes",
    "TriggerTypes",
    "deployment_trigger_discriminator",
]


class BaseDeploymentTrigger(PrefectBaseModel):
    """What a trigger of a deployment says of the run that it makes.

    Attributes:
        name: of the automation.
        description: of the automation.
        enabled: whether the automation does anything.
        parameters: of the run, put over those of the deployment.
        job_variables: of the run, put over those of the deployment.
        schedule_after: how long after the trigger the run is due.
    """

    name: str | None = Field(default=None, description="Name of the automation.")
    description: str = Field(default="", description="What the automation is for.")
    enabled: bool = Field(default=True, description="Whether the automation does anything.")
    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of the run.")
    job_variables: dict[str, Any] | None = Field(default=None, description="Job variables of the run.")
    schedule_after: NonNegativeTimeDelta = Field(default=timedelta(0), description="Seconds until the run is due.")


class DeploymentEventTrigger(BaseDeploymentTrigger, EventTrigger):
    """Runs its deployment when events happen, or when they do not."""


class DeploymentMetricTrigger(BaseDeploymentTrigger, MetricTrigger):
    """Runs its deployment when a metric is beyond a bound."""


class DeploymentCompoundTrigger(BaseDeploymentTrigger, CompoundTrigger):
    """Runs its deployment when enough of its triggers have fired."""


class DeploymentSequenceTrigger(BaseDeploymentTrigger, SequenceTrigger):
    """Runs its deployment when its triggers have fired in their order."""


def deployment_trigger_discriminator(value: Any) -> str:
    """Which kind of trigger a value describes, as `trigger_discriminator`."""
    return trigger_discriminator(value)


DeploymentTriggerTypes: TypeAlias = Annotated[
    Annotated[DeploymentEventTrigger, Tag("event")]
    | Annotated[DeploymentMetricTrigger, Tag("metric")]
    | Annotated[DeploymentCompoundTrigger, Tag("compound")]
    | Annotated[DeploymentSequenceTrigger, Tag("sequence")],
    Discriminator(deployment_trigger_discriminator),
]
"""Every trigger of a deployment there is."""
