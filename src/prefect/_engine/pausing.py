"""Pausing and resuming flow runs of the local database."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._clock import now_us
from prefect._engine.frames import current_flow, current_task
from prefect._engine.port import ASYNC, Port
from prefect._engine.recorder import get_recorder
from prefect._lazy import lazy_module
from prefect._rules.states import PAUSED, RUNNING, TERMINAL, RunState
from prefect.exceptions import FlowPauseTimeout, FlowRunWaitTimeout, NotPausedError, ObjectNotFound

if TYPE_CHECKING:
    from prefect._operations import flow_runs, local
else:
    flow_runs = lazy_module("prefect._operations.flow_runs")
    local = lazy_module("prefect._operations.local")

_log = logging.getLogger("prefect.flow_runs")

_LOOK_SECONDS = 0.25


async def pause(io: Port, wait_for_input: Any, timeout: int, poll_interval: float, key: str | None) -> Any:
    """See `prefect.flow_runs.pause_flow_run`."""
    _no_input(wait_for_input)
    if current_task.get() is not None:
        raise RuntimeError("Cannot pause task runs: pause the flow run, from the flow's own code.")
    frame = current_flow.get()
    if frame is None:
        raise RuntimeError("Flow runs can only be paused from within a flow run.")
    counter = frame.pauses.get("counter", 0) + 1
    frame.pauses["counter"] = counter
    key = key or str(counter)
    if key in frame.pauses:
        return None  # an earlier attempt has been through this pause
    expires = now_us() + int(timeout * 1e6)
    state = RunState(PAUSED, "Paused", None, None, {"pause_timeout": expires, "pause_key": key})
    recorder = frame.recorder
    verdict = recorder.flow_state(frame, state)
    if verdict.kind != "ACCEPT":
        raise RuntimeError(f"The flow run cannot be paused: {verdict.reason}")
    _log.info("Pausing flow run %r, execution will continue when this flow run is resumed.", frame.name)
    deadline = time.monotonic() + timeout
    while True:
        known = recorder.recorded_flow_state(frame.id)
        if known is not None and known.type == RUNNING:
            frame.pauses[key] = 1
            frame.enter(known)
            return None
        if known is not None and known.type != PAUSED:
            frame.enter(known)
            raise FlowPauseTimeout(f"Flow run {frame.name!r} left its pause for state {known.name}.")
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise FlowPauseTimeout("Flow run was paused and never resumed.")
        await io.sleep(min(poll_interval, _LOOK_SECONDS, rest))


async def suspend(
    io: Port, wait_for_input: Any, flow_run_id: UUID | None, timeout: float | None, key: str | None
) -> Any:
    """See `prefect.flow_runs.suspend_flow_run`."""
    _no_input(wait_for_input)
    frame = current_flow.get()
    if flow_run_id is None and (frame is None or current_task.get() is not None):
        raise RuntimeError("Flow runs can only be suspended from within a flow run.")
    raise RuntimeError(
        "Cannot suspend flows without a deployment: nothing would start the run again. Use pause_flow_run to wait "
        "inside this process."
    )


async def resume(io: Port, flow_run_id: UUID, run_input: dict[str, Any] | None) -> None:
    """See `prefect.flow_runs.resume_flow_run`."""
    _no_input(run_input)
    recorder = get_recorder()
    known = recorder.recorded_flow_state(str(flow_run_id))
    if known is None:
        raise _not_found(flow_run_id)
    if known.type != PAUSED:
        raise NotPausedError(f"Flow run {flow_run_id} is not paused: it is in state {known.name}.")
    verdict = recorder.propose_for(str(flow_run_id), RunState(RUNNING, "Resuming"))
    if verdict is None or verdict.kind != "ACCEPT":
        reason = verdict.reason if verdict is not None else "it was deleted"
        raise NotPausedError(f"Flow run {flow_run_id} cannot be resumed: {reason}")


async def wait_for(flow_run_id: UUID, timeout: float | None, poll_interval: float | None, log_states: bool) -> Any:
    """See `prefect.flow_runs.wait_for_flow_run`."""
    recorder = get_recorder()
    deadline = None if timeout is None else time.monotonic() + timeout
    seen = None
    while True:
        known = recorder.recorded_flow_state(str(flow_run_id))
        if known is None:
            raise _not_found(flow_run_id)
        if log_states and known.id != seen:
            _log.info("Flow run %s is in state %s", flow_run_id, known.name)
            seen = known.id
        if known.type in TERMINAL:
            with local.open_local() as database, database.read() as tx:
                return flow_runs.read_flow_run(tx, flow_run_id)
        if deadline is not None and time.monotonic() >= deadline:
            raise FlowRunWaitTimeout(
                f"Flow run {flow_run_id} exceeded the wait of {timeout} seconds in state {known.name}."
            )
        await ASYNC.sleep(poll_interval or _LOOK_SECONDS)


def _no_input(given: Any) -> None:
    if given is not None:
        raise RuntimeError("Inputs to paused runs travel through a server, and none is configured (PREFECT_API_URL).")


def _not_found(flow_run_id: UUID) -> ObjectNotFound:
    return ObjectNotFound(None, f"There is no flow run {flow_run_id} in the local database.")  # type: ignore[arg-type]
