"""`prefect deployment`: flows that can be run from afar, and when they run."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import (
    _api,
    _console,
    _deployments,
    _moments,
    _output,
    _watching,
    deployment_backfill,
    deployment_schedule,
    deployment_versions,
)
from prefect.cli._deployments import Name
from prefect.cli._options import Output, Yes, flag
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from uuid import UUID

    import rich.text as rich_text

    from prefect import states
    from prefect._schemas import deployments
    from prefect._schemas.deployments import DeploymentResponse
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import filters, sorting
else:
    rich_text = lazy_module("rich.text")
    states = lazy_module("prefect.states")
    deployments = lazy_module("prefect._schemas.deployments")
    filters = lazy_module("prefect.client.schemas.filters")
    sorting = lazy_module("prefect.client.schemas.sorting")

app = App(name="deployment", help="See, run and change deployments.")
app.command(deployment_schedule.app, name=["schedule", "schedules"])
app.command(deployment_backfill.app, name=["backfill", "backfills"])
app.command(deployment_versions.versions)
app.command(deployment_versions.rollback)

SomeName = Annotated[str | None, Parameter(help="The deployment, as flow/name.")]
SomeId = Annotated[str | None, Parameter(help="Id of the deployment.")]


@app.command
def ls(
    *,
    flow_name: Annotated[
        list[str] | None,
        Parameter(name=["--flow-name", "--flow_name"], help="Only of this flow. May be repeated.", negative=()),
    ] = None,
    by_created: Annotated[bool, flag("The newest first, instead of by name.")] = False,
    output: Output = None,
) -> None:
    """List deployments, by name."""
    body: dict[str, Any] = {"sort": "CREATED_DESC" if by_created else "NAME_ASC"}
    if flow_name:
        body["flows"] = {"name": {"any_": flow_name}}
    with _api.client() as api:
        found = list(_api.pages(api, "/deployments/filter", deployments.DeploymentResponse, **body))
        names = _deployments.full_names(api, found)
    if not by_created:
        found.sort(key=lambda one: names[one.id])
    if output == "json":
        _output.print_plain_json([_with_flow(one, names[one.id]) for one in found])
    elif not found:
        print("No deployments found.")
    else:
        rows = [
            (
                names[one.id],
                str(one.id),
                one.work_pool_name or "",
                _first_schedule(one),
                _status(one),
            )
            for one in found
        ]
        columns = ("Name", "ID", "Work pool", "Schedule", "Status")
        _output.print_table(columns, rows, cut=["Work pool", "Schedule"], spare=["Schedule", "Work pool", "Status"])


@app.command
def inspect(name: Name, *, output: Output = None) -> None:
    """Show a deployment, its schedules and its next runs."""
    with _api.client() as api:
        found, full_name = _deployments.find(api, name)
        if output == "json":
            _output.print_plain_json(_with_flow(found, full_name))
            return
        ahead = _next_runs(api, found.id)
    _output.print_fields(
        {
            "Deployment": rich_text.Text(full_name, style="bold"),
            "ID": found.id,
            "Status": _status(found),
            "Description": found.description,
            "Version": found.version,
            "Entrypoint": found.entrypoint,
            "Path": found.path,
            "Work pool": found.work_pool_name,
            "Work queue": found.work_queue_name,
            "Limit": found.global_concurrency_limit.limit if found.global_concurrency_limit else None,
            "Tags": found.tags,
            "Parameters": found.parameters,
            "Job variables": found.job_variables,
            "Schedules": "\n".join(
                f"{_deployments.schedule_text(one.schedule)}{'' if one.active else ' (paused)'}"
                for one in found.schedules
            ),
            "Next runs": "\n".join(_output.time_text(run.expected_start_time) for run in ahead),
            "Created": found.created,
            "Changed": found.updated,
        }
    )


@app.command
def run(
    name: SomeName = None,
    *,
    id: SomeId = None,
    job_variable: Annotated[
        list[str] | None, Parameter(help="A job variable, as name=value. May be repeated.", negative=())
    ] = None,
    param: Annotated[
        list[str] | None,
        Parameter(name=["--param", "-p"], help="A parameter, as name=value. May be repeated.", negative=()),
    ] = None,
    params: Annotated[
        str | None, Parameter(help="Parameters as a JSON object; - reads standard input.", allow_leading_hyphen=True)
    ] = None,
    start_in: Annotated[str | None, Parameter(help="Start after a while, such as '5 minutes'.")] = None,
    start_at: Annotated[str | None, Parameter(help="Start at a moment, such as 'tomorrow 9am'.")] = None,
    tag: Annotated[list[str] | None, Parameter(help="Give the run a tag. May be repeated.", negative=())] = None,
    watch: Annotated[bool, flag("Show its states until it has ended; the exit status is 1 if it fails.")] = False,
    watch_interval: Annotated[float | None, Parameter(help="Seconds between two looks.")] = None,
    watch_timeout: Annotated[float | None, Parameter(help="Seconds after which to watch no more.")] = None,
    flow_run_name: Annotated[str | None, Parameter(help="Name of the run.")] = None,
    output: Output = None,
) -> None:
    """Make a run of a deployment, for a worker to carry out."""
    _api.one_of({"NAME": name, "--id": id}, of="deployment")
    parameters = {**_all_parameters(params), **_output.pairs(param, "--param")}
    start = _start(start_in, start_at)
    if not watch and (watch_interval is not None or watch_timeout is not None):
        _console.usage("--watch-interval and --watch-timeout are for --watch.")
    with _api.client() as api:
        deployment, full_name = _deployments.find(api, str(name or id))
        _check_parameters(deployment, parameters)
        made = api.create_flow_run_from_deployment(
            deployment.id,
            parameters=parameters,
            state=states.Scheduled(scheduled_time=start),
            name=flow_run_name,
            tags=tag,
            job_variables=_output.pairs(job_variable, "--job-variable") or None,
        )
        if output != "json":
            _say_made(made, full_name, start)
            if start is None:
                _deployments.say_what_runs_wait_for(api, deployment)
        if watch:
            made = _watching.follow(api, made.id, interval=watch_interval, timeout=watch_timeout)
    if output == "json":
        _output.print_json(made)
    if watch:
        _watching.fail_unless_completed(made)


@app.command
def pause(name: Name) -> None:
    """Let a deployment make no more runs by itself, until it is resumed."""
    with _api.client() as api:
        found, full_name = _deployments.find(api, name)
        api.pause_deployment(found.id)
    print(f"Deployment {full_name} is paused.")


@app.command
def resume(name: Name) -> None:
    """Let the schedules of a deployment go on."""
    with _api.client() as api:
        found, full_name = _deployments.find(api, name)
        api.resume_deployment(found.id)
    print(f"Deployment {full_name} goes on.")


@app.command
def delete(
    name: SomeName = None,
    *,
    id: SomeId = None,
    all: Annotated[bool, flag("Delete all deployments.")] = False,
    yes: Yes = False,
) -> None:
    """Delete a deployment, with its schedules and the runs that have not begun."""
    _api.one_of({"NAME": name, "--id": id, "--all": all}, of="deployment")
    with _api.client() as api:
        if all:
            found = list(_api.pages(api, "/deployments/filter", deployments.DeploymentResponse))
            _console.agree(f"Delete all {_output.count(len(found), 'deployment')}?", yes)
            said = _output.count(len(found), "deployment")
        else:
            one, full_name = _deployments.find(api, str(name or id))
            _console.agree(f"Delete deployment {full_name}?", yes)
            found, said = [one], f"deployment {full_name}"
        for one in found:
            api.delete_deployment(one.id)
    print(f"Deleted {said}.")


def _with_flow(deployment: DeploymentResponse, full_name: str) -> dict[str, Any]:
    """A deployment as JSON, with the name of its flow."""
    return {**deployment.model_dump(mode="json"), "flow_name": full_name.removesuffix(f"/{deployment.name}")}


def _first_schedule(deployment: DeploymentResponse) -> str:
    first, *more = [_deployments.schedule_text(one.schedule) for one in deployment.schedules] or [""]
    return f"{first} +{len(more)}" if more else first


def _status(deployment: DeploymentResponse) -> str:
    if deployment.paused:
        return "paused"
    return "" if deployment.status is None else deployment.status.value.lower().replace("_", " ")


def _next_runs(api: SyncPrefectClient, id: UUID) -> list[FlowRun]:
    return api.read_flow_runs(
        deployment_filter=filters.DeploymentFilter.model_validate({"id": {"any_": [id]}}),
        flow_run_filter=filters.FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}}),
        sort=sorting.FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=3,
    )


# -- a run ----------------------------------------------------------------------------------------------------------


def _all_parameters(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    return _output.json_object(sys.stdin.read() if text == "-" else text, "--params")


def _start(start_in: str | None, start_at: str | None) -> datetime | None:
    """When a run is to start; None for at once."""
    if start_in is not None and start_at is not None:
        _console.usage("Give --start-in or --start-at, not both.")
    if start_in is not None:
        return datetime.now().astimezone() + _moments.given_span(start_in, "--start-in")
    return None if start_at is None else _moments.given_moment(start_at, "--start-at")


def _check_parameters(deployment: DeploymentResponse, parameters: dict[str, Any]) -> None:
    """Refuse parameters that the flow does not have, when it says which it has."""
    schema = deployment.parameter_openapi_schema or {}
    known = schema.get("properties")
    if not known or schema.get("additionalProperties"):
        return
    for name in parameters:
        if name not in known:
            _api.not_found("parameter", name, known)


def _say_made(made: FlowRun, full_name: str, start: datetime | None) -> None:
    when = "at once" if start is None else f"{_output.time_text(start)} ({_output.ago_text(start)})"
    fields: dict[str, Any] = {
        "Flow run": rich_text.Text(made.name, style="bold"),
        "ID": made.id,
        "Deployment": full_name,
        "Parameters": _output.compact_json(made.parameters) if made.parameters else None,
        "Job variables": _output.compact_json(made.job_variables) if made.job_variables else None,
        "Starts": when,
    }
    settings = get_current_settings()
    if settings.source_of("ui_url") is not None and (pages := settings.ui_url):  # our own server has no pages yet
        fields["Page"] = f"{pages.rstrip('/')}/runs/flow-run/{made.id}"
    _output.print_fields(fields)
