"""Waiting for things in tests: until they are so, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 30.0, *, what: str = "It", pause: float = 0.01) -> T:
    """Wait until a condition is true, and return its value.

    Args:
        condition: looks.
        seconds: to wait at most.
        what: is waited for, as the beginning of a sentence.
        pause: seconds between two looks.

    Raises:
        AssertionError: it is not true in time.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(pause)
    return found
