"""When schedules fire: the instants of a cron expression, an interval or a recurrence rule, and which to make runs for.

Times of a cron expression and of a rule are read on the wall clock of a zone. When the clocks change:

- a time that the clocks skip is told with the offset that held before (RFC 5545, section 3.3.5): with clocks set
  from two to three, "half past two" is half past three;
- a time that comes twice is its first one: an hourly schedule pauses for two hours when clocks are set back.

Intervals of whole days keep to the wall clock, too; all others are counted in time that passes, and know no clocks.

Everything here is pure: the time is an argument.
"""

from __future__ import annotations

import collections
import heapq
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from prefect._rules import cron, recurrence

SKIP: Final = "skip"
LATEST: Final = "latest"
ALL: Final = "all"
POLICIES: Final = (SKIP, LATEST, ALL)

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
# how long a schedule is not looked at, at most: after that the clock may have been set
LONGEST_LOOK_AWAY = _DAY
# clocks of servers differ, and are corrected, by so much without anybody having "set" them
_CLOCK_ERROR = timedelta(seconds=5)
# no clock is set forward by more than a day (Samoa, 2011), nor do two changes come within one
_LARGEST_CHANGE = timedelta(hours=26)
MOST_AT_ONCE: Final = 1000
"""Runs that are made for one schedule at once, whatever is asked for."""
# intervals, days and rules: an instant further away than this is as good as none
FARTHEST = timedelta(days=366 * 30)


@dataclass(frozen=True)
class Every:
    """An interval, counted from an anchor in both directions."""

    interval: timedelta
    anchor: datetime
    zone: tzinfo

    def instants(self, start: datetime, end: datetime) -> Iterator[datetime]:
        if self.interval % _DAY or self.zone is UTC:
            first = self.anchor + self.interval * -((self.anchor - start) // self.interval)
            yield from itertools.takewhile(lambda moment: moment <= end, _every(first, self.interval))
        else:
            yield from _in_order(self._walls(start), self.zone, end)

    def _walls(self, start: datetime) -> Iterator[datetime]:
        anchor = self.anchor.astimezone(self.zone).replace(tzinfo=None)
        first = (start - _LARGEST_CHANGE).astimezone(self.zone).replace(tzinfo=None)
        yield from _every(anchor + self.interval * ((first - anchor) // self.interval), self.interval)


@dataclass(frozen=True)
class Cron:
    """A cron expression on the wall clock of a zone."""

    fields: cron.CronFields
    day_or: bool
    zone: tzinfo

    def instants(self, start: datetime, end: datetime) -> Iterator[datetime]:
        walls = cron.matches(self.fields, _wall(start, self.zone), _wall(end, self.zone), day_or=self.day_or)
        yield from _in_order(walls, self.zone, end)


@dataclass(frozen=True)
class Recurring:
    """A recurrence rule on the wall clock of a zone."""

    rule: recurrence.Rule
    zone: tzinfo

    def instants(self, start: datetime, end: datetime) -> Iterator[datetime]:
        walls = self.rule.moments(_wall(start, self.zone), end.astimezone(self.zone).replace(tzinfo=None) + _DAY)
        yield from _in_order(walls, self.zone, end)


@dataclass(frozen=True)
class Never:
    """No schedule."""

    def instants(self, start: datetime, end: datetime) -> Iterator[datetime]:
        yield from ()


Spec = Every | Cron | Recurring | Never


def spec_of(schedule: Mapping[str, Any]) -> Spec:
    """A schedule, as the API and the database have it.

    Raises:
        ValueError: it cannot be read.
    """
    zone = schedule.get("timezone") or "UTC"
    if "cron" in schedule:
        return _cron(schedule["cron"], bool(schedule.get("day_or", True)), zone)
    if "interval" in schedule:
        anchor = datetime.fromisoformat(schedule["anchor_date"])
        interval = timedelta(seconds=float(schedule["interval"]))
        if interval < _MICROSECOND:
            raise ValueError(f"An interval must be longer than nothing, got {schedule['interval']!r} seconds")
        return Every(interval, (anchor if anchor.tzinfo else anchor.replace(tzinfo=UTC)).astimezone(UTC), _zone(zone))
    if "rrule" in schedule:
        return _recurring(schedule["rrule"], zone)
    return Never()


def instants(spec: Spec, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """The instants after a moment up to another, that one included, in UTC and in order.

    Args:
        spec: the schedule.
        after: the moment after which they begin.
        until: the last moment; thirty years on, when left out.

    Raises:
        recurrence.TooCostly: while iterating: the rule looks at too many moments for those it gives.
    """
    end = min(until or datetime.max.replace(tzinfo=UTC), _later(after, FARTHEST))
    for moment in spec.instants(after, end):
        if moment > end:
            return
        if moment > after:
            yield moment


def next_instants(spec: Spec, after: datetime, count: int) -> list[datetime]:
    """The next so many instants after a moment, in UTC; fewer, when the schedule has no more."""
    return list(itertools.islice(instants(spec, after), count))


def latest_instant(spec: Spec, after: datetime, until: datetime) -> datetime | None:
    """The last instant after a moment up to another; None when there is none."""
    window = timedelta(minutes=1)
    while True:
        start = max(after, until - window) if window < until - after else after
        last = collections.deque(instants(spec, start, until), maxlen=1)
        if last or start == after:
            return last[0] if last else None
        window *= 24


# -- which runs to make ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Horizon:
    """How far ahead runs are made: at least `least` runs and for `time`, but at most `most` runs and for `most_time`."""

    least: int = 3
    most: int = 100
    time: timedelta = timedelta(hours=1)
    most_time: timedelta = timedelta(days=100)

    def of_schedule(self, most: int | None) -> Horizon:
        """The horizon of a schedule that has a limit of its own."""
        if most is None:
            return self
        return Horizon(min(self.least, most), min(self.most, most), self.time, self.most_time)

    @property
    def nearest(self) -> Horizon:
        """The horizon of who has little time: only the runs that come next."""
        return Horizon(self.least, self.most, timedelta(0), self.most_time)


@dataclass(frozen=True)
class Plan:
    """What is to be done for a schedule at a moment."""

    make: list[datetime] = field(default_factory=list)
    """The instants to make runs for."""
    overtaken: datetime | None = None
    """Runs that have not begun and were due before this instant are not to run any more."""
    made_until: datetime | None = None
    """The last instant that was dealt with."""
    look_again: datetime = datetime(9999, 12, 31, tzinfo=UTC)
    more: bool = False
    """There is more to be done at once."""


def plan(
    spec: Spec,
    moment: datetime,
    horizon: Horizon,
    *,
    made_until: datetime | None = None,
    looked_at: datetime | None = None,
    catch_up: str | None = None,
) -> Plan:
    """Decide for which instants runs are made now.

    An instant that is past without a run was missed: nobody looked, for as long as the server was down or the clock
    was wrong. What becomes of those is the catch-up policy:

    - None: they are left out; runs made ahead of time stay, and start late;
    - "skip": they are left out, and a run that has not begun when the next instant comes is not to run any more;
    - "latest": as "skip", but the last one is made up for;
    - "all": all of them are made up for.

    Args:
        spec: the schedule.
        moment: now.
        horizon: how far ahead runs are made.
        made_until: the last instant that was dealt with; None when none was.
        looked_at: when the schedule was looked at last.
        catch_up: the policy.
    """
    if looked_at is not None and moment < looked_at - _CLOCK_ERROR:
        made_until = None  # the clock was ahead, and what was made for then says nothing of what comes now
    make: list[datetime] = []
    start = moment if made_until is None else made_until
    if start < moment:
        if catch_up == ALL:
            make = list(itertools.islice(instants(spec, start, moment), horizon.most))
            if len(make) == horizon.most:
                return Plan(make, made_until=make[-1], look_again=moment, more=True)
        elif catch_up == LATEST and (latest := latest_instant(spec, start, moment)):
            make = [latest]
        start = moment
    overtaken = None
    if catch_up in (SKIP, LATEST) and looked_at is not None:
        overtaken = latest_instant(spec, min(looked_at, moment) - LONGEST_LOOK_AWAY, moment)
    ahead = list(itertools.islice(instants(spec, moment, start), horizon.most + 1))
    coming = instants(spec, start, _later(moment, horizon.most_time))
    capped = False
    while len(ahead) < horizon.least or not ahead or ahead[-1] <= moment + horizon.time:
        if len(ahead) >= horizon.most:
            capped = True
            break
        following = next(coming, None)
        if following is None:
            break
        ahead.append(following)
        make.append(following)
    return Plan(
        make,
        overtaken=overtaken,
        made_until=max([start, *make]),
        look_again=_look_again(ahead, moment, horizon, capped, until_next=catch_up in (SKIP, LATEST)),
    )


def _look_again(ahead: list[datetime], moment: datetime, horizon: Horizon, capped: bool, until_next: bool) -> datetime:
    """When there will be too few runs ahead."""
    times = [moment + LONGEST_LOOK_AWAY]
    if capped:
        times.append(ahead[len(ahead) // 2])
    elif len(ahead) >= horizon.least:
        times.append(ahead[len(ahead) - horizon.least])
        if ahead[-1] - horizon.time > moment:
            times.append(ahead[-1] - horizon.time)
    if until_next and ahead:
        times.append(ahead[0])  # runs are overtaken when the next instant comes
    return max(min(times), moment + _MICROSECOND)


# -- clocks ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return UTC if name in ("UTC", "Etc/UTC") else ZoneInfo(name)


@lru_cache(maxsize=4096)
def _cron(expression: str, day_or: bool, zone: str) -> Cron:
    return Cron(cron.parse_cron(expression), day_or, _zone(zone))


@lru_cache(maxsize=1024)
def _recurring(text: str, zone: str) -> Recurring:
    return Recurring(recurrence.Rule.read(text), _zone(zone))


def _later(moment: datetime, span: timedelta) -> datetime:
    latest = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
    return min(moment, latest) + min(span, latest - min(moment, latest))


def _every(first: datetime, interval: timedelta) -> Iterator[datetime]:
    for number in itertools.count():
        try:
            yield first + interval * number
        except OverflowError:  # the end of the calendar
            return


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    """A time on the wall clock from which none is missed that comes after a moment."""
    if zone is UTC:
        return moment.replace(tzinfo=None)
    before = moment - _LARGEST_CHANGE
    shown = moment.astimezone(zone)
    if before.astimezone(zone).utcoffset() != shown.utcoffset():
        shown = before.astimezone(zone)
    return shown.replace(tzinfo=None)


def _in_order(walls: Iterator[datetime], zone: tzinfo, end: datetime) -> Iterator[datetime]:
    """Ascending times of a wall clock as moments, each once, in order: times that are skipped come later than those after."""
    last: datetime | None = None
    skipped: list[datetime] = []
    for wall in walls:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if zone is not UTC and moment.astimezone(zone).replace(tzinfo=None) != wall:
            heapq.heappush(skipped, moment)
            continue
        while skipped and skipped[0] <= moment:
            earlier = heapq.heappop(skipped)
            if last is None or earlier > last:
                last = earlier
                yield earlier
        if last is None or moment > last:
            last = moment
            yield moment
        if moment > end:
            return
    while skipped:
        earlier = heapq.heappop(skipped)
        if last is None or earlier > last:
            last = earlier
            yield earlier
