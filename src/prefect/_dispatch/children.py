"""Processes that carry out runs: each leads a group of its own, so that what it starts can be ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

_LOOK_EVERY = 0.5  # seconds, where the system cannot tell that a process has ended

KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL


class Child:
    """A process that was started, and is heard of when it ends.

    Args:
        pid: its process id.
        introduces_itself: whether it tells the server, with the first state of its run, how it is known.

    Attributes:
        pid: its process id, which is also the id of its group.
        settled: whether it has said, before it ended, that the end of its run is recorded.
    """

    def __init__(self, pid: int, *, introduces_itself: bool = False) -> None:
        self.pid = pid
        self.introduces_itself = introduces_itself
        self.settled = False
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> bool:
        """Whether it has not been heard to have ended."""
        return not self._ended.done()

    def has_ended(self, status: int | None, *, settled: bool = False) -> None:
        """Say that it has ended.

        Args:
            status: its exit status (negative: the signal), None when nobody knows it.
            settled: see the attribute.
        """
        if not self._ended.done():
            self.settled = settled
            self._ended.set_result(status)

    async def wait(self) -> int | None:
        """Wait for its end; returns the exit status as `has_ended` was told."""
        return await asyncio.shield(self._ended)

    def signal(self, number: int) -> None:
        """Send a signal to all processes of its group. Nothing happens when there are none left."""
        signal_group(self.pid, number)

    async def end(self, grace_seconds: float) -> int | None:
        """End it: ask it to, and after a while make it, with all that it started.

        Args:
            grace_seconds: how long it may take.
        """
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), grace_seconds)
        except TimeoutError:
            pass
        finally:
            self.signal(KILL)  # also what outlived it
        return await self.wait()


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the group that a process leads, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            os.kill(pid, number)
        else:
            os.killpg(pid, number)


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not on this system
        while is_alive(pid):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(handle, lambda: ended.done() or ended.set_result(None))
    try:
        await ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def end_group(pid: int, grace_seconds: float) -> None:
    """End a process that is not our child, with all that it started: ask it to, and after a while make it.

    Args:
        pid: of the process, which leads a group.
        grace_seconds: how long it may take.
    """
    signal_group(pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(gone(pid), grace_seconds)
    except TimeoutError:
        pass
    finally:
        signal_group(pid, KILL)
    await gone(pid)
