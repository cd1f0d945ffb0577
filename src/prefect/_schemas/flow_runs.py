"""Runs of flows."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import Field, field_validator, model_validator

from prefect._defaults import new_list
from prefect._names import generate_slug
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel, TimeSeriesBaseModel
from prefect._schemas.fields import CreatedBy, FlowRunInputKey, KeyValueLabelsField
from prefect._schemas.moments import DateTime
from prefect._schemas.states import State, StateType


class FlowRunPolicy(PrefectBaseModel):
    """How often, and how, a flow run is tried again; and its pauses."""

    # the two older names of `retries` and `retry_delay`
    max_retries: int = 0
    retry_delay_seconds: float = 0
    # how many times a failed run is tried again
    retries: int | None = None
    # seconds between two attempts
    retry_delay: int | None = None
    # the pauses this run has been through
    pause_keys: set[str] | None = Field(default_factory=set)
    # the run goes on after a pause
    resuming: bool | None = False
    # try again in the same process, or as a run that is scheduled anew
    retry_type: Literal["in_process", "reschedule"] | None = None

    @model_validator(mode="before")
    @classmethod
    def populate_deprecated_fields(cls, values: Any) -> Any:
        """Let the older names stand for the newer ones where those are not given."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if values.get("retries") is None and values.get("max_retries"):
            values["retries"] = values["max_retries"]
        if values.get("retry_delay") is None and values.get("retry_delay_seconds"):
            delay = values["retry_delay_seconds"]
            # whole seconds; rather too late than too early
            values["retry_delay"] = ceil(delay) if isinstance(delay, float) else delay
        return values


class _FlowRun(TimeSeriesBaseModel, ObjectBaseModel):
    name: str = Field(default_factory=lambda: generate_slug(2), examples=["amber-otter"])
    flow_id: UUID
    state_id: UUID | None = None
    deployment_id: UUID | None = None
    # the version of the deployment when the run was made
    deployment_version: str | None = None
    work_queue_name: str | None = None
    flow_version: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    # a second run with the same key is not made
    idempotency_key: str | None = None
    # free for the maker of the run to use
    context: dict[str, Any] = Field(default_factory=dict, examples=[{"my_var": "my_value"}])
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[str] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])
    labels: KeyValueLabelsField
    # for a sub-flow: the task run that stands for it in its parent
    parent_task_run_id: UUID | None = None
    # how many attempts have begun
    run_count: int = 0
    expected_start_time: DateTime | None = None
    next_scheduled_start_time: DateTime | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    # seconds spent running, over all attempts; the estimate counts a run that goes on up to now
    total_run_time: timedelta = timedelta(0)
    estimated_run_time: timedelta = timedelta(0)
    # seconds it started, or is by now, later than expected
    estimated_start_time_delta: timedelta = timedelta(0)
    # made by a schedule
    auto_scheduled: bool = False
    infrastructure_document_id: UUID | None = None
    # how its infrastructure knows it
    infrastructure_pid: str | None = None
    created_by: CreatedBy | None = None
    work_queue_id: UUID | None = None
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None
    state: State | None = None
    job_variables: dict[str, Any] | None = None
    # as in `state`, for those who need no more
    state_type: StateType | None = None
    state_name: str | None = None

    def __eq__(self, other: Any) -> bool:
        """Equal up to the two estimates, which grow while a run goes on."""
        if type(self) is not type(other):
            return NotImplemented
        moving = {"estimated_run_time": timedelta(0), "estimated_start_time_delta": timedelta(0)}
        return super(_FlowRun, self.model_copy(update=moving)).__eq__(other.model_copy(update=moving))


class FlowRun(_FlowRun):
    """A run of a flow."""

    @field_validator("name", mode="before")
    @classmethod
    def set_default_name(cls, name: str | None) -> str:
        """Give a run without a name one."""
        return name or generate_slug(2)


class FlowRunResponse(_FlowRun):
    """A flow run, as it is read."""

    work_pool_id: UUID | None = Field()


class FlowRunInput(ObjectBaseModel):
    """Something that a flow run received, or was asked for while it paused."""

    flow_run_id: UUID
    key: FlowRunInputKey
    # as JSON
    value: str
    # the run that sent it: "prefect.flow-run.<id>"
    sender: str | None = None

    @property
    def decoded_value(self) -> Any:
        """The value itself.

        Raises:
            ValueError: what was stored is not JSON.
        """
        return orjson.loads(self.value)
