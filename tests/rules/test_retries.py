"""How long to wait before a retry."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.retries import exponential_backoff, retry_delay

seconds = st.floats(0, 1e6, allow_nan=False)
attempts = st.integers(0, 100)


@given(seconds, attempts)
def test_one_delay_counts_for_every_retry(delay: float, attempt: int) -> None:
    assert retry_delay(delay, attempt) == delay


@given(st.lists(seconds, min_size=1, max_size=10), attempts)
def test_a_list_gives_one_delay_each_and_the_last_beyond_its_end(delays: list[float], attempt: int) -> None:
    expected = delays[attempt] if attempt < len(delays) else delays[-1]
    assert retry_delay(delays, attempt) == expected
    assert retry_delay(tuple(delays), attempt) == expected


@given(st.none() | seconds | st.lists(seconds, max_size=5), attempts, st.none() | st.floats(0, 10))
def test_jitter_only_lengthens_and_by_its_factor_at_most(
    delays: float | list[float] | None, attempt: int, jitter: float | None
) -> None:
    base = retry_delay(delays, attempt)
    spread = retry_delay(delays, attempt, jitter)
    assert base <= spread <= base * (1 + (jitter or 0)) * (1 + 1e-9)


def test_jitter_spreads() -> None:
    assert len({retry_delay(1, 0, 1.0) for _ in range(20)}) > 1


def test_without_delays_there_is_no_wait() -> None:
    assert retry_delay(None, 3) == 0
    assert retry_delay([], 3) == 0


@given(st.floats(0.001, 1e3), st.integers(0, 60))
def test_backoff_doubles(factor: float, retries: int) -> None:
    delays = exponential_backoff(factor)(retries)
    assert len(delays) == retries
    assert delays[:1] in ([], [factor])
    assert all(later == 2 * earlier for earlier, later in itertools.pairwise(delays))
