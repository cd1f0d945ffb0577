"""Task runs in other processes of this machine.

What crosses is one blob made by cloudpickle: the task, its arguments, and what is current. A child records its own run
in the database, has it on disk, and then gives back the run's final state.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect._bridge import run as run_now
from prefect._clock import now_us
from prefect._engine import failing, inputs, task_run, transfer
from prefect._engine.frames import FlowFrame, current_flow
from prefect._engine.port import ASYNC, SYNC
from prefect._engine.recorder import get_recorder
from prefect._engine.wording import describe
from prefect._lazy import lazy_module
from prefect._rules.states import CANCELLED, COMPLETED, CRASHED, FAILED, RunState, Value
from prefect._store.sqlite import DatabaseUnavailable

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures as concurrent_futures

    from prefect import states
    from prefect._engine import blobs
    from prefect._schemas import states as models
else:
    asyncio = lazy_module("asyncio")
    blobs = lazy_module("prefect._engine.blobs")
    concurrent_futures = lazy_module("concurrent.futures")
    models = lazy_module("prefect._schemas.states")
    states = lazy_module("prefect.states")


def setup(factories: Any, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> bytes:
    """What a new process is to do first, as a blob."""
    return blobs.dumps((tuple(factories), initializer, initargs))


_processors: list[Callable[..., Any]] = []


def start_process(blob: bytes) -> None:
    """Called in each new process."""
    factories, initializer, initargs = blobs.loads(blob)
    if initializer is not None:
        initializer(*initargs)
    _processors.extend(factory() for factory in factories)


def pack(task: Any, task_run_id: Any, parameters: dict[str, Any], wait_for: Any) -> bytes:
    """One call as a blob. Futures in it are replaced by the states of their runs, which are there by now.

    Raises:
        TypeError: something in it cannot be pickled; the message names the parameter.
    """
    resolved = {name: _without_futures(value) for name, value in parameters.items()}
    awaited = _without_futures(wait_for)
    # in one blob with the arguments, so that they are the same objects there
    made, upstream = inputs.sources([*resolved.values(), awaited], current_flow.get())
    along = task_run.taken_along(task, str(task_run_id), upstream)
    call = (task, str(task_run_id), resolved, awaited, transfer.pack(), made, along)
    try:
        return blobs.dumps(call)
    except Exception as exc:
        for name, value in resolved.items():
            try:
                blobs.dumps(value)
            except Exception as cause:
                raise TypeError(
                    f"Parameter {name!r} of task {task.name!r} (a {type(value).__name__}) cannot be sent to another "
                    f"process: {cause}. Pass something that pickles, or use ThreadPoolTaskRunner."
                ) from cause
        raise TypeError(f"Task {task.name!r} cannot be sent to another process: {exc}.") from exc


def _without_futures(expr: Any) -> Any:
    return inputs.futures.resolve_futures_to_states(expr)


def carry_out(blob: bytes) -> bytes:
    """Run one call in this process; returns the final state of the run, as a blob."""
    task, task_run_id, parameters, wait_for, context, made, along = blobs.loads(blob)
    with transfer.unpacked(context):
        flow_frame = current_flow.get()
        if flow_frame is not None:
            for value, kind, run_id in made:
                flow_frame.link(value, run_id, kind)
        if along is not None:
            along()
        frame = task_run.begin(task, parameters, id=task_run_id, wait_for=wait_for)
        try:
            if task.isasync:
                asyncio.run(task_run.run(ASYNC, frame))
            else:
                run_now(task_run.run(SYNC, frame))
        except BaseException as exc:
            if not frame.state.is_final:  # type: ignore[union-attr]
                failing.crash(frame, exc)
        finally:
            frame.recorder.flush()
        return _portable(frame)


def _portable(frame: Any) -> bytes:
    """The final state as a blob; an exception that does not pickle is told in words."""
    state: RunState = frame.state
    state.details = {**state.details, "task_run_id": frame.id, "flow_run_id": frame.flow_run_id}
    value = state.data.value if isinstance(state.data, Value) else None
    try:
        blob = blobs.dumps(state)
        if isinstance(value, BaseException):
            blobs.loads(blob)  # some are pickled and cannot be made again
        return blob
    except Exception as exc:
        if isinstance(value, BaseException):
            text = "".join(traceback.format_exception(value))
            substitute: BaseException = RuntimeError(f"{type(value).__name__}: {value}\n{text}")
            return blobs.dumps(RunState(state.type, state.name, state.message, Value(substitute), state.details))
        message = (
            f"The result of task {frame.task.name!r} (a {type(value).__name__}) cannot be sent back from its "
            f"process: {exc}"
        )
        crashed = RunState(CRASHED, None, message, Value(TypeError(message)))
        frame.recorder.task_state(frame, crashed)  # what is recorded is what the caller sees
        frame.recorder.flush()
        crashed.details = {**crashed.details, **state.details}
        return blobs.dumps(crashed)


def pass_on(
    submitted: Any, waiting: Any, lost: Callable[[BaseException], RunState], flow_frame: FlowFrame | None
) -> None:
    """Let `waiting` end as `submitted` does, or as `lost` says of the error that kept it from ending.

    Args:
        submitted: the future of `carry_out`.
        waiting: the future of the run's final state.
        lost: makes a state of an error.
        flow_frame: the flow run that is to know which run made the value.
    """

    def done(future: Any) -> None:
        try:
            state: RunState = blobs.loads(future.result())
        except BaseException as exc:
            state = lost(exc)
        else:
            if flow_frame is not None and state.type == COMPLETED and isinstance(state.data, Value):
                flow_frame.link(state.data.value, state.details["task_run_id"], "task_run")
        waiting.set_result(state)

    submitted.add_done_callback(done)


def not_carried_out(
    task: Any, task_run_id: Any, parameters: dict[str, Any], wait_for: Any, state: RunState
) -> RunState:
    """Record, in the process that submitted it, the end of a run that its own process could not record."""
    flow_frame = current_flow.get()
    recorder = flow_frame.recorder if flow_frame is not None else get_recorder()
    try:
        begun = state.type == CRASHED and recorder.crash_task_run(str(task_run_id), state.message or "")
    except DatabaseUnavailable:
        begun = False  # recorded with the others when the outage is over
    if not begun:
        frame = task_run.begin(task, parameters, id=str(task_run_id))
        state.timestamp = now_us()
        recorder.task_state(frame, state)
    details = {"task_run_id": str(task_run_id), "flow_run_id": flow_frame.id if flow_frame is not None else None}
    return RunState(state.type, state.name, state.message, state.data, details, state.timestamp, state.id)


def lost(exc: BaseException) -> RunState:
    """The state of a run whose process could not carry it out to its end."""
    if isinstance(exc, concurrent_futures.CancelledError):
        return RunState(CANCELLED, message="The flow run ended before this task run began.")
    return RunState(CRASHED, None, f"The process that ran this task run ended unexpectedly: {exc}", Value(exc))


def not_sent(exc: BaseException) -> RunState:
    """The state of a run that could not be handed to another process."""
    return RunState(FAILED, None, f"Task run encountered an exception {describe(exc)}", Value(exc))
