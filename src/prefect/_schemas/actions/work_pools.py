"""Requests about work pools and their queues."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from prefect._schemas.base import ActionBaseModel
from prefect._schemas.fields import NonEmptyishName, NonNegativeInteger, PositiveInteger, Short, ShortText
from prefect._schemas.moments import DateTime
from prefect._schemas.work_pools import QueueFilter, WorkPoolStorageConfiguration


class WorkPoolCreate(ActionBaseModel):
    """Make a work pool."""

    name: Annotated[NonEmptyishName, Short]
    description: str | None = None
    # of its workers, such as "process"
    type: ShortText = "prefect-agent"
    # {"job_configuration": ..., "variables": JSON schema}
    base_job_template: dict[str, Any] = Field(default_factory=dict)
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    storage_configuration: WorkPoolStorageConfiguration = Field(default_factory=WorkPoolStorageConfiguration)


class WorkPoolUpdate(ActionBaseModel):
    """Change a work pool."""

    description: str | None = None
    is_paused: bool | None = None
    base_job_template: dict[str, Any] | None = None
    concurrency_limit: int | None = None
    storage_configuration: WorkPoolStorageConfiguration | None = None


class WorkQueueCreate(ActionBaseModel):
    """Make a queue of a work pool."""

    name: ShortText
    description: str | None = None
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    # the lower the sooner; after all others unless given
    priority: PositiveInteger | None = None
    filter: QueueFilter | None = None


class WorkQueueUpdate(ActionBaseModel):
    """Change a queue of a work pool."""

    name: ShortText | None = None
    description: str | None = None
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    priority: PositiveInteger | None = None
    last_polled: DateTime | None = None
    filter: QueueFilter | None = None
