"""Pausing, suspending and resuming flow runs, wherever they are recorded."""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._clock import now_us
from prefect._engine import stopping
from prefect._engine.frames import FlowFrame, current_flow, current_task
from prefect._engine.port import Port
from prefect._engine.recorder import get_recorder
from prefect._lazy import lazy_module
from prefect._rules.states import PAUSED, RUNNING, RunState
from prefect.exceptions import Abort, FlowPauseTimeout, NotPausedError, ObjectNotFound, Pause

if TYPE_CHECKING:
    from prefect._engine import public
    from prefect.client import orchestration
    from prefect.input import run_input
else:
    orchestration = lazy_module("prefect.client.orchestration")
    public = lazy_module("prefect._engine.public")
    run_input = lazy_module("prefect.input.run_input")

_log = logging.getLogger("prefect.flow_runs")

_LONGEST_LOOK = 20.0


class _Question:
    """What a pause waits for beside being resumed: a value of some type."""

    def __init__(self, kind: Any, flow_run_id: str, name: str, key: str) -> None:
        self._type = run_input.run_input_subclass_from_type(kind)
        self._flow_run_id = UUID(flow_run_id)
        self.keyset = run_input.keyset_from_base_key(f"{name.lower()}-{key}")

    async def ask(self, io: Port) -> None:
        """Say what is asked for."""
        await io.block(functools.partial(self._type.save, self.keyset, self._flow_run_id, _sync=True))

    async def answer(self, io: Port) -> Any:
        """What was answered."""
        value = await io.block(functools.partial(self._type.load, self.keyset, self._flow_run_id, _sync=True))
        return value.value if isinstance(value, run_input.AutomaticRunInput) else value


async def pause(io: Port, wait_for_input: Any, timeout: int, poll_interval: float, key: str | None) -> Any:
    """See `prefect.flow_runs.pause_flow_run`."""
    if current_task.get() is not None:
        raise RuntimeError("Cannot pause task runs: pause the flow run, from the flow's own code.")
    frame = current_flow.get()
    if frame is None:
        raise RuntimeError("Flow runs can only be paused from within a flow run.")
    key = _key(frame, key)
    question = _Question(wait_for_input, frame.id, "Paused", key) if wait_for_input is not None else None
    if key in frame.pauses:  # an earlier attempt has been through this pause
        return await question.answer(io) if question is not None else None
    details: dict[str, Any] = {"pause_timeout": now_us() + int(timeout * 1e6), "pause_key": key}
    await _enter(io, frame, RunState(PAUSED, "Paused", None, None, details), question)
    _log.info("Pausing flow run %r, execution will continue when this flow run is resumed.", frame.name)
    await _wait_until_resumed(io, frame, timeout, poll_interval)
    frame.pauses[key] = 1
    return await question.answer(io) if question is not None else None


def _key(frame: FlowFrame, key: str | None) -> str:
    """The name of a pause: the one given, or its number in the attempt."""
    counter = frame.pauses.get("counter", 0) + 1
    frame.pauses["counter"] = counter
    return key or str(counter)


async def _enter(io: Port, frame: FlowFrame, state: RunState, question: _Question | None) -> None:
    if question is not None:
        await question.ask(io)
        state.details["run_input_keyset"] = question.keyset
    verdict = await io.block(frame.recorder.flow_state, frame, state)
    if verdict.kind != "ACCEPT":
        verb = "suspended" if state.details.get("pause_reschedule") else "paused"
        raise RuntimeError(f"The flow run cannot be {verb}: {verdict.reason}")


async def _wait_until_resumed(io: Port, frame: FlowFrame, timeout: float, poll_interval: float) -> None:
    deadline = time.monotonic() + timeout
    seen = frame.state.id if frame.state is not None else None
    while True:
        rest = deadline - time.monotonic()
        known = await io.block(
            frame.recorder.next_flow_state, frame.id, seen, max(min(rest, _LONGEST_LOOK), 0.0), poll_interval
        )
        reason = stopping.reason_of(frame)
        if reason is not None:
            raise Abort(reason)
        if known is not None and known.type == RUNNING:
            frame.enter(known)
            return
        if known is not None and known.type != PAUSED:
            frame.enter(known)
            raise FlowPauseTimeout(f"Flow run {frame.name!r} left its pause for state {known.name}.")
        if time.monotonic() >= deadline:
            raise FlowPauseTimeout("Flow run was paused and never resumed.")


async def suspend(
    io: Port, wait_for_input: Any, flow_run_id: UUID | None, timeout: float | None, key: str | None
) -> Any:
    """See `prefect.flow_runs.suspend_flow_run`."""
    frame = current_flow.get()
    is_current = frame is not None and (flow_run_id is None or str(flow_run_id) == frame.id)
    if flow_run_id is None and (frame is None or current_task.get() is not None):
        raise RuntimeError("Flow runs can only be suspended from within a flow run.")
    details: dict[str, Any] = {"pause_reschedule": True}
    if timeout is not None:
        details["pause_timeout"] = now_us() + int(timeout * 1e6)
    if not is_current or frame is None:
        return await _suspend_other(io, str(flow_run_id), details, wait_for_input, key)
    if frame.deployment_id is None:
        raise RuntimeError(
            "Cannot suspend flows without a deployment: nothing would start the run again. Use pause_flow_run to wait "
            "inside this process."
        )
    key = details["pause_key"] = _key(frame, key)
    question = _Question(wait_for_input, frame.id, "Suspended", key) if wait_for_input is not None else None
    if key in frame.pauses:
        return await question.answer(io) if question is not None else None
    state = RunState(PAUSED, "Suspended", None, None, details)
    await _enter(io, frame, state, question)
    _log.info("Suspending flow run %r, execution will be rescheduled when this flow run is resumed.", frame.name)
    raise Pause(state=public.flow_run(frame).state)


async def _suspend_other(io: Port, id: str, details: dict[str, Any], wait_for_input: Any, key: str | None) -> None:
    """Suspend the run of another process, which finds that out when it next changes its state."""
    details["pause_key"] = key = key or str(now_us())
    if wait_for_input is not None:
        question = _Question(wait_for_input, id, "Suspended", key)
        await question.ask(io)
        details["run_input_keyset"] = question.keyset
    verdict = await io.block(get_recorder().propose_for, id, RunState(PAUSED, "Suspended", None, None, details))
    if verdict is None:
        raise _not_found(id)
    if verdict.kind != "ACCEPT":
        raise RuntimeError(f"Flow run {id} cannot be suspended: {verdict.reason}")


async def resume(io: Port, flow_run_id: UUID, given: dict[str, Any] | None) -> None:
    """See `prefect.flow_runs.resume_flow_run`."""
    recorder = get_recorder()
    known = await io.block(recorder.recorded_flow_state, str(flow_run_id))
    if known is None:
        raise _not_found(flow_run_id)
    if known.type != PAUSED:
        raise NotPausedError(f"Flow run {flow_run_id} is not paused: it is in state {known.name}.")
    answer = await io.block(_resume, flow_run_id, given)
    if answer.status.value != "ACCEPT":
        reason = getattr(answer.details, "reason", None) or "it was refused"
        if answer.state is not None and answer.state.is_failed():
            raise FlowPauseTimeout(f"Flow run {flow_run_id} can no longer be resumed: {reason}")
        raise NotPausedError(f"Flow run {flow_run_id} cannot be resumed: {reason}")


def _resume(flow_run_id: UUID, given: dict[str, Any] | None) -> Any:
    with orchestration.get_client(sync_client=True) as client:
        return client.resume_flow_run(flow_run_id, given)


def _not_found(flow_run_id: Any) -> ObjectNotFound:
    return ObjectNotFound(None, f"There is no flow run {flow_run_id}.")  # type: ignore[arg-type]
