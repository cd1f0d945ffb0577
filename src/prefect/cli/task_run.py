"""`prefect task-run`: look at task runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _runs

if TYPE_CHECKING:
    import rich.text as rich_text

    from prefect._schemas import sorting
    from prefect._schemas.task_runs import TaskRun
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import filters
else:
    rich_text = lazy_module("rich.text")
    sorting = lazy_module("prefect._schemas.sorting")
    filters = lazy_module("prefect.client.schemas.filters")

# -h is short for --head here
app = App(name="task-run", help="Look at task runs.", help_flags=["--help"])

Id = Annotated[str, Parameter(help="Id of the task run, or its name if no other has it.")]
OutputOption = Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")]


@app.command
def ls(
    *,
    task_run_name: Annotated[list[str] | None, Parameter(help="Only task runs of this name. May be repeated.")] = None,
    limit: Annotated[int, Parameter(help="Show at most so many runs.")] = 15,
    state: Annotated[list[str] | None, Parameter(help="Only runs in the state of this name. May be repeated.")] = None,
    state_type: Annotated[
        list[str] | None, Parameter(help="Only runs in a state of this type. May be repeated.")
    ] = None,
    output: OutputOption = None,
) -> None:
    """List task runs, the newest first."""
    conditions = {
        "name": {"any_": task_run_name} if task_run_name else None,
        "state": _runs.state_filter(state, state_type),
    }
    runs = filters.TaskRunFilter.model_validate(conditions)
    most = _runs.check_limit(limit)
    with _api.client() as api:

        def page(size: int, offset: int) -> list[TaskRun]:
            sort = sorting.TaskRunSort.EXPECTED_START_TIME_DESC
            return api.read_task_runs(task_run_filter=runs, sort=sort, limit=size, offset=offset)

        found = list(_api.everything(page, most))
    if output == "json":
        _runs.print_json(found)
    elif not found:
        print("No task runs found.")
    else:
        _print_table(found)


def _print_table(runs: list[TaskRun]) -> None:
    rows = [
        (
            str(run.id),
            run.name,
            _runs.state_text(run.state_type, run.state_name),
            _runs.ago_text(run.start_time or run.expected_start_time),
            _runs.duration_text(run.estimated_run_time) if run.start_time else "",
        )
        for run in runs
    ]
    _runs.print_table(("ID", "Name", "State", "When", "Duration"), rows, cut=["Name"], spare=["When", "Duration"])


def _find(api: SyncPrefectClient, id: str) -> TaskRun:
    """The task run of an id, or of a name that only one has."""
    key = _runs.as_uuid(id)
    if key is not None:
        return api.read_task_run(key)
    named = filters.TaskRunFilter.model_validate({"name": {"any_": [id]}})
    return _runs.only_one("Task run", id, api.read_task_runs(task_run_filter=named, limit=_runs.NAMESAKES))


@app.command
def inspect(
    id: Id,
    *,
    web: Annotated[bool, Parameter(help="Open the task run in a browser.")] = False,
    output: OutputOption = None,
) -> None:
    """Show a task run and the states it went through."""
    with _api.client() as api:
        run = _find(api, id)
        if web:
            _runs.open_page(f"runs/task-run/{run.id}")
            return
        if output == "json":
            _runs.print_json(run)
            return
        flow_run = None if run.flow_run_id is None else api.read_flow_run(run.flow_run_id)
        states = api.read_task_run_states(run.id)
    details = {
        "Task run": rich_text.Text(run.name, style="bold"),
        "ID": run.id,
        "Flow run": None if flow_run is None else f"{flow_run.name} ({flow_run.id})",
        "Task": run.task_key,
        "Task version": run.task_version,
        "State": _runs.state_text(run.state_type, run.state_name),
        "Started": _runs.time_text(run.start_time),
        "Ended": _runs.time_text(run.end_time),
        "Duration": _runs.duration_text(run.estimated_run_time) if run.start_time else None,
        "Attempts": run.run_count if run.run_count > 1 else None,
        "Cache key": run.cache_key,
        "Tags": ", ".join(run.tags),
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
    """Show the log of a task run."""
    part = _runs.LogPart.of(head=head, tail=tail, num_logs=num_logs, reverse=reverse)
    with _api.client() as api:
        run = _find(api, id)
        lines = part.read(api, task_run_id={"any_": [run.id]})
        if output == "json":
            _runs.print_json(lines)
        elif not _runs.print_logs(lines, lambda log: f"Task run {run.name!r}"):
            print(f"Task run {run.name!r} has no logs.", file=sys.stderr)
