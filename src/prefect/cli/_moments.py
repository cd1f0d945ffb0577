"""Moments and spans of time as people write them: `in 5 minutes`, `1h30m`, `tomorrow 9am`, `2026-01-31 17:30`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module
from prefect.cli import _console

if TYPE_CHECKING:
    from dateutil import parser
else:
    parser = lazy_module("dateutil.parser")

_SECONDS = {
    "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800,
}  # fmt: skip
_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?|an?)\s*(?P<unit>[a-z]+)")
_BETWEEN = re.compile(r"[\s,]*(?:and\b)?[\s,]*")
_DAYS = {"today": 0, "tomorrow": 1}
_FILLING = (datetime(2000, 1, 1), datetime(2001, 2, 2))


def span(text: str) -> timedelta:
    """A span of time: `5 minutes`, `in 2 hours and 30 minutes`, `1h30m`, `90` (seconds).

    Raises:
        ValueError: the text is none.
    """
    words = text.strip().lower().removeprefix("in ").strip()
    if re.fullmatch(r"\d+(\.\d+)?", words):
        return timedelta(seconds=float(words))
    seconds, place = 0.0, 0
    while place < len(words):
        part = _PART.match(words, place)
        unit = part["unit"] if part else ""
        size = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s"))
        if part is None or size is None:
            raise ValueError(f"{text!r} is not a span of time such as '5 minutes', '1h30m' or '2 days'")
        seconds += size * (1 if part["number"].startswith("a") else float(part["number"]))
        between = _BETWEEN.match(words, part.end())
        place = between.end() if between else part.end()
    if not words:
        raise ValueError("a span of time is empty")
    return timedelta(seconds=seconds)


def moment(text: str, reference: datetime) -> datetime:
    """A moment: ISO 8601, a date and a time, `tomorrow 9am`, a time of day (its next occurrence), `in 5 minutes`, `now`.

    Args:
        text: what somebody wrote.
        reference: now, with the zone in which the text is meant unless it says another.

    Raises:
        ValueError: the text is none.
    """
    words = text.strip().lower()
    if words == "now":
        return reference
    if words.startswith("in "):
        return reference + span(words)
    words = words.removeprefix("at ").strip()
    day, _, rest = words.partition(" ")
    if day in _DAYS:
        base = reference + timedelta(days=_DAYS[day])
        return _parse(rest.removeprefix("at "), base, text) if rest else base.replace(hour=0, minute=0, second=0)
    found = _parse(words, reference, text)
    if found < reference and _is_time_of_day(words):
        found += timedelta(days=1)
    return found


def _parse(words: str, base: datetime, text: str) -> datetime:
    try:
        found = parser.parse(words, default=base.replace(hour=0, minute=0, second=0, microsecond=0))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a moment such as '2026-01-31 17:30', '5:30pm', 'tomorrow 9am' or 'in 5 minutes'"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=base.tzinfo)


def _is_time_of_day(words: str) -> bool:
    """Whether a text says no day."""
    first, second = (parser.parse(words, default=filling).replace(tzinfo=None) for filling in _FILLING)
    return first.date() == _FILLING[0].date() and second.date() == _FILLING[1].date()


def given_span(text: str, option: str) -> timedelta:
    """As `span`; ends the command when the text is none."""
    try:
        return span(text)
    except ValueError as problem:
        _console.usage(f"{option}: {problem}.")


def given_moment(text: str, option: str) -> datetime:
    """As `moment`, in local time; ends the command when the text is none."""
    try:
        return moment(text, datetime.now().astimezone())
    except ValueError as problem:
        _console.usage(f"{option}: {problem}.")
