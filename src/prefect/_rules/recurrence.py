# dateutil keeps the parts of a rule in attributes that its type stubs do not tell of
# pyright: reportAttributeAccessIssue=false
"""Recurrence rules of iCalendar (RFC 5545, section 3.8.5), as text and as `dateutil` objects.

Times in a rule are read on the wall clock of the schedule's time zone, whatever zone the text itself names: the
rule `DTSTART:20240101T090000` in `Europe/Paris` fires at nine in Paris all year round.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from dateutil import rrule as _rrule
else:
    _rrule = lazy_module("dateutil.rrule")

MAX_RRULE_LENGTH = 6500
DEFAULT_START = "DTSTART:20200101T000000"
"""Where a rule that has no start of its own begins, so that it gives the same moments whenever it is asked."""


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
        _rrule.rrulestr(text, ignoretz=True)
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
