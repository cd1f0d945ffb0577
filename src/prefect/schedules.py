"""Schedules for deployments: `Cron`, `Interval`, `RRule`.

An instant of a schedule is *missed* when no run was made for it in time: the server was down, or its clock was wrong.
`catch_up` says what becomes of missed instants:

- `None`: they are left out. Runs that were made ahead of time stay, and start late.
- `"skip"`: they are left out, and a run that has not begun when the next instant comes is cancelled.
- `"latest"`: as `"skip"`, but the latest missed instant gets its run.
- `"all"`: every missed instant gets its run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from prefect._clock import now
from prefect._schemas.schedule_spec import Schedule, span_of

__all__ = ["Cron", "Interval", "RRule", "Schedule"]

CatchUp = Literal["skip", "latest", "all"]


def Cron(
    cron: str,
    /,
    timezone: str | None = None,
    day_or: bool = True,
    active: bool = True,
    parameters: dict[str, Any] | None = None,
    slug: str | None = None,
    *,
    catch_up: CatchUp | None = None,
) -> Schedule:
    """Run when a cron expression says so.

    Args:
        cron: minute, hour, day of month, month, day of week, or a short form such as `@daily`.
        timezone: IANA name of the zone whose wall clock the expression is read on; UTC unless given.
        day_or: where both days are restricted, either is enough (POSIX cron); False: both must hold.
        active: whether the schedule makes runs.
        parameters: parameters of the runs it makes, over those of the deployment.
        slug: a name for the schedule, unique within its deployment.
        catch_up: what becomes of instants that were missed; see above.

    Raises:
        ValueError: the expression or the time zone is not valid.
    """
    return Schedule(
        cron=cron,
        timezone=timezone,
        day_or=day_or,
        active=active,
        parameters=parameters or {},
        slug=slug,
        catch_up=catch_up,
    )


def Interval(
    interval: timedelta | float | int,
    /,
    anchor_date: datetime | None = None,
    timezone: str | None = None,
    active: bool = True,
    parameters: dict[str, Any] | None = None,
    slug: str | None = None,
    *,
    catch_up: CatchUp | None = None,
) -> Schedule:
    """Run every so often.

    Args:
        interval: a timedelta or a number of seconds, more than 0.
        anchor_date: the moment from which intervals are counted; now, unless given.
        timezone: IANA name of the zone to whose wall clock intervals of whole days keep.
        active: whether the schedule makes runs.
        parameters: parameters of the runs it makes, over those of the deployment.
        slug: a name for the schedule, unique within its deployment.
        catch_up: what becomes of instants that were missed; see above.

    Raises:
        ValueError: the interval is not positive, or there is no such time zone.
    """
    return Schedule(
        interval=span_of(interval),
        anchor_date=anchor_date or now(),
        timezone=timezone,
        active=active,
        parameters=parameters or {},
        slug=slug,
        catch_up=catch_up,
    )


def RRule(
    rrule: str,
    /,
    timezone: str | None = None,
    active: bool = True,
    parameters: dict[str, Any] | None = None,
    slug: str | None = None,
    *,
    catch_up: CatchUp | None = None,
) -> Schedule:
    """Run when a recurrence rule of iCalendar (RFC 5545) says so.

    Args:
        rrule: the rule, such as `FREQ=WEEKLY;BYDAY=MO`.
        timezone: IANA name of the zone whose wall clock the rule is read on; UTC unless given.
        active: whether the schedule makes runs.
        parameters: parameters of the runs it makes, over those of the deployment.
        slug: a name for the schedule, unique within its deployment.
        catch_up: what becomes of instants that were missed; see above.

    Raises:
        ValueError: the rule or the time zone is not valid.
    """
    return Schedule(
        rrule=rrule, timezone=timezone, active=active, parameters=parameters or {}, slug=slug, catch_up=catch_up
    )
