"""When a deployment runs, as it travels between client and API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect._rules.cron import parse_cron
from prefect._rules.recurrence import MAX_RRULE_LENGTH, check_rrule, parse_rrule, rrule_text
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.moments import DateTime, check_time_zone

if TYPE_CHECKING:
    from dateutil import rrule as _rrule
else:
    _rrule = lazy_module("dateutil.rrule")

__all__ = [
    "MAX_ITERATIONS",
    "MAX_RRULE_LENGTH",
    "SCHEDULE_TYPES",
    "CronSchedule",
    "IntervalSchedule",
    "NoSchedule",
    "RRuleSchedule",
    "construct_schedule",
    "is_schedule_type",
    "is_valid_timezone",
]

MAX_ITERATIONS = 1000
"""How many moments of a schedule are looked at in one go."""


class IntervalSchedule(PrefectBaseModel):
    """Runs every so often, counted from an anchor.

    An interval of whole days keeps to the wall clock of `timezone`: a daily schedule goes on firing at nine when the
    clocks change.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    interval: timedelta = Field(gt=timedelta(0))
    anchor_date: DateTime = Field(default_factory=now, examples=["2024-01-01T00:00:00Z"])
    # IANA name; the anchor's own zone, or UTC, unless given
    timezone: str | None = Field(default=None, examples=["America/New_York"])

    @model_validator(mode="after")
    def validate_timezone(self) -> Self:
        """Check the zone, or find one."""
        if self.timezone:
            check_time_zone(self.timezone)
        else:
            zone = self.anchor_date.tzinfo
            self.timezone = zone.key if isinstance(zone, ZoneInfo) else "UTC"
        return self


class CronSchedule(PrefectBaseModel):
    """Runs when a cron expression says so.

    Where both the day of the month and the day of the week are restricted, either is enough, as in POSIX cron; with
    `day_or=False` both must hold.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    cron: str = Field(examples=["0 0 * * *"])
    timezone: str | None = Field(default=None, examples=["America/New_York"])
    day_or: bool = True

    @field_validator("timezone")
    @classmethod
    def valid_timezone(cls, v: str | None) -> str | None:
        """Check that the time zone exists."""
        return check_time_zone(v) if v else v

    @field_validator("cron")
    @classmethod
    def valid_cron_string(cls, v: str) -> str:
        """Check that the expression can be read."""
        parse_cron(v)
        return v


class RRuleSchedule(PrefectBaseModel):
    """Runs when a recurrence rule of iCalendar (RFC 5545) says so; times are on the wall clock of `timezone`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    rrule: str
    timezone: str | None = Field(default="UTC", validate_default=True, examples=["America/New_York"])

    @field_validator("rrule")
    @classmethod
    def validate_rrule_str(cls, v: str) -> str:
        """Check that the rule can be read."""
        return check_rrule(v)

    @field_validator("timezone")
    @classmethod
    def valid_timezone(cls, v: str | None) -> str:
        """Check that the time zone exists; UTC when none is given."""
        return check_time_zone(v) if v else "UTC"

    @classmethod
    def from_rrule(cls, rrule: _rrule.rrule | _rrule.rruleset) -> Self:
        """A schedule from a rule made with `dateutil`, in the zone of its start.

        Raises:
            ValueError: it is no such rule, or its parts are in different zones.
        """
        text, zone = rrule_text(rrule)
        return cls(rrule=text, timezone=zone)

    def to_rrule(self) -> _rrule.rrule | _rrule.rruleset:
        """The rule as an object of `dateutil`, its times in the schedule's zone."""
        return parse_rrule(self.rrule, self.timezone or "UTC")


class NoSchedule(PrefectBaseModel):
    """Never runs by itself."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


SCHEDULE_TYPES = IntervalSchedule | CronSchedule | RRuleSchedule | NoSchedule


def is_valid_timezone(v: str) -> bool:
    """Whether the IANA time zone database has a zone of that name."""
    try:
        check_time_zone(v)
    except ValueError:
        return False
    return True


def is_schedule_type(obj: Any) -> TypeGuard[SCHEDULE_TYPES]:
    """Whether an object is one of the schedules above."""
    return isinstance(obj, SCHEDULE_TYPES)


def construct_schedule(
    interval: int | float | timedelta | None = None,
    anchor_date: datetime | str | None = None,
    cron: str | None = None,
    rrule: str | None = None,
    timezone: str | None = None,
) -> SCHEDULE_TYPES:
    """Make a schedule from the one of `interval` (seconds or a timedelta), `cron` and `rrule` that is given.

    Args:
        anchor_date: from where an interval is counted.
        timezone: IANA name of the zone in which the schedule is told.

    Raises:
        ValueError: none or more than one is given, or an anchor without an interval.
    """
    kinds = [kind for kind in (interval, cron, rrule) if kind is not None]
    if len(kinds) > 1:
        raise ValueError("Only one of interval, cron, or rrule can be provided.")
    if anchor_date is not None and interval is None:
        raise ValueError("An anchor date can only be provided with an interval schedule")
    if timezone is not None and not kinds:
        raise ValueError("A timezone can only be provided with interval, cron, or rrule")
    if interval is not None:
        span = timedelta(seconds=interval) if isinstance(interval, (int, float)) else interval
        given = {"interval": span, "anchor_date": anchor_date, "timezone": timezone}
        return IntervalSchedule.model_validate({name: value for name, value in given.items() if value is not None})
    if cron is not None:
        return CronSchedule(cron=cron, timezone=timezone)
    if rrule is not None:
        return RRuleSchedule(rrule=rrule, timezone=timezone)
    raise ValueError("Either interval, cron, or rrule must be provided")
