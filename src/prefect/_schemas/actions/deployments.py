"""Requests about deployments and their schedules."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from prefect._defaults import new_list
from prefect._lazy import lazy_module
from prefect._rules.recurrence import with_start
from prefect._schemas.base import ActionBaseModel
from prefect._schemas.concurrency import ConcurrencyOptions
from prefect._schemas.deployments import CatchUp, DeploymentBranchingOptions, VersionInfo
from prefect._schemas.fields import KeyValueLabelsField, NameOrEmpty, PositiveInteger, Short, ShortText
from prefect._schemas.json_schema import check_against_schema
from prefect._schemas.schedule_spec import Schedule
from prefect._schemas.schedules import (
    SCHEDULE_TYPES,
    CronSchedule,
    IntervalSchedule,
    NoSchedule,
    RRuleSchedule,
)

if TYPE_CHECKING:
    from prefect import settings as _settings
else:
    _settings = lazy_module("prefect.settings")

_RETIRED = frozenset({"worker_pool_queue_id", "work_pool_queue_name", "worker_pool_name", "worker_pool_queue_name"})
"""Fields of long ago, which old programs may still send."""


def _fix_start(schedule: SCHEDULE_TYPES) -> SCHEDULE_TYPES:
    """Give a rule without a start one, so that it means the same moments tomorrow."""
    if isinstance(schedule, RRuleSchedule):
        schedule.rrule = with_start(schedule.rrule)
    return schedule


def _check_schedule_limit(count: int | None) -> int | None:
    if count is None:
        return count
    most = _settings.get_current_settings().server.deployment_schedule_max_scheduled_runs
    if count > most:
        raise ValueError(
            f"`max_scheduled_runs` must be less than or equal to {most}, not {count} "
            "(the setting server.deployment_schedule_max_scheduled_runs says so)"
        )
    return count


def _empty_schema() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


FixedSchedule = Annotated[SCHEDULE_TYPES, AfterValidator(_fix_start)]
ParameterOpenAPISchema = Annotated[
    dict[str, Any], BeforeValidator(lambda schema: _empty_schema() if schema == {} else schema)
]


class DeploymentScheduleCreate(ActionBaseModel):
    """Add a schedule to a deployment."""

    schedule: FixedSchedule
    active: bool = True
    # how many runs are made ahead
    max_scheduled_runs: PositiveInteger | None = None
    # over those of the deployment
    parameters: dict[str, Any] = Field(default_factory=dict)
    # a name, unique within the deployment
    slug: ShortText | None = None
    # the slug of the schedule that this one takes the place of
    replaces: ShortText | None = None
    # what becomes of instants that passed while nobody looked
    catch_up: CatchUp | None = None

    @field_validator("active", mode="wrap")
    @classmethod
    def validate_active(cls, v: Any, handler: ValidatorFunctionWrapHandler) -> bool:
        """Read a boolean, with an error that tells what was given."""
        try:
            return handler(v)
        except ValueError:
            raise ValueError(f"active must be a boolean, or text that means one; got {v!r}") from None

    @field_validator("max_scheduled_runs")
    @classmethod
    def validate_max_scheduled_runs(cls, v: int | None) -> int | None:
        """Check that not more runs are made ahead than the settings allow."""
        return _check_schedule_limit(v)

    @classmethod
    def from_schedule(cls, schedule: Schedule) -> DeploymentScheduleCreate:
        """From a `prefect.schedules.Schedule`."""
        kind: SCHEDULE_TYPES
        if schedule.interval is not None:
            kind = IntervalSchedule(
                interval=schedule.interval, anchor_date=schedule.anchor_date, timezone=schedule.timezone
            )
        elif schedule.cron is not None:
            kind = CronSchedule(cron=schedule.cron, timezone=schedule.timezone, day_or=schedule.day_or)
        elif schedule.rrule is not None:
            kind = RRuleSchedule(rrule=schedule.rrule, timezone=schedule.timezone)
        else:
            kind = NoSchedule()
        made = cls(schedule=kind, active=schedule.active, parameters=schedule.parameters, slug=schedule.slug)
        if schedule.catch_up is not None:  # not every server knows it
            made.catch_up = schedule.catch_up
        return made


class DeploymentScheduleUpdate(ActionBaseModel):
    """Change a schedule of a deployment."""

    schedule: FixedSchedule | None = None
    active: bool | None = None
    max_scheduled_runs: PositiveInteger | None = None
    parameters: dict[str, Any] | None = None
    slug: ShortText | None = None
    replaces: ShortText | None = None
    catch_up: CatchUp | None = None

    @field_validator("max_scheduled_runs")
    @classmethod
    def validate_max_scheduled_runs(cls, v: int | None) -> int | None:
        """Check that not more runs are made ahead than the settings allow."""
        return _check_schedule_limit(v)


def _without_retired(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {name: value for name, value in values.items() if name not in _RETIRED}


def _check_job_variables(job_variables: dict[str, Any] | None, base_job_template: dict[str, Any]) -> None:
    """Check job variables against the schema in a work pool's template.

    A variable with a default need not be given, whatever the schema says is required.
    """
    variables = deepcopy(base_job_template.get("variables"))
    if not variables:
        return
    properties = variables.get("properties", {})
    variables["required"] = [
        name for name in variables.get("required", ()) if "default" not in properties.get(name, {})
    ]
    check_against_schema(job_variables or {}, variables, what="set of job variables")


class DeploymentCreate(ActionBaseModel):
    """Make a deployment, or change the one of that flow and name."""

    name: Annotated[NameOrEmpty, Short] = Field(examples=["my-deployment"])
    flow_id: UUID
    paused: bool | None = None
    schedules: list[DeploymentScheduleCreate] = Field(default_factory=new_list)
    concurrency_limit: int | None = None
    # a limit that is shared with others, instead of one of its own
    global_concurrency_limit_id: UUID | None = None
    concurrency_options: ConcurrencyOptions | None = None
    # refuse runs whose parameters do not fit the schema
    enforce_parameter_schema: bool | None = None
    parameter_openapi_schema: ParameterOpenAPISchema | None = Field(default_factory=_empty_schema)
    parameters: dict[str, Any] = Field(default_factory=dict)
    tags: list[ShortText] = Field(default_factory=new_list)
    labels: KeyValueLabelsField
    # what a worker does to get the code
    pull_steps: list[dict[str, Any]] | None = None
    work_queue_name: ShortText | None = None
    work_pool_name: ShortText | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    description: str | None = None
    # the folder of the code
    path: str | None = None
    # `file.py:function` or `module.function`
    entrypoint: str | None = None
    # over the defaults of the work pool's job template
    job_variables: dict[str, Any] = Field(default_factory=dict)
    version: ShortText | None = None
    version_info: VersionInfo | None = None
    # for a branch: its name, the deployment it was made from, and the one at the root
    branch: ShortText | None = None
    base: UUID | None = None
    root: UUID | None = None

    @model_validator(mode="before")
    @classmethod
    def remove_old_fields(cls, values: Any) -> Any:
        """Leave out fields that old programs may still send."""
        return _without_retired(values)

    @field_validator("tags", mode="before")
    @classmethod
    def convert_to_strings(cls, values: Any) -> Any:
        """Turn every tag into text."""
        return [str(item) for item in values] if isinstance(values, (list, tuple, set, dict)) else values

    def check_valid_configuration(self, base_job_template: dict[str, Any]) -> None:
        """Check the job variables against a work pool's template.

        Raises:
            ValueError: they do not fit its schema of variables.
        """
        _check_job_variables(self.job_variables, base_job_template)


class DeploymentUpdate(ActionBaseModel):
    """Change a deployment."""

    version: ShortText | None = None
    version_info: VersionInfo | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    paused: bool | None = None
    schedules: list[DeploymentScheduleUpdate] | None = None
    concurrency_limit: int | None = None
    # a limit that is shared with others, instead of one of its own
    global_concurrency_limit_id: UUID | None = None
    concurrency_options: ConcurrencyOptions | None = None
    tags: list[ShortText] = Field(default_factory=new_list)
    work_queue_name: ShortText | None = None
    work_pool_name: ShortText | None = None
    path: str | None = None
    job_variables: dict[str, Any] | None = Field(default_factory=dict)
    entrypoint: str | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    enforce_parameter_schema: bool | None = None
    parameter_openapi_schema: ParameterOpenAPISchema | None = Field(default_factory=_empty_schema)
    pull_steps: list[dict[str, Any]] | None = None

    @model_validator(mode="before")
    @classmethod
    def remove_old_fields(cls, values: Any) -> Any:
        """Leave out fields that old programs may still send."""
        return _without_retired(values)

    def check_valid_configuration(self, base_job_template: dict[str, Any]) -> None:
        """Check the job variables against a work pool's template.

        Raises:
            ValueError: they do not fit its schema of variables.
        """
        _check_job_variables(self.job_variables, base_job_template)


class DeploymentBranch(ActionBaseModel):
    """Make a branch of a deployment."""

    branch: ShortText
    options: DeploymentBranchingOptions = Field(default_factory=DeploymentBranchingOptions)
    # what is different in the branch
    overrides: DeploymentUpdate | None = None

    @field_validator("branch")
    @classmethod
    def validate_branch_length(cls, v: str) -> str:
        """Check that the name of the branch is not blank."""
        if not v.strip():
            raise ValueError("the name of a branch cannot be empty or blank")
        return v
