"""What an API answers when a state is proposed, and what it remembers of states."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import SetStateStatus
from prefect._schemas.moments import DateTime
from prefect._schemas.states import State, StateType

T = TypeVar("T")


class StateAcceptDetails(PrefectBaseModel):
    """The run is in the proposed state."""

    type: Literal["accept_details"] = "accept_details"


class StateRejectDetails(PrefectBaseModel):
    """The run is in another state, which is returned."""

    type: Literal["reject_details"] = "reject_details"
    reason: str | None = None


class StateAbortDetails(PrefectBaseModel):
    """The run must stop at once, and report nothing more."""

    type: Literal["abort_details"] = "abort_details"
    reason: str | None = None


class StateWaitDetails(PrefectBaseModel):
    """The state is to be proposed again later."""

    type: Literal["wait_details"] = "wait_details"
    delay_seconds: int
    reason: str | None = None


class OrchestrationResult(PrefectBaseModel, Generic[T]):
    """The answer to a proposed state."""

    # the state that the run is in now; None when nothing was written
    state: State[T] | None
    status: SetStateStatus
    details: StateAcceptDetails | StateWaitDetails | StateRejectDetails | StateAbortDetails


class HistoryResponseState(PrefectBaseModel):
    """The runs in one state during an interval."""

    state_type: StateType
    state_name: str
    count_runs: int
    sum_estimated_run_time: timedelta
    sum_estimated_lateness: timedelta


class HistoryResponse(PrefectBaseModel):
    """The runs of an interval by state."""

    interval_start: DateTime
    interval_end: DateTime
    states: list[HistoryResponseState]


def data_discriminator(x: Any) -> str:
    """What the data of a state is: a reference to a stored result (`ResultRecordMetadata`), or a value (`Any`)."""
    if isinstance(x, dict):
        return "ResultRecordMetadata" if "storage_key" in x else "Any"
    return "ResultRecordMetadata" if type(x).__name__ == "ResultRecordMetadata" else "Any"
