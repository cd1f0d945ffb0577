"""Time limits on the user's code.

On the main thread a timer signal interrupts even blocking calls. Elsewhere an exception is set on the thread, which
takes effect at its next bytecode: a blocking call is not cut short, but what follows it does not run.
Asynchronous code is cancelled at its next `await`.
"""

from __future__ import annotations

import heapq
import itertools
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from prefect._lazy import lazy_module

asyncio = lazy_module("asyncio")
ctypes = lazy_module("ctypes")


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


class _Alarm:
    """A limit on the main thread, by `SIGALRM`. An outer limit or a timer of the user's goes on afterwards."""

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._seconds, self._error = seconds, error

    def start(self) -> None:
        self._began = time.monotonic()
        self._outer_handler = signal.getsignal(signal.SIGALRM)
        remaining, self._outer_interval = signal.getitimer(signal.ITIMER_REAL)
        self._outer_remaining = remaining
        signal.signal(signal.SIGALRM, self._fire)
        # an outer limit that comes first must still come first
        first = self._seconds if not remaining else min(self._seconds, remaining)
        self._mine_first = first == self._seconds
        signal.setitimer(signal.ITIMER_REAL, max(first, 1e-6))

    def _fire(self, signum: int, frame: FrameType | None) -> None:
        if self._mine_first:
            raise self._error(f"Scope timed out after {self._seconds} second(s).")
        self._outer_remaining = 0.0
        outer = self._outer_handler
        rest = self._seconds - (time.monotonic() - self._began)
        self._mine_first = True
        signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-6))
        if callable(outer):
            outer(signum, frame)

    def stop(self, *, raised: bool) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._outer_handler is not None:
            signal.signal(signal.SIGALRM, self._outer_handler)
        if self._outer_remaining:
            rest = self._outer_remaining - (time.monotonic() - self._began)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-6), self._outer_interval)


class _Watch:
    """A limit on another thread, by an exception set on it from the watching thread."""

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._seconds, self._error = seconds, error
        self.lock = threading.Lock()
        self.fired = False
        self._over = False

    def start(self) -> None:
        self._thread_id = threading.get_ident()
        _watcher.add(time.monotonic() + self._seconds, self)

    def fire(self) -> None:
        with self.lock:
            if not self._over:
                self.fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(self._error)
                )

    def stop(self, *, raised: bool) -> None:
        with self.lock:
            self._over = True
        if self.fired and not raised:
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
                raise self._error(f"Scope timed out after {self._seconds} second(s).") from exc
            raise
