"""States of runs: how to make them, and how to read what they carry.

```python
from prefect.states import Completed, Failed

@flow
def check(rows: int):
    return Failed(message="no rows") if rows == 0 else Completed(message=f"{rows} rows", data=rows)
```
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeIs

from prefect._bridge import async_dispatch
from prefect._clock import now
from prefect._engine import reading
from prefect._engine.outcome import combine, is_state_collection
from prefect._engine.wording import crash_message, describe
from prefect._ids import new_id
from prefect._lazy import lazy_module
from prefect._parsing import undisturbed
from prefect._rules.states import Value
from prefect._schemas.states import TERMINAL_STATES, State, StateDetails, StateType

if TYPE_CHECKING:
    from datetime import datetime

    from prefect._schemas.actions import runs as actions
    from prefect._schemas.actions.runs import StateCreate
    from prefect.results import ResultStore
else:
    actions = lazy_module("prefect._schemas.actions.runs")

__all__ = [
    "TERMINAL_STATES",
    "AwaitingConcurrencySlot",
    "AwaitingRetry",
    "Cancelled",
    "Cancelling",
    "Completed",
    "Crashed",
    "Failed",
    "InfrastructurePending",
    "Late",
    "Paused",
    "Pending",
    "Retrying",
    "Running",
    "Scheduled",
    "State",
    "StateGroup",
    "StateType",
    "Submitting",
    "Suspended",
    "aget_state_exception",
    "araise_state_exception",
    "exception_to_crashed_state",
    "exception_to_failed_state",
    "format_exception",
    "get_state_exception",
    "get_state_result",
    "is_state",
    "is_state_iterable",
    "raise_state_exception",
    "return_value_to_state",
    "to_state_create",
]

# -- reading results ---------------------------------------------------------------------------------------------------


async def get_state_result(state: State[Any], raise_on_failure: bool = True, retry_result_failure: bool = True) -> Any:
    """The result of the run in `state`, for asynchronous code: see `State.result`."""
    return await reading.aread(state, raise_on_failure=raise_on_failure, retry=retry_result_failure)


async def aget_state_exception(state: State[Any]) -> BaseException:
    """`get_state_exception` for asynchronous code."""
    return await reading.aexception(state)


@async_dispatch(aget_state_exception)
def get_state_exception(state: State[Any]) -> BaseException:
    """The exception of a run that failed, crashed or was cancelled.

    In asynchronous code the call gives a coroutine.

    Raises:
        ValueError: the run ended otherwise.
    """
    return reading.exception(state)


async def araise_state_exception(state: State[Any]) -> None:
    """`raise_state_exception` for asynchronous code."""
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        raise await reading.aexception(state)


@async_dispatch(araise_state_exception)
def raise_state_exception(state: State[Any]) -> None:
    """Raise the exception of a run that failed, crashed or was cancelled; do nothing for any other state.

    In asynchronous code the call gives a coroutine.
    """
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        raise reading.exception(state)


# -- from what happened to a state -------------------------------------------------------------------------------------


def is_state(obj: Any) -> TypeIs[State[Any]]:
    """Whether an object is a state."""
    return isinstance(obj, State)


def is_state_iterable(obj: Any) -> bool:
    """Whether an object is a non-empty list, set or tuple that holds states only."""
    return is_state_collection(obj)


def format_exception(exc: BaseException, tb: TracebackType | None = None) -> str:
    """The text of an exception with its traceback."""
    return "".join(undisturbed(lambda: traceback.format_exception(type(exc), exc, tb or exc.__traceback__)))


async def exception_to_crashed_state(exc: BaseException, result_store: ResultStore | None = None) -> State[Any]:
    """A `Crashed` state that says what ended the run from outside, with the exception as its data."""
    data = result_store.create_result_record(exc) if result_store is not None else exc
    return Crashed(message=crash_message(exc), data=data)


async def exception_to_failed_state(
    exc: BaseException | None = None, result_store: ResultStore | None = None, write_result: bool = False, **kwargs: Any
) -> State[Any]:
    """A `Failed` state from an exception, by default the one being handled.

    Args:
        exc: the exception.
        result_store: where it is kept, if it is.
        write_result: write it to the store now.
        kwargs: other fields of the state; a `message` goes before the exception's own words.
    """
    if exc is None:
        exc = sys.exc_info()[1]
        if exc is None:
            raise ValueError("No exception was given and none is being handled here.")
    data: Any = exc
    if result_store is not None:
        key = result_store.storage_key_fn() if result_store.storage_key_fn else new_id()
        data = result_store.create_result_record(exc, key=key)
        if write_result:
            await result_store.apersist_result_record(data)
    prefix = kwargs.pop("message", None) or ""
    return Failed(message=f"{prefix}{' ' if prefix else ''}{describe(exc)}", data=data, **kwargs)


async def return_value_to_state(
    retval: Any,
    result_store: ResultStore,
    key: str | None = None,
    expiration: datetime | None = None,
    write_result: bool = False,
) -> State[Any]:
    """The final state of a run that returned `retval`.

    A state stands for itself; a list, set or tuple of states for what they add up to; anything else is the result of a
    completed run.
    """
    if isinstance(retval, State):
        state = retval
        if isinstance(state.data, (BaseException,)) or type(state.data).__name__.startswith("ResultRecord"):
            return state
        state.data = result_store.create_result_record(state.data, key=key, expiration=expiration)
    elif is_state_iterable(retval):
        kind, message = combine([member.type.value for member in retval])
        state = State(type=StateType(kind), message=message)
        state.data = result_store.create_result_record(retval, key=key, expiration=expiration)
    else:
        state = Completed(data=result_store.create_result_record(retval, key=key, expiration=expiration))
    if write_result:
        await result_store.apersist_result_record(state.data)
    return state


def to_state_create(state: State[Any]) -> StateCreate:
    """The request that proposes a state to an API; a result that was not stored is left out."""
    data = state.data
    record = data.record if isinstance(data, Value) else data
    metadata = getattr(record, "metadata", record if type(record).__name__ == "ResultRecordMetadata" else None)
    return actions.StateCreate(
        type=state.type,
        name=state.name,
        message=state.message,
        data=metadata,
        state_details=state.state_details,
    )


class StateGroup:
    """Questions to a number of states.

    Args:
        states: the states.
    """

    def __init__(self, states: list[State[Any]]) -> None:
        self.states = states
        self.type_counts: dict[StateType, int] = dict(Counter(state.type for state in states))
        self.total_count = len(states)
        self.cancelled_count = self.type_counts.get(StateType.CANCELLED, 0)
        self.final_count = sum(state.is_final() for state in states)
        self.not_final_count = self.total_count - self.final_count
        self.paused_count = self.type_counts.get(StateType.PAUSED, 0)

    @property
    def fail_count(self) -> int:
        """How many failed or crashed."""
        return self.type_counts.get(StateType.FAILED, 0) + self.type_counts.get(StateType.CRASHED, 0)

    def all_completed(self) -> bool:
        return self.type_counts.get(StateType.COMPLETED, 0) == self.total_count

    def any_cancelled(self) -> bool:
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        return self.fail_count > 0

    def any_paused(self) -> bool:
        return self.paused_count > 0

    def all_final(self) -> bool:
        return self.final_count == self.total_count

    def counts_message(self) -> str:
        """For example `total=3, 1 not final, 'COMPLETED'=2`."""
        parts = [f"total={self.total_count}"]
        if self.not_final_count:
            parts.append(f"{self.not_final_count} not final")
        parts += [f"{type_.value!r}={count}" for type_, count in self.type_counts.items() if count]
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"StateGroup<{self.counts_message()}>"


# -- constructors ------------------------------------------------------------------------------------------------------


def Scheduled(cls: type[State[Any]] = State, scheduled_time: datetime | None = None, **kwargs: Any) -> State[Any]:
    """A run that is to start at `scheduled_time` (aware; default now)."""
    details = StateDetails.model_validate(kwargs.pop("state_details", {}))
    if scheduled_time is None:
        scheduled_time = now()
    elif details.scheduled_time:
        raise ValueError("Give scheduled_time once: it is also set in state_details.")
    details.scheduled_time = scheduled_time
    return cls(type=StateType.SCHEDULED, state_details=details, **kwargs)


def Completed(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run that did what it was to do."""
    return cls(type=StateType.COMPLETED, **kwargs)


def Running(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run whose code is running."""
    return cls(type=StateType.RUNNING, **kwargs)


def Failed(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run whose code went wrong."""
    return cls(type=StateType.FAILED, **kwargs)


def Crashed(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run that was ended from outside its code."""
    return cls(type=StateType.CRASHED, **kwargs)


def Cancelling(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run that is to be cancelled and has not ended yet."""
    return cls(type=StateType.CANCELLING, **kwargs)


def Cancelled(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run that was cancelled."""
    return cls(type=StateType.CANCELLED, **kwargs)


def Pending(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run that has been taken up and will start."""
    return cls(type=StateType.PENDING, **kwargs)


def InfrastructurePending(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A pending run whose infrastructure is being made."""
    return cls(type=StateType.PENDING, name="InfrastructurePending", **kwargs)


def Submitting(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A pending run that is being submitted to its infrastructure."""
    return cls(type=StateType.PENDING, name="Submitting", **kwargs)


def Paused(
    cls: type[State[Any]] = State,
    timeout_seconds: int | None = None,
    pause_expiration_time: datetime | None = None,
    reschedule: bool = False,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State[Any]:
    """A run that waits to be resumed.

    Args:
        timeout_seconds: fail the run if it is not resumed within this time.
        pause_expiration_time: the same as a moment; give one of the two.
        reschedule: the run's process has ended and a new one is to go on (a suspended run).
        pause_key: names the pause, so that it happens once.
    """
    details = StateDetails.model_validate(kwargs.pop("state_details", {}))
    if details.pause_timeout:
        raise ValueError("Give the pause's timeout as an argument, not in state_details.")
    if pause_expiration_time is not None and timeout_seconds is not None:
        raise ValueError("Give pause_expiration_time or timeout_seconds, not both.")
    if pause_expiration_time is None and timeout_seconds is None:
        details.pause_timeout = None
    else:
        details.pause_timeout = pause_expiration_time or now() + timedelta(seconds=timeout_seconds or 0)
    details.pause_reschedule = reschedule
    details.pause_key = pause_key
    return cls(type=StateType.PAUSED, state_details=details, **kwargs)


def Suspended(
    cls: type[State[Any]] = State,
    timeout_seconds: int | None = None,
    pause_expiration_time: datetime | None = None,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State[Any]:
    """A paused run whose process has ended: resumed, it is scheduled again."""
    return Paused(
        cls=cls,
        name="Suspended",
        reschedule=True,
        timeout_seconds=timeout_seconds,
        pause_expiration_time=pause_expiration_time,
        pause_key=pause_key,
        **kwargs,
    )


def AwaitingRetry(cls: type[State[Any]] = State, scheduled_time: datetime | None = None, **kwargs: Any) -> State[Any]:
    """A run that failed and is to be tried again at `scheduled_time`."""
    return Scheduled(cls=cls, scheduled_time=scheduled_time, name="AwaitingRetry", **kwargs)


def AwaitingConcurrencySlot(
    cls: type[State[Any]] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State[Any]:
    """A run that waits for a concurrency slot."""
    return Scheduled(cls=cls, scheduled_time=scheduled_time, name="AwaitingConcurrencySlot", **kwargs)


def Retrying(cls: type[State[Any]] = State, **kwargs: Any) -> State[Any]:
    """A run that is running again after a failure."""
    return cls(type=StateType.RUNNING, name="Retrying", **kwargs)


def Late(cls: type[State[Any]] = State, scheduled_time: datetime | None = None, **kwargs: Any) -> State[Any]:
    """A run that should have started by now."""
    return Scheduled(cls=cls, scheduled_time=scheduled_time, name="Late", **kwargs)
