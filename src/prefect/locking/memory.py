"""Locks between the threads and asynchronous tasks of one process."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from prefect._bridge import run
from prefect._lazy import lazy_module
from prefect.locking.protocol import LockManager

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_module("asyncio")


class _ThreadSignal:
    """Wakes a thread."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        self._event.wait(seconds)
        self._event.clear()


class _TaskSignal:
    """Wakes an asynchronous task, from any thread."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def set(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            pass  # the loop is closed, and nobody waits any more

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float | None) -> None:
        await asyncio.wait([self._future], timeout=seconds)
        if self._future.done():
            self._future = self._loop.create_future()


_Signal = _ThreadSignal | _TaskSignal


class _Request:
    """Someone who waits for a lock."""

    __slots__ = ("granted", "hold_timeout", "holder", "signal")

    def __init__(self, holder: str, hold_timeout: float | None, signal: _Signal) -> None:
        self.holder = holder
        self.hold_timeout = hold_timeout
        self.signal = signal
        self.granted = False


class _Lock:
    """A key that is locked, and who waits for it."""

    __slots__ = ("expires", "holder", "queue", "watchers")

    def __init__(self, holder: str, hold_timeout: float | None) -> None:
        self.queue: deque[_Request] = deque()
        self.watchers: list[_Signal] = []
        self.give_to(holder, hold_timeout)

    def give_to(self, holder: str, hold_timeout: float | None) -> None:
        self.holder = holder
        self.expires = None if hold_timeout is None else time.monotonic() + hold_timeout

    def has_expired(self) -> bool:
        return self.expires is not None and time.monotonic() >= self.expires


class MemoryLockManager(LockManager):
    """Locks keys between the threads and asynchronous tasks of this process. There is one such manager.

    Who waits longest gets the lock next. Waiting costs nothing: the one who lets go wakes the next.
    """

    _instance: MemoryLockManager | None = None
    _creation = threading.Lock()

    _mutex: threading.Lock
    _locks: dict[str, _Lock]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        with cls._creation:
            if cls.__dict__.get("_instance") is None:
                instance = super().__new__(cls)
                instance._mutex = threading.Lock()
                instance._locks = {}
                cls._instance = instance
            return cls._instance  # type: ignore[return-value]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()  # in another process, the manager of that process

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    # ── acquiring ───────────────────────────────────────────────────────────────────────────────────────────────────

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Lock a key, waiting for it: see `LockManager.acquire_lock`."""
        if self._try(key, holder, hold_timeout):
            return True
        return run(self._acquire(key, _Request(holder, hold_timeout, _ThreadSignal()), acquire_timeout))

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """`acquire_lock` for asynchronous code."""
        if self._try(key, holder, hold_timeout):
            return True
        return await self._acquire(key, _Request(holder, hold_timeout, _TaskSignal()), acquire_timeout)

    def _try(self, key: str, holder: str, hold_timeout: float | None) -> bool:
        """Lock a key if nobody has it and nobody waits for it, or if the holder has it already."""
        with self._mutex:
            lock = self._current(key)
            if lock is None:
                self._locks[key] = _Lock(holder, hold_timeout)
                return True
            if lock.holder == holder:
                lock.give_to(holder, hold_timeout)
                return True
            return False

    async def _acquire(self, key: str, request: _Request, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._mutex:
            lock = self._current(key)
            if lock is None:
                self._locks[key] = _Lock(request.holder, request.hold_timeout)
                return True
            lock.queue.append(request)
        try:
            while True:
                await request.signal.wait(self._until(lock, deadline))
                with self._mutex:
                    if request.granted:
                        return True
                    self._current(key)  # the lock may have come to its end, and to us
                    if request.granted:
                        return True
                    if deadline is not None and time.monotonic() >= deadline:
                        lock.queue.remove(request)
                        return False
        except BaseException:
            with self._mutex:
                if request.granted:
                    self._pass_on(key, lock)
                elif request in lock.queue:
                    lock.queue.remove(request)
            raise

    @staticmethod
    def _until(lock: _Lock, deadline: float | None) -> float | None:
        """Seconds until something must be looked at again."""
        moments = [moment for moment in (lock.expires, deadline) if moment is not None]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _current(self, key: str) -> _Lock | None:
        """The lock of a key, after passing on an expired one. The mutex is held."""
        lock = self._locks.get(key)
        while lock is not None and lock.has_expired():
            self._pass_on(key, lock)
            lock = self._locks.get(key)
        return lock

    def _pass_on(self, key: str, lock: _Lock) -> None:
        """Take a lock from its holder and give it to who waits longest. The mutex is held."""
        watchers, lock.watchers = lock.watchers, []
        for watcher in watchers:
            watcher.set()
        if not lock.queue:
            del self._locks[key]
            return
        request = lock.queue.popleft()
        lock.give_to(request.holder, request.hold_timeout)
        request.granted = True
        request.signal.set()
        if lock.expires is not None:
            for waiting in lock.queue:
                waiting.signal.set()  # the time until which they may sleep has changed

    # ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────

    def release_lock(self, key: str, holder: str) -> None:
        """Unlock a key.

        Raises:
            ValueError: the holder does not have the lock.
        """
        with self._mutex:
            lock = self._current(key)
            if lock is None or lock.holder != holder:
                raise ValueError(f"No lock held by {holder} for transaction with key {key}")
            self._pass_on(key, lock)

    def is_locked(self, key: str) -> bool:
        """Whether anyone has the lock of a key."""
        with self._mutex:
            return self._current(key) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether the holder has the lock of a key."""
        with self._mutex:
            lock = self._current(key)
            return lock is not None and lock.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until a key's holder has let go of it: see `LockManager.wait_for_lock`."""
        return run(self._watch(key, _ThreadSignal, timeout))

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """`wait_for_lock` for asynchronous code."""
        return await self._watch(key, _TaskSignal, timeout)

    async def _watch(self, key: str, make_signal: type[_Signal], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._mutex:
            lock = self._current(key)
            if lock is None:
                return True
            signal = make_signal()
            lock.watchers.append(signal)
        while True:
            await signal.wait(self._until(lock, deadline))
            with self._mutex:
                self._current(key)  # passes an expired lock on, and so tells us
                if signal not in lock.watchers:
                    return True
                if deadline is not None and time.monotonic() >= deadline:
                    lock.watchers.remove(signal)
                    return False


def _forget_locks() -> None:
    """In a forked child: the threads that hold or wait are not here."""
    manager = MemoryLockManager._instance
    MemoryLockManager._creation = threading.Lock()
    if manager is not None:
        manager._mutex = threading.Lock()
        manager._locks = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
