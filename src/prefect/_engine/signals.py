"""Termination: a process that is told to end says so in its runs before it does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from prefect.exceptions import TerminationSignal

_installed = False
_received = False
_instead: BaseException | None = None


class termination:
    """While the block lasts, SIGTERM raises `TerminationSignal` on the main thread; afterwards it ends the process.

    Does nothing off the main thread, inside another such block, or where the program handles SIGTERM itself.

    Args:
        before_exit: called before the process ends by the signal.
    """

    def __init__(self, before_exit: Callable[[], None]) -> None:
        self._before_exit = before_exit
        self._active = False

    def __enter__(self) -> None:
        global _installed
        if (
            not _installed
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, _raise)
            self._active = _installed = True

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        global _installed, _received
        if not self._active:
            return
        received, _installed, _received = _received, False, False
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # raised while an event loop had the turn, it comes to the run as the loop's cancellation
        if isinstance(exc, TerminationSignal) or (received and type(exc).__name__ == "CancelledError"):
            self._before_exit()
            os.kill(os.getpid(), signal.SIGTERM)  # end as a process does that was told to


def interrupt(exc: BaseException) -> bool:
    """Raise an exception on the main thread, as a signal does; False when no flow is there to take it.

    Called from another thread.
    """
    global _instead
    if not _installed:
        return False
    _instead = exc
    os.kill(os.getpid(), signal.SIGTERM)
    return True


def _raise(signum: int, frame: FrameType | None) -> Any:
    global _received, _instead
    if _instead is not None:
        exc, _instead = _instead, None
        raise exc
    _received = True
    raise TerminationSignal(signal=signum)
