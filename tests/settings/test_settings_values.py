"""How the text given for a setting becomes its value."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefect.settings import Settings, SettingsError
from prefect.settings.fields import fields_by_env_name
from prefect.settings.parse import format_duration, format_value, parse_timedelta


def read(name: str, raw: object) -> object:
    return fields_by_env_name(Settings)[name].read(raw, "the test")


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("PREFECT_DEBUG_MODE", "yes", True),
        ("PREFECT_DEBUG_MODE", "T", True),
        ("PREFECT_DEBUG_MODE", " off ", False),
        ("PREFECT_DEBUG_MODE", 1, True),
        ("PREFECT_API_REQUEST_TIMEOUT", "1e3", 1000.0),
        ("PREFECT_API_REQUEST_TIMEOUT", 5, 5.0),
        ("PREFECT_CLIENT_MAX_RETRIES", "7", 7),
        ("PREFECT_CLIENT_MAX_RETRIES", 2.0, 2),
        ("PREFECT_LOGGING_LEVEL", "debug", "DEBUG"),
        ("PREFECT_API_URL", None, None),
        ("PREFECT_API_SSL_CERT_FILE", Path("/a/b"), "/a/b"),
        ("PREFECT_HOME", "~/x", Path("~/x").expanduser()),
        ("PREFECT_LOGGING_EXTRA_LOGGERS", "a, b,,c ", ["a", "b", "c"]),
        ("PREFECT_LOGGING_EXTRA_LOGGERS", '["a", "b"]', ["a", "b"]),
        ("PREFECT_LOGGING_EXTRA_LOGGERS", "", []),
        ("PREFECT_PLUGINS_ALLOW", "x,y", {"x", "y"}),
        ("PREFECT_CLIENT_RETRY_EXTRA_CODES", "500, 404", {500, 404}),
        ("PREFECT_CLIENT_RETRY_EXTRA_CODES", 429, {429}),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"a": "b"}', {"a": "b"}),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", "10", 10.0),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", "1,2.5", [1.0, 2.5]),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", [1, 2], [1.0, 2.0]),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", "", None),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", 10, 10.0),
        ("PREFECT_TEST_SETTING", "true", "true"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "true", True),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "events,flow_runs", {"events", "flow_runs"}),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "7 days", timedelta(days=7)),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "P1W", timedelta(days=7)),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "01:30:00", timedelta(minutes=90)),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "2 days, 0:00:01", timedelta(days=2, seconds=1)),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "-PT5S", timedelta(seconds=-5)),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "3600", timedelta(hours=1)),
        ("PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS", 30, timedelta(seconds=30)),
    ],
)
def test_accepted(name, raw, value):
    found = read(name, raw)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "allowed"),
    [
        ("PREFECT_DEBUG_MODE", "ja", "true or false"),
        ("PREFECT_DEBUG_MODE", None, "true or false"),
        ("PREFECT_API_REQUEST_TIMEOUT", "abc", "a number"),
        ("PREFECT_API_REQUEST_TIMEOUT", "nan", "a number"),
        ("PREFECT_API_REQUEST_TIMEOUT", None, "a number"),
        ("PREFECT_API_REQUEST_TIMEOUT", True, "a number"),
        ("PREFECT_CLIENT_MAX_RETRIES", "1.5", "a whole number"),
        ("PREFECT_CLIENT_MAX_RETRIES", "-1", "at least 0"),
        ("PREFECT_CLIENT_MAX_RETRIES", float("inf"), "a whole number"),
        ("PREFECT_LOGGING_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("PREFECT_LOGGING_LEVEL", 10, "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "shout", "warn, error, ignore"),
        ("PREFECT_API_URL", 5, "text"),
        ("PREFECT_HOME", "", "a path"),
        ("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "10", "at least 30"),
        ("PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS", "0", "greater than 0"),
        ("PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION", 4000, "between 30 and 3600"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "60", "seconds"),
        ("PREFECT_SERVER_DATABASE_DRIVER", "mysql", "postgresql\\+asyncpg, sqlite\\+aiosqlite"),
        ("PREFECT_CLIENT_RETRY_EXTRA_CODES", "99", "100 to 599"),
        ("PREFECT_CLIENT_RETRY_EXTRA_CODES", "many", "100 to 599"),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"a": 1}', "JSON object"),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", "x", "JSON object"),
        ("PREFECT_LOGGING_EXTRA_LOGGERS", "[a", "separated by commas"),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", "1,soon", "number of seconds"),
        ("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS", "1,-2", "number of seconds"),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "a while", "ISO 8601"),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "P", "ISO 8601"),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "", "ISO 8601"),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "P1.2.3D", "ISO 8601"),
    ],
)
def test_refused_naming_setting_source_and_what_is_allowed(name, raw, allowed):
    with pytest.raises(SettingsError, match=f"{fields_by_env_name(Settings)[name].env_name}: .*the test.*{allowed}"):
        read(name, raw)


def test_a_refused_secret_is_not_shown():
    with pytest.raises(SettingsError) as caught:
        read("PREFECT_API_KEY", 4711)
    assert "4711" not in str(caught.value)


@given(st.timedeltas(min_value=timedelta(days=-10_000), max_value=timedelta(days=10_000)))
def test_durations_survive_being_written(duration):
    # a fraction of a second passes through a float of seconds
    assert abs(parse_timedelta(format_duration(duration)) - duration) <= timedelta(microseconds=1)


NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=",["), min_size=1)


@given(st.sets(NAMES), st.sets(st.integers(100, 599)), st.dictionaries(st.text(), st.text()))
def test_collections_survive_being_written(names, codes, headers):
    assert read("PREFECT_PLUGINS_DENY", format_value(names)) == names
    assert read("PREFECT_CLIENT_RETRY_EXTRA_CODES", format_value(codes)) == codes
    assert read("PREFECT_CLIENT_CUSTOM_HEADERS", format_value(headers)) == headers


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers()), st.binary()))
@example("~nobody-of-this-name/x")
def test_whatever_is_given_is_read_or_refused_in_words(raw):
    for field in Settings.fields():
        try:
            field.read(raw, "the test")
        except SettingsError:
            pass
