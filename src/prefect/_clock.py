"""The time, in the two forms the engine uses."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def now_us() -> int:
    """Microseconds since 1970-01-01T00:00:00Z, the form in which times are stored."""
    return time.time_ns() // 1000


def from_us(microseconds: int) -> datetime:
    """An aware UTC datetime from microseconds since the epoch (exact, also before 1970)."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; a naive one is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
