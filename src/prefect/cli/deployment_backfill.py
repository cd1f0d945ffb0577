"""`prefect deployment backfill`: run a deployment for instants of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _deployments, _moments, _output
from prefect.cli._deployments import Name
from prefect.cli._options import Output, Yes, flag

if TYPE_CHECKING:
    from prefect._schemas import backfills
    from prefect._schemas.backfills import Backfill
else:
    backfills = lazy_module("prefect._schemas.backfills")

app = App(name="backfill", help="Run a deployment for instants of the past.")

Id = Annotated[UUID, Parameter(help="Id of the backfill.")]


@app.command
def create(
    name: Name,
    *,
    start: Annotated[str, Parameter(name=["--start", "--from"], help="The earliest moment, such as 2026-01-01.")],
    end: Annotated[str | None, Parameter(name=["--end", "--to"], help="The latest moment; now unless given.")] = None,
    schedule: Annotated[
        str | None, Parameter(help="Which of the deployment's schedules, when it has several: its id or slug.")
    ] = None,
    interval: Annotated[str | None, Parameter(help="Instants so far apart, instead of a schedule's: 1h30m.")] = None,
    cron: Annotated[str | None, Parameter(help="Instants of a cron expression, instead of a schedule's.")] = None,
    rrule: Annotated[str | None, Parameter(help="Instants of a recurrence rule, instead of a schedule's.")] = None,
    timezone: Annotated[str | None, Parameter(help="Time zone of these.")] = None,
    concurrency: Annotated[int, Parameter(help="How many of its runs at a time.")] = 1,
    again: Annotated[bool, flag("Also for the instants that the schedule made a run for.")] = False,
    param: Annotated[
        list[str] | None,
        Parameter(name=["--param", "-p"], help="A parameter of its runs, as name=value. May be repeated.", negative=()),
    ] = None,
    output: Output = None,
) -> None:
    """Make runs for the instants of a schedule in a range of the past, the earliest first, so many at a time."""
    other = {"--schedule": schedule, "--interval": interval, "--cron": cron, "--rrule": rrule}
    if sum(value is not None for value in other.values()) > 1:
        _console.usage(f"Give one of {', '.join(other)}.")
    fields: dict[str, Any] = {
        "start": _moments.given_moment(start, "--start"),
        "end": _moments.given_moment(end or "now", "--end"),
        "concurrency": concurrency,
        "skip_existing": not again,
        "parameters": _output.pairs(param, "--param"),
    }
    if interval or cron or rrule:
        fields["schedule"] = _deployments.made_schedule(interval, None, rrule, cron, True, timezone)
    elif timezone is not None:
        _console.usage("--timezone is for --interval, --cron and --rrule.")
    wanted = _api.made(backfills.BackfillCreate, fields)
    with _api.client() as api, _api.not_everywhere("backfills"):
        deployment, full_name = _deployments.find(api, name)
        chosen = None if schedule is None else _deployments.find_schedule(api, deployment, schedule).id
        made = api.create_backfill(
            deployment.id,
            wanted.start,
            wanted.end,
            schedule_id=chosen,
            schedule=wanted.schedule,
            concurrency=concurrency,
            skip_existing=wanted.skip_existing,
            parameters=wanted.parameters,
        )
    if output == "json":
        _output.print_json(made)
    else:
        print(
            f"Backfill {made.id} runs {full_name} for {_deployments.schedule_text(made.schedule)}, "
            f"{_output.time_text(made.range_start)} to {_output.time_text(made.range_end)}, "
            f"{_output.count(concurrency, 'run')} at a time."
        )


@app.command
def ls(
    name: Name,
    *,
    limit: Annotated[int, Parameter(help="Show at most so many.")] = 15,
    output: Output = None,
) -> None:
    """List the backfills of a deployment, the newest first."""
    most = _output.check_limit(limit)
    with _api.client() as api, _api.not_everywhere("backfills"):
        deployment, full_name = _deployments.find(api, name)
        found = list(
            _api.everything(lambda size, skip: api.read_backfills(deployment.id, limit=size, offset=skip), most)
        )
    if output == "json":
        _output.print_json(found)
    elif not found:
        print(f"Deployment {full_name} has no backfills.")
    else:
        rows = [
            (str(one.id), one.status.lower(), _range(one), _runs(one), _deployments.schedule_text(one.schedule))
            for one in found
        ]
        columns = ("ID", "Status", "Range", "Runs", "Schedule")
        _output.print_table(columns, rows, cut=["Schedule", "Range"], spare=["Schedule", "Range"])


@app.command
def inspect(id: Id, *, output: Output = None) -> None:
    """Show a backfill, and how far it has come."""
    with _api.client() as api, _api.not_everywhere("backfills"):
        found = api.read_backfill(id)
    if output == "json":
        _output.print_json(found)
        return
    _output.print_fields(
        {
            "Backfill": found.id,
            "Deployment": found.deployment_id,
            "Status": found.status.lower(),
            "Schedule": _deployments.schedule_text(found.schedule),
            "From": found.range_start,
            "To": found.range_end,
            "Come to": found.position,
            "At a time": found.concurrency,
            "Again": not found.skip_existing,
            "Parameters": found.parameters,
            "Runs": _runs(found),
            "Created": found.created,
        }
    )


@app.command
def cancel(id: Id, *, yes: Yes = False, output: Output = None) -> None:
    """Make no more runs of a backfill, and cancel those that have not begun."""
    with _api.client() as api, _api.not_everywhere("backfills"):
        found = api.read_backfill(id)
        _console.agree(f"Cancel backfill {found.id}?", yes)
        found = api.cancel_backfill(id)
    if output == "json":
        _output.print_json(found)
    else:
        print(f"Backfill {found.id} is {found.status.lower()}; runs under way end by themselves.")


def _range(backfill: Backfill) -> str:
    return f"{backfill.range_start.astimezone():%Y-%m-%d %H:%M} – {backfill.range_end.astimezone():%Y-%m-%d %H:%M}"


def _runs(backfill: Backfill) -> str:
    """`3 completed, 1 running`"""
    return ", ".join(f"{number} {state.lower()}" for state, number in sorted(backfill.runs.items()))
