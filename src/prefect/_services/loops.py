"""Services going on: each in a thread of its own, which sleeps until there is something to do.

A thread is woken by an announcement, by the time that `run_once` named, or by the longest pause of its service; in
between it costs nothing. What fails is logged, and tried again after a while that grows.
"""

from __future__ import annotations

import contextvars
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from prefect._clock import now
from prefect._services.framework import Database, Service
from prefect._store.announcements import Subscription
from prefect.settings.context import push_settings

if TYPE_CHECKING:
    from prefect.settings import Settings

_log = logging.getLogger("prefect.server.services")

_LONGEST_BACKOFF = 60.0
_BETWEEN_BATCHES = 0.01
"""Seconds that others have for their own transactions while a service catches up."""

_JUMP = 5.0
"""Seconds by which the clock may differ from the time that has passed before it counts as a jump."""


class Loops:
    """Runs services until it is stopped.

    Args:
        database: what they work on.
        services: which.
        settings: in force while they run.
        clock: the time; replaced in tests.
    """

    def __init__(
        self,
        database: Database,
        services: Iterable[Service],
        settings: Settings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._stopping = threading.Event()
        self._told: list[Subscription] = []
        self._threads = [
            threading.Thread(
                target=contextvars.Context().run, args=(self._run, service), name=f"prefect-{service.name}", daemon=True
            )
            for service in services
        ]

    def start(self) -> None:
        """Begin; returns at once."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End, after what each is doing now.

        Args:
            timeout: seconds to wait for that at most; a transaction that takes longer is left to end by itself.
        """
        self._stopping.set()
        for told in list(self._told):
            told.tell()
        end = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(end - time.monotonic(), 0))

    def _run(self, service: Service) -> None:
        push_settings(self._settings)
        # without topics a subscription would be told of everything
        with self._database.bus.subscribe(*service.topics or (f"service:{service.name}",)) as told:
            self._told.append(told)
            if not self._stopping.wait(service.first_after * random.uniform(0.5, 1.5)):
                self._go_on(service, told)

    def _go_on(self, service: Service, told: Subscription) -> None:
        failures = 0
        watch = ClockWatch(self._clock)
        begun = service.begin is None
        while not self._stopping.is_set():
            moment, jumped = watch.look()
            if jumped:
                # whoever waits for a moment knows it by the old clock: what is due now may not have been, and nobody says so
                self._database.bus.publish_all()
            try:
                if jumped or not begun:
                    if service.begin is not None:
                        service.begin(self._database, moment)
                    begun = True
                found = service.run_once(self._database, moment)
            except Exception:
                failures += 1
                pause = min(2.0**failures, _LONGEST_BACKOFF)
                _log.exception("Service %s failed; it goes on in %.0f seconds.", service.name, pause)
                self._stopping.wait(pause * random.uniform(0.5, 1.0))
                continue
            failures = 0
            if found.more:
                self._stopping.wait(_BETWEEN_BATCHES)
                continue
            # replicas that started together do not stay together
            pause = service.pause(self._settings) * random.uniform(0.9, 1.1)
            if found.next_at is not None:
                pause = min(pause, max((found.next_at - self._clock()).total_seconds(), service.rest, 0.01))
            watch.rests(pause + service.rest)
            if told.wait(pause):
                self._stopping.wait(service.rest)


class ClockWatch:
    """Notices that the clock was set, or that the machine slept or this process stood still: then nobody could renew what
    has ended meanwhile.

    Args:
        clock: the time.
        steady: seconds that pass also when the clock is set.
    """

    def __init__(self, clock: Callable[[], datetime], steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._before = (clock(), steady())
        self._rests: tuple[float, float] | None = None

    def rests(self, seconds: float) -> None:
        """Say that nobody looks for so many seconds at most; who looks later than that was stopped."""
        self._rests = (self._steady(), seconds)

    def look(self) -> tuple[datetime, bool]:
        """The time, and whether the clock jumped since the last look, or the process stood still."""
        moment, steady = self._before
        self._before = (self._clock(), self._steady())
        difference = (self._before[0] - moment).total_seconds() - (self._before[1] - steady)
        stood_still = False
        if self._rests is not None:
            since, seconds = self._rests
            stood_still = self._before[1] - since > seconds + _JUMP
            self._rests = None
        return self._before[0], abs(difference) > _JUMP or stood_still
