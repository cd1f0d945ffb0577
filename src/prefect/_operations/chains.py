"""Chains of events: what automations do is told by events, which automations may react to, and so on.

Each of these events says which one was the first reason for it, as a related resource with the role `originating-event`.
So a chain that leads back to itself can be known, and ended. A chain ends where something else comes in between: what a
process reports of a run that an automation started has no other reason than the process. What services of the server
tell a while later, of what an automation has done, is part of the chain: see `origin_about`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from prefect._store.tables import event_resource

ROLE = "originating-event"
_PREFIX = "prefect.event."
_LATELY = timedelta(hours=1)

_origin: ContextVar[UUID | None] = ContextVar("prefect_origin", default=None)


@contextlib.contextmanager
def because_of(origin: UUID | None) -> Iterator[None]:
    """Have the events that are written in the block say which event was the first reason for them; None: say nothing."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def current_origin() -> UUID | None:
    """What `because_of` said."""
    return _origin.get()


def origin_resource() -> dict[str, str] | None:
    """The same as a related resource."""
    origin = _origin.get()
    return None if origin is None else {"prefect.resource.id": f"{_PREFIX}{origin}", "prefect.resource.role": ROLE}


def origin_of(related: Iterable[Mapping[str, str]]) -> UUID | None:
    """The first reason for an event that is related to these resources; None when no automation is in between."""
    for one in related:
        if one.get("prefect.resource.role") == ROLE and one["prefect.resource.id"].startswith(_PREFIX):
            with contextlib.suppress(ValueError):
                return UUID(one["prefect.resource.id"].removeprefix(_PREFIX))
    return None


_about, _first = event_resource.alias("about"), event_resource.alias("first")
_ORIGIN_ABOUT = (
    sa.select(_first.c.resource_id)
    .where(
        _about.c.resource_id == sa.bindparam("resource_id"),
        _about.c.occurred > sa.bindparam("since"),
        _about.c.role.in_(("", "target")),
        _first.c.event_id == _about.c.event_id,
        _first.c.role == ROLE,
    )
    .order_by(_about.c.occurred.desc())
    .limit(1)
)


def origin_about(tx: sa.Connection, resource_id: str, now: datetime) -> UUID | None:
    """The first reason for what automations did last to something, within the last hour; None when they did nothing.

    For services that tell later of what has become of that.
    """
    found = tx.execute(_ORIGIN_ABOUT, {"resource_id": resource_id, "since": now - _LATELY}).scalar_one_or_none()
    return None if found is None else origin_of([{"prefect.resource.id": found, "prefect.resource.role": ROLE}])
