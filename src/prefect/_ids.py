"""Time-ordered identifiers: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import uuid
    from uuid import UUID
else:
    uuid = lazy_module("uuid")

_lock = threading.Lock()
_last = 0  # the newest 74-bit value of (milliseconds, sub-millisecond counter) handed out by this process


def _next_int() -> int:
    """A 128-bit UUIDv7: 48 bits of Unix milliseconds, 12 bits of sub-millisecond time, 62 random bits.

    The 60 time bits never repeat nor go back within a process, so ids sort in the order they were made
    (RFC 9562, section 6.2, method 3) even when the clock is set back.
    """
    global _last
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    stamp = (milliseconds << 12) | (rest * 4096 // 1_000_000)
    with _lock:
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    return (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random


def new_id() -> str:
    """A new UUIDv7 in its text form of 36 characters."""
    h = f"{_next_int():032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def new_uuid() -> UUID:
    """A new UUIDv7."""
    return uuid.UUID(int=_next_int())


if hasattr(os, "register_at_fork"):
    # a fork while another thread holds the lock would leave the child with a lock nobody releases

    def _renew_lock() -> None:
        global _lock
        _lock = threading.Lock()

    os.register_at_fork(after_in_child=_renew_lock)
