"""Cron expressions, read once into sets of numbers.

The five fields of POSIX (minute, hour, day of month, month, day of week), with the usual additions: names of months
and days, ranges that wrap around (`22-4`), steps, `@daily` and its kin, `?`, `L` for the last day of a month, `L5`
for its last Friday, `5#2` for its second; a sixth field for seconds and a seventh for years.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

# name, lowest value, highest value, names for values
_FIELDS = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
    ("second", 0, 59, {}),
    ("year", 1970, 2099, {}),
)
_PART = re.compile(r"(?P<first>\*|\?|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


@dataclass(frozen=True, slots=True)
class CronFields:
    """A cron expression, ready to be matched: every field is the set of values at which it fires."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    """Days of the month from 1."""
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday, 6 is Saturday."""
    seconds: frozenset[int] = frozenset({0})
    years: frozenset[int] | None = None
    """None for every year."""
    last_day: bool = False
    """Also on the last day of the month."""
    nth_weekdays: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """(weekday, n): also on its n-th occurrence in the month, -1 for the last."""
    any_day: bool = True
    """The day of month is not restricted."""
    any_weekday: bool = True
    """The day of week is not restricted."""


def parse_cron(expression: str) -> CronFields:
    """Read a cron expression.

    Raises:
        ValueError: it is not one; the message names the field at fault.
    """
    texts = _split(expression)
    last_day, nth = False, set()
    values = []
    for text, (name, low, high, names) in zip(texts, _FIELDS, strict=False):
        numbers: set[int] = set()
        for part in text.split(","):
            if name == "day of month" and part == "l":
                last_day = True
            elif name == "day of week" and (special := _nth_weekday(part, expression)):
                nth.add(special)
            else:
                numbers |= _numbers(part, name, low, high, names, expression)
        values.append(frozenset(numbers))
    return CronFields(
        minutes=values[0],
        hours=values[1],
        days=values[2],
        months=values[3],
        weekdays=frozenset(day % 7 for day in values[4]),
        seconds=values[5] if len(values) > 5 else frozenset({0}),
        years=values[6] if len(values) > 6 and texts[6] != "*" else None,
        last_day=last_day,
        nth_weekdays=frozenset(nth),
        any_day=texts[2] in ("*", "?"),
        any_weekday=texts[4] in ("*", "?"),
    )


def matches(fields: CronFields, start: datetime, end: datetime, *, day_or: bool = True) -> Iterator[datetime]:
    """The times of a clock that never changes at which an expression fires, in order, from a time on.

    Args:
        fields: the expression.
        start: the first time that may be given, without a zone.
        end: where to stop looking; a few later times may be given, too.
        day_or: where both days are restricted, either is enough; False: both must hold.
    """
    hours, minutes, seconds = sorted(fields.hours), sorted(fields.minutes), sorted(fields.seconds)
    for day in _days(fields, start.date(), end.date() + timedelta(days=2), day_or):
        for hour in hours:
            if datetime(day.year, day.month, day.day, hour, 59, 59) < start:
                continue
            for minute in minutes:
                for second in seconds:
                    moment = datetime(day.year, day.month, day.day, hour, minute, second)
                    if moment >= start:
                        yield moment


def _days(fields: CronFields, first: date, last: date, day_or: bool) -> Iterator[date]:
    year, month, day = first.year, first.month, first.day
    while (year, month) <= (last.year, last.month):
        if month in fields.months and (fields.years is None or year in fields.years):
            length = calendar.monthrange(year, month)[1]
            for number in range(day, length + 1):
                if _is_day(fields, date(year, month, number), length, day_or):
                    yield date(year, month, number)
        day = 1
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _is_day(fields: CronFields, day: date, length: int, day_or: bool) -> bool:
    of_month = day.day in fields.days or (fields.last_day and day.day == length)
    weekday = day.isoweekday() % 7
    of_week = (
        weekday in fields.weekdays
        or (weekday, (day.day + 6) // 7) in fields.nth_weekdays
        or (day.day + 7 > length and (weekday, -1) in fields.nth_weekdays)
    )
    if fields.any_day or fields.any_weekday or not day_or:
        return of_month and of_week
    return of_month or of_week


def _split(expression: str) -> list[str]:
    text = expression.strip().lower()
    if text.startswith("@"):
        if text not in _ALIASES:
            raise ValueError(f'Invalid cron string: "{expression}"; known short forms are {", ".join(_ALIASES)}')
        text = _ALIASES[text]
    texts = text.split()
    if any(re.match(r"[rh](\(|/|,|$)", part) for part in texts):
        raise ValueError(f'Random and Hashed expressions are unsupported, received: "{expression}"')
    if not 5 <= len(texts) <= 7:
        raise ValueError(
            f'Invalid cron string: "{expression}" has {len(texts)} fields; '
            "expected minute, hour, day of month, month and day of week"
        )
    return texts


def _numbers(part: str, name: str, low: int, high: int, names: dict[str, int], expression: str) -> set[int]:
    """The values of one part of a field: `*`, `3`, `1-5`, `*/10`, `fri-mon`, ..."""

    def value(text: str) -> int:
        if text.isascii() and text.isdigit():
            number = int(text)
        elif text in names:
            number = names[text]
        else:
            raise ValueError(f'Invalid cron string: "{expression}"; {text!r} is not a {name}')
        if not low <= number <= high:
            raise ValueError(f'Invalid cron string: "{expression}"; {name} {number} is not between {low} and {high}')
        return number

    match = _PART.fullmatch(part)
    if match is None or (match["last"] and match["first"] in ("*", "?")):
        raise ValueError(f'Invalid cron string: "{expression}"; cannot read {part!r} as {name}')
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f'Invalid cron string: "{expression}"; a step of 0 in the {name}')
    # 7 is Sunday again: it may be written, but is not a day of its own
    top = 6 if name == "day of week" else high
    if match["first"] in ("*", "?"):
        return set(range(low, top + 1, step))
    first = value(match["first"])
    if match["last"]:
        last = value(match["last"])
    elif match["step"]:
        last = top
    else:
        return {first}
    if first <= last:
        return set(range(first, last + 1, step))
    around = [*range(first, top + 1), *range(low, last + 1)]
    return set(around[::step])


def _nth_weekday(part: str, expression: str) -> tuple[int, int] | None:
    """`5#2` (the second Friday of the month) or `L5` (the last one) as (weekday, n)."""
    if match := re.fullmatch(r"l(\w+)", part):
        day, n = match[1], -1
    elif match := re.fullmatch(r"(\w+)#(\w+)", part):
        if match[2] not in ("1", "2", "3", "4", "5", "l"):
            raise ValueError(f'Invalid cron string: "{expression}"; {part!r} must end in #1 to #5 or #L')
        day, n = match[1], -1 if match[2] == "l" else int(match[2])
    else:
        return None
    (weekday,) = _numbers(day, *_FIELDS[4], expression)
    return weekday % 7, n
