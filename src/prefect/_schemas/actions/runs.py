"""Requests about flows, their runs, task runs, states and logs."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, field_serializer, model_validator
from pydantic_core import to_jsonable_python

from prefect._defaults import new_list
from prefect._schemas.base import ActionBaseModel
from prefect._schemas.fields import KeyValueLabelsField, ShortText
from prefect._schemas.flow_runs import FlowRunPolicy
from prefect._schemas.moments import DateTime
from prefect._schemas.states import StateDetails, StateType
from prefect._schemas.task_runs import Constant, FlowRunResult, Parameter, TaskRunPolicy, TaskRunResult
from prefect.settings import get_current_settings


def _cache_key(key: str) -> str:
    most = get_current_settings().server.tasks.max_cache_key_length
    if len(key) > most:
        raise ValueError(f"can have at most {most} characters (server.tasks.max_cache_key_length), and has {len(key)}")
    return key


class StateCreate(ActionBaseModel):
    """Propose a state."""

    type: StateType
    name: ShortText | None = None
    message: str | None = Field(default=None, examples=["Run started"])
    state_details: StateDetails = Field(default_factory=StateDetails)
    data: Any = None


class FlowCreate(ActionBaseModel):
    """Make a flow, or find the one of that name."""

    name: ShortText = Field(examples=["my-flow"])
    tags: list[ShortText] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])
    labels: KeyValueLabelsField


class FlowUpdate(ActionBaseModel):
    """Change a flow."""

    tags: list[ShortText] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])


class FlowRunCreate(ActionBaseModel):
    """Make a run of a flow."""

    state: StateCreate | None = None
    name: ShortText | None = None
    flow_id: UUID
    deployment_id: UUID | None = None
    flow_version: ShortText | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    # for a sub-flow: the task run that stands for it in its parent
    parent_task_run_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[ShortText] = Field(default_factory=new_list)
    # a second run with the same key is not made; the first is returned
    idempotency_key: ShortText | None = None
    labels: KeyValueLabelsField
    work_pool_name: ShortText | None = None
    work_queue_name: ShortText | None = None
    job_variables: dict[str, Any] | None = None


class FlowRunUpdate(ActionBaseModel):
    """Change a flow run."""

    name: ShortText | None = None
    flow_version: ShortText | None = None
    parameters: dict[str, Any] | None = Field(default_factory=dict)
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[ShortText] = Field(default_factory=new_list)
    infrastructure_pid: str | None = None
    job_variables: dict[str, Any] | None = None


class DeploymentFlowRunCreate(ActionBaseModel):
    """Make a run of a deployment."""

    state: StateCreate | None = None
    name: ShortText | None = None
    # over those of the deployment
    parameters: dict[str, Any] = Field(default_factory=dict)
    enforce_parameter_schema: bool | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    infrastructure_document_id: UUID | None = None
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[ShortText] = Field(default_factory=new_list)
    # a second run with the same key is not made; the first is returned
    idempotency_key: ShortText | None = None
    parent_task_run_id: UUID | None = None
    work_queue_name: ShortText | None = None
    job_variables: dict[str, Any] | None = None
    labels: KeyValueLabelsField

    @model_validator(mode="before")
    @classmethod
    def convert_parameters_to_plain_data(cls, values: Any) -> Any:
        """Turn pydantic models among the parameters into the JSON they stand for."""
        if not isinstance(values, dict) or "parameters" not in values:
            return values
        parameters = values["parameters"]
        if isinstance(parameters, BaseModel):
            plain: Any = parameters.model_dump(mode="json")
        elif isinstance(parameters, dict):
            plain = {
                name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
                for name, value in parameters.items()
            }
        else:
            plain = parameters
        return {**values, "parameters": plain}

    @field_serializer("parameters", when_used="json")
    def serialize_parameters(self, value: dict[str, Any]) -> dict[str, Any]:
        """The parameters as JSON; spans of time are numbers of seconds."""
        return to_jsonable_python(value, timedelta_mode="float")


class TaskRunCreate(ActionBaseModel):
    """Make a run of a task."""

    # made up by the API unless given
    id: UUID | None = None
    state: StateCreate | None = None
    name: ShortText | None = None
    flow_run_id: UUID | None = None
    task_key: ShortText
    dynamic_key: ShortText
    cache_key: Annotated[str, AfterValidator(_cache_key)] | None = None
    cache_expiration: DateTime | None = None
    task_version: ShortText | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[ShortText] = Field(default_factory=new_list)
    labels: KeyValueLabelsField
    task_inputs: dict[str, list[TaskRunResult | FlowRunResult | Parameter | Constant]] = Field(default_factory=dict)


class TaskRunUpdate(ActionBaseModel):
    """Change a task run."""

    name: ShortText | None = None


class LogCreate(ActionBaseModel):
    """Write a line of a log."""

    # of the logger
    name: str
    # as in `logging`: 10 is DEBUG, 50 is CRITICAL
    level: int
    message: str
    timestamp: DateTime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    worker_id: UUID | None = None

    def model_dump(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As a mapping, without `worker_id` unless it is known: an API without workers' logs refuses that field."""
        dumped = super().model_dump(*args, **kwargs)
        if dumped.get("worker_id") is None:
            dumped.pop("worker_id", None)
        return dumped
