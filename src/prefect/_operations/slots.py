"""Slots of concurrency limits: how many are taken, taking them and giving them back.

Slots are taken under a lease, which ends unless it is renewed (or, for a lease without an end, until it is given back),
or openly, without one. Leased slots are counted from the leases that live, never from a counter: what a dead process
held is free when its lease has ended. Open slots are a level; of a limit with a decay the level sinks by itself, and
leased slots are part of it, as such a limit says how many may begin, not how many may be under way.

A deployment may have a limit. Its runs that are under way hold a slot each, for which no lease is written: their states
say so, and a run that dies is ended by its own lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import slot_line
from prefect._operations.errors import Invalid, Locked
from prefect._operations.slot_counts import GUARD, Limit, level, lives, taken
from prefect._operations.slot_counts import SLOT_STATES as SLOT_STATES
from prefect._operations.slot_counts import shown as shown
from prefect._store.tables import concurrency_lease, concurrency_limit, concurrency_slot
from prefect.settings import get_current_settings


@dataclass(frozen=True)
class Terms:
    """What a lease is granted for."""

    seconds: float | None = None
    """How long it lasts unless it is renewed; None for until it is given back."""
    holder_type: str | None = None
    """What holds it, such as `flow_run`."""
    holder_id: UUID | None = None


def select_limits(tx: sa.Connection, names: Iterable[str]) -> list[sa.RowMapping]:
    """The limits of these names, in one order for everybody, held against other transactions until this one ends."""
    statement = sa.select(concurrency_limit).where(concurrency_limit.c.name.in_(list(names)))
    return list(tx.execute(statement.order_by(concurrency_limit.c.name).with_for_update()).mappings())


def take(
    tx: sa.Connection,
    limits: Sequence[Limit],
    slots: int,
    *,
    rate: bool = False,
    lease: Terms | None = None,
    waiter_id: UUID | None = None,
) -> UUID | None:
    """Take slots of all limits that are active, or of none. Nobody overtakes those who wait (`slot_line`).

    Args:
        rate: whether the slots are given back by decay only.
        lease: the terms of a lease to take them under.
        waiter_id: of who waited for them; his place in the line is given up.

    Returns:
        the id of the lease.

    Raises:
        Invalid: a limit never has so many slots, or has no decay and is asked for a rate.
        Locked: one of the limits has too few slots now.
    """
    steady = [limit["name"] for limit in limits if not limit["slot_decay_per_second"]]
    if rate and steady:
        raise Invalid(
            "Only concurrency limits with slot decay can be used for rate limiting. "
            f"Give these a slot_decay_per_second: {', '.join(map(repr, steady))}"
        )
    active = [limit for limit in limits if limit["active"]]
    small = [limit["name"] for limit in active if slots > limit["limit"]]
    if small:
        raise Invalid(f"Slots requested is greater than the limit: {slots} of {', '.join(map(repr, small))}")
    moment = now()
    counts = taken(tx, active, moment)
    full = [limit for limit in active if counts[limit["id"]] + slots > limit["limit"] + GUARD]
    if full:
        wait = max(_wait(limit, counts[limit["id"]] + slots - limit["limit"]) for limit in full)
        raise Locked(f"No room in {', '.join(repr(limit['name']) for limit in full)}", retry_after=wait)
    line = slot_line.line_before(tx, active, waiter_id, moment)
    if line is not None and not line.admits(slots, [limit["id"] for limit in active]):
        wait = max(_wait(limit, slots) for limit in active)
        raise Locked(f"Others wait for {', '.join(repr(limit['name']) for limit in active)}", retry_after=wait)
    if waiter_id is not None:
        slot_line.leave(tx, waiter_id)
    lease_id = None if lease is None else grant(tx, lease)
    _add(tx, limits, slots, moment, lease_id)
    return lease_id


def give_back(tx: sa.Connection, limits: Sequence[Limit], slots: int, occupied: float | None = None) -> None:
    """Give back open slots of limits; more than are taken is as many as are taken.

    Args:
        occupied: for how many seconds they were held, if known: it says how long others may have to wait.
    """
    moment = now()
    for limit in limits:
        values: dict[str, Any] = {"open_slots": max(level(limit, moment) - slots, 0.0), "open_slots_at": moment}
        if occupied is not None:
            values["avg_slot_occupancy_seconds"] = _average(limit, occupied)
        _set(tx, limit, values)
    slot_line.tell(tx, [limit["id"] for limit in limits], moment)


def grant(tx: sa.Connection, terms: Terms) -> UUID:
    """Make a lease that holds nothing yet, and return its id."""
    moment = now()
    lease_id = new_uuid()
    values = {
        "id": lease_id,
        "created": moment,
        "expires": None if terms.seconds is None else moment + timedelta(seconds=terms.seconds),
        "holder_type": terms.holder_type,
        "holder_id": terms.holder_id,
    }
    tx.execute(sa.insert(concurrency_lease).values(**values))
    return lease_id


def renew(tx: sa.Connection, lease_id: UUID, seconds: float) -> bool:
    """Let a lease last for so many seconds from now; False when it has ended."""
    moment = now()
    own = sa.and_(concurrency_lease.c.id == lease_id, lives(moment))
    expires = moment + timedelta(seconds=seconds)
    return tx.execute(sa.update(concurrency_lease).where(own).values(expires=expires)).rowcount == 1


def end_lease(tx: sa.Connection, lease_id: UUID) -> None:
    """Give back what a lease holds; one that has ended holds nothing."""
    moment = now()
    lease = tx.execute(sa.select(concurrency_lease).where(concurrency_lease.c.id == lease_id)).mappings().one_or_none()
    if lease is None:
        return
    if lease["expires"] is None or lease["expires"] > moment:
        held = sa.select(concurrency_slot.c.slots, concurrency_limit).join_from(
            concurrency_slot, concurrency_limit, concurrency_slot.c.limit_id == concurrency_limit.c.id
        )
        held = held.where(concurrency_slot.c.lease_id == lease_id).order_by(concurrency_limit.c.name)
        occupied = (moment - lease["created"]).total_seconds()
        rows = tx.execute(held.with_for_update(of=concurrency_limit)).mappings().all()
        _forget(tx, concurrency_lease.c.id == lease_id)
        for row in rows:
            # of a limit without a decay nothing is in the level, and nothing is taken from it
            give_back(tx, [row], row["slots"] if row["slot_decay_per_second"] else 0, occupied)
    else:
        _forget(tx, concurrency_lease.c.id == lease_id)


def forget_ended_leases(tx: sa.Connection, moment: datetime) -> int:
    """Delete the leases that had ended by a moment, and return how many; who waits for what they held is told."""
    ended = concurrency_lease.c.expires <= moment
    held = sa.select(concurrency_slot.c.limit_id).join(
        concurrency_lease, concurrency_slot.c.lease_id == concurrency_lease.c.id
    )
    limits = set(tx.execute(held.where(ended).distinct()).scalars())
    count = _forget(tx, ended)
    slot_line.tell(tx, limits, moment)
    return count


def _forget(tx: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    ids = sa.select(concurrency_lease.c.id).where(which)
    tx.execute(sa.delete(concurrency_slot).where(concurrency_slot.c.lease_id.in_(ids)))
    return tx.execute(sa.delete(concurrency_lease).where(which)).rowcount


def _add(tx: sa.Connection, limits: Sequence[Limit], slots: int, moment: datetime, lease_id: UUID | None) -> None:
    for limit in limits:
        if lease_id is None or limit["slot_decay_per_second"]:
            _set(tx, limit, {"open_slots": level(limit, moment) + slots, "open_slots_at": moment})
    if lease_id is not None and limits:
        held = [{"limit_id": limit["id"], "lease_id": lease_id, "slots": slots} for limit in limits]
        tx.execute(sa.insert(concurrency_slot).values(held))


def _set(tx: sa.Connection, limit: Limit, values: dict[str, Any]) -> None:
    tx.execute(sa.update(concurrency_limit).where(concurrency_limit.c.id == limit["id"]).values(**values))


def _wait(limit: Limit, missing: float) -> float:
    """Seconds after which a limit may have the slots that are missing."""
    decay = limit["slot_decay_per_second"]
    # no one is told to wait for very long: slots may come free sooner than usual
    longest = get_current_settings().server.concurrency.maximum_concurrency_slot_wait_seconds
    return min(missing / decay if decay else limit["avg_slot_occupancy_seconds"], longest)


def _average(limit: Limit, occupied: float) -> float:
    """The mean time slots are held, moved towards the newest by as much as one slot of the limit counts."""
    mean = limit["avg_slot_occupancy_seconds"]
    return mean + (occupied - mean) / max(limit["limit"], 1)
