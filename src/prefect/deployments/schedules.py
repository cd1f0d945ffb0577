"""The schedules of a deployment, as the API takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect._deploying import schedules as _schedules
from prefect._schemas.actions.deployments import DeploymentScheduleCreate
from prefect._schemas.schedule_spec import Schedule
from prefect._schemas.schedules import SCHEDULE_TYPES

__all__ = ["FlexibleScheduleList", "create_deployment_schedule_create", "normalize_to_deployment_schedule"]

FlexibleScheduleList = Sequence[DeploymentScheduleCreate | dict[str, Any] | SCHEDULE_TYPES | Schedule]


def create_deployment_schedule_create(
    schedule: SCHEDULE_TYPES | Schedule, active: bool | None = True
) -> DeploymentScheduleCreate:
    """The request that adds a schedule to a deployment.

    Args:
        schedule: when.
        active: whether it makes runs; a `prefect.schedules` schedule says so itself.

    Raises:
        ValueError: it is no schedule.
    """
    return _schedules.to_create(schedule, active)


def normalize_to_deployment_schedule(schedules: FlexibleScheduleList | None) -> list[DeploymentScheduleCreate]:
    """The requests that add schedules to a deployment.

    Args:
        schedules: each a schedule, a dictionary of its fields, or such a request.

    Raises:
        ValueError: one of them is no schedule.
    """
    return _schedules.normalized(schedules)
