"""`prefect deployment schedule`: when a deployment runs by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _deployments, _output
from prefect.cli._deployments import Name
from prefect.cli._options import Output, flag

if TYPE_CHECKING:
    from prefect._schemas import deployments as schemas
    from prefect._schemas.actions import deployments as actions
    from prefect._schemas.deployments import DeploymentResponse, DeploymentSchedule
    from prefect.client.orchestration import SyncPrefectClient
else:
    schemas = lazy_module("prefect._schemas.deployments")
    actions = lazy_module("prefect._schemas.actions.deployments")

app = App(name="schedule", help="See and change when a deployment runs by itself.")

Yes = Annotated[bool, flag("Do not ask.", "--accept-yes", "--yes", "-y")]
ScheduleId = Annotated[str, Parameter(help="The schedule: its id, the beginning of it, or its slug.")]
SomeName = Annotated[
    str | None, Parameter(name=["--deployment-name", "--deployment_name"], help="The deployment, as flow/name.")
]
SomeSchedule = Annotated[
    str | None, Parameter(name=["--schedule-id", "--schedule_id"], help="The schedule: its id or slug.")
]


@app.command
def ls(deployment_name: Name, *, output: Output = None) -> None:
    """List the schedules of a deployment."""
    with _api.client() as api:
        deployment, name = _deployments.find(api, deployment_name)
        found = api.read_deployment_schedules(deployment.id)
    if output == "json":
        _output.print_json(found)
    elif not found:
        print(f"Deployment {name!r} has no schedules.")
    else:
        rows = [
            (str(one.id), one.slug or "", _deployments.schedule_text(one.schedule), "yes" if one.active else "no")
            for one in found
        ]
        _output.print_table(("ID", "Slug", "Schedule", "Active"), rows, cut=["Schedule", "Slug"], spare=["Slug"])


@app.command
def create(
    name: Name,
    *,
    interval: Annotated[str | None, Parameter(help="Every so often: seconds, or such as 1h30m.")] = None,
    anchor_date: Annotated[str | None, Parameter(help="From when an interval is counted.")] = None,
    rrule: Annotated[str | None, Parameter(help="A recurrence rule of iCalendar (RFC 5545).")] = None,
    cron: Annotated[str | None, Parameter(help="A cron expression.")] = None,
    day_or: Annotated[
        bool,
        Parameter(
            name=["--day-or", "--day_or"],
            negative=["--no-day-or", "--no-day_or"],
            help="Where cron restricts days of the month and of the week, either is enough.",
        ),
    ] = True,
    timezone: Annotated[str | None, Parameter(help="Time zone, such as Europe/Berlin.")] = None,
    active: Annotated[bool, Parameter(help="Whether it runs anything yet.")] = True,
    slug: Annotated[str | None, Parameter(help="A name for it, unique in its deployment.")] = None,
    param: Annotated[
        list[str] | None,
        Parameter(name=["--param", "-p"], help="A parameter of its runs, as name=value. May be repeated.", negative=()),
    ] = None,
    catch_up: Annotated[
        Literal["skip", "latest", "all"] | None,
        Parameter(help="What becomes of instants that were missed while no server ran."),
    ] = None,
    replace: Annotated[bool, flag("Delete the schedules that are there.")] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Give a deployment a schedule."""
    _api.one_of({"--interval": interval, "--cron": cron, "--rrule": rrule}, of="kind of schedule")
    schedule = _deployments.made_schedule(interval, anchor_date, rrule, cron, day_or, timezone)
    fields: dict[str, Any] = {
        "schedule": schedule,
        "active": active,
        "slug": slug,
        "parameters": _output.pairs(param, "--param"),
    }
    if catch_up is not None:  # not every server knows it
        fields["catch_up"] = catch_up
    wanted = _api.made(actions.DeploymentScheduleCreate, fields)
    with _api.client() as api:
        deployment, full_name = _deployments.find(api, name)
        old = api.read_deployment_schedules(deployment.id) if replace else []
        if old:
            _console.agree(f"Delete {_output.count(len(old), 'schedule')} of {full_name}?", yes)
            for one in old:
                api.delete_deployment_schedule(deployment.id, one.id)
        made = api.create_deployment_schedules(deployment.id, [wanted])[0]
    if output == "json":
        _output.print_json(made)
    else:
        said = _deployments.schedule_text(made.schedule)
        print(f"{'Replaced the schedules' if replace else 'Created a schedule'} of {full_name}: {said} ({made.id}).")


@app.command
def preview(
    deployment_name: Name,
    schedule_id: Annotated[str | None, Parameter(help="One schedule: its id or slug; all unless given.")] = None,
    *,
    count: Annotated[int, Parameter(name=["--count", "-n"], help="How many instants.")] = 5,
    output: Output = None,
) -> None:
    """Show the next instants of a deployment's schedules."""
    with _api.client() as api, _api.not_everywhere("previews of schedules"):
        deployment, name = _deployments.find(api, deployment_name)
        if schedule_id is None:
            chosen = api.read_deployment_schedules(deployment.id)
        else:
            chosen = [_deployments.find_schedule(api, deployment, schedule_id)]
        found = [(one, moment) for one in chosen for moment in api.preview_schedule(one.schedule, count=count)]
    found = sorted(found, key=lambda pair: pair[1])[:count]
    if output == "json":
        _output.print_plain_json([{"at": moment.isoformat(), "schedule_id": str(one.id)} for one, moment in found])
    elif not found:
        print(f"Deployment {name!r} has no schedules.")
    else:
        rows = [
            (
                _output.time_text(moment)[:16],
                _output.ago_text(moment),
                _deployments.schedule_text(one.schedule) + ("" if one.active else " (paused)"),
            )
            for one, moment in found
        ]
        _output.print_table(("At", "In", "Schedule"), rows, cut=["Schedule"])


@app.command
def delete(deployment_name: Name, schedule_id: ScheduleId, *, yes: Yes = False) -> None:
    """Delete a schedule of a deployment."""
    with _api.client() as api:
        deployment, name = _deployments.find(api, deployment_name)
        found = _deployments.find_schedule(api, deployment, schedule_id)
        _console.agree(f"Delete schedule {_deployments.schedule_text(found.schedule)} of {name}?", yes)
        api.delete_deployment_schedule(deployment.id, found.id)
    print(f"Deleted schedule {found.id} of {name}.")


@app.command
def clear(deployment_name: Name, *, yes: Yes = False) -> None:
    """Delete all schedules of a deployment."""
    with _api.client() as api:
        deployment, name = _deployments.find(api, deployment_name)
        found = api.read_deployment_schedules(deployment.id)
        if not found:
            print(f"Deployment {name!r} has no schedules.")
            return
        _console.agree(f"Delete {_output.count(len(found), 'schedule')} of {name}?", yes)
        for one in found:
            api.delete_deployment_schedule(deployment.id, one.id)
    print(f"Deleted {_output.count(len(found), 'schedule')} of {name}.")


@app.command
def pause(
    deployment_name: SomeName = None,
    schedule_id: SomeSchedule = None,
    *,
    all: Annotated[bool, flag("All schedules: of the deployment, or of all when none is named.")] = False,
) -> None:
    """Let a schedule make no more runs, until it is resumed."""
    _switch(deployment_name, schedule_id, all, active=False)


@app.command
def resume(
    deployment_name: SomeName = None,
    schedule_id: SomeSchedule = None,
    *,
    all: Annotated[bool, flag("All schedules: of the deployment, or of all when none is named.")] = False,
) -> None:
    """Let a schedule make runs again."""
    _switch(deployment_name, schedule_id, all, active=True)


def _switch(name: str | None, schedule: str | None, all: bool, *, active: bool) -> None:
    """Pause or resume one schedule, all of a deployment, or all there are."""
    if all == (schedule is not None) or (schedule is not None and name is None):
        _console.usage("Name a deployment and one of its schedules, or give --all.")
    done = 0
    with _api.client() as api:
        for deployment, one in _chosen(api, name, schedule):
            if one.active != active:
                api.update_deployment_schedule(deployment.id, one.id, active=active)
                done += 1
    word = "Resumed" if active else "Paused"
    print(f"{word} {_output.count(done, 'schedule')}." if done else f"Nothing to do: {word.lower()} already.")


def _chosen(
    api: SyncPrefectClient, name: str | None, schedule: str | None
) -> list[tuple[DeploymentResponse, DeploymentSchedule]]:
    if name is None:
        every = _api.pages(api, "/deployments/filter", schemas.DeploymentResponse)
        return [(deployment, one) for deployment in every for one in deployment.schedules]
    deployment, _ = _deployments.find(api, name)
    if schedule is not None:
        return [(deployment, _deployments.find_schedule(api, deployment, schedule))]
    return [(deployment, one) for one in api.read_deployment_schedules(deployment.id)]
