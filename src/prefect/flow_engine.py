"""Run a flow: what programs call that have a flow object and want a run of it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from prefect._bridge import run as run_now
from prefect._engine import flow_run as engine
from prefect._engine import generators, outcome, transfer
from prefect._engine.flow_run import FlowRunTimeoutError
from prefect._engine.port import ASYNC, SYNC
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from uuid import UUID

    from prefect._dispatch import subprocesses
    from prefect._schemas.flow_runs import FlowRun
    from prefect.flows import Flow
    from prefect.futures import PrefectFuture
else:
    subprocesses = lazy_module("prefect._dispatch.subprocesses")

ReturnType = Literal["state", "result"]

__all__ = [
    "FlowRunTimeoutError",
    "load_flow",
    "load_flow_and_flow_run",
    "load_flow_run",
    "run_flow",
    "run_flow_async",
    "run_flow_in_subprocess",
    "run_flow_sync",
    "run_generator_flow_async",
    "run_generator_flow_sync",
]


def run_flow(
    flow: Flow[..., Any],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    error_logger: Any = None,
    context: dict[str, Any] | None = None,
) -> Any | Coroutine[Any, Any, Any]:
    """Run a flow of any kind.

    Args:
        flow: the flow.
        flow_run: a run that exists already, such as one that a deployment made, as it was read; it is carried out
            under its own id and name, from the state it is in. By default a new one.
        parameters: its arguments by name; those missing take their defaults.
        wait_for: futures or states to wait for.
        return_type: `"result"` to return the result or raise, `"state"` to return the final state.
        error_logger: told when the run cannot be carried out.
        context: from `prefect.context.serialize_context`, when this is another process.

    Returns:
        The result or state; for an asynchronous flow a coroutine; for a generator flow a generator.
    """
    arguments = (flow, flow_run, parameters, wait_for, return_type, context)
    try:
        if flow.isgenerator:
            return (run_generator_flow_async if flow.isasync else run_generator_flow_sync)(*arguments)
        return (run_flow_async if flow.isasync else run_flow_sync)(*arguments)
    except Exception:
        if error_logger is not None:
            error_logger.error("The flow run could not be carried out:", exc_info=True)
        raise


def _parameters(flow: Flow[..., Any], parameters: dict[str, Any] | None) -> dict[str, Any]:
    """All parameters of the flow, in its order, defaults filled in."""
    args, kwargs = flow.spec.call_args(parameters or {})
    return flow.spec.bind(args, kwargs)


def run_flow_sync(
    flow: Flow[..., Any],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    context: dict[str, Any] | None = None,
) -> Any:
    """Run a synchronous flow: see `run_flow`."""
    with transfer.unpacked(context):
        life = engine.begin(SYNC, flow, _parameters(flow, parameters), wait_for=wait_for, adopt=flow_run)
        frame = run_now(engine.run(SYNC, life))
        return outcome.public_state(frame) if return_type == "state" else outcome.value_or_raise(frame)


async def run_flow_async(
    flow: Flow[..., Any],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    context: dict[str, Any] | None = None,
) -> Any:
    """Run an asynchronous flow: see `run_flow`."""
    with transfer.unpacked(context):
        life = engine.begin(ASYNC, flow, _parameters(flow, parameters), wait_for=wait_for, adopt=flow_run)
        frame = await engine.run(ASYNC, life)
        return outcome.public_state(frame) if return_type == "state" else outcome.value_or_raise(frame)


def run_generator_flow_sync(
    flow: Flow[..., Any],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    context: dict[str, Any] | None = None,
) -> Any:
    """Run a synchronous generator flow: see `run_flow`."""
    if return_type != "result":
        raise ValueError("The return_type for a generator flow must be 'result'.")
    with transfer.unpacked(context):
        life = engine.begin(SYNC, flow, _parameters(flow, parameters), wait_for=wait_for, adopt=flow_run)
        return (yield from generators.drive(engine.iterate(SYNC, life, False), lambda: life.frame.value))


def run_generator_flow_async(
    flow: Flow[..., Any],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    context: dict[str, Any] | None = None,
) -> Any:
    """Run an asynchronous generator flow: see `run_flow`."""
    if return_type != "result":
        raise ValueError("The return_type for a generator flow must be 'result'.")
    return generators.pass_on(
        lambda: engine.iterate(
            ASYNC,
            engine.begin(ASYNC, flow, _parameters(flow, parameters), wait_for=wait_for, adopt=flow_run),
            True,
        )
    )


def load_flow_run(flow_run_id: UUID) -> FlowRun:
    """Read a flow run.

    Raises:
        ObjectNotFound: there is no such flow run.
    """
    return subprocesses.load_flow_run(flow_run_id)


def load_flow(flow_run: FlowRun) -> Flow[..., Any]:
    """Load the flow of a run, as its deployment says.

    Args:
        flow_run: the run.

    Raises:
        NotLoaded: it could not be loaded; the message says at which step, why, and what to do.
    """
    return subprocesses.load_flow(flow_run)


def load_flow_and_flow_run(flow_run_id: UUID) -> tuple[FlowRun, Flow[..., Any]]:
    """Read a flow run and load its flow; see `load_flow_run` and `load_flow`."""
    flow_run = load_flow_run(flow_run_id)
    return flow_run, load_flow(flow_run)


def run_flow_in_subprocess(
    flow: Flow[..., Any],
    flow_run: FlowRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    context: dict[str, Any] | None = None,
    env: Mapping[str, str | None] | None = None,
) -> SpawnProcess:
    """Run a flow in a process of its own.

    Args:
        flow: the flow; it is sent there by cloudpickle.
        flow_run: a run that exists already; by default a new one.
        parameters: its arguments by name; those of the run unless given.
        wait_for: futures or states to wait for first.
        context: from `prefect.context.serialize_context`: what is current there.
        env: variables on top of this process's environment; None takes one out.

    Returns:
        The process, which has been started. Its exit code is 1 when the run failed or crashed, else 0.
    """
    return subprocesses.start(flow, flow_run, parameters, wait_for, context, env)
