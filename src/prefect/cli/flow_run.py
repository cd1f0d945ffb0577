"""`prefect flow-run`: look at flow runs, and act on them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _flow_run_control, _runs

if TYPE_CHECKING:
    import rich.text as rich_text

    from prefect._schemas import sorting
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.logs import Log
    from prefect._schemas.task_runs import TaskRun
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import filters
else:
    rich_text = lazy_module("rich.text")
    sorting = lazy_module("prefect._schemas.sorting")
    filters = lazy_module("prefect.client.schemas.filters")

# -h is short for --head here
app = App(name="flow-run", help="Look at flow runs, carry them out, cancel them.", help_flags=["--help"])
for _command in (_flow_run_control.cancel, _flow_run_control.execute, _flow_run_control.retry, _flow_run_control.watch):
    app.command(_command)

Id = Annotated[str, Parameter(help="Id of the flow run, or its name if no other has it.")]
OutputOption = Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")]


@app.command
def ls(
    *,
    flow_name: Annotated[list[str] | None, Parameter(help="Only runs of this flow. May be repeated.")] = None,
    limit: Annotated[int, Parameter(help="Show at most so many runs.")] = 15,
    state: Annotated[list[str] | None, Parameter(help="Only runs in the state of this name. May be repeated.")] = None,
    state_type: Annotated[
        list[str] | None, Parameter(help="Only runs in a state of this type. May be repeated.")
    ] = None,
    output: OutputOption = None,
) -> None:
    """List flow runs, the newest first."""
    flows = filters.FlowFilter.model_validate({"name": {"any_": flow_name}}) if flow_name else None
    runs = filters.FlowRunFilter.model_validate({"state": _runs.state_filter(state, state_type)})
    most = _runs.check_limit(limit)
    with _api.client() as api:

        def page(size: int, offset: int) -> list[FlowRun]:
            sort = sorting.FlowRunSort.EXPECTED_START_TIME_DESC
            return api.read_flow_runs(flow_filter=flows, flow_run_filter=runs, sort=sort, limit=size, offset=offset)

        found = list(_api.everything(page, most))
        names = {} if output == "json" else _flow_names(api, found)
    if output == "json":
        _runs.print_json(found)
    elif not found:
        print("No flow runs found.")
    else:
        _print_table(found, names)


def _flow_names(api: SyncPrefectClient, runs: list[FlowRun]) -> dict[UUID, str]:
    ids = list({run.flow_id for run in runs})
    names: dict[UUID, str] = {}
    for start in range(0, len(ids), _api.PAGE):
        some = filters.FlowFilter.model_validate({"id": {"any_": ids[start : start + _api.PAGE]}})
        names |= {flow.id: flow.name for flow in api.read_flows(flow_filter=some, limit=_api.PAGE)}
    return names


def _print_table(runs: list[FlowRun], names: dict[UUID, str]) -> None:
    rows = [
        (
            str(run.id),
            names.get(run.flow_id, "?"),
            run.name,
            _runs.state_text(run.state_type, run.state_name),
            _runs.ago_text(run.start_time or run.expected_start_time),
            _runs.duration_text(run.estimated_run_time) if run.start_time else "",
        )
        for run in runs
    ]
    columns = ("ID", "Flow", "Name", "State", "When", "Duration")
    _runs.print_table(columns, rows, cut=["Flow", "Name"], spare=["When", "Duration"])


def _find(api: SyncPrefectClient, id: str) -> FlowRun:
    """The flow run of an id, or of a name that only one has."""
    key = _runs.as_uuid(id)
    if key is not None:
        return api.read_flow_run(key)
    named = filters.FlowRunFilter.model_validate({"name": {"any_": [id]}})
    return _runs.only_one("Flow run", id, api.read_flow_runs(flow_run_filter=named, limit=_runs.NAMESAKES))


@app.command
def inspect(
    id: Id,
    *,
    web: Annotated[bool, Parameter(help="Open the flow run in a browser.")] = False,
    output: OutputOption = None,
) -> None:
    """Show a flow run and the states it went through."""
    with _api.client() as api:
        run = _find(api, id)
        if web:
            _runs.open_page(f"runs/flow-run/{run.id}")
            return
        if output == "json":
            _runs.print_json(run)
            return
        flow = api.read_flow(run.flow_id)
        states = api.read_flow_run_states(run.id)
        of_run = {"task_runs": {"flow_run_id": {"any_": [run.id]}}}
        tasks = api.request("POST", "/task_runs/count", json=of_run).json()
    details = {
        "Flow run": rich_text.Text(run.name, style="bold"),
        "ID": run.id,
        "Flow": flow.name,
        "Flow version": run.flow_version,
        "State": _runs.state_text(run.state_type, run.state_name),
        "Expected": _runs.time_text(run.expected_start_time),
        "Started": _runs.time_text(run.start_time),
        "Ended": _runs.time_text(run.end_time),
        "Duration": _runs.duration_text(run.estimated_run_time) if run.start_time else None,
        "Attempts": run.run_count if run.run_count > 1 else None,
        "Task runs": tasks or None,
        "Parameters": _runs.compact_json(run.parameters) if run.parameters else None,
        "Tags": ", ".join(run.tags),
        "Deployment": run.deployment_id,
        "Parent task run": run.parent_task_run_id,
    }
    _runs.print_details(details, states)


@app.command(name="logs")
def show_logs(
    id: Id,
    *,
    head: Annotated[bool, Parameter(name=["--head", "-h"], help="Show only the first lines.")] = False,
    num_logs: Annotated[
        int | None, Parameter(name=["--num-logs", "-n"], help="How many lines --head or --tail show (20).")
    ] = None,
    reverse: Annotated[bool, Parameter(name=["--reverse", "-r"], help="Show the newest line first.")] = False,
    tail: Annotated[bool, Parameter(name=["--tail", "-t"], help="Show only the last lines.")] = False,
    output: OutputOption = None,
) -> None:
    """Show the log of a flow run, its task runs' lines included."""
    part = _runs.LogPart.of(head=head, tail=tail, num_logs=num_logs, reverse=reverse)
    with _api.client() as api:
        run = _find(api, id)
        lines = part.read(api, flow_run_id={"any_": [run.id]})
        if output == "json":
            _runs.print_json(lines)
            return
        names: dict[UUID, str] = {}

        def source(log: Log) -> str:
            if log.task_run_id is None:
                return f"Flow run {run.name!r}"
            if log.task_run_id not in names:
                names.update(_task_run_names(api, run.id))
            return f"Task run {names.setdefault(log.task_run_id, str(log.task_run_id))!r}"

        if not _runs.print_logs(lines, source):
            print(f"Flow run {run.name!r} has no logs.", file=sys.stderr)


def _task_run_names(api: SyncPrefectClient, flow_run_id: UUID) -> dict[UUID, str]:
    """The names of all task runs of a flow run."""
    of_run = filters.FlowRunFilter.model_validate({"id": {"any_": [flow_run_id]}})

    def page(size: int, offset: int) -> list[TaskRun]:
        sort = sorting.TaskRunSort.ID_DESC
        return api.read_task_runs(flow_run_filter=of_run, sort=sort, limit=size, offset=offset)

    return {run.id: run.name for run in _api.everything(page)}


@app.command
def delete(
    id: Id,
    *,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=(), help="Do not ask.")] = False,
) -> None:
    """Delete a flow run with its task runs, states and logs."""
    with _api.client() as api:
        run = _find(api, id)
        _console.agree(f"Delete flow run {run.name!r} with its task runs, states and logs?", yes)
        api.delete_flow_run(run.id)
    print(f"Deleted flow run {run.name!r} ({run.id}).")
