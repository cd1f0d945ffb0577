"""Telling those who wait that something happened in the database.

An operation that writes what others wait for says so in its transaction: `announce(tx, "scheduled")`. Once the
transaction is committed the topics reach the database's `Bus`, and on PostgreSQL every other server on the same
database (`prefect.server.notifications`). A topic is a hint to look again and carries nothing: it may come twice, or for nothing.

Topics, by convention: `events`, `logs`, `scheduled` (what is due may have changed), `flow_run:<id>`, `flow_runs`,
`task_runs:<task key>` (a task run to be run by a task worker), `concurrency` (a slot came free), `inputs:<flow run id>`,
`work_pool:<id>` (it was changed), `cleanup` (orders to clean up), and those that have a name below.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa

AUTOMATIONS = "automations"
"""An automation was made, changed or deleted."""
ACTIONS = "automation_actions"
"""Actions of automations are to be carried out."""
SCHEDULES = "schedules"
"""A schedule, or what has one, was made or changed."""
BACKFILLS = "backfills"
"""A backfill was asked for."""

_KEY = "prefect_announcements"


def announce(tx: sa.Connection, *topics: str) -> None:
    """Tell those who wait for these topics, once the transaction is committed."""
    tx.info.setdefault(_KEY, set()).update(topics)


def collected(tx: sa.Connection) -> set[str]:
    """Take what was announced in a transaction."""
    return tx.info.pop(_KEY, set())


class Subscription:
    """Somebody's wish to know. Subscribe, look, wait, look again: then nothing is missed."""

    def __init__(self, topics: frozenset[str], wake: Callable[[], Any] | None) -> None:
        self.topics = topics
        self._wake = wake
        self._told = threading.Event()

    def tell(self) -> None:
        self._told.set()
        if self._wake is not None:
            self._wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until told, `timeout` seconds at most; False when they passed. For threads, not for event loops."""
        told = self._told.wait(timeout)
        self._told.clear()
        return told


class Bus:
    """Passes announcements on to the subscribers in this process. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()

    @contextlib.contextmanager
    def subscribe(self, *topics: str, wake: Callable[[], Any] | None = None) -> Iterator[Subscription]:
        """Be told of any of these topics while the body runs.

        Args:
            topics: what to be told of; none at all means everything.
            wake: called at each announcement, from any thread. It must not block: an event loop passes
                `functools.partial(loop.call_soon_threadsafe, event.set)`.
        """
        subscription = Subscription(frozenset(topics), wake)
        with self._lock:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody wants to be told of anything."""
        return bool(self._subscriptions)

    def publish(self, topics: Iterable[str]) -> None:
        """Tell everybody who waits for one of these topics."""
        topics = frozenset(topics)
        if not topics:
            return
        with self._lock:
            told = [one for one in self._subscriptions if not one.topics or not one.topics.isdisjoint(topics)]
        for subscription in told:
            subscription.tell()

    def publish_all(self) -> None:
        """Tell everybody: something may have happened that nobody here was told of."""
        with self._lock:
            everybody = list(self._subscriptions)
        for subscription in everybody:
            subscription.tell()
