"""What a service is.

Each is listed in `prefect._services.catalogue`, and has a module of this package. Its `run_once(database, now)` does what is
due at `now`, a bounded part of it, and says when there may be more to do; `prefect._services.loops` calls it then, and when
something was announced that the service waits for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import sqlalchemy as sa

from prefect._store.announcements import Bus

if TYPE_CHECKING:
    from prefect.settings import Settings

T = TypeVar("T")

_SHORTEST_PAUSE = 0.1


class Database(Protocol):
    """Where services find their work: that of a server, or the local one. Usable from any thread."""

    bus: Bus

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)` in a transaction that sees one moment of the database."""
        ...

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)` in a transaction and return its value once it is committed."""
        ...


@runtime_checkable
class KnowsOwners(Protocol):
    """A database that is asked which processes live: the operating system knows better than a clock."""

    def owner_lives(self, owner_id: str) -> bool:
        """Whether a process that runs flow runs lives."""
        ...


class Round(NamedTuple):
    """What a call of `run_once` found.

    Attributes:
        more: whether there is more to be done at once.
        next_at: when something will be due, as far as is known now.
        done: how many things were done; for tests and logs.
    """

    more: bool = False
    next_at: datetime | None = None
    done: int = 0


def _by_settings(name: str) -> Callable[[Settings], bool]:
    def enabled(settings: Settings) -> bool:
        own: Any = getattr(settings.server.services, name, None)
        return own is None or bool(own.enabled)

    return enabled


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        name: as in `PREFECT_SERVER_SERVICES_<NAME>_ENABLED`.
        description: what it does, in a line.
        run_once: does what is due.
        every: seconds after which it looks again when nothing tells it to.
        topics: the announcements after which it looks again at once.
        rest: seconds between being told and looking, so that many announcements are one look.
        first_after: seconds after the start before it looks for the first time.
        begin: called when the loop begins, and when the clock jumped or the machine slept.
        is_local: whether it is also needed on a local database without a server.
    """

    name: str
    description: str
    run_once: Callable[[Database, datetime], Round]
    every: float = 60.0
    topics: tuple[str, ...] = ()
    rest: float = 0.1
    first_after: float = 0.0
    begin: Callable[[Database, datetime], None] | None = None
    is_local: bool = False

    def pause(self, settings: Settings) -> float:
        """Seconds after which it looks again when nothing tells it to: `loop_seconds` of its settings, if that is set."""
        own: Any = getattr(settings.server.services, self.name, None)
        chosen = (
            settings.source_of(f"server.services.{self.name}.loop_seconds") if hasattr(own, "loop_seconds") else None
        )
        return max(float(own.loop_seconds), _SHORTEST_PAUSE) if chosen is not None else self.every

    def enabled(self, settings: Settings) -> bool:
        """Whether the settings want it."""
        return _by_settings(self.name)(settings)


def all_services() -> list[Service]:
    """Every service there is, by name."""
    return list(importlib.import_module(f"{__package__}.catalogue").SERVICES)
