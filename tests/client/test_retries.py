"""When a request is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._transport.retries import PASSING, RetryPolicy, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(attempt=st.integers(0, 20), spread=st.floats(0, 1))
def test_waits_grow_and_stay_near_what_was_calculated(attempt: int, spread: float) -> None:
    wait = RetryPolicy(most=21, spread=spread).after_failure(attempt)
    calculated = min(0.5 * 2**attempt, 60)
    assert wait is not None
    assert calculated * (1 - spread) - 1e-9 <= wait <= calculated * (1 + spread) + 1e-9


@given(status=st.integers(100, 599), attempt=st.integers(0, 10), most=st.integers(0, 10))
def test_only_passing_statuses_are_tried_again_and_only_so_often(status: int, attempt: int, most: int) -> None:
    wait = RetryPolicy(most=most).after_status(status, {}, attempt, NOW)
    assert (wait is not None) == (status in PASSING and attempt < most)


def test_extra_statuses() -> None:
    assert RetryPolicy(extra_statuses=frozenset({418})).after_status(418, {}, 0, NOW) is not None


@given(asked=st.floats(0, 60), spread=st.floats(0, 1))
def test_who_asks_for_a_pause_gets_all_of_it(asked: float, spread: float) -> None:
    wait = RetryPolicy(spread=spread).after_status(429, {"retry-after": repr(asked)}, 0, NOW)
    assert wait is not None
    assert asked <= wait <= asked * 2 + 1e-9


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("12", 12),
        ("1.5", 1.5),
        ("-3", 0),
        ("86400", 60),
        (format_datetime(NOW + timedelta(seconds=20), usegmt=True), 20),
        (format_datetime(NOW - timedelta(seconds=20), usegmt=True), 0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
