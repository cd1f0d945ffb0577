"""A flow in a process of its own, started from a program that has the flow object."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import pickle
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import run_coro_as_sync
from prefect._dispatch import execution, loading
from prefect._lazy import lazy_module
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import cloudpickle

    from prefect import flow_engine, futures
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client import orchestration
    from prefect.flows import Flow
else:
    cloudpickle = lazy_module("cloudpickle")
    flow_engine = lazy_module("prefect.flow_engine")
    futures = lazy_module("prefect.futures")
    orchestration = lazy_module("prefect.client.orchestration")


def start(
    flow: Flow[..., Any],
    flow_run: FlowRun | None,
    parameters: dict[str, Any] | None,
    wait_for: Any,
    context: dict[str, Any] | None,
    env: Mapping[str, str | None] | None,
) -> multiprocessing.context.SpawnProcess:
    """Start a process that runs a flow; see `prefect.flow_engine.run_flow_in_subprocess`."""
    for future in wait_for or ():
        if hasattr(future, "wait"):
            future.wait()
    given = {name: futures.resolve_futures_to_results(value) for name, value in (parameters or {}).items()}
    variables = {**get_current_settings().to_environment_variables(exclude_unset=True), **(env or {})}
    call = cloudpickle.dumps((flow, flow_run, given if parameters is not None else None, context))
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(call, variables))
    process.start()
    return process


def _run(call: bytes, variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    flow, flow_run, parameters, context = pickle.loads(call)
    if flow_run is not None:
        if parameters is not None:
            flow_run = flow_run.model_copy(update={"parameters": parameters})
        sys.exit(execution.run_loaded(flow, flow_run, context))
    state: Any = flow_engine.run_flow(flow, parameters=parameters, return_type="state", context=context)
    if flow.isasync:
        state = run_coro_as_sync(state)
    sys.exit(execution.status_of(state))


def load_flow_run(flow_run_id: UUID) -> FlowRun:
    """One flow run, read from the API."""
    with orchestration.get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run_id)


def load_flow(flow_run: FlowRun) -> Flow[..., Any]:
    """The flow of a run: its file as `PREFECT__FLOW_ENTRYPOINT` names it, or as its deployment says."""
    entrypoint = os.environ.get("PREFECT__FLOW_ENTRYPOINT")
    return loading.load_for_run(flow_run, None, entrypoint)
