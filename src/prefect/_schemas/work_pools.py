"""Work pools, their queues and workers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from prefect._clock import now
from prefect._defaults import new_list
from prefect._names import generate_slug
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel
from prefect._schemas.enums import WorkerStatus, WorkPoolStatus, WorkQueueStatus
from prefect._schemas.fields import Name, NonNegativeInteger, PositiveInteger
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.moments import DateTime, aware
from prefect._schemas.states import StateType

DEFAULT_AGENT_WORK_POOL_NAME = "default-agent-pool"


class QueueFilter(PrefectBaseModel):
    """Which runs an agent's queue took, before work pools."""

    tags: list[str] | None = None
    deployment_ids: list[UUID] | None = None


class WorkPoolStorageConfiguration(PrefectBaseModel):
    """Where a pool keeps code bundles and results."""

    # the step that uploads a bundle, and the one that runs it
    bundle_upload_step: dict[str, Any] | None = None
    bundle_execution_step: dict[str, Any] | None = None
    default_result_storage_block_id: UUID | None = None


class WorkPool(ObjectBaseModel):
    """A place where runs go to be run by workers of one type."""

    name: Name
    description: str | None = None
    # of its workers, such as "process"
    type: str
    # {"job_configuration": ..., "variables": JSON schema}
    base_job_template: dict[str, Any] = Field(default_factory=dict)
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    status: WorkPoolStatus | None = None
    active_slots: int | None = None
    storage_configuration: WorkPoolStorageConfiguration = Field(default_factory=WorkPoolStorageConfiguration)
    # left out only for a pool that no API has seen yet
    default_queue_id: UUID = None  # type: ignore[assignment]

    @property
    def is_push_pool(self) -> bool:
        """Whether runs are pushed to a service, without a worker."""
        return self.type.endswith(":push")

    @property
    def is_managed_pool(self) -> bool:
        """Whether the runs run on infrastructure that comes with the API."""
        return self.type.endswith(":managed")

    @field_validator("default_queue_id")
    @classmethod
    def helpful_error_for_missing_default_queue_id(cls, v: UUID | None) -> UUID:
        """Check that the pool has a default queue."""
        if v is None:
            raise ValueError("`default_queue_id` is a required field; an API gives it to a work pool when it makes it")
        return v


class WorkQueue(ObjectBaseModel):
    """A queue of a work pool."""

    name: Name
    description: str | None = ""
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    # the lower the sooner
    priority: PositiveInteger = 1
    work_pool_name: str | None = None
    work_pool_id: UUID | None
    filter: QueueFilter | None = None
    last_polled: DateTime | None = None
    status: WorkQueueStatus | None = None
    active_slots: int | None = None


class WorkQueueHealthPolicy(PrefectBaseModel):
    """When a queue counts as healthy; None leaves a condition out."""

    maximum_late_runs: int | None = 0
    maximum_seconds_since_last_polled: int | None = 60

    def evaluate_health_status(self, late_runs_count: int, last_polled: datetime | None = None) -> bool:
        """Whether a queue with that many late runs, last asked for runs at that moment, is healthy."""
        if self.maximum_late_runs is not None and late_runs_count > self.maximum_late_runs:
            return False
        if self.maximum_seconds_since_last_polled is None:
            return True
        return last_polled is not None and now() - aware(last_polled) <= timedelta(
            seconds=self.maximum_seconds_since_last_polled
        )


class WorkQueueStatusDetail(PrefectBaseModel):
    """How a queue does."""

    healthy: bool
    late_runs_count: int = 0
    last_polled: DateTime | None = None
    health_check_policy: WorkQueueHealthPolicy


class Worker(ObjectBaseModel):
    """A worker."""

    name: str
    work_pool_id: UUID
    last_heartbeat_time: DateTime | None = None
    heartbeat_interval_seconds: int | None = None
    status: WorkerStatus = WorkerStatus.OFFLINE


class Agent(ObjectBaseModel):
    """An agent, as there were before workers."""

    name: str = Field(default_factory=lambda: generate_slug(2))
    work_queue_id: UUID
    last_activity_time: DateTime | None = None


class Integration(PrefectBaseModel):
    """An installed integration package."""

    name: str
    version: str


class WorkerMetadata(PrefectBaseModel):
    """What a worker tells of itself; more fields may be added."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    integrations: list[Integration]


class WorkerFlowRunResponse(PrefectBaseModel):
    """A run that a worker is to start."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    work_pool_id: UUID
    work_queue_id: UUID
    flow_run: FlowRun


# -- who holds the slots of a pool or a queue -------------------------------------------------------------------

_Slots = Annotated[int, BeforeValidator(lambda count: 0 if count is None else count)]


class FlowRunSlotSummary(PrefectBaseModel):
    """A flow run that holds a slot."""

    id: UUID
    name: str
    state_type: StateType | None = None
    state_name: str | None = None
    start_time: DateTime | None = None
    state_timestamp: DateTime | None = None
    time_in_current_state: timedelta | None = None


class WorkQueueConcurrencyStatusDetail(PrefectBaseModel):
    """The slots of one queue, within its pool."""

    queue_id: UUID
    queue_name: str
    active_slots: _Slots
    concurrency_limit: int | None = None
    flow_runs: list[FlowRunSlotSummary] = Field(default_factory=new_list)
    # of all, also those that are not in the list
    flow_run_count: int | None = None


class WorkPoolConcurrencyStatus(PrefectBaseModel):
    """The slots of a pool, and a page of its queues."""

    active_slots: _Slots
    concurrency_limit: int | None = None
    queues: list[WorkQueueConcurrencyStatusDetail] = Field(default_factory=new_list)
    count: int
    limit: int
    pages: int
    page: int


class WorkQueueConcurrencyStatus(PrefectBaseModel):
    """The slots of a queue, and a page of the runs that hold them."""

    active_slots: _Slots
    concurrency_limit: int | None = None
    flow_runs: list[FlowRunSlotSummary] = Field(default_factory=new_list)
    count: int
    limit: int
    pages: int
    page: int
