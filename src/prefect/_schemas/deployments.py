"""Deployments: flows that can be run from afar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from prefect._defaults import new_list
from prefect._lazy import lazy_module
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel
from prefect._schemas.concurrency import ConcurrencyOptions, GlobalConcurrencyLimitResponse
from prefect._schemas.enums import BranchingScheduleHandling, DeploymentStatus
from prefect._schemas.fields import CreatedBy, KeyValueLabelsField, Name, PositiveInteger, UpdatedBy
from prefect._schemas.moments import DateTime
from prefect._schemas.schedules import SCHEDULE_TYPES

if TYPE_CHECKING:
    from prefect._schemas import events
    from prefect._schemas.events import RelatedResource
else:
    events = lazy_module("prefect._schemas.events")


CatchUp = Literal["skip", "latest", "all"]
"""What becomes of the instants of a schedule that were missed: see `prefect.schedules`."""


class VersionInfo(PrefectBaseModel):
    """Which version of its code a deployment is; a kind of version may add fields of its own."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    # such as "git" or "simple"
    type: str
    version: str


class DeploymentSchedule(ObjectBaseModel):
    """A schedule of a deployment."""

    deployment_id: UUID | None = None
    schedule: SCHEDULE_TYPES
    active: bool = True
    # how many runs are made ahead
    max_scheduled_runs: PositiveInteger | None = None
    # over those of the deployment
    parameters: dict[str, Any] = Field(default_factory=dict)
    # a name, unique within the deployment
    slug: str | None = None
    # what becomes of instants that passed while nobody looked
    catch_up: CatchUp | None = None


class DeploymentBranchingOptions(ObjectBaseModel):
    """How a deployment is branched."""

    schedule_handling: BranchingScheduleHandling = BranchingScheduleHandling.REMOVE


class _Deployment(ObjectBaseModel):
    version: str | None = None
    version_id: UUID | None = None
    version_info: VersionInfo | None = None
    description: str | None = None
    flow_id: UUID
    # with the schedules paused, no runs are made
    paused: bool = False
    concurrency_limit: int | None = None
    schedules: list[DeploymentSchedule] = Field(default_factory=new_list)
    # over the defaults of the work pool's job template
    job_variables: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    # what a worker does to get the code
    pull_steps: list[dict[str, Any]] | None = None
    tags: list[str] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])
    labels: KeyValueLabelsField
    work_queue_name: str | None = None
    # when a worker last asked for its runs
    last_polled: DateTime | None = None
    parameter_openapi_schema: dict[str, Any] | None = None
    # the folder of the code
    path: str | None = None
    # `file.py:function` or `module.function`
    entrypoint: str | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    created_by: CreatedBy | None = None
    updated_by: UpdatedBy | None = None
    work_queue_id: UUID | None = None
    # refuse runs whose parameters do not fit the schema
    enforce_parameter_schema: bool = True


class Deployment(_Deployment):
    """A deployment."""

    name: Name = Field(examples=["my-deployment"])


class DeploymentResponse(_Deployment):
    """A deployment, as it is read."""

    name: str
    # for a branch: its name, the deployment it was made from, and the one at the root
    branch: str | None = None
    base: UUID | None = None
    root: UUID | None = None
    global_concurrency_limit: GlobalConcurrencyLimitResponse | None = None
    concurrency_options: ConcurrencyOptions | None = None
    work_pool_name: str | None = None
    status: DeploymentStatus | None = None

    def as_related_resource(self, role: str = "deployment") -> RelatedResource:
        """The deployment as events name it.

        Args:
            role: what it is to the event.
        """
        return events.RelatedResource(
            {
                "prefect.resource.id": f"prefect.deployment.{self.id}",
                "prefect.resource.name": self.name,
                "prefect.resource.role": role,
            }
        )


class DeploymentVersion(PrefectBaseModel):
    """What a deployment was after a change of it."""

    id: UUID
    created: DateTime
    deployment_id: UUID
    # from 1
    number: int
    # the number of the version that it went back to
    restored: int | None = None
    # the fields of a `DeploymentCreate`, all but its flow and name
    content: dict[str, Any]
