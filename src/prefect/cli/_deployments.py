"""What the commands about deployments share: finding them, and saying when they run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from cyclopts import Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _moments, _output

if TYPE_CHECKING:
    from prefect._schemas import deployments, enums, schedules
    from prefect._schemas.deployments import DeploymentResponse, DeploymentSchedule
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import filters
else:
    deployments = lazy_module("prefect._schemas.deployments")
    enums = lazy_module("prefect._schemas.enums")
    schedules = lazy_module("prefect._schemas.schedules")
    filters = lazy_module("prefect.client.schemas.filters")

Name = Annotated[str, Parameter(help="The deployment: flow/name, or its id, or its name if no other has it.")]


def find(api: SyncPrefectClient, given: str) -> tuple[DeploymentResponse, str]:
    """A deployment, and its name with that of its flow.

    Args:
        api: whom to ask.
        given: `flow/name`, an id, the beginning of one, or a name that only one deployment has.
    """
    names: dict[UUID, str] = {}

    def exact(text: str) -> DeploymentResponse | None:
        key = _output.as_uuid(text)
        if key is not None:
            return api.read_deployment(key)
        return api.read_deployment_by_name(text) if "/" in text else None

    def every() -> list[DeploymentResponse]:
        found = list(_api.pages(api, "/deployments/filter", deployments.DeploymentResponse))
        names.update(full_names(api, found))
        return found

    found = _api.find("deployment", given, exact, every, lambda one: [names[one.id], one.name])
    return found, names.get(found.id) or full_names(api, [found])[found.id]


def full_names(api: SyncPrefectClient, found: Iterable[DeploymentResponse]) -> dict[UUID, str]:
    """The names of deployments with those of their flows, by id."""
    listed = list(found)
    flow_ids = list({one.flow_id for one in listed})
    flows: dict[UUID, str] = {}
    for start in range(0, len(flow_ids), _api.PAGE):
        some = filters.FlowFilter.model_validate({"id": {"any_": flow_ids[start : start + _api.PAGE]}})
        flows |= {flow.id: flow.name for flow in api.read_flows(flow_filter=some, limit=_api.PAGE)}
    return {one.id: f"{flows.get(one.flow_id, '?')}/{one.name}" for one in listed}


def find_schedule(api: SyncPrefectClient, deployment: DeploymentResponse, given: str) -> DeploymentSchedule:
    """A schedule of a deployment by its id, the beginning of its id, or its slug."""
    found = api.read_deployment_schedules(deployment.id)
    named = [one for one in found if given in (str(one.id), one.slug)]
    named = named or [one for one in found if len(given) > 3 and str(one.id).startswith(given.lower())]
    if len(named) == 1:
        return named[0]
    if named:
        _console.fail(f"More than one schedule begins with {given!r}; give more of its id.")
    return _api.not_found("schedule", given, [one.slug or str(one.id) for one in found])


def schedule_text(schedule: Any) -> str:
    """When something runs: `cron 0 9 * * * (Europe/Berlin)`, `every 1h 0m`."""
    zone = getattr(schedule, "timezone", None)
    where = f" ({zone})" if zone and zone != "UTC" else ""
    if isinstance(schedule, schedules.CronSchedule):
        both = "" if schedule.day_or else ", day of month and of week"
        return f"cron {schedule.cron}{both}{where}"
    if isinstance(schedule, schedules.IntervalSchedule):
        return f"every {_output.duration_text(schedule.interval)}{where}"
    if isinstance(schedule, schedules.RRuleSchedule):
        return f"rrule {_output.one_line(schedule.rrule, 80)}{where}"
    return "never"


def made_schedule(
    interval: str | None, anchor: str | None, rrule: str | None, cron: str | None, day_or: bool, timezone: str | None
) -> Any:
    """The schedule that options ask for; one of interval, cron and rrule is given."""
    if anchor is not None and interval is None:
        _console.usage("--anchor-date is for --interval.")
    fields: dict[str, Any] = {} if timezone is None else {"timezone": timezone}
    if interval is not None:
        fields["interval"] = _moments.given_span(interval, "--interval")
        if anchor is not None:
            fields["anchor_date"] = _moments.given_moment(anchor, "--anchor-date")
        return _api.made(schedules.IntervalSchedule, fields)
    if cron is not None:
        return _api.made(schedules.CronSchedule, {**fields, "cron": cron, "day_or": day_or})
    return _api.made(schedules.RRuleSchedule, {**fields, "rrule": rrule})


def say_what_runs_wait_for(api: SyncPrefectClient, deployment: DeploymentResponse) -> None:
    """Why nobody may carry out the runs of a deployment for now, if that can be seen."""
    pool, queue = deployment.work_pool_name, deployment.work_queue_name
    ready = deployment.status is enums.DeploymentStatus.READY
    if pool is None:
        if not ready:
            _console.say("", "Nobody serves this deployment at the moment, and it has no work pool: the run waits.")
        return
    if api.read_work_pool(pool).is_paused:
        _console.say("", f"Work pool {pool!r} is paused: the run waits until `prefect work-pool resume '{pool}'`.")
    elif queue is not None and api.read_work_queue_by_name(queue, pool).is_paused:
        resume = f"prefect work-queue resume '{queue}' --pool '{pool}'"
        _console.say("", f"Work queue {queue!r} of {pool!r} is paused: the run waits until `{resume}`.")
    elif not ready:
        start = f"prefect worker start --pool '{pool}'"
        _console.say("", f"No worker has asked for runs of work pool {pool!r} lately; `{start}` starts one.")
