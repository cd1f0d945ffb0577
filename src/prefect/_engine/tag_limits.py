"""Limits on how many task runs with a tag run at once: a task run takes a slot of each before it runs.

Which tags are limited is asked every few seconds, and only by programs with tags; a run without a limited tag costs a
look into a set. The slots are held under a lease, so that those of a process that dies come free.
"""

from __future__ import annotations

import functools
import time
import weakref
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._engine.failing import run_logger
from prefect._engine.frames import TaskFrame
from prefect._engine.port import SYNC, Port
from prefect._engine.recorder import get_recorder
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect._schemas import concurrency as schemas
    from prefect.client import utilities as clients
    from prefect.concurrency import holding as holding
    from prefect.concurrency import slots as slots
else:
    schemas = lazy_module("prefect._schemas.concurrency")
    clients = lazy_module("prefect.client.utilities")
    holding = lazy_module("prefect.concurrency.holding")
    slots = lazy_module("prefect.concurrency.slots")

PREFIX = "tag:"
"""Before a tag it is the name of the limit."""

_KNOWN_SECONDS = 5.0
"""How long a new limit may go unnoticed by programs that run already."""

_LEASE_SECONDS = 300.0
_MOST = 200
_SQL = "SELECT name FROM concurrency_limit WHERE name >= 'tag:' AND name < 'tag;' AND active = 1"

_known: weakref.WeakKeyDictionary[Any, tuple[float, frozenset[str]]] = weakref.WeakKeyDictionary()


def limited(frame: TaskFrame) -> list[str]:
    """The names of the limits that a task run needs a slot of, as far as is known.

    Of what a task run holds the task runs that it calls need no slot of their own: it would wait for itself.
    """
    recorder = get_recorder()
    until, names = _known.get(recorder, (0.0, frozenset[str]()))
    if time.monotonic() >= until:
        try:
            names = _limits(recorder)
        except Exception:  # whatever keeps us from asking: it is told by the states of the runs, which go the same way
            pass
        _known[recorder] = (time.monotonic() + _KNOWN_SECONDS, names)
    wanted = names & {PREFIX + tag for tag in frame.tags} if names else names
    parent = frame.parent
    while wanted and parent is not None:
        if parent.slots is not None:
            wanted -= set(parent.slots.wish.names)
        parent = parent.parent
    return sorted(wanted)


def _limits(recorder: Any) -> frozenset[str]:
    writer = getattr(recorder, "writer", None)
    if writer is not None:
        return frozenset(name for (name,) in writer.read(lambda connection: connection.execute(_SQL).fetchall()))
    found: set[str] = set()
    while True:
        body = {"limit": _MOST, "offset": len(found)}
        page = recorder.ask("POST", "/concurrency_limits/filter", body, patient=False)
        found.update(PREFIX + limit["tag"] for limit in page)
        if len(page) < _MOST:
            return frozenset(found)


async def enter(io: Port, frame: TaskFrame, names: list[str]) -> Any:
    """Wait for a slot of each limit, and take them; returns what `leave` gives back.

    Raises:
        ConcurrencySlotAcquisitionError: there never will be one.
    """
    holder = schemas.ConcurrencyLeaseHolder(type="task_run", id=UUID(frame.id))
    wish = slots.Wish(names, 1, "concurrency", _LEASE_SECONDS, holder)
    run_logger(frame).debug("Waiting for a slot of %s", ", ".join(names))
    if io is SYNC:
        with clients.sync_client() as api:
            taken = await slots.acquire(io, api, wish)
    else:
        async with clients.async_client() as api:
            taken = await slots.acquire(io, api, wish)
    if taken.limits and taken.lease_id is not None:
        holding.keeper.keep(taken, functools.partial(holding.say_lost, taken))
    return taken


async def leave(io: Port, taken: Any) -> None:
    """Give the slots back. What was done with them is done: that they cannot be given back is no error of the run."""
    holding.keeper.forget(taken)
    try:
        if io is SYNC:
            with clients.sync_client() as api:
                await slots.give_back(api, taken)
        else:
            async with clients.async_client() as api:
                await slots.give_back(api, taken)
    except Exception as exc:
        holding.could_not_give_back(taken, exc)
