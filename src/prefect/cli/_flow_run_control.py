"""What can be done about a flow run: carry it out, cancel it, try it again, watch it. Commands of `prefect flow-run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output, _runs, _watching

if TYPE_CHECKING:
    from prefect import _entrypoints, engine, exceptions, states
    from prefect._dispatch import execution
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import filters
else:
    _entrypoints = lazy_module("prefect._entrypoints")
    engine = lazy_module("prefect.engine")
    exceptions = lazy_module("prefect.exceptions")
    execution = lazy_module("prefect._dispatch.execution")
    filters = lazy_module("prefect.client.schemas.filters")
    states = lazy_module("prefect.states")

Id = Annotated[str, Parameter(help="Id of the flow run, or its name if no other has it.")]


def _find(api: SyncPrefectClient, id: str) -> FlowRun:
    """The flow run of an id, or of a name that only one has."""
    key = _output.as_uuid(id)
    if key is not None:
        try:
            return api.read_flow_run(key)
        except exceptions.ObjectNotFound:
            _console.fail(f"Flow run '{id}' not found.")
    named = filters.FlowRunFilter.model_validate({"name": {"any_": [id]}})
    return _runs.only_one("Flow run", id, api.read_flow_runs(flow_run_filter=named, limit=_runs.NAMESAKES))


def execute(
    id: Annotated[str | None, Parameter(help="Id of the flow run; that of PREFECT__FLOW_RUN_ID unless given.")] = None,
) -> None:
    """Carry out a flow run that exists already, in this process.

    Workers start this command. The exit status is 1 when the run failed or crashed, else 0.
    """
    status = engine.main([id] if id is not None else [])
    if status:
        sys.exit(status)


def cancel(id: Id) -> None:
    """Ask for a flow run to stop, with its sub-flows and what carries it out."""
    with _api.client() as api:
        run = _find(api, id)
        result = api.set_flow_run_state(run.id, states.Cancelling())
        if result.status.value == "ABORT":
            reason = getattr(result.details, "reason", None) or "it has ended"
            _console.fail(f"Flow run {run.name!r} could not be cancelled: {reason}")
        now = api.read_flow_run(run.id)
    if now.state is not None and now.state.is_cancelled():
        print(f"Flow run {run.name!r} is cancelled.")
    else:
        print(f"Flow run {run.name!r} will be cancelled; `prefect flow-run watch {run.id}` shows when it has stopped.")


def watch(
    id: Id, *, timeout: Annotated[float | None, Parameter(help="Seconds after which to watch no more.")] = None
) -> None:
    """Show the states of a flow run until it has ended; the exit status is 1 unless it completed."""
    with _api.client() as api:
        run = _find(api, id)
        print(f"Watching flow run {run.name!r}...")
        ended = _watching.follow(api, run.id, timeout=timeout)
    _watching.fail_unless_completed(ended)


def retry(
    id_or_name: Id,
    *,
    entrypoint: Annotated[
        str | None,
        Parameter(name=["--entrypoint", "-e"], help="Where the flow is, for a run that belongs to no deployment."),
    ] = None,
) -> None:
    """Try a flow run again that has ended.

    A run of a deployment is scheduled for its workers; another one is carried out here and now.
    """
    with _api.client() as api:
        run = _find(api, id_or_name)
        if run.state is None or not run.state.is_final():
            _console.fail(f"Flow run {run.name!r} has not ended: it is {run.state_name}. Cancel it first, or wait.")
        if run.deployment_id is None and entrypoint is None:
            _console.fail(
                f"Flow run {run.name!r} belongs to no deployment: say where its flow is with "
                "--entrypoint path/to/file.py:flow_function."
            )
        flow: Any = _load(entrypoint) if entrypoint is not None and run.deployment_id is None else None
        result = api.set_flow_run_state(run.id, states.AwaitingRetry(), force=True)
        if result.status.value != "ACCEPT":
            reason = getattr(result.details, "reason", None) or "the API refused"
            _console.fail(f"Flow run {run.name!r} could not be scheduled again: {reason}")
        run = api.read_flow_run(run.id)
    if flow is None:
        print(f"Flow run {run.name!r} is scheduled again; a worker or runner of its deployment will carry it out.")
        return
    status = execution.run_loaded(flow, run)
    if status:
        sys.exit(status)


def _load(entrypoint: str) -> Any:
    try:
        return _entrypoints.load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except (ImportError, FileNotFoundError, ValueError) as problem:
        _console.fail(str(problem))
    except exceptions.ScriptError as problem:
        _console.fail(f"{entrypoint!r} could not be loaded: {type(problem.user_exc).__name__}: {problem.user_exc}")
