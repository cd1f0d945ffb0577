"""In the process of a run: get its flow, carry it out, end with an exit status that says how it went."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any

from prefect._bridge import run as run_now
from prefect._bridge import run_coro_as_sync
from prefect._dispatch import lastword, loading
from prefect._engine import hooks
from prefect._engine.port import SYNC
from prefect._lazy import lazy_module
from prefect._rules.states import CRASHED, FAILED, TERMINAL
from prefect.exceptions import Abort, Pause
from prefect.logging.configuration import ensure_logging_setup

if TYPE_CHECKING:
    from prefect import flow_engine, states
    from prefect._engine import recorder
    from prefect._schemas import deployments, flow_runs
    from prefect._schemas import states as models
    from prefect._schemas.deployments import DeploymentResponse
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client import orchestration
    from prefect.flows import Flow
    from prefect.logging import loggers
else:
    deployments = lazy_module("prefect._schemas.deployments")
    flow_engine = lazy_module("prefect.flow_engine")
    flow_runs = lazy_module("prefect._schemas.flow_runs")
    loggers = lazy_module("prefect.logging.loggers")
    models = lazy_module("prefect._schemas.states")
    orchestration = lazy_module("prefect.client.orchestration")
    recorder = lazy_module("prefect._engine.recorder")
    states = lazy_module("prefect.states")

ENDED, FAILED_STATUS = 0, 1


def carry_out(
    flow_run_id: str, known_run: Any = None, known_deployment: Any = None, entrypoint: str | None = None
) -> int:
    """Carry out a run that exists already, and everything that comes before its first line.

    Args:
        flow_run_id: of the run.
        known_run, known_deployment: the run and its deployment as JSON, if the program that started this process has
            them; else they are read.
        entrypoint: where the flow is, if its code is here already; by default the deployment says where it is.

    Returns:
        the exit status: 1 when the run failed or crashed, else 0.
    """
    ensure_logging_setup()
    flow_run, deployment = _facts(flow_run_id, known_run, known_deployment)
    if flow_run.state is not None and flow_run.state.type.value in TERMINAL:
        _logger(flow_run).info("The flow run has ended already, in state %s: nothing is run.", flow_run.state.name)
        return ENDED
    try:
        flow = loading.load_for_run(flow_run, deployment, entrypoint)
    except loading.NotLoaded as problem:
        _logger(flow_run).error("%s", problem, exc_info=problem.__cause__)
        _crash(flow_run, str(problem))
        return FAILED_STATUS
    return run_loaded(flow, flow_run)


def run_loaded(flow: Flow[..., Any], flow_run: FlowRun, context: dict[str, Any] | None = None) -> int:
    """Carry out a run whose flow is there; returns the exit status.

    Args:
        flow: the flow.
        flow_run: the run; its parameters are the flow's arguments.
        context: what was current where it was made, from `prefect.context.serialize_context`.
    """
    try:
        state = _state_after(flow, flow_run, context)
    except (Abort, Pause) as signal:
        _logger(flow_run).info("The flow run stops here: %s", signal)
        return ENDED
    if (
        state is not None
        and state.type.value in TERMINAL
        and not flow.isgenerator
        and not recorder.get_recorder().holds_back
    ):
        lastword.settled()
    return status_of(state)


def status_of(state: Any) -> int:
    """The exit status for a run that is in a state; None stands for one that raised without any."""
    return FAILED_STATUS if state is None or state.type.value in (FAILED, CRASHED) else ENDED


def _state_after(flow: Flow[..., Any], flow_run: FlowRun, context: dict[str, Any] | None) -> Any:
    """The state that the run is in when its flow has returned; None when it raised without one."""
    arguments: dict[str, Any] = {"flow_run": flow_run, "parameters": flow_run.parameters, "context": context}
    if not flow.isgenerator:
        returned = flow_engine.run_flow(flow, return_type="state", **arguments)
        return run_coro_as_sync(returned) if flow.isasync else returned
    try:
        if flow.isasync:
            run_coro_as_sync(_exhaust(flow_engine.run_flow(flow, **arguments)))
        else:
            for _ in flow_engine.run_flow(flow, **arguments):  # type: ignore[union-attr]
                pass
    except Exception:  # recorded and logged by the engine
        return None
    return states.Completed()


async def _exhaust(generator: Any) -> None:
    async for _ in generator:
        pass


def tell_hooks(flow_run_id: str, known_run: Any = None, known_deployment: Any = None, entrypoint: Any = None) -> int:
    """Call the hooks of a flow for the state that a run of it is in, when the run's own process could not.

    The arguments are those of `carry_out`.
    """
    ensure_logging_setup()
    flow_run, deployment = _facts(flow_run_id, known_run, known_deployment)
    state = flow_run.state
    if state is None:
        return ENDED
    try:
        flow = loading.load_for_run(flow_run, deployment, entrypoint)
    except loading.NotLoaded as problem:
        _logger(flow_run).warning("The hooks of the flow could not be run: %s", problem)
        return FAILED_STATUS
    told = getattr(flow, hooks.FLOW_HOOKS.get(state.type.value, ""), None)
    if told:
        logger = _logger(flow_run)
        run_now(hooks.run_hooks(SYNC, told, flow, flow_run, state, models.from_public(state), logger))
    return ENDED


def _facts(flow_run_id: str, known_run: Any, known_deployment: Any) -> tuple[FlowRun, DeploymentResponse | None]:
    if known_run is not None:
        run = flow_runs.FlowRun.model_validate(known_run)
    else:
        with orchestration.get_client(sync_client=True) as client:
            run = client.read_flow_run(flow_run_id)  # type: ignore[arg-type]
    if known_deployment is None:
        return run, None
    return run, deployments.DeploymentResponse.model_validate(known_deployment)


def _logger(flow_run: FlowRun) -> Any:
    return loggers.flow_run_logger(flow_run)


def _crash(flow_run: FlowRun, message: str) -> None:
    """End a run whose flow never began."""
    recorder.flush_all()
    try:
        with orchestration.get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, states.Crashed(message=message))
    except Exception:  # the program that started this process will see that it ended, and say so
        traceback.print_exc()


def crash_by_id(flow_run_id: str, message: str) -> None:
    """End a run that this process cannot carry out, with a line in its log."""
    flow_run, _ = _facts(flow_run_id, None, None)
    _logger(flow_run).error(message)
    _crash(flow_run, message)


def id_from_environment() -> str | None:
    """The run that the environment says is to be carried out."""
    return os.environ.get("PREFECT__FLOW_RUN_ID")
