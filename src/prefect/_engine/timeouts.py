"""Time limits on the user's code.

On the main thread a timer signal interrupts even blocking calls. Elsewhere an exception is set on the thread, which
takes effect at its next bytecode: a blocking call is not cut short, but what follows it does not run.
Asynchronous code is cancelled at its next `await`.
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from prefect._lazy import lazy_module

asyncio = lazy_module("asyncio")
ctypes = lazy_module("ctypes")


def _said(seconds: float) -> str:
    return f"Scope timed out after {round(seconds, 3):.12g} second(s)."


class SyncTimeout:
    """Raise `error` in the body of a `with` block after `seconds`."""

    __slots__ = ("_error", "_impl", "_seconds")

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._seconds = seconds
        self._error = error

    def __enter__(self) -> None:
        on_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
        self._impl: _Alarm | _Watch = (_Alarm if on_main else _Watch)(self._seconds, self._error)
        self._impl.start()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._impl.stop(raised=kind is not None and issubclass(kind, self._error))
        if isinstance(self._impl, _Watch) and self._impl.fired and isinstance(exc, self._error) and not exc.args:
            exc.args = (_said(self._seconds),)  # what is set on a thread is a class, and carries no words


class _Alarm:
    """A limit on the main thread, by `SIGALRM`.

    A process has one such timer. While this limit holds, it stands in for the timer of whoever had it before (an outer
    limit, or a program's own): that one's handler is called when it is due, and afterwards it has its timer back.
    """

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._seconds, self._error = seconds, error
        self._over = False
        self._fired = False

    def start(self) -> None:
        # stopped first: from here to the end of this method no alarm can come in
        remaining, self._outer_interval = signal.setitimer(signal.ITIMER_REAL, 0)
        now = time.monotonic()
        self._deadline = now + self._seconds
        self._outer_due: float | None = now + remaining if remaining else None
        self._outer_handler = signal.signal(signal.SIGALRM, self._fire)
        self._arm()

    def _arm(self) -> None:
        """Set the timer for whichever is due next."""
        mine = None if self._fired else self._deadline
        self._armed_for_outer = self._outer_due is not None and (mine is None or self._outer_due < mine)
        due = self._outer_due if self._armed_for_outer else mine
        if due is not None:
            signal.setitimer(signal.ITIMER_REAL, max(due - time.monotonic(), 1e-6))

    def _fire(self, signum: int, frame: FrameType | None) -> None:
        if self._over:
            return  # the block has ended; `stop` gives an outer timer that is due its turn
        if frame is not None and frame.f_code in _OWN_CODE:
            # on the way into the block, or out of it, or in a handler that was called there: an exception here would leave
            # this handler behind
            signal.setitimer(signal.ITIMER_REAL, 50e-6)
            return
        if not self._armed_for_outer:
            self._fired = True
            self._arm()
            raise self._error(_said(self._seconds))
        self._outer_due = time.monotonic() + self._outer_interval if self._outer_interval else None
        self._arm()
        if callable(self._outer_handler):
            self._outer_handler(signum, frame)

    def stop(self, *, raised: bool) -> None:
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._outer_handler is not None:
            signal.signal(signal.SIGALRM, self._outer_handler)
        if self._outer_due is not None:
            rest = self._outer_due - time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-6), self._outer_interval)


_OWN_CODE = frozenset(
    function.__code__
    for function in (
        SyncTimeout.__enter__, SyncTimeout.__exit__, _Alarm.start, _Alarm._arm, _Alarm._fire, _Alarm.stop, _said,
    )
)  # fmt: skip


class _Watch:
    """A limit on another thread, by an exception set on it from the watching thread."""

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._seconds, self._error = seconds, error
        self.lock = threading.Lock()
        self.fired = False
        self.over = False

    def start(self) -> None:
        self._thread_id = threading.get_ident()
        _watcher.add(time.monotonic() + self._seconds, self)

    def fire(self) -> None:
        with self.lock:
            if not self.over:
                self.fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(self._error)
                )

    def stop(self, *, raised: bool) -> None:
        with self.lock:
            self.over = True
        if not self.fired:
            _watcher.forget_one()
        elif not raised:
            # set but not yet raised: let it surface here and not in code that is none of its business
            for _ in range(1000):
                time.sleep(0)


class _Watcher:
    """One thread that watches all limits of threads other than the main one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._forgotten = 0

    def forget_one(self) -> None:
        """A limit was kept. Its entry goes when there are many such: ten thousand hour-long limits must not wait an hour."""
        self._forgotten += 1
        if self._forgotten > 100 and self._forgotten * 2 > len(self._heap):
            with self._changed:
                self._heap = [entry for entry in self._heap if not entry[2].over]
                heapq.heapify(self._heap)
                self._forgotten = 0

    def add(self, deadline: float, watch: _Watch) -> None:
        with self._changed:
            heapq.heappush(self._heap, (deadline, next(self._order), watch))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="prefect-timeouts", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap:
                    if not self._changed.wait(timeout=60):
                        self._thread = None
                        return
                deadline, _, watch = self._heap[0]
                rest = deadline - time.monotonic()
                if rest > 0:
                    self._changed.wait(timeout=rest)
                    continue
                heapq.heappop(self._heap)
            watch.fire()


_watcher = _Watcher()


def _after_fork_in_child() -> None:
    """The watching thread is not there, and its lock may have been held."""
    global _watcher
    _watcher = _Watcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class AsyncTimeout:
    """Raise `error` in the body of an `async with` block after `seconds`."""

    __slots__ = ("_error", "_scope", "_seconds")

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._seconds, self._error = seconds, error

    async def __aenter__(self) -> None:
        self._scope: Any = asyncio.timeout(self._seconds)
        await self._scope.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, exc, tb)
        except TimeoutError:
            if self._scope.expired():
                raise self._error(_said(self._seconds)) from exc
            raise
