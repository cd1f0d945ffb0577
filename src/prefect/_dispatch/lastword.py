"""What a process that was forked for a run tells the fork server before it ends: that the end of its run is recorded.

Then nobody needs to look. A process that says nothing has ended otherwise: killed, or while the API was away.
"""

from __future__ import annotations

import contextlib
import os
import struct

_PID = struct.Struct("=i")
_AT_ONCE = 1024
_door: int | None = None


class Ear:
    """The fork server's end: hears its children, whichever of them says something."""

    def __init__(self) -> None:
        global _door
        self._fd, _door = os.pipe()
        os.set_blocking(self._fd, False)
        os.set_blocking(_door, False)
        self._settled: set[int] = set()

    def heard_of(self, pid: int) -> bool:
        """Whether a process, which has ended, has said that the end of its run is recorded."""
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self._fd, _AT_ONCE * _PID.size):  # a word is never torn apart
                self._settled.update(number for (number,) in _PID.iter_unpack(said))
        if pid not in self._settled:
            return False
        self._settled.discard(pid)
        return True

    def close(self) -> None:
        """In a child: it may speak, and hears nothing."""
        os.close(self._fd)


def settled() -> None:
    """Say, in the process of a run, that the end of the run is recorded. Nothing happens where nobody listens."""
    if _door is not None:
        with contextlib.suppress(OSError):  # the server is gone, or does not come to listening: then somebody looks
            os.write(_door, _PID.pack(os.getpid()))
