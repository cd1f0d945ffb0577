# dateutil keeps the parts of a rule in attributes that its type stubs do not tell of
# pyright: reportAttributeAccessIssue=false
"""Recurrence rules of iCalendar (RFC 5545, section 3.8.5), as text and as `dateutil` objects.

Times in a rule are read on the wall clock of the schedule's time zone, whatever zone the text itself names: the
rule `DTSTART:20240101T090000` in `Europe/Paris` fires at nine in Paris all year round.

Whoever may write a rule must not be able to keep a server busy with it. `dateutil` reads rules, and goes through those
whose steps are weeks or more, from shortly before the time that is asked for; rules of days or less are gone through
here, past whole days and hours that do not match. Who looks at too many times for one that matches is stopped.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from dateutil import rrule as _rrule
else:
    _rrule = lazy_module("dateutil.rrule")

MAX_RRULE_LENGTH = 6500
MOST_LOOKED_AT = 200_000
"""Times that a rule may look at for one that it gives."""
DEFAULT_START = "DTSTART:20200101T000000"
"""Where a rule that has no start of its own begins, so that it gives the same moments whenever it is asked."""


class TooCostly(ValueError):
    """The rule looks at too many times for those that it gives: narrow it down, or let it start later."""

    def __init__(self) -> None:
        super().__init__(
            f"The recurrence rule looks at more than {MOST_LOOKED_AT:,} times for one that it gives. Give it a FREQ "
            "nearer to how often it fires, a later DTSTART, or a smaller COUNT."
        )


def check_rrule(text: str) -> str:
    """Return the text of a recurrence rule or set of rules.

    Raises:
        ValueError: it is not one, or it is longer than 6,500 characters.
    """
    if len(text) > MAX_RRULE_LENGTH:
        raise ValueError(f"Invalid RRule string of {len(text)} characters; at most {MAX_RRULE_LENGTH} are allowed")
    for interval in re.findall(r"INTERVAL=([^;\s]*)", text.upper()):
        if (interval.lstrip("+").isdigit() and int(interval) == 0) or interval.startswith("-"):
            raise ValueError(f'Invalid RRule string "{text}": INTERVAL must be at least 1')
    try:
        Rule.read(text)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        # what dateutil raises differs from one mistake to the next
        raise ValueError(f'Invalid RRule string "{text}": {error}') from error
    return text


def with_start(text: str) -> str:
    """The rule with a start, the default one if it has none."""
    return text if "DTSTART" in text.upper() else f"{DEFAULT_START}\n{text}"


def parse_rrule(text: str, zone: str) -> _rrule.rrule | _rrule.rruleset:
    """The rule as a `dateutil` object, its times in the zone."""
    parsed = _rrule.rrulestr(with_start(text), ignoretz=True, cache=True)
    if isinstance(parsed, _rrule.rrule):
        return _in_zone(parsed, ZoneInfo(zone))
    # dateutil offers no way to ask a set for its parts but these attributes
    localised = _rrule.rruleset(cache=True)
    for rule in parsed._rrule:
        localised.rrule(_in_zone(rule, ZoneInfo(zone)))
    for rule in parsed._exrule:
        localised.exrule(_in_zone(rule, ZoneInfo(zone)))
    for moment in parsed._rdate:
        localised.rdate(moment.replace(tzinfo=ZoneInfo(zone)))
    for moment in parsed._exdate:
        localised.exdate(moment.replace(tzinfo=ZoneInfo(zone)))
    return localised


def _in_zone(rule: _rrule.rrule, zone: tzinfo) -> _rrule.rrule:
    until = rule._until
    return rule.replace(
        dtstart=rule._dtstart.replace(tzinfo=zone),
        until=until.replace(tzinfo=zone) if until is not None else None,
        cache=True,
    )


def rrule_text(rule: _rrule.rrule | _rrule.rruleset) -> tuple[str, str]:
    """A `dateutil` object as (text, name of its time zone); UTC when it has none.

    Raises:
        ValueError: it is neither a rule nor a set of rules, or its parts are in different zones.
    """
    if isinstance(rule, _rrule.rrule):
        rules, exrules, rdates, exdates = [rule], [], [], []
    elif isinstance(rule, _rrule.rruleset):
        rules, exrules, rdates, exdates = rule._rrule, rule._exrule, rule._rdate, rule._exdate
    else:
        raise ValueError(f"Expected a dateutil rrule or rruleset, got {type(rule).__name__}")
    starts = [part._dtstart for part in (*rules, *exrules)]
    zones = {_zone_name(moment) for moment in (*starts, *rdates, *exdates)}
    if len(zones) > 1:
        raise ValueError(f"The parts of a recurrence rule must be in one time zone, found {', '.join(sorted(zones))}")
    lines = [str(part) for part in rules]
    lines += [re.sub(r"^DTSTART.*\n", "", str(part)).replace("RRULE:", "EXRULE:") for part in exrules]
    lines += [f"{name}:{_moments(moments)}" for name, moments in (("RDATE", rdates), ("EXDATE", exdates)) if moments]
    return "\n".join(lines), zones.pop() if zones else "UTC"


def _moments(moments: list[datetime]) -> str:
    return ",".join(f"{moment:%Y%m%dT%H%M%S}" for moment in moments)


def _zone_name(moment: datetime) -> str:
    """The IANA name of the zone of a moment, from the standard library's, dateutil's or pytz' zone objects."""
    zone = moment.tzinfo
    if zone is None:
        return "UTC"
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if name is None and (filename := getattr(zone, "_filename", None)):
        name = str(filename).rpartition("zoneinfo/")[2]
    if name is not None:
        return name
    if not moment.utcoffset():
        return "UTC"
    raise ValueError(f"Cannot tell the name of the time zone {zone!r}; use zoneinfo.ZoneInfo(...) for the start")


# -- going through the times of a rule ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """A rule, or a set of rules and times, on a clock that never changes."""

    rules: tuple[_rrule.rrule, ...]
    exceptions: tuple[_rrule.rrule, ...] = ()
    times: tuple[datetime, ...] = ()
    excepted: frozenset[datetime] = frozenset()

    @classmethod
    def read(cls, text: str) -> Rule:
        """The rule of a text; one without a start begins at the default one.

        Raises:
            ValueError: it is none, or combines parts that make no sense together. TypeError, KeyError, IndexError: the
                same, from `dateutil`.
        """
        parsed = _rrule.rrulestr(with_start(text), ignoretz=True)
        if isinstance(parsed, _rrule.rrule):
            rule = cls((parsed,))
        else:
            rule = cls(
                tuple(parsed._rrule), tuple(parsed._exrule), tuple(sorted(parsed._rdate)), frozenset(parsed._exdate)
            )
        for one in (*rule.rules, *rule.exceptions):
            if one._freq >= _rrule.DAILY and (one._byweekno or one._byeaster):
                raise ValueError("BYWEEKNO and BYEASTER are for rules with FREQ=YEARLY")
        return rule

    def moments(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The times from `start` on, each once, in order; past `end` there may be some, or none.

        Raises:
            TooCostly: while iterating: too many times are looked at for one that is given.
        """
        left_out = heapq.merge(*(_moments_of(rule, start, end) for rule in self.exceptions))
        next_out = next(left_out, None)
        last: datetime | None = None
        times = (time for time in self.times if time >= start)
        passed = 0
        for moment in heapq.merge(times, *(_moments_of(rule, start, end) for rule in self.rules)):
            while next_out is not None and next_out < moment:
                next_out = next(left_out, None)
            if moment in (last, next_out) or moment in self.excepted:
                passed += 1
                if passed > MOST_LOOKED_AT:
                    raise TooCostly
                continue
            last, passed = moment, 0
            yield moment


def _moments_of(rule: _rrule.rrule, start: datetime, end: datetime) -> Iterator[datetime]:
    if rule._freq >= _rrule.DAILY:
        found: Iterator[datetime] = _stepped(rule, start, end)
    else:
        found = iter(rule if rule._count is not None else _begun_later(rule, start))
    passed = 0
    for moment in found:
        if moment > end:
            return
        if moment >= start:
            passed = 0
            yield moment
        elif (passed := passed + 1) > MOST_LOOKED_AT:
            raise TooCostly


def _begun_later(rule: _rrule.rrule, start: datetime) -> _rrule.rrule:
    """The same rule without most of the times that are before a start: it begins a whole number of intervals later."""
    begin, interval = rule._dtstart, rule._interval
    if rule._freq == _rrule.WEEKLY:
        weeks = ((start - begin).days // 7 - 2) // interval * interval
        return rule.replace(dtstart=begin + timedelta(weeks=weeks)) if weeks > 0 else rule
    yearly = rule._freq == _rrule.YEARLY
    steps = start.year - begin.year - 1 if yearly else (start.year - begin.year) * 12 + start.month - begin.month - 2
    steps = steps // interval * interval
    if steps <= 0:
        return rule
    months = begin.month - 1 + steps * (12 if yearly else 1)
    # what the rule has from its start must be said now, as it starts on the first of a month
    given = rule._original_rule
    parts: dict[str, Any] = {}
    if not any(given.get(name) for name in ("byweekno", "byyearday", "bymonthday", "byweekday", "byeaster")):
        parts["bymonthday"] = begin.day
        if yearly and not given.get("bymonth"):
            parts["bymonth"] = begin.month
    month = 1 if yearly else months % 12 + 1
    return rule.replace(dtstart=begin.replace(year=begin.year + months // 12, month=month, day=1), **parts)


def _stepped(rule: _rrule.rrule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The times of a rule with steps of days or less."""
    begin = rule._dtstart
    unit = {
        _rrule.DAILY: timedelta(days=1),
        _rrule.HOURLY: timedelta(hours=1),
        _rrule.MINUTELY: timedelta(minutes=1),
        _rrule.SECONDLY: timedelta(seconds=1),
    }[rule._freq]
    step = unit * rule._interval
    origin = _floor(begin, unit)
    left = rule._count
    number = 0 if left is not None else max((start - origin) // step, 0)
    last = end if rule._until is None else min(end, rule._until)
    looked_at = 0
    while (moment := origin + step * number) <= last:
        looked_at += 1
        if looked_at > MOST_LOOKED_AT:
            raise TooCostly
        onwards = _first_that_may_match(rule, moment)
        if onwards > moment:
            number = max(-((origin - onwards) // step), number + 1)
            continue
        number += 1
        for time in _expanded(rule, moment):
            if time < begin:
                continue
            if time > last or (left is not None and left <= 0):
                return
            left = None if left is None else left - 1
            if time >= start:
                looked_at = 0
                yield time


def _floor(moment: datetime, unit: timedelta) -> datetime:
    midnight = datetime(moment.year, moment.month, moment.day)
    return midnight + (moment - midnight) // unit * unit


def _first_that_may_match(rule: _rrule.rrule, moment: datetime) -> datetime:
    """This moment, or the beginning of the next day, hour or minute when no part of this one matches."""
    if not _is_day(rule, moment.date()):
        return _floor(moment, timedelta(days=1)) + timedelta(days=1)
    if rule._freq >= _rrule.HOURLY and rule._byhour and moment.hour not in rule._byhour:
        return _floor(moment, timedelta(hours=1)) + timedelta(hours=1)
    if rule._freq >= _rrule.MINUTELY and rule._byminute and moment.minute not in rule._byminute:
        return _floor(moment, timedelta(minutes=1)) + timedelta(minutes=1)
    if rule._freq == _rrule.SECONDLY and rule._bysecond and moment.second not in rule._bysecond:
        return moment + timedelta(seconds=1)
    return moment


def _is_day(rule: _rrule.rrule, day: date) -> bool:
    if rule._bymonth and day.month not in rule._bymonth:
        return False
    if rule._byweekday and day.weekday() not in rule._byweekday:
        return False
    if rule._bymonthday or rule._bynmonthday:
        to_end = day.day - ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day - 1
        if day.day not in rule._bymonthday and to_end not in rule._bynmonthday:
            return False
    if rule._byyearday:
        number = day.timetuple().tm_yday
        return number in rule._byyearday or number - date(day.year, 12, 31).timetuple().tm_yday - 1 in rule._byyearday
    return True


def _expanded(rule: _rrule.rrule, moment: datetime) -> Iterator[datetime]:
    """The times of one step: its parts that the rule lists, or those of the rule's start."""
    hours = sorted(rule._byhour or [moment.hour]) if rule._freq == _rrule.DAILY else [moment.hour]
    minutes = sorted(rule._byminute or [moment.minute]) if rule._freq <= _rrule.HOURLY else [moment.minute]
    seconds = sorted(rule._bysecond or [moment.second]) if rule._freq <= _rrule.MINUTELY else [moment.second]
    size = len(hours) * len(minutes) * len(seconds)
    numbers = range(size)
    if rule._bysetpos:
        numbers = sorted({at - 1 if at > 0 else size + at for at in rule._bysetpos if 0 < abs(at) <= size})
    for number in numbers:
        rest, second = divmod(number, len(seconds))
        hour, minute = divmod(rest, len(minutes))
        yield moment.replace(hour=hours[hour], minute=minutes[minute], second=seconds[second])
