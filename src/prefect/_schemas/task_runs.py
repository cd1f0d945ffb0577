# a literal in a derived model narrows the field of its base, which is never assigned to
# pyright: reportIncompatibleVariableOverride=false
"""Runs of tasks, and what went into them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, field_validator, model_validator

from prefect._defaults import new_list
from prefect._names import generate_slug
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel, TimeSeriesBaseModel
from prefect._schemas.fields import KeyValueLabelsField
from prefect._schemas.moments import DateTime
from prefect._schemas.states import State, StateType

MAX_RETRY_DELAYS = 50


class RunInput(PrefectBaseModel):
    """Where an argument of a task run came from."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    input_type: str


class TaskRunResult(RunInput):
    """From the result of another task run."""

    input_type: Literal["task_run"] = "task_run"
    id: UUID


class FlowRunResult(RunInput):
    """From the result of a flow run."""

    input_type: Literal["flow_run"] = "flow_run"
    id: UUID


class Parameter(RunInput):
    """From a parameter of the flow."""

    input_type: Literal["parameter"] = "parameter"
    name: str


class Constant(RunInput):
    """From a constant, of which only the type is kept."""

    input_type: Literal["constant"] = "constant"
    type: str


class TaskRunPolicy(PrefectBaseModel):
    """How often, and after which time, a task run is tried again."""

    # the two older names of `retries` and `retry_delay`
    max_retries: int = 0
    retry_delay_seconds: float = 0
    # how many times a failed run is tried again
    retries: int | None = None
    # seconds between two attempts; a list has one for each
    retry_delay: int | float | list[int] | list[float] | None = None
    # lengthen a delay by up to this part of it, at random
    retry_jitter_factor: float | None = None

    @model_validator(mode="after")
    def populate_deprecated_fields(self) -> Self:
        """Let the older names stand for the newer ones where those are not given."""
        if self.retries is None and self.max_retries:
            self.retries = self.max_retries
        if self.retry_delay is None and self.retry_delay_seconds:
            delay = self.retry_delay_seconds
            self.retry_delay = int(delay) if delay == int(delay) else delay
        return self

    @field_validator("retry_delay")
    @classmethod
    def validate_configured_retry_delays(cls, v: Any) -> Any:
        """Check that there are not more than 50 delays."""
        if isinstance(v, list) and len(v) > MAX_RETRY_DELAYS:
            raise ValueError(f"at most {MAX_RETRY_DELAYS} retry delays can be given, not {len(v)}")
        return v

    @field_validator("retry_jitter_factor")
    @classmethod
    def validate_jitter_factor(cls, v: float | None) -> float | None:
        """Check that the factor is not negative."""
        if v is not None and v < 0:
            raise ValueError(f"`retry_jitter_factor` must be >= 0, not {v}")
        return v


class TaskRun(TimeSeriesBaseModel, ObjectBaseModel):
    """A run of a task."""

    name: str = Field(default_factory=lambda: generate_slug(2), examples=["amber-otter"])
    flow_run_id: UUID | None = None
    # which task
    task_key: str
    # which of its runs in the flow run
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: DateTime | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[str] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])
    labels: KeyValueLabelsField
    state_id: UUID | None = None
    # where the arguments came from, by parameter
    task_inputs: dict[str, list[TaskRunResult | FlowRunResult | Parameter | Constant]] = Field(default_factory=dict)
    # as in `state`, for those who need no more
    state_type: StateType | None = None
    state_name: str | None = None
    # how many attempts have begun; and in which attempt of the flow run
    run_count: int = 0
    flow_run_run_count: int = 0
    expected_start_time: DateTime | None = None
    next_scheduled_start_time: DateTime | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    # seconds spent running, over all attempts; the estimate counts a run that goes on up to now
    total_run_time: timedelta = timedelta(0)
    estimated_run_time: timedelta = timedelta(0)
    # seconds it started, or is by now, later than expected
    estimated_start_time_delta: timedelta = timedelta(0)
    state: State | None = None

    @field_validator("name", mode="before")
    @classmethod
    def set_default_name(cls, name: str | None) -> str:
        """Give a run without a name one."""
        return name or generate_slug(2)
