"""When a deployment runs, as users write it. Nothing here needs pydantic."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from prefect._clock import now
from prefect._rules.cron import parse_cron
from prefect._rules.recurrence import check_rrule
from prefect._rules.schedules import POLICIES
from prefect._schemas.moments import aware, check_time_zone


@dataclass(frozen=True)
class Schedule:
    """When a deployment runs; made with `Cron`, `Interval` or `RRule`, which say what the fields mean.

    Raises:
        ValueError: more than one of interval, cron and rrule is given, or one of them, or the time zone, is not valid.
    """

    interval: timedelta | None = None
    cron: str | None = None
    rrule: str | None = None
    timezone: str | None = None
    anchor_date: datetime = field(default_factory=now)
    day_or: bool = True
    active: bool = True
    parameters: dict[str, Any] = field(default_factory=dict)
    slug: str | None = None
    catch_up: Literal["skip", "latest", "all"] | None = None

    def __post_init__(self) -> None:
        kinds = [name for name in ("interval", "cron", "rrule") if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise ValueError(f"Only one schedule type can be defined at a time. Found: {', '.join(kinds)}")
        if self.interval is not None:
            object.__setattr__(self, "interval", span_of(self.interval))
        if self.cron is not None:
            parse_cron(self.cron)
        if self.rrule is not None:
            check_rrule(self.rrule)
        if self.catch_up not in (None, *POLICIES):
            raise ValueError(f"catch_up must be one of {', '.join(POLICIES)}, or None; got {self.catch_up!r}")
        if self.timezone:
            check_time_zone(self.timezone)
        if isinstance(self.anchor_date, str):
            object.__setattr__(self, "anchor_date", aware(datetime.fromisoformat(self.anchor_date)))


def span_of(interval: timedelta | float) -> timedelta:
    """A span of time from a timedelta or a number of seconds; it must be longer than none."""
    span = interval if isinstance(interval, timedelta) else timedelta(seconds=float(interval))
    if span <= timedelta(0):
        raise ValueError(f"An interval must be longer than 0 seconds, got {span.total_seconds():g}")
    return span
