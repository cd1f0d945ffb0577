"""The many ways to say when a deployment runs, brought to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from prefect._schemas.actions.deployments import DeploymentScheduleCreate
from prefect._schemas.schedule_spec import Schedule
from prefect._schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule, NoSchedule, RRuleSchedule

Given = Schedule | SCHEDULE_TYPES | DeploymentScheduleCreate | Mapping[str, Any]

_KINDS = frozenset({"interval", "cron", "rrule"})
_OF_SCHEDULE = frozenset({*_KINDS, "anchor_date", "timezone", "day_or"})


def to_create(
    schedule: Schedule | SCHEDULE_TYPES | Mapping[str, Any], active: bool | None = True
) -> DeploymentScheduleCreate:
    """The request that adds a schedule to a deployment.

    Raises:
        ValueError: it is no schedule.
    """
    if isinstance(schedule, Schedule):
        return DeploymentScheduleCreate.from_schedule(schedule)
    if isinstance(schedule, (IntervalSchedule, CronSchedule, RRuleSchedule, NoSchedule)):
        return DeploymentScheduleCreate(schedule=schedule, active=True if active is None else active)
    if isinstance(schedule, Mapping):
        return _of_mapping(schedule, active)
    raise ValueError(
        f"Invalid schedule provided: {schedule!r}. Must be a schedule (`Cron`, `Interval` or `RRule` of "
        "`prefect.schedules`), a dictionary, or a `DeploymentScheduleCreate`."
    )


def _of_mapping(given: Mapping[str, Any], active: bool | None) -> DeploymentScheduleCreate:
    """From a dictionary as it stands in `prefect.yaml`: the schedule's fields and those around it, on one level or two."""
    fields = dict(given)
    inner = fields.pop("schedule", None)
    if inner is not None and not isinstance(inner, Mapping):
        return to_create(inner).model_copy(update=_around(fields, active))
    timing = {**(inner or {}), **{name: fields.pop(name) for name in list(fields) if name in _OF_SCHEDULE}}
    kinds = [name for name in _KINDS if timing.get(name) is not None]
    if len(kinds) != 1:
        raise ValueError(
            f"A schedule has one of `cron`, `interval` and `rrule`; this one has {' and '.join(sorted(kinds)) or 'none'}: "
            f"{dict(given)!r}."
        )
    timing = {name: value for name, value in timing.items() if value is not None}
    schema = {"interval": IntervalSchedule, "cron": CronSchedule, "rrule": RRuleSchedule}[kinds[0]]
    return DeploymentScheduleCreate(schedule=schema.model_validate(timing), **_around(fields, active))


def _around(fields: Mapping[str, Any], active: bool | None) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    return {"active": True if active is None else active, **given}


def normalized(schedules: Iterable[Given] | None) -> list[DeploymentScheduleCreate]:
    """A list of schedules, each given in whatever way, as requests."""
    if isinstance(schedules, (str, Mapping)):
        raise ValueError(f"Schedules are given as a list, not as {type(schedules).__name__}.")
    found: list[DeploymentScheduleCreate] = []
    for schedule in schedules or ():
        if isinstance(schedule, DeploymentScheduleCreate):
            found.append(schedule)
        else:
            found.append(to_create(schedule))
    return found


def from_options(
    interval: Iterable[int | float | timedelta] | int | float | timedelta | None = None,
    anchor_date: datetime | str | None = None,
    cron: Iterable[str] | str | None = None,
    rrule: Iterable[str] | str | None = None,
    timezone: str | None = None,
    schedule: Schedule | SCHEDULE_TYPES | None = None,
    schedules: Iterable[Given] | None = None,
) -> list[DeploymentScheduleCreate]:
    """The schedules that the options of `serve`, `deploy` and their like ask for.

    Args:
        interval: seconds or a timedelta, or several.
        anchor_date: from where intervals are counted.
        cron: an expression, or several.
        rrule: a rule, or several.
        timezone: IANA name, for the schedules of the options above.
        schedule: one schedule.
        schedules: several, each in whatever way.

    Raises:
        ValueError: more than one of the ways is used, or a schedule is not valid.
    """
    ways = {"interval": interval, "cron": cron, "rrule": rrule, "schedule": schedule, "schedules": schedules}
    if sum(value is not None for value in ways.values()) > 1:
        raise ValueError("Only one of interval, cron, rrule, schedule, or schedules can be provided.")
    if schedules is not None:
        return normalized(schedules)
    if schedule is not None:
        return [to_create(schedule)]
    zone = {"timezone": timezone} if timezone else {}
    if interval is not None:
        anchor = {"anchor_date": anchor_date} if anchor_date else {}
        return [to_create({"interval": one, **anchor, **zone}) for one in _several(interval)]
    name, values = ("cron", cron) if cron is not None else ("rrule", rrule)
    return [to_create({name: one, **zone}) for one in _several(values)]


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    return [value]
