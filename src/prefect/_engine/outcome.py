"""What a run came to: from returned values to states, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._engine.frames import RunFrame, TaskFrame
from prefect._engine.inputs import is_state
from prefect._lazy import lazy_module
from prefect._rules.outcomes import combine
from prefect._rules.states import COMPLETED, FAILED, GONE, RunState, Value
from prefect.exceptions import UnfinishedRun

if TYPE_CHECKING:
    from prefect import futures
    from prefect._engine import reading
    from prefect._schemas import states as models
else:
    futures = lazy_module("prefect.futures")
    reading = lazy_module("prefect._engine.reading")
    models = lazy_module("prefect._schemas.states")


def public_state(frame: RunFrame) -> Any:
    """The public model of the state a run is in."""
    is_task = isinstance(frame, TaskFrame)
    return models.to_public(
        frame.state,  # type: ignore[arg-type]
        flow_run_id=frame.flow_run_id if is_task else frame.id,
        task_run_id=frame.id if is_task else None,
    )


def value_or_raise(frame: RunFrame) -> Any:
    """What the call of a function gives whose run has finished: its value, or what it raised.

    A function that returned states, some of them failed, raised nothing: who called it gets them to look at.
    """
    state = frame.state
    if (
        state.type != COMPLETED  # type: ignore[union-attr]
        and frame.exception is None
        and type(state.data) is Value  # type: ignore[union-attr]
        and is_state_collection(state.data.value)  # type: ignore[union-attr]
    ):
        return state.data.value  # type: ignore[union-attr]
    return result_or_raise(frame)


def result_or_raise(frame: RunFrame) -> Any:
    """The result of a finished run; raises what it, or a run whose state it returned, raised."""
    state = frame.state
    if state.type == COMPLETED:  # type: ignore[union-attr]
        if type(state.data) is Value and state.data.value is not GONE:  # type: ignore[union-attr]
            return state.data.value  # type: ignore[union-attr]
    elif frame.exception is not None:
        raise frame.exception
    elif not state.is_final:  # type: ignore[union-attr]
        raise UnfinishedRun(unfinished(state.type, state.message))  # type: ignore[union-attr]
    return reading.read(public_state(frame))


def unfinished(type_: str, message: str | None) -> str:
    """What to say of a run whose result is wanted before there is one."""
    why = f" {message}" if message else ""
    return f"Run is in {type_} state, its result is not available.{why}"


def is_state_collection(value: Any) -> bool:
    """Whether a value is a list, tuple or set of states and nothing else."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        return False
    return bool(value) and all(is_state(item) for item in value)


def state_of(value: Any, *, futures_too: bool) -> RunState | None:
    """The final state that a returned value stands for, or None for an ordinary value.

    A state that the function made stands for itself; states of other runs (or, from a flow, futures) for what they
    add up to.
    """
    if is_state(value):
        details = value.state_details
        if details.flow_run_id or details.task_run_id:  # the state of another run
            return _combined([value], value)
        return _own_state(value)
    if futures_too:
        value = futures.resolve_futures_to_states(value)
        if is_state(value):
            return _combined([value], value)
    if is_state_collection(value):
        return _combined(list(value), value)
    return None


def _own_state(state: Any) -> RunState:
    """A returned state, with its data made a result."""
    light = models.from_public(state)
    if not light.is_final:
        message = f"The function returned the state {light.name}, which is not a final one: a run can end only in a final state."
        return RunState(FAILED, message=message)
    if light.data is None and light.type == COMPLETED:
        light.data = Value(None)  # the function returned, and there is nothing in what it returned
        light.public = None
    elif light.data is not None and not isinstance(light.data, Value) and not hasattr(light.data, "metadata"):
        light.data = Value(light.data)
        light.public = None
    return light


def _combined(members: list[Any], value: Any) -> RunState:
    kind, message = combine([state.type.value for state in members])
    return RunState(kind, None, message, Value(value))
