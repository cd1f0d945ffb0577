"""The public state of a run."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Generic, Self, TypeVar
from uuid import UUID

from pydantic import Field, PlainSerializer, model_validator

from prefect._clock import from_us, now, to_us
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._rules.states import RunState
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel, TimeSeriesBaseModel
from prefect._schemas.moments import DateTime

if TYPE_CHECKING:
    from prefect._engine import reading as _reading
else:
    # Reading a result needs storage, which lives above this layer; reached only when someone asks for a result.
    _reading = lazy_module("prefect._engine.reading")

R = TypeVar("R")


class StateType(str, enum.Enum):  # noqa: UP042 (its text is `Class.MEMBER`, that of a StrEnum its value)
    """What a state means to orchestration."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.value}"


TERMINAL_STATES = frozenset({StateType.COMPLETED, StateType.CANCELLED, StateType.FAILED, StateType.CRASHED})


class StateDetails(PrefectBaseModel):
    """What belongs to a state beside its type, name and message."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    # for task runs that represent sub-flows: the sub-flow's run
    child_flow_run_id: UUID | None = None
    scheduled_time: DateTime | None = None
    cache_key: str | None = None
    cache_expiration: DateTime | None = None
    deferred: bool | None = None
    untrackable_result: bool = False
    pause_timeout: DateTime | None = None
    pause_reschedule: bool = False
    pause_key: str | None = None
    run_input_keyset: dict[str, str] | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    transition_id: UUID | None = None
    task_parameters_id: UUID | None = None
    # W3C Trace Context
    traceparent: str | None = None
    deployment_concurrency_lease_id: UUID | None = None

    def to_run_result(self, run_type: Any) -> Any:
        """The run input that refers to the run these details belong to, or None."""
        from prefect._schemas.task_runs import FlowRunResult, TaskRunResult  # a sibling that imports this module

        kind = getattr(run_type, "value", run_type)
        if kind == "flow_run" and self.flow_run_id:
            return FlowRunResult(id=self.flow_run_id)
        if kind == "task_run" and self.task_run_id:
            return TaskRunResult(id=self.task_run_id)
        return None


_TIME_DETAILS = frozenset({"scheduled_time", "cache_expiration", "pause_timeout"})


def _data_for_json(data: Any, info: Any) -> Any:
    """Values in memory stay in memory: only a reference to a stored result goes over the wire."""
    if data is None or info.mode == "python":
        return data
    metadata = getattr(data, "metadata", None)
    if metadata is not None:
        return metadata if getattr(data, "is_persisted", True) else None
    if hasattr(data, "model_dump"):
        return data
    return data if isinstance(data, (dict, list, str, int, float, bool)) else None


class State(TimeSeriesBaseModel, ObjectBaseModel, Generic[R]):
    """The state of a run.

    `type` says what it means to orchestration, `name` what people call it; `message` explains it. The result of a
    finished run is read with `result()`.
    """

    type: StateType
    name: str | None = None
    timestamp: DateTime = Field(default_factory=now)
    message: str | None = Field(default=None, examples=["Run started"])
    state_details: StateDetails = Field(default_factory=StateDetails)
    data: Annotated[Any, PlainSerializer(_data_for_json)] = None

    @model_validator(mode="after")
    def default_name_from_type(self) -> Self:
        """Call the state after its type when it has no name of its own."""
        if self.name is None:
            object.__setattr__(self, "name", " ".join(part.capitalize() for part in self.type.value.split("_")))
        return self

    @model_validator(mode="after")
    def default_scheduled_start_time(self) -> Self:
        """A scheduled state that names no time is due now."""
        if self.type == StateType.SCHEDULED and self.state_details.scheduled_time is None:
            self.state_details.scheduled_time = now()
        return self

    @model_validator(mode="after")
    def set_unpersisted_results_to_none(self) -> Self:
        """The API marks a result that was not stored as `{"type": "unpersisted"}`: there is nothing to read."""
        if isinstance(self.data, dict) and self.data.get("type") == "unpersisted":
            object.__setattr__(self, "data", None)
        return self

    # -- reading the result -----------------------------------------------------------------------------------

    def result(
        self, raise_on_failure: bool = True, retry_result_failure: bool = True, _sync: bool | None = None
    ) -> Any:
        """The result of the run that is in this state.

        Args:
            raise_on_failure: raise the exception of a failed run; with False, return it.
            retry_result_failure: try again when the stored result cannot be read at once.

        Returns:
            The value, loaded from storage where it was stored; in a running event loop for a stored result not yet
            loaded, a coroutine.

        Raises:
            MissingResult: the run has no result that could be read, for example because it was not stored.
            UnfinishedRun: the run has not finished.
        """
        return _reading.read_here(self, raise_on_failure=raise_on_failure, retry=retry_result_failure, sync=_sync)

    async def aresult(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> Any:
        """`result` for asynchronous code."""
        return await _reading.aread(self, raise_on_failure=raise_on_failure, retry=retry_result_failure)

    # -- questions --------------------------------------------------------------------------------------------

    def is_scheduled(self) -> bool:
        return self.type == StateType.SCHEDULED

    def is_pending(self) -> bool:
        return self.type == StateType.PENDING

    def is_running(self) -> bool:
        return self.type == StateType.RUNNING

    def is_completed(self) -> bool:
        return self.type == StateType.COMPLETED

    def is_failed(self) -> bool:
        return self.type == StateType.FAILED

    def is_crashed(self) -> bool:
        return self.type == StateType.CRASHED

    def is_cancelled(self) -> bool:
        return self.type == StateType.CANCELLED

    def is_cancelling(self) -> bool:
        return self.type == StateType.CANCELLING

    def is_paused(self) -> bool:
        return self.type == StateType.PAUSED

    def is_final(self) -> bool:
        """Whether the run is over: completed, failed, crashed or cancelled."""
        return self.type in TERMINAL_STATES

    def fresh_copy(self, **kwargs: Any) -> Self:
        """A copy with a new id and timestamp, to be proposed again."""
        return self.model_copy(
            update={"id": new_uuid(), "created": now(), "updated": now(), "timestamp": now()} | kwargs
        )

    def model_copy(self, *, update: Any = None, deep: bool = False) -> Self:
        """A copy with the fields of `update` replaced; a new state gets a new timestamp."""
        return super().model_copy(update={"timestamp": self.timestamp} | dict(update or {}), deep=deep)

    # -- how it reads -----------------------------------------------------------------------------------------

    def __str__(self) -> str:
        """`Name('message', type=...)`, the type only where the name does not tell it."""
        parts = [repr(self.message)] if self.message else []
        if (self.name or "").upper() != self.type.value:
            parts.append(f"type={self.type.value}")
        return f"{self.name}({', '.join(parts)})"

    def __repr__(self) -> str:
        """All there is to say: `Name(message='...', type=..., result=...)`."""
        return f"{self.name}(message={self.message!r}, type={self.type.value}, result={self.data!r})"

    def __hash__(self) -> int:
        return hash((self.id, self.type, self.timestamp))


def to_public(state: RunState, *, flow_run_id: str | None = None, task_run_id: str | None = None) -> State[Any]:
    """The public model of an engine state (the same object each time it is asked for)."""
    if state.public is not None:
        return state.public
    details: dict[str, Any] = dict(state.details)
    for key in _TIME_DETAILS & details.keys():
        value = details[key]
        details[key] = from_us(value) if isinstance(value, int) else value
    if flow_run_id is not None:
        details["flow_run_id"] = flow_run_id
    if task_run_id is not None:
        details["task_run_id"] = task_run_id
    state.public = State(
        id=UUID(state.id),
        type=StateType(state.type),
        name=state.name,
        message=state.message,
        timestamp=from_us(state.timestamp),
        state_details=StateDetails(**details),
        data=state.data,
    )
    return state.public


AnyState = State[Any]
"""A state whose result may be anything."""
AnyState.__doc__ = State.__doc__


def from_public(state: State[Any]) -> RunState:
    """The engine's form of a public state."""
    details = {
        key: _plain_detail(value) for key, value in state.state_details if value is not None and value is not False
    }
    light = RunState(
        state.type.value, state.name, state.message, state.data, details, to_us(state.timestamp), str(state.id)
    )
    light.public = state
    return light


def _plain_detail(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_us(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value
