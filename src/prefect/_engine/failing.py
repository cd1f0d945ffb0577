"""Task runs that fail: tried again while the task allows it, then recorded as failed; and those ended from outside."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from prefect._clock import now_us
from prefect._engine import hooks
from prefect._engine.frames import TaskFrame
from prefect._engine.port import Port
from prefect._engine.wording import crash_message
from prefect._lazy import lazy_module
from prefect._rules import retries
from prefect._rules.states import CRASHED, FAILED, RunState, Value, awaiting_retry, running
from prefect.exceptions import Pause

if TYPE_CHECKING:
    from prefect._engine import public
    from prefect.logging import loggers
else:
    loggers = lazy_module("prefect.logging.loggers")
    public = lazy_module("prefect._engine.public")


def run_logger(frame: TaskFrame) -> logging.LoggerAdapter[Any]:
    """The run's logger, made once."""
    if frame.logger is None:
        frame.logger = loggers.task_run_logger(frame, task=frame.task, flow_run=frame.flow_frame)
    return frame.logger


async def failed(io: Port, frame: TaskFrame, exc: Exception, name: str | None, message: str) -> None:
    """The function raised `exc`: try again if the task allows it, else fail."""
    state = RunState(FAILED, name, message, Value(exc))
    if await _retried(io, frame, state, f"Task run failed with exception: {exc!r}"):
        return
    exhausted = " - Retries are exhausted" if frame.retries else ""
    run_logger(frame).error("Task run failed with exception: %r%s", exc, exhausted, exc_info=exc)
    if name == "TimedOut":
        run_logger(frame).error(message)
    frame.recorder.task_state(frame, state)


async def settle(io: Port, frame: TaskFrame, state: RunState, message: str) -> None:
    """The function returned a failed state: try again if the task allows it, else enter it."""
    if not await _retried(io, frame, state, f"Task run failed: {message}"):
        frame.recorder.task_state(frame, state)


async def _retried(io: Port, frame: TaskFrame, state: RunState, what: str) -> bool:
    """Enter a state that leads to another attempt, if there is to be one."""
    if frame.attempt >= frame.retries or not await _condition_holds(io, frame, state):
        return False
    delay = retries.retry_delay(frame.task.retry_delay_seconds, frame.attempt, frame.task.retry_jitter_factor)
    frame.attempt += 1
    when = f"{delay:.3g} second(s) from now" if delay else "immediately"
    run_logger(frame).info("%s - Retry %s/%s will start %s", what, frame.attempt, frame.retries, when)
    again = awaiting_retry(now_us() + int(delay * 1e6)) if delay else running("Retrying")
    frame.recorder.task_state(frame, again)
    return True


async def _condition_holds(io: Port, frame: TaskFrame, state: RunState) -> bool:
    """Whether the task's retry condition, if it has one, is for another attempt."""
    condition = frame.task.retry_condition_fn
    if condition is None:
        return True
    try:
        return bool(await io.invoke(condition, frame.task, public.task_run(frame), public.state_of_task(frame, state)))
    except Exception:
        run_logger(frame).error(
            "The retry condition %r of task %r raised; the run is not retried.", hooks.hook_name(condition),
            frame.task.name, exc_info=True,
        )  # fmt: skip
        return False


def crash(frame: TaskFrame, exc: BaseException) -> None:
    """Record that the run was ended from outside."""
    message = crash_message(exc)
    logger = run_logger(frame)
    if isinstance(exc, Pause):
        frame.recorder.task_state(frame, RunState("PAUSED", "Suspended", "The flow run was suspended."))
        return
    logger.error("Crash detected! %s", message)
    logger.debug("Crash details:", exc_info=exc)
    frame.recorder.task_state(frame, RunState(CRASHED, "Crashed", message, Value(exc)))
