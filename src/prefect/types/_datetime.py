"""Moments and spans of time, on the standard library's `datetime`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from prefect import _clock
from prefect._schemas.moments import DateTime, aware

Date = date
Duration = timedelta

__all__ = [
    "Date",
    "DateTime",
    "Duration",
    "create_datetime_instance",
    "earliest_possible_datetime",
    "end_of_period",
    "from_timestamp",
    "get_timezones",
    "human_friendly_diff",
    "in_local_tz",
    "now",
    "parse_datetime",
    "start_of_day",
    "to_datetime_string",
]


def _zone(tz: str | tzinfo) -> tzinfo:
    if isinstance(tz, tzinfo):
        return tz
    return UTC if tz == "UTC" else ZoneInfo(tz)


def now(tz: str | tzinfo = "UTC") -> datetime:
    """The present moment in a time zone, given by its IANA name or as a `tzinfo`."""
    moment = _clock.now()
    return moment if tz == "UTC" else moment.astimezone(_zone(tz))


def parse_datetime(dt: str) -> datetime:
    """The moment that a text in ISO 8601 names; without a zone it is UTC.

    Raises:
        ValueError: the text is not in that form.
    """
    return aware(datetime.fromisoformat(dt))


def from_timestamp(ts: float, tz: str | tzinfo = "UTC") -> datetime:
    """The moment `ts` seconds after 1970-01-01T00:00:00Z, in a time zone."""
    return datetime.fromtimestamp(ts, _zone(tz))


def create_datetime_instance(v: datetime) -> datetime:
    """The same moment as an aware datetime; without a zone it is UTC."""
    return aware(v)


def in_local_tz(dt: datetime) -> datetime:
    """The same moment in the time zone of this machine."""
    return aware(dt).astimezone()


def to_datetime_string(dt: datetime, include_tz: bool = True) -> str:
    """`2024-03-01 12:00:00`, followed by the zone unless it is not wanted."""
    return dt.strftime("%Y-%m-%d %H:%M:%S %Z").rstrip() if include_tz else dt.strftime("%Y-%m-%d %H:%M:%S")


def start_of_day(dt: datetime) -> datetime:
    """Midnight at the beginning of that day, in the same zone."""
    return aware(dt).replace(hour=0, minute=0, second=0, microsecond=0)


_PERIODS = ("second", "minute", "hour", "day", "week")


def end_of_period(dt: datetime, period: str) -> datetime:
    """The last microsecond of the second, minute, hour, day or (ISO) week that a moment lies in.

    Raises:
        ValueError: the period is none of these.
    """
    if period not in _PERIODS:
        raise ValueError(f"Unknown period {period!r}; choose one of {', '.join(_PERIODS)}.")
    size = _PERIODS.index(period)
    if period == "week":
        dt += timedelta(days=6 - dt.weekday())
    return dt.replace(
        hour=23 if size > 2 else dt.hour,
        minute=59 if size > 1 else dt.minute,
        second=59 if size > 0 else dt.second,
        microsecond=999_999,
    )


def earliest_possible_datetime() -> datetime:
    """The first moment that a datetime can hold, in UTC."""
    return datetime.min.replace(tzinfo=UTC)


@cache
def get_timezones() -> tuple[str, ...]:
    """The names of all time zones known on this machine, sorted."""
    return tuple(sorted(available_timezones()))


_UNITS = ((365 * 86_400, "year"), (30 * 86_400, "month"), (7 * 86_400, "week"), (86_400, "day"), (3600, "hour"))


def human_friendly_diff(dt: datetime | None, other: datetime | None = None) -> str:
    """How far a moment lies from another (from now, by default), in words: `5 minutes ago`, `in 2 days`.

    Measured from another moment it reads `5 minutes before` and `2 days after`. Nothing for None.
    """
    if dt is None:
        return ""
    seconds = (aware(dt) - (aware(other) if other is not None else _clock.now())).total_seconds()
    size = abs(seconds)
    for length, unit in (*_UNITS, (60, "minute"), (1, "second")):
        if size >= length:
            count = int(size // length)
            text = f"{count} {unit}{'s' if count != 1 else ''}"
            break
    else:
        text = "a few seconds"
    if other is not None:
        return f"{text} {'after' if seconds >= 0 else 'before'}"
    return f"in {text}" if seconds > 0 else f"{text} ago"
