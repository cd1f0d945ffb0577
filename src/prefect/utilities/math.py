"""Random intervals for loops of many processes that must not fall into step.

All of them are draws from an exponential distribution, the time between events of a Poisson process, cut to a range.
"""

from __future__ import annotations

import math
import random


def poisson_interval(average_interval: float, lower: float = 0, upper: float = 1) -> float:
    """Draw an interval from the exponential distribution, or from a slice of it.

    Args:
        average_interval: its average, in any unit.
        lower: the quantile at which the slice begins, from 0 to 1.
        upper: the quantile at which it ends.

    Returns:
        The interval, in the unit of the average.
    """
    # `random` never returns 1, so the logarithm is finite even when `upper` is 1
    quantile = lower + random.random() * (upper - lower)
    return -math.log(max(1 - quantile, 1e-10)) * average_interval


def exponential_cdf(x: float, average_interval: float) -> float:
    """The probability that an interval of this average is at most `x`."""
    return 1 - math.exp(-x / average_interval)


def lower_clamp_multiple(k: float) -> float:
    """The multiple of the average below which to cut, so that cutting at `k` averages above leaves the average as it is.

    Args:
        k: the upper cut, in averages; greater than 0.

    Raises:
        ZeroDivisionError: `k` is 0.
    """
    if k >= 50:  # 2**k leaves the range in which the quotient below differs from 1
        return 0.0
    return math.log(max(2**k / (2**k - 1), 1e-10), 2)


def clamped_poisson_interval(average_interval: float, clamping_factor: float = 0.3) -> float:
    """Draw an interval that is not too far from the average.

    Args:
        average_interval: the average.
        clamping_factor: it is at most `1 + clamping_factor` averages, and at least what balances that.
    """
    if clamping_factor <= 0:
        raise ValueError(f"clamping_factor must be greater than 0, not {clamping_factor}.")
    if average_interval <= 0:
        return 0.0
    upper = 1 + clamping_factor
    lower = max(0.0, lower_clamp_multiple(upper))
    return poisson_interval(
        average_interval,
        lower=exponential_cdf(lower * average_interval, average_interval),
        upper=exponential_cdf(upper * average_interval, average_interval),
    )


def bounded_poisson_interval(lower_bound: float, upper_bound: float) -> float:
    """Draw an interval between two bounds, around their middle.

    Args:
        lower_bound: the smallest interval.
        upper_bound: the largest.
    """
    average = (lower_bound + upper_bound) / 2
    if average <= 0:
        return max(0.0, lower_bound)
    return poisson_interval(
        average, lower=exponential_cdf(lower_bound, average), upper=exponential_cdf(upper_bound, average)
    )
