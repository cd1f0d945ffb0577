"""Time-ordered identifiers: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from _random import Random  # what `random` is made of, without the ten milliseconds that importing it takes
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import uuid
    from uuid import UUID
else:
    uuid = lazy_module("uuid")

_lock = threading.Lock()
_last = 0  # the newest 60-bit value of (milliseconds, sub-millisecond counter) handed out by this process
# ids must be unique, not secret: a generator seeded by the system costs a hundredth of asking the system each time
_bits = Random(int.from_bytes(os.urandom(32), "big")).getrandbits


def _next_int() -> int:
    """A 128-bit UUIDv7: 48 bits of Unix milliseconds, 12 bits of sub-millisecond time, 62 random bits.

    The 60 time bits never repeat nor go back within a process, so ids sort in the order they were made
    (RFC 9562, section 6.2, method 3) even when the clock is set back.
    """
    global _last
    nanoseconds = time.time_ns()
    # the millisecond in the upper bits, the rest of it in 4096ths below
    stamp = nanoseconds * 4096 // 1_000_000
    with _lock:
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
    return _number(stamp)


def _number(stamp: int) -> int:
    return (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | _bits(62)


def new_id() -> str:
    """A new UUIDv7 in its text form of 36 characters."""
    return _text(_next_int())


def new_ids(count: int) -> list[str]:
    """So many new UUIDv7 in their text form, in order."""
    global _last
    with _lock:
        first = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = first + count - 1
    return [_text(_number(stamp)) for stamp in range(first, first + count)]


def _text(number: int) -> str:
    h = f"{number:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def new_uuid() -> UUID:
    """A new UUIDv7."""
    return uuid.UUID(int=_next_int())


def twin_id(id: str) -> str:
    """The id, always the same, of something that stands for another thing; it sorts beside the id of that.

    Args:
        id: of the other thing, in its text form.
    """
    return f"{id[:-1]}{int(id[-1], 16) ^ 1:x}"


def _after_fork_in_child() -> None:
    """Another thread may hold the lock at a fork, and a child must not repeat its parent's bits."""
    global _lock, _bits
    _lock = threading.Lock()
    _bits = Random(int.from_bytes(os.urandom(32), "big")).getrandbits


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
