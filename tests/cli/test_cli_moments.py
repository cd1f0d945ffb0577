"""Moments and spans of time as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.cli import _moments, _output

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5 minutes", 300), ("in 5 minutes", 300), ("in 1 hour", 3600), ("2 days", 172_800), ("1h30m", 5400),
        ("an hour and 30 minutes", 5400), ("1 hour, 5 seconds", 3605), ("90", 90), ("0.5 h", 1800), ("2 weeks", 1_209_600),
        ("10 secs", 10), ("a minute", 60), ("3 HOURS", 10_800),
    ],
)  # fmt: skip
def test_spans(text: str, seconds: float) -> None:
    assert _moments.span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "in", "5 parsecs", "minutes", "1h x", "-5 minutes"])
def test_no_spans(text: str) -> None:
    with pytest.raises(ValueError, match="span of time"):
        _moments.span(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-03-10T15:00:00+01:00"),
        ("in 2 hours", "2026-03-10T17:00:00+01:00"),
        ("5:30pm", "2026-03-10T17:30:00+01:00"),
        ("at 5:30pm", "2026-03-10T17:30:00+01:00"),
        ("9am", "2026-03-11T09:00:00+01:00"),  # the next nine o'clock
        ("tomorrow 9am", "2026-03-11T09:00:00+01:00"),
        ("tomorrow at 9:15", "2026-03-11T09:15:00+01:00"),
        ("tomorrow", "2026-03-11T00:00:00+01:00"),
        ("2026-08-01 17:30", "2026-08-01T17:30:00+02:00"),
        ("at 2022-08-01 17:30:10", "2022-08-01T17:30:10+02:00"),
        ("2026-08-01T17:30:00Z", "2026-08-01T17:30:00+00:00"),
        ("1 August 2026 08:00", "2026-08-01T08:00:00+02:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert _moments.moment(text, NOW).isoformat() == expected


@pytest.mark.parametrize("text", ["", "soon", "at", "25:99", "tomorrow never", "2026-13-45", "in a bit"])
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"moment|span of time"):
        _moments.moment(text, NOW)


@given(st.timedeltas(min_value=timedelta(seconds=60), max_value=timedelta(days=300)))
def test_a_span_as_we_tell_it_can_be_read_again(span: timedelta) -> None:
    told = _output.duration_text(span)
    read = _moments.span(told)
    assert abs(read - span) <= (timedelta(seconds=1) if span < timedelta(hours=1) else timedelta(hours=1))


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_moment_or_a_clear_error(text: str) -> None:
    try:
        assert _moments.moment(text, NOW).tzinfo is not None
    except ValueError as problem:
        assert "moment" in str(problem) or "span of time" in str(problem)
