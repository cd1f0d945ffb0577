"""The threads that run submitted tasks.

A pool grows while tasks wait and its threads do not get on (they sleep, or wait for a network), and not while they do,
so ten thousand short tasks need a handful of threads and a thousand slow downloads get a thousand. A thread that waits
for another task gives its place to a new one meanwhile: a parent that waits for its children never keeps them from
running, whatever the limit.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PROMPT_THREADS = 4
"""Threads started without hesitation; beyond them the pool looks whether it gets on without more."""
LOOK_SECONDS = 0.002
IDLE_SECONDS = 5.0
"""How long a thread waits for work before it ends."""
DEFAULT_LIMIT = 1000

_of_thread = threading.local()


class ThreadPool:
    """Runs calls on threads, each in its own copy of the context variables.

    Args:
        limit: how many calls run at a time (those that wait for other tasks of the pool not counted).
        name: begins the names of the threads.
    """

    def __init__(self, limit: int | None, name: str = "prefect-task") -> None:
        self.limit = limit or DEFAULT_LIMIT
        self._name = name
        self._items: deque[tuple[contextvars.Context, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._quiet = threading.Condition(self._lock)
        self._threads = 0
        self._idle = 0
        self._waiting = 0  # threads that gave their place away
        self._taken = 0  # how many items were ever taken: whether it changes tells whether the pool gets on
        self._unfinished = 0
        self._starter: threading.Thread | None = None
        self._closed = False

    def submit(self, context: contextvars.Context, fn: Callable[..., Any], *args: Any) -> None:
        """Run `context.run(fn, *args)` on some thread, soon."""
        with self._lock:
            if self._closed:
                raise RuntimeError(
                    "This task runner has been shut down; tasks can be submitted only while its flow runs."
                )
            self._items.append((context, fn, args))
            self._unfinished += 1
            if self._idle > 0:
                self._work.notify()
            if len(self._items) > self._idle:  # a thread that was woken counts as idle until it has taken its item
                try:
                    self._grow_or_look()
                except RuntimeError:
                    self._items.pop()
                    self._finished_one()
                    raise

    def _room(self) -> int:
        return self.limit - (self._threads - self._waiting)

    def _grow_or_look(self) -> None:
        """Called with the lock: start a thread at once, or have somebody look whether more are needed."""
        if self._room() <= 0:
            return
        if self._threads - self._waiting < PROMPT_THREADS:
            self._start_thread()
        elif self._starter is None:
            self._starter = threading.Thread(target=self._look, name=f"{self._name}-starter", daemon=True)
            self._starter.start()

    def _start_thread(self) -> None:
        self._threads += 1
        try:
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        except RuntimeError:  # the system has no more threads: get on with those there are
            self._threads -= 1
            if self._threads - self._waiting <= 0:
                raise

    def _look(self) -> None:
        """Start threads while work waits and nothing is taken but by those just started; twice as many each time.

        As soon as the pool gets on again, it begins anew with a few: now and then a busy machine halts everybody.
        """
        step, started = PROMPT_THREADS, 0
        with self._lock:
            taken = self._taken
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                if not self._items or self._closed or self._room() <= 0:
                    self._starter = None
                    return
                if self._taken - taken > started:
                    step, started = PROMPT_THREADS, 0
                else:
                    started = min(step, self._room(), len(self._items))
                    for _ in range(started):
                        self._start_thread()
                    step *= 2
                taken = self._taken

    def _run(self) -> None:
        _of_thread.pool = self
        while True:
            with self._lock:
                while not self._items:
                    if self._closed:
                        self._threads -= 1
                        return
                    self._idle += 1
                    woken = self._work.wait(IDLE_SECONDS)
                    self._idle -= 1
                    if not woken and not self._items:
                        self._threads -= 1
                        return
                if self._room() < 0:  # a thread came back from waiting: its stand-in leaves
                    self._threads -= 1
                    return
                context, fn, args = self._items.popleft()
                self._taken += 1
            try:
                context.run(fn, *args)
            finally:
                del context, fn, args
                with self._lock:
                    self._finished_one()

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """Wait for other tasks in this block without keeping their place."""
        if getattr(_of_thread, "pool", None) is not self:
            yield
            return
        # an asynchronous task may wait for several at a time, and has one place to give
        _of_thread.waits = waits = getattr(_of_thread, "waits", 0) + 1
        try:
            if waits == 1:
                with self._lock:
                    self._waiting += 1
                    if len(self._items) > self._idle:
                        self._grow_or_look()
            yield
        finally:
            _of_thread.waits -= 1
            if _of_thread.waits == 0:
                with self._lock:
                    self._waiting -= 1

    def expect(self) -> None:
        """Something will be submitted later: `drain` waits for it. Followed by `submit` or not, it ends with `settle`."""
        with self._lock:
            self._unfinished += 1

    def settle(self) -> None:
        """What was expected is here, or will not come."""
        with self._lock:
            self._finished_one()

    def _finished_one(self) -> None:
        self._unfinished -= 1
        if self._unfinished == 0:
            self._quiet.notify_all()

    def drain(self) -> None:
        """Wait until everything submitted has finished."""
        with self._lock:
            while self._unfinished:
                self._quiet.wait()

    def cancel_pending(self) -> list[tuple[Any, ...]]:
        """Take back what no thread has begun; returns the arguments of those calls."""
        with self._lock:
            taken = [args for _, _, args in self._items]
            self._unfinished -= len(self._items)
            self._items.clear()
            if self._unfinished == 0:
                self._quiet.notify_all()
        return taken

    def close(self) -> None:
        """Let the threads end when they have nothing left to do."""
        with self._lock:
            self._closed = True
            self._work.notify_all()
