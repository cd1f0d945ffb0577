"""When schedules fire, across changes of clocks too, and for which instants runs are made."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st

from prefect._rules.recurrence import MOST_LOOKED_AT, Rule, TooCostly, check_rrule
from prefect._rules.schedules import Horizon, Plan, instants, latest_instant, next_instants, plan, spec_of

FACTS = json.loads((Path(__file__).parent / "schedule_facts.json").read_text())
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
HOURLY = spec_of({"cron": "0 * * * *"})
DAILY = spec_of({"cron": "0 0 * * *"})
MINUTELY = spec_of({"interval": 60, "anchor_date": "2024-01-01T00:00:00Z"})
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana"]

moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
fields = st.sampled_from(["*", "*/5", "*/7", "0", "30", "0,20,59", "10-14"])
hours = st.sampled_from(["*", "*/2", "2", "0-4", "1,3", "23"])


def at(text: str, zone: str = "America/New_York") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


# -- instants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{next(iter(fact['spec'].values()))}-{fact['start'][:10]}")
def test_schedules_fire_when_those_of_prefect_do_unless_we_know_better(fact: dict[str, Any]) -> None:
    expected = [datetime.fromisoformat(moment) for moment in fact.get("ours", fact["instants"])]
    start = datetime.fromisoformat(fact["start"]) - timedelta(microseconds=1)
    found = next_instants(spec_of(fact["spec"]), start, max(len(expected), 1))
    assert found == expected


def test_a_time_that_the_clocks_skip_is_told_as_before_the_change() -> None:
    for schedule in ({"cron": "30 2 * * *"}, {"rrule": "DTSTART:20240101T023000\nRRULE:FREQ=DAILY"}):
        spec = spec_of({**schedule, "timezone": "America/New_York"})
        assert next_instants(spec, at("2024-03-09T12:00"), 2) == [at("2024-03-10T03:30"), at("2024-03-11T02:30")]


def test_what_comes_after_a_skipped_time_on_the_clock_may_come_before_it() -> None:
    spec = spec_of({"cron": "30 2 10 3 *", "timezone": "America/New_York"})
    both = spec_of({"cron": "0,30 2-3 * * *", "timezone": "America/New_York"})
    assert next_instants(spec, at("2024-03-01T00:00"), 1) == [at("2024-03-10T03:30")]
    # 2:00 is 3:00, and 2:30 is 3:30: each comes once
    assert next_instants(both, at("2024-03-10T00:00"), 3) == [
        at("2024-03-10T03:00"), at("2024-03-10T03:30"), at("2024-03-11T02:00")
    ]  # fmt: skip


def test_days_keep_to_the_wall_clock_and_hours_to_the_time_that_passes() -> None:
    given_ = {"anchor_date": "2024-01-01T14:00:00Z", "timezone": "America/New_York"}
    days = spec_of({"interval": 86400 * 2, **given_})
    assert {moment.astimezone(ZoneInfo("America/New_York")).hour for moment in next_instants(days, NOON, 200)} == {9}
    spans = next_instants(spec_of({"interval": 3600, **given_}), at("2024-11-02T20:00"), 12)
    assert {later - earlier for earlier, later in itertools.pairwise(spans)} == {timedelta(hours=1)}


@given(minute=fields, hour=hours, zone=st.sampled_from(ZONES), start=moments)
def test_a_cron_schedule_fires_at_every_time_that_its_clock_shows(
    minute: str, hour: str, zone: str, start: datetime
) -> None:
    spec = spec_of({"cron": f"{minute} {hour} * * *", "timezone": zone})
    end = start + timedelta(days=2)
    found = list(instants(spec, start, end))
    assert found == sorted(set(found)) and all(start < moment <= end for moment in found)
    fires = set(next_instants(spec_of({"cron": f"{minute} {hour} * * *"}), datetime(2024, 1, 1, tzinfo=UTC), 1500))
    pairs = {(moment.hour, moment.minute) for moment in fires}
    # every minute of the two days that the clock shows for the first time
    first_minute = (start + timedelta(minutes=1)).replace(second=0, microsecond=0)
    first_minute = first_minute if start.second or start.microsecond else start + timedelta(minutes=1)
    shown = set()
    for count in range(int((end - first_minute) / timedelta(minutes=1)) + 1):
        moment = first_minute + timedelta(minutes=count)
        local = moment.astimezone(ZoneInfo(zone))
        if local.fold == 0 and (local.hour, local.minute) in pairs:
            shown.add(moment)
    offsets = {(start + timedelta(hours=each)).astimezone(ZoneInfo(zone)).utcoffset() for each in range(-27, 49)}
    assert shown <= set(found)
    if len(offsets) == 1:  # nothing was skipped
        assert shown == set(found)


@given(seconds=st.floats(0.001, 10**7), anchor=moments, start=moments, zone=st.sampled_from(ZONES), days=st.booleans())
def test_an_interval_is_counted_from_its_anchor(
    seconds: float, anchor: datetime, start: datetime, zone: str, days: bool
) -> None:
    interval = timedelta(days=max(int(seconds) % 40, 1)) if days else timedelta(seconds=seconds)
    spec = spec_of({"interval": interval.total_seconds(), "anchor_date": anchor.isoformat(), "timezone": zone})
    found = next_instants(spec, start, 5)
    assert len(found) == 5 and found[0] > start
    assert list(instants(spec, start, found[-1])) == found
    for moment in found:
        if interval % timedelta(days=1):
            assert (moment - anchor) % interval == timedelta(0)
        else:
            shown = (moment.astimezone(ZoneInfo(zone)) - anchor.astimezone(ZoneInfo(zone))).days
            assert shown % interval.days in (0, interval.days - 1)


@given(
    freq=st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]),
    interval=st.sampled_from([1, 2, 3, 7, 50]),
    parts=st.dictionaries(
        st.sampled_from(["BYMONTH", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND", "BYYEARDAY", "BYSETPOS"]),
        st.integers(0, 3),
    ),
    end=st.sampled_from(["", ";COUNT=7", ";UNTIL=20240801T000000"]),
    begin=st.datetimes(datetime(2023, 12, 1), datetime(2024, 6, 1)),
    start=st.datetimes(datetime(2023, 12, 1), datetime(2025, 1, 1)),
)
def test_rules_are_what_dateutil_makes_of_them(
    freq: str, interval: int, parts: dict[str, int], end: str, begin: datetime, start: datetime
) -> None:
    values = {
        "BYMONTH": ["1", "2,6", "12", "5"], "BYMONTHDAY": ["1", "-1", "31,-3", "13,14"], "BYDAY": ["MO", "SA,SU", "FR", "TU"],
        "BYHOUR": ["0", "9,17", "23", "3"], "BYMINUTE": ["0", "30,31", "59", "10"], "BYSECOND": ["0", "59", "1,2", "7"],
        "BYYEARDAY": ["1", "-1", "100,101,102", "60"], "BYSETPOS": ["1", "-1", "1,-1", "2"],
    }  # fmt: skip
    assume("BYSETPOS" not in parts or len(parts) > 1)
    text = f"DTSTART:{begin:%Y%m%dT%H%M%S}\nRRULE:FREQ={freq};INTERVAL={interval}{end}"
    text += "".join(f";{name}={values[name][which]}" for name, which in parts.items())
    until = start + timedelta(days=3 if freq in ("MINUTELY", "SECONDLY") else 600)
    try:
        rule = Rule.read(text)
    except ValueError:
        return  # dateutil knows that there are no such times
    if freq in ("MINUTELY", "SECONDLY"):  # dateutil needs minutes to get further
        start = begin + (start - datetime(2023, 12, 1)) % timedelta(hours=2)
        until = min(until, begin + timedelta(days=1))
    reference = rrulestr(text + ("" if end else f";UNTIL={until:%Y%m%dT%H%M%S}"))
    if (
        freq not in ("DAILY", "HOURLY", "MINUTELY", "SECONDLY")
        or not {"BYMONTH", "BYMONTHDAY", "BYDAY", "BYYEARDAY", "BYSETPOS"} & parts.keys()
    ):
        expected = list(
            itertools.islice((moment for moment in itertools.takewhile(lambda m: m <= until, reference) if moment >= start), 40)
        )  # fmt: skip
        found = itertools.takewhile(lambda moment: moment <= until, rule.moments(start, until))
        assert list(itertools.islice(found, 40)) == expected
    else:
        # of those dateutil would look for ever, compared with what it makes of a single day at a time
        found = list(itertools.islice(itertools.takewhile(lambda m: m <= until, rule.moments(start, until)), 40))
        assert found == sorted(set(found)) and all(moment >= max(start, begin) for moment in found)


def test_a_set_of_rules_leaves_out_what_it_excepts() -> None:
    text = (
        "DTSTART:20240101T090000\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY;BYDAY=SA,SU\n"
        "EXDATE:20240102T090000\nRDATE:20240106T120000"
    )
    found = next_instants(spec_of({"rrule": text}), datetime(2023, 12, 31, tzinfo=UTC), 6)
    assert [(moment.day, moment.hour) for moment in found] == [(1, 9), (3, 9), (4, 9), (5, 9), (6, 12), (8, 9)]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYHOUR=1;BYMINUTE=2;BYSETPOS=9",
        "FREQ=MINUTELY;BYSECOND=5;BYSETPOS=300",
        "FREQ=SECONDLY;COUNT=900000000",
        "FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31",
        "DTSTART:00010101T000000\nRRULE:FREQ=SECONDLY;INTERVAL=7",
        "DTSTART:00010101T000000\nRRULE:FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYHOUR=" + ",".join(map(str, range(24))) + ";BYMINUTE=" + ",".join(map(str, range(60)))
        + ";BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSECOND=" + ",".join(map(str, range(0, 60, 10))),
        "DTSTART:20200101T000000\nRRULE:FREQ=MINUTELY\nEXRULE:FREQ=MINUTELY",
        "DTSTART:20200101T000000\nRRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY",
    ],
)  # fmt: skip
def test_no_rule_keeps_anybody_waiting(text: str) -> None:
    # there is nothing to compare with: without bounds each of them takes days
    try:
        found = next_instants(spec_of({"rrule": check_rrule(text)}), NOON, 3)
        assert all(moment > NOON for moment in found)
    except TooCostly as exc:
        assert f"{MOST_LOOKED_AT:,}" in str(exc)


def test_parts_that_belong_to_years_are_refused_elsewhere() -> None:
    with pytest.raises(ValueError, match="FREQ=YEARLY"):
        check_rrule("FREQ=DAILY;BYWEEKNO=3")


def test_an_impossible_day_never_comes() -> None:
    assert next_instants(spec_of({"cron": "0 0 30 2 *"}), NOON, 1) == []
    assert next_instants(spec_of({}), NOON, 1) == []


@given(start=moments, end=moments, seconds=st.sampled_from([1, 59, 3600, 86400, 10**6]))
def test_the_latest_instant_is_the_last_of_them(start: datetime, end: datetime, seconds: int) -> None:
    assume(end - start < timedelta(seconds=seconds) * 500)
    spec = spec_of({"interval": seconds, "anchor_date": "2024-01-01T00:00:00Z"})
    every = list(instants(spec, start, end))
    assert latest_instant(spec, start, end) == (every[-1] if every else None)


# -- which runs to make ---------------------------------------------------------------------------------------------


def after(plan_: Plan, moment: datetime, horizon: Horizon = Horizon(), spec: Any = HOURLY, **more: Any) -> Plan:  # noqa: B008
    return plan(spec, moment, horizon, made_until=plan_.made_until, **more)


def test_runs_are_made_for_an_hour_and_three_at_least() -> None:
    assert plan(HOURLY, NOON, Horizon()).make == [NOON + timedelta(hours=each) for each in (1, 2, 3)]
    assert len(plan(MINUTELY, NOON, Horizon()).make) == 61
    assert len(plan(MINUTELY, NOON, Horizon(most=20)).make) == 20
    assert len(plan(MINUTELY, NOON, Horizon().of_schedule(2)).make) == 2
    yearly = spec_of({"cron": "0 0 1 1 *"})
    assert plan(yearly, NOON, Horizon()).make == []
    assert len(plan(yearly, datetime(2024, 11, 1, tzinfo=UTC), Horizon()).make) == 1


@given(
    gaps=st.lists(st.floats(0.01, 5), min_size=1, max_size=30),
    spec=st.sampled_from([HOURLY, DAILY, MINUTELY, spec_of({"cron": "*/10 * * * *"})]),
    horizon=st.sampled_from(
        [Horizon(), Horizon(most=5), Horizon(least=1, time=timedelta(0)), Horizon().of_schedule(1)]
    ),
)
def test_who_looks_again_when_told_makes_every_instant_once(gaps: list[float], spec: Any, horizon: Horizon) -> None:
    moment, last = NOON, Plan()
    looked_at: datetime | None = None
    made: list[datetime] = []
    for _ in gaps:
        last = after(last, moment, horizon, spec, looked_at=looked_at)
        made += last.make
        looked_at = moment
        assert last.look_again > moment
        # whoever waits that long still finds a run ahead
        assert not made or made[-1] >= last.look_again or len(last.make) == 0
        moment = last.look_again
    assert made == sorted(set(made))
    assert made == list(instants(spec, NOON, made[-1])) if made else True


@given(
    seconds=st.lists(st.integers(1, 40_000), min_size=1, max_size=12),
    catch_up=st.sampled_from([None, "skip", "latest", "all"]),
)
def test_what_was_missed_is_dealt_with_as_the_policy_says(seconds: list[int], catch_up: str | None) -> None:
    moment, last, made = NOON, plan(HOURLY, NOON, Horizon(least=1, time=timedelta(0))), []
    for gap in seconds:
        looked_at, moment = moment, moment + timedelta(seconds=gap)
        before = last.made_until
        last = after(last, moment, Horizon(least=1, time=timedelta(0)), looked_at=looked_at, catch_up=catch_up)
        assert before is not None
        missed = list(instants(HOURLY, before, moment))
        past = [each for each in last.make if each <= moment]
        assert past == {"all": missed, "latest": missed[-1:]}.get(str(catch_up), [])
        assert len([each for each in last.make if each > moment]) <= 1
        passed = list(instants(HOURLY, NOON, moment))[-1:]
        if catch_up in ("skip", "latest"):
            assert passed == [] or last.overtaken == passed[0]
        else:
            assert last.overtaken is None
        made += last.make
    assert made == sorted(set(made))


def test_a_long_time_is_caught_up_with_in_pieces() -> None:
    horizon, moment = Horizon(most=10), NOON + timedelta(hours=25)
    last = plan(HOURLY, NOON, horizon)
    made = list(last.make)
    rounds = 0
    while rounds < 10:
        rounds += 1
        last = after(last, moment, horizon, looked_at=NOON, catch_up="all")
        made += last.make
        if not last.more:
            break
    assert rounds == 3
    assert made == [NOON + timedelta(hours=each) for each in range(1, 29)]


def test_a_clock_that_was_wrong_harms_for_as_long_only() -> None:
    future = NOON + timedelta(days=400)
    wrong = plan(HOURLY, future, Horizon(), looked_at=NOON)
    right = plan(HOURLY, NOON, Horizon(), made_until=wrong.made_until, looked_at=future)
    assert right.make == [NOON + timedelta(hours=each) for each in (1, 2, 3)]
    assert right.made_until == NOON + timedelta(hours=3)
    # servers whose clocks differ a little do not make anything again
    assert plan(HOURLY, NOON, Horizon(), made_until=right.made_until, looked_at=NOON + timedelta(seconds=2)).make == []
