from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, WEEKLY, rrule, rruleset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import (
    CronSchedule,
    IntervalSchedule,
    NoSchedule,
    RRuleSchedule,
    construct_schedule,
    is_schedule_type,
    is_valid_timezone,
)
from prefect.schedules import Cron, Interval, RRule, Schedule

PARIS = ZoneInfo("Europe/Paris")


def test_makers():
    assert Cron("@daily", timezone="Europe/Paris", slug="s").cron == "@daily"
    assert Interval(90).interval == timedelta(seconds=90)
    assert Interval(timedelta(hours=1)).anchor_date.tzinfo is UTC
    assert RRule("FREQ=DAILY", parameters={"x": 1}, active=False).parameters == {"x": 1}
    assert Schedule().cron is None


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: Cron("bad"), 'Invalid cron string: "bad"'),
        (lambda: Cron("* * * * *", timezone="Nowhere"), 'Invalid timezone: "Nowhere"'),
        (lambda: RRule("FREQ=NEVER"), "Invalid RRule string"),
        (lambda: RRule("FREQ=DAILY;INTERVAL=0"), "INTERVAL must be at least 1"),
        (lambda: Interval(0), "longer than 0 seconds"),
        (lambda: Schedule(interval=timedelta(1), cron="* * * * *"), "Only one schedule type"),
        (lambda: construct_schedule(), "must be provided"),
        (lambda: construct_schedule(cron="* * * * *", rrule="FREQ=DAILY"), "Only one"),
        (lambda: construct_schedule(cron="* * * * *", anchor_date=datetime.now(UTC)), "anchor date"),
        (lambda: construct_schedule(timezone="UTC"), "timezone"),
        (lambda: RRuleSchedule.from_rrule(3), "Expected a dateutil rrule"),
    ],
)
def test_mistakes_are_named(make, hint):
    with pytest.raises(ValueError, match=hint):
        make()


def test_construct_schedule():
    assert construct_schedule(interval=5).interval == timedelta(seconds=5)
    assert construct_schedule(cron="* * * * *", timezone="Europe/Paris") == CronSchedule(
        cron="* * * * *", timezone="Europe/Paris"
    )
    assert is_schedule_type(construct_schedule(rrule="FREQ=DAILY")) and not is_schedule_type("x")
    assert is_valid_timezone("America/New_York") and not is_valid_timezone("America")


def test_an_interval_takes_the_zone_of_its_anchor():
    anchored = IntervalSchedule(interval=timedelta(days=1), anchor_date=datetime(2024, 7, 1, tzinfo=PARIS))
    assert anchored.timezone == "Europe/Paris"
    assert IntervalSchedule(interval=timedelta(days=1), anchor_date=datetime(2024, 7, 1)).timezone == "UTC"


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [
        (Cron("@daily"), CronSchedule),
        (Interval(60), IntervalSchedule),
        (RRule("FREQ=DAILY"), RRuleSchedule),
        (Schedule(), NoSchedule),
    ],
)
def test_from_what_users_write_to_what_travels(schedule, kind):
    made = DeploymentScheduleCreate.from_schedule(schedule)
    assert type(made.schedule) is kind and made.active


def test_a_rule_without_a_start_gets_a_fixed_one():
    made = DeploymentScheduleCreate(schedule={"rrule": "FREQ=DAILY"})
    assert made.schedule.rrule == "DTSTART:20200101T000000\nFREQ=DAILY"


def test_rules_are_read_on_the_wall_clock_of_their_zone():
    schedule = RRuleSchedule(
        rrule="DTSTART:20240330T090000\nRRULE:FREQ=DAILY;UNTIL=20240401T235959Z\nEXDATE:20240331T090000",
        timezone="Europe/Paris",
    )
    moments = list(schedule.to_rrule())
    assert moments == [datetime(2024, 3, 30, 9, tzinfo=PARIS), datetime(2024, 4, 1, 9, tzinfo=PARIS)]
    assert [moment.utcoffset() for moment in moments] == [timedelta(hours=1), timedelta(hours=2)]


def test_sets_of_rules_survive():
    made = rruleset()
    made.rrule(rrule(DAILY, count=4, dtstart=datetime(2024, 1, 1, tzinfo=PARIS)))
    made.exrule(rrule(WEEKLY, count=1, dtstart=datetime(2024, 1, 2, tzinfo=PARIS)))
    made.rdate(datetime(2024, 2, 1, tzinfo=PARIS))
    made.exdate(datetime(2024, 1, 3, tzinfo=PARIS))
    again = RRuleSchedule.from_rrule(made)
    assert again.timezone == "Europe/Paris"
    # a rule that is taken away counts from the start of the set when read back, so compare one without
    assert RRuleSchedule.model_validate_json(again.model_dump_json()) == again
    plain = rruleset()
    plain.rrule(rrule(DAILY, count=4, dtstart=datetime(2024, 1, 1, tzinfo=PARIS)))
    plain.rdate(datetime(2024, 2, 1, tzinfo=PARIS))
    plain.exdate(datetime(2024, 1, 3, tzinfo=PARIS))
    assert list(RRuleSchedule.from_rrule(plain).to_rrule()) == list(plain)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.integers(1, 30),
    st.integers(1, 5),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"]),
)
def test_rules_of_dateutil_survive(start, interval, count, zone):
    rule = rrule(DAILY, interval=interval, count=count, dtstart=start.replace(tzinfo=ZoneInfo(zone)))
    schedule = RRuleSchedule.from_rrule(rule)
    assert schedule.timezone == zone
    assert list(schedule.to_rrule()) == list(rule)


@given(st.text(max_size=30) | st.from_regex(r"\A(RRULE:)?(FREQ|COUNT|INTERVAL|BYDAY)=[A-Z0-9-]{0,5}(;COUNT=[0-9])?\Z"))
def test_any_text_is_taken_or_refused_with_a_validation_error(text):
    for make in (lambda: RRuleSchedule(rrule=text), lambda: CronSchedule(cron=text)):
        try:
            make()
        except ValidationError as error:
            assert error.errors()[0]["loc"] in (("rrule",), ("cron",))
