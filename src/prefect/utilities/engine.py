"""Parts of the engine that integrations use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import run, settle
from prefect._engine import inputs, signals
from prefect._engine.frames import current_flow, current_task
from prefect._engine.port import ASYNC, SYNC, Port
from prefect._schemas.orchestration import StateAbortDetails, StateRejectDetails, StateWaitDetails
from prefect._schemas.states import State
from prefect._schemas.task_runs import FlowRunResult, TaskRunResult
from prefect.exceptions import Abort, Pause
from prefect.futures import PrefectFlowRunFuture, PrefectFuture
from prefect.logging.loggers import get_logger
from prefect.settings import get_current_settings
from prefect.utilities.annotations import opaque, quote
from prefect.utilities.collections import StopVisiting, visit_collection

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient
    from prefect.flows import Flow
    from prefect.tasks import Task

__all__ = [
    "capture_sigterm",
    "check_api_reachable",
    "collect_task_run_inputs",
    "collect_task_run_inputs_sync",
    "propose_state",
    "propose_state_sync",
    "resolve_inputs",
    "resolve_inputs_sync",
    "should_log_prints",
]


def collect_task_run_inputs_sync(
    expr: Any, future_cls: Any = PrefectFuture, max_depth: int = -1
) -> set[TaskRunResult | FlowRunResult]:
    """The runs from which the values in an expression come: those of futures, of states, and of results of the current
    flow run.

    Args:
        expr: values, also nested.
        future_cls: what counts as a future.
        max_depth: how deep to look; -1 for all the way.
    """
    found: set[TaskRunResult | FlowRunResult] = set()
    flow_frame = current_flow.get()

    def add(kind: str, run_id: Any) -> None:
        found.add(FlowRunResult(id=run_id) if kind == "flow_run" else TaskRunResult(id=run_id))

    def see(value: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), quote | opaque):
            raise StopVisiting()
        if isinstance(value, future_cls):
            is_flow = isinstance(value, PrefectFlowRunFuture)
            add("flow_run" if is_flow else "task_run", value.flow_run_id if is_flow else value.task_run_id)
        elif isinstance(value, State):
            details = value.state_details
            if details.task_run_id:
                add("task_run", details.task_run_id)
            elif details.flow_run_id:
                add("flow_run", details.flow_run_id)
        elif flow_frame is not None and (origin := flow_frame.origin(value)):
            add(origin[0], UUID(origin[1]))
        return value

    visit_collection(expr, see, return_data=False, max_depth=max_depth, context={})
    return found


async def collect_task_run_inputs(expr: Any, max_depth: int = -1) -> set[TaskRunResult | FlowRunResult]:
    """`collect_task_run_inputs_sync` for asynchronous code."""
    return collect_task_run_inputs_sync(expr, max_depth=max_depth)


async def resolve_inputs(parameters: dict[str, Any], return_data: bool = True, max_depth: int = -1) -> dict[str, Any]:
    """Parameters with results in the places of futures and states, which are waited for.

    Args:
        parameters: by name.
        return_data: return them; else only wait, and return {}.
        max_depth: accepted for compatibility; everything is looked at.
    """
    resolved = await inputs.resolve(ASYNC, parameters, None, current_flow.get())
    return resolved.parameters if return_data else {}


def resolve_inputs_sync(parameters: dict[str, Any], return_data: bool = True, max_depth: int = -1) -> dict[str, Any]:
    """`resolve_inputs` for synchronous code."""
    resolved = run(inputs.resolve(SYNC, parameters, None, current_flow.get()))
    return resolved.parameters if return_data else {}


async def propose_state(client: PrefectClient, state: State[Any], flow_run_id: UUID, force: bool = False) -> State[Any]:
    """Propose a state for a flow run; returns the state that the run is in then.

    Args:
        client: a client of the API.
        state: the state.
        flow_run_id: of the run.
        force: enter it whatever the rules say.

    Raises:
        Abort: the run must end now, and report nothing more.
        Pause: the run is to pause.
        ValueError: no run is named.
    """
    return await _propose(ASYNC, client, state, flow_run_id, force)


def propose_state_sync(
    client: SyncPrefectClient, state: State[Any], flow_run_id: UUID, force: bool = False
) -> State[Any]:
    """`propose_state` for synchronous code."""
    return run(_propose(SYNC, client, state, flow_run_id, force))


async def _propose(io: Port, client: Any, state: State[Any], flow_run_id: UUID, force: bool) -> State[Any]:
    if not flow_run_id:
        raise ValueError("A state is proposed for a run: give `flow_run_id`.")
    while True:
        answer = await settle(client.set_flow_run_state(flow_run_id, state, force=force))
        details = answer.details
        if isinstance(details, StateWaitDetails):
            get_logger("engine").debug("Asked to wait %s seconds: %s", details.delay_seconds, details.reason)
            await io.sleep(details.delay_seconds)
            continue
        if isinstance(details, StateAbortDetails):
            raise Abort(details.reason)
        if isinstance(details, StateRejectDetails):
            if answer.state is not None and answer.state.is_paused():
                raise Pause(details.reason, state=answer.state)
            return answer.state if answer.state is not None else state
        # what is accepted is as it was proposed, with what the API has added
        accepted = answer.state
        state.id, state.timestamp = accepted.id, accepted.timestamp
        state.state_details = accepted.state_details if accepted.state_details else state.state_details
        return state


def should_log_prints(flow_or_task: Flow[..., Any] | Task[..., Any]) -> bool:
    """Whether prints of a flow or task go to its run's log: its own choice, that of the run around it, or the setting."""
    if flow_or_task.log_prints is not None:
        return flow_or_task.log_prints
    frame = current_task.get() or current_flow.get()
    return frame.log_prints if frame is not None else get_current_settings().logging.log_prints


async def check_api_reachable(client: PrefectClient, fail_message: str) -> None:
    """Ask the API whether it is there.

    Raises:
        RuntimeError: it is not; the message begins with `fail_message`.
    """
    problem = await client.api_healthcheck()
    if problem:
        raise RuntimeError(f"{fail_message}. Failed to reach API at {client.api_url}.") from problem


@contextlib.contextmanager
def capture_sigterm() -> Iterator[None]:
    """While the block lasts, SIGTERM raises `TerminationSignal` on the main thread; then the process ends by it."""
    with signals.termination(lambda: None):
        yield
