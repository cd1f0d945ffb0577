"""When a run is tried again, and after how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect._lazy import lazy_module

random = lazy_module("random")


def retry_delay(delays: float | Sequence[float] | None, attempt: int, jitter_factor: float | None = None) -> float:
    """Seconds to wait before a retry.

    Args:
        delays: one delay for every retry, or one per retry; beyond its end the last one counts.
        attempt: how many retries went before, from 0.
        jitter_factor: spread the delay evenly between itself and `(1 + jitter_factor)` times itself.
    """
    if delays is None:
        return 0.0
    if isinstance(delays, (int, float)):
        delay = float(delays)
    elif not delays:
        return 0.0
    else:
        delay = float(delays[min(attempt, len(delays) - 1)])
    if delay > 0 and jitter_factor:
        delay *= 1 + random.random() * jitter_factor
    return delay


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Delays that double: `backoff_factor` x 1, 2, 4, ... seconds, one for each retry."""

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**attempt for attempt in range(retries)]

    return delays
