"""Services on the local database, for programs that serve flows without a server.

Of all processes that serve flows from one database one runs the services: the one that holds a lock on a file beside it.
The kernel gives the lock to another one when that process ends, however it ends.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from prefect._operations import local
from prefect._services.framework import Service, all_services
from prefect._services.loops import Loops
from prefect._store import owners, sqlite
from prefect.settings import get_current_settings

try:
    import fcntl
except ImportError:  # Windows: every process runs the services, which get on with each other
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

_log = logging.getLogger("prefect.services")

_TRY_SECONDS = 1.0
"""How often a process that waits looks whether the one that runs the services has gone."""

_LOOK_SECONDS = 1.0
"""How long what other processes write is not noticed, at most twice of it."""


_open_locks: set[int] = set()


def _after_fork_in_child() -> None:
    """Give inherited descriptors back, or a child would keep the lock of a parent that is dead."""
    while _open_locks:
        os.close(_open_locks.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class LocalWork:
    """The local database as services want it.

    Args:
        database: the database.
    """

    def __init__(self, database: local.LocalDatabase) -> None:
        self._database = database
        self._one = threading.Lock()
        self.bus = database.bus

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)` in a transaction that sees one moment of the database."""
        with self._database.read() as tx:
            return work(tx)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)` in a transaction and return its value once it is committed."""
        with self._one, self._database.write() as tx:
            return work(tx)

    def owner_lives(self, owner_id: str) -> bool:
        """Whether a process that runs flow runs lives; the operating system knows better than a clock."""
        return owners.is_alive(Path(f"{self._database.path}.owners"), owner_id)


class LocalServices:
    """Runs the services of the local database while this process lives, or waits to.

    Attributes:
        running: set while it is this process that runs them.
    """

    def __init__(self) -> None:
        self._settings = get_current_settings()
        self._path = local.open_local().path
        self._stopping = threading.Event()
        self.running = threading.Event()
        # in the settings of who starts it
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="prefect-local-services", daemon=True
        )

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and leave the services to another process."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def __enter__(self) -> LocalServices:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _run(self) -> None:
        sqlite.open_database(self._path, sqlite.WriteLock(f"{self._path}.lock")).close()  # made if need be
        lock = os.open(f"{self._path}.services.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _open_locks.add(lock)
        try:
            while not self._stopping.is_set():
                if _is_mine(lock):
                    self._serve()
                else:
                    self._stopping.wait(_TRY_SECONDS)
        finally:
            _open_locks.discard(lock)
            os.close(lock)

    def _serve(self) -> None:
        with local.LocalDatabase(self._path) as database, database.read():
            pass  # the schema and the runs of dead processes are seen to
        with local.LocalDatabase(self._path) as database, local.Changes(self._path) as changes:
            loops = Loops(LocalWork(database), _wanted(), self._settings)
            loops.start()
            self.running.set()
            try:
                while not self._stopping.is_set():
                    if changes.wait(60.0, self._stopping):
                        database.bus.publish_all()  # what exactly was written is not known
                        self._stopping.wait(_LOOK_SECONDS)
            finally:
                self.running.clear()
                loops.stop()


def _is_mine(lock: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _wanted() -> list[Service]:
    settings = get_current_settings()
    return [service for service in all_services() if service.is_local and service.enabled(settings)]


def start_local_services() -> LocalServices:
    """Have the services of the local database run for as long as this process serves flows from it.

    Returns:
        what ends them: `stop()`.

    Raises:
        NotLocal: the settings name a server, which has services of its own.
    """
    services = LocalServices()
    services.start()
    return services
