"""`prefect flow-run`: look at flow runs, and delete them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console, _runs

if TYPE_CHECKING:
    import rich.text as rich_text
    import sqlalchemy as sa

    from prefect._operations import flow_runs, flows, local, logs, task_runs
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.logs import Log
else:
    rich_text = lazy_module("rich.text")
    flow_runs = lazy_module("prefect._operations.flow_runs")
    flows = lazy_module("prefect._operations.flows")
    local = lazy_module("prefect._operations.local")
    logs = lazy_module("prefect._operations.logs")
    task_runs = lazy_module("prefect._operations.task_runs")

# -h is short for --head here
app = App(name="flow-run", help="Look at flow runs, and delete them.", help_flags=["--help"])

Id = Annotated[str, Parameter(help="Id of the flow run, or its name if no other has it.")]
OutputOption = Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")]


@app.command
@_runs.command
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
    query = flow_runs.FlowRunQuery.model_validate(
        {
            "flows": {"name": {"any_": flow_name}} if flow_name else None,
            "flow_runs": {"state": _runs.state_filter(state, state_type)},
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": _runs.check_limit(limit),
        }
    )
    with local.open_local() as database, database.read() as tx:
        found = flow_runs.read_flow_runs(tx, query)
        names = _flow_names(tx, found)
    if output == "json":
        _runs.print_json(found)
    elif not found:
        print("No flow runs found.")
    else:
        _print_table(found, names)


def _flow_names(tx: sa.Connection, runs: list[FlowRun]) -> dict[UUID, str]:
    ids = list({run.flow_id for run in runs})
    query = flows.FlowQuery.model_validate({"flows": {"id": {"any_": ids}}, "limit": len(ids)})
    return {flow.id: flow.name for flow in flows.read_flows(tx, query)}


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


def _find(tx: sa.Connection, id: str) -> FlowRun:
    """The flow run of an id, or of a name that only one has."""
    key = _runs.as_uuid(id)
    if key is not None:
        return flow_runs.read_flow_run(tx, key)
    named = {"flow_runs": {"name": {"any_": [id]}}, "limit": _runs.NAMESAKES}
    return _runs.only_one("Flow run", id, flow_runs.read_flow_runs(tx, flow_runs.FlowRunQuery.model_validate(named)))


@app.command
@_runs.command
def inspect(
    id: Id,
    *,
    web: Annotated[bool, Parameter(help="Open the flow run in a browser.")] = False,
    output: OutputOption = None,
) -> None:
    """Show a flow run and the states it went through."""
    if web:
        _console.fail(_runs.NO_PAGES)
    with local.open_local() as database, database.read() as tx:
        run = _find(tx, id)
        flow = flows.read_flow(tx, run.flow_id)
        states = flow_runs.read_flow_run_states(tx, run.id)
        of_run = {"task_runs": {"flow_run_id": {"any_": [run.id]}}}
        tasks = task_runs.count_task_runs(tx, task_runs.TaskRunSelection.model_validate(of_run))
    if output == "json":
        _runs.print_json(run)
        return
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
@_runs.command
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
    with local.open_local() as database, database.read() as tx:
        run = _find(tx, id)
        lines = part.read(tx, flow_run_id={"any_": [run.id]})
        if output == "json":
            _runs.print_json(lines)
            return
        names: dict[UUID, str] = {}

        def source(log: Log) -> str:
            if log.task_run_id is None:
                return f"Flow run {run.name!r}"
            if log.task_run_id not in names:
                names.update(task_runs.task_run_names(tx, run.id))
            return f"Task run {names.setdefault(log.task_run_id, str(log.task_run_id))!r}"

        if not _runs.print_logs(lines, source):
            print(f"Flow run {run.name!r} has no logs.", file=sys.stderr)


@app.command
@_runs.command
def delete(id: Annotated[UUID, Parameter(help="Id of the flow run.")]) -> None:
    """Delete a flow run with its task runs, states and logs."""
    with local.open_local() as database:
        with database.read() as tx:
            run = flow_runs.read_flow_run(tx, id)
        question = f"Delete flow run {run.name!r} with its task runs, states and logs?"
        if _console.can_ask() and not _console.confirm(question):
            _console.fail("Nothing was deleted.")
        with database.write() as tx:
            flow_runs.delete_flow_run(tx, id)
    print(f"Deleted flow run {run.name!r} ({id}).")
