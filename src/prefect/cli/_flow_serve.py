"""`prefect flow serve`: carry out the runs of a flow's deployment from here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console

if TYPE_CHECKING:
    import asyncio

    from prefect import _entrypoints, exceptions, schedules
    from prefect._deploying import serving
    from prefect.deployments import runner as deployments
else:
    _entrypoints = lazy_module("prefect._entrypoints")
    asyncio = lazy_module("asyncio")
    deployments = lazy_module("prefect.deployments.runner")
    exceptions = lazy_module("prefect.exceptions")
    schedules = lazy_module("prefect.schedules")
    serving = lazy_module("prefect._deploying.serving")


def serve(
    entrypoint: Annotated[str, Parameter(help="The flow, as path/to/file.py:flow or package.module:flow.")],
    *,
    name: Annotated[str, Parameter(name=["--name", "-n"], help="Name of the deployment.")],
    description: Annotated[str | None, Parameter(name=["--description", "-d"], help="What it is for.")] = None,
    version: Annotated[str | None, Parameter(name=["--version", "-v"], help="Version of the deployment.")] = None,
    tag: Annotated[
        list[str] | None, Parameter(name=["--tag", "-t"], help="Give it a tag. May be repeated.", negative=())
    ] = None,
    cron: Annotated[str | None, Parameter(help="Run by this cron expression.")] = None,
    interval: Annotated[int | None, Parameter(help="Run every so many seconds.")] = None,
    anchor_date: Annotated[str | None, Parameter(help="Count the intervals from this moment.")] = None,
    rrule: Annotated[str | None, Parameter(help="Run by this recurrence rule (RFC 5545).")] = None,
    timezone: Annotated[str | None, Parameter(help="Time zone of the schedule, such as Europe/Berlin.")] = None,
    pause_on_shutdown: Annotated[bool, Parameter(help="Pause the schedule when this ends.")] = True,
    limit: Annotated[int | None, Parameter(help="At most so many runs at a time here.")] = None,
    global_limit: Annotated[
        int | None, Parameter(help="At most so many runs at a time, wherever it is served.")
    ] = None,
) -> None:
    """Make a deployment of a flow and carry out its runs here, until stopped."""
    flow = _load(entrypoint)
    schedule = _schedule(cron, interval, anchor_date, rrule, timezone)
    try:
        deployment = deployments.RunnerDeployment.from_entrypoint(
            entrypoint=entrypoint,
            name=name,
            flow_name=flow.name,
            schedules=[schedule] if schedule is not None else None,
            description=description or flow.description,
            version=version,
            tags=tag or [],
            concurrency_limit=global_limit,
        )
    except ValueError as problem:
        _console.fail(str(problem))
    try:
        asyncio.run(serving.serve([deployment], pause_on_shutdown=pause_on_shutdown, say=True, limit=limit))
    except KeyboardInterrupt:
        pass
    print("Stopped serving.", flush=True)


def _load(entrypoint: str) -> Any:
    try:
        return _entrypoints.load_flow_from_entrypoint(entrypoint)
    except (ImportError, FileNotFoundError, ValueError) as problem:
        _console.fail(str(problem))
    except exceptions.ScriptError as problem:
        _console.fail(f"{entrypoint!r} could not be loaded: {type(problem.user_exc).__name__}: {problem.user_exc}")


def _schedule(
    cron: str | None, interval: int | None, anchor_date: str | None, rrule: str | None, timezone: str | None
) -> Any:
    given = [option for option, value in (("--cron", cron), ("--interval", interval), ("--rrule", rrule)) if value]
    if len(given) > 1:
        _console.usage(f"Give one schedule, not several: {' and '.join(given)}.")
    if anchor_date is not None and interval is None:
        _console.usage("--anchor-date is for --interval.")
    if timezone is not None and not given:
        _console.usage("--timezone is for a schedule: give --cron, --interval or --rrule.")
    try:
        if cron:
            return schedules.Cron(cron, timezone=timezone)
        if interval:
            anchor = datetime.fromisoformat(anchor_date) if anchor_date else None
            return schedules.Interval(interval, anchor_date=anchor, timezone=timezone)
        return schedules.RRule(rrule, timezone=timezone) if rrule else None
    except ValueError as problem:
        _console.fail(f"The schedule cannot be used: {problem}")
