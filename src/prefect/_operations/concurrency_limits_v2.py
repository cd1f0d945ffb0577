"""Global concurrency limits: slots of a name, taken and given back from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import edits, outbox, rows, slot_line, slots
from prefect._operations.errors import Conflict, Gone, Locked
from prefect._operations.registry import NotYet, operation
from prefect._schemas.actions.concurrency import ConcurrencyLimitV2Create, ConcurrencyLimitV2Update
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.concurrency import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimitV2,
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
    MinimalConcurrencyLimitResponse,
)
from prefect._store import single
from prefect._store.tables import concurrency_limit

_KIND = "concurrency limit"
_SHORTEST_LEASE, _USUAL_LEASE, _LONGEST_LEASE = 60, 300, 86_400


class ConcurrencyLimitPage(PrefectBaseModel):
    """A page of concurrency limits."""

    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many limits.")
    offset: int = Field(default=0, ge=0, description="Leave out so many limits first.")


class SlotRequest(PrefectBaseModel):
    """Take slots of all of these limits, or of none; names without a limit are not limited."""

    names: list[str]
    slots: int = Field(gt=0)
    mode: Literal["concurrency", "rate_limit"] = Field(
        default="concurrency", description="`rate_limit`: the slots come free by decay only."
    )
    create_if_missing: bool | None = Field(
        default=None, deprecated=True, description="Has no effect: what has no limit is not limited."
    )
    wait_seconds: float = Field(default=0, ge=0, description="How long to wait in line for them.")
    waiter_id: UUID | None = Field(default=None, description="Who waits: asking again with it keeps the place in line.")


class LeasedSlotRequest(SlotRequest):
    """Take slots for as long as a lease on them is renewed."""

    lease_duration: float = Field(
        default=_USUAL_LEASE, ge=_SHORTEST_LEASE, le=_LONGEST_LEASE, description="Seconds until the lease ends."
    )
    holder: ConcurrencyLeaseHolder | None = Field(default=None, description="What the slots are for.")


class SlotReturn(PrefectBaseModel):
    """Give back slots of all of these limits."""

    names: list[str]
    slots: int = Field(gt=0)
    occupancy_seconds: float | None = Field(default=None, gt=0, description="How long they were held.")
    create_if_missing: bool | None = Field(
        default=None, deprecated=True, description="Has no effect: what has no limit is not limited."
    )


class LeaseRenewal(PrefectBaseModel):
    """Keep a lease."""

    lease_duration: float = Field(
        default=_USUAL_LEASE, ge=_SHORTEST_LEASE, le=_LONGEST_LEASE, description="Seconds from now until it ends."
    )


class LeaseReturn(PrefectBaseModel):
    """Give back what a lease holds."""

    lease_id: UUID


@operation("POST", "/v2/concurrency_limits/", writes=True, status=201)
def create_concurrency_limit_v2(tx: sa.Connection, body: ConcurrencyLimitV2Create) -> ConcurrencyLimitV2:
    """Make a global concurrency limit.

    Raises:
        Conflict: there is one of that name.
    """
    values = body.model_dump(exclude={"active_slots"}) | {"open_slots": float(body.active_slots)}
    row = single.insert_new(tx, concurrency_limit, values)
    if row is None:
        raise _taken(body.name)
    _tell(tx, row, "created")
    return ConcurrencyLimitV2.model_validate({**row, "active_slots": body.active_slots})


@operation("GET", "/v2/concurrency_limits/{id_or_name}")
def read_concurrency_limit_v2(tx: sa.Connection, id_or_name: UUID | str) -> GlobalConcurrencyLimitResponse:
    """One global concurrency limit.

    Raises:
        NotFound: there is no such limit.
    """
    row = rows.one(tx, sa.select(concurrency_limit).where(_is(id_or_name)), _KIND, id_or_name)
    return _responses(tx, [row])[0]


@operation("POST", "/v2/concurrency_limits/filter")
def read_all_concurrency_limits_v2(
    tx: sa.Connection, body: ConcurrencyLimitPage
) -> list[GlobalConcurrencyLimitResponse]:
    """The global concurrency limits by name, a page of them."""
    statement = sa.select(concurrency_limit).order_by(concurrency_limit.c.name).limit(body.limit).offset(body.offset)
    return _responses(tx, list(tx.execute(statement).mappings()))


@operation("PATCH", "/v2/concurrency_limits/{id_or_name}", writes=True, status=204)
def update_concurrency_limit_v2(tx: sa.Connection, id_or_name: UUID | str, body: ConcurrencyLimitV2Update) -> None:
    """Change a global concurrency limit; what is not given stays as it is.

    `active_slots` sets the slots that are taken without a lease: those of leases that live stay taken.

    Raises:
        NotFound: there is no such limit.
        Conflict: another one has the new name.
    """
    statement = sa.select(concurrency_limit).where(_is(id_or_name)).with_for_update()
    row = rows.one(tx, statement, _KIND, id_or_name)
    moment = now()
    # what has come free by the decay until now stays free under another one
    values = {"open_slots": slots.level(row, moment), "open_slots_at": moment}
    if body.active_slots is not None:
        leased = slots.taken(tx, [row], moment)[row["id"]] - values["open_slots"]
        values["open_slots"] = max(body.active_slots - leased, 0.0)
    values |= edits.changes(concurrency_limit, body)
    edits.update(
        tx, concurrency_limit, concurrency_limit.c.id == row["id"], values, taken=str(_taken(body.name or row["name"]))
    )
    slot_line.tell(tx, [row["id"]], moment)
    _tell(tx, {**row, **values}, "updated")


@operation("DELETE", "/v2/concurrency_limits/{id_or_name}", writes=True, status=204)
def delete_concurrency_limit_v2(tx: sa.Connection, id_or_name: UUID | str) -> None:
    """Delete a global concurrency limit: what bears its name is not limited any more.

    Raises:
        NotFound: there is no such limit.
    """
    row = rows.one(tx, sa.select(concurrency_limit).where(_is(id_or_name)), _KIND, id_or_name)
    edits.delete(tx, concurrency_limit, concurrency_limit.c.id == row["id"], _KIND, id_or_name)
    _tell(tx, row, "deleted")


@operation("POST", "/v2/concurrency_limits/increment", writes=True)
def bulk_increment_active_slots(tx: sa.Connection, body: SlotRequest) -> list[MinimalConcurrencyLimitResponse] | NotYet:
    """Take slots without a lease; return the limits that there are.

    Raises:
        Invalid: a limit never has so many slots, or has no decay and is asked for a rate.
        Locked: one of the limits has too few slots now.
    """
    limits = slots.select_limits(tx, body.names)
    try:
        slots.take(tx, limits, body.slots, rate=body.mode == "rate_limit", waiter_id=body.waiter_id)
    except Locked as full:
        return _wait(tx, limits, body, full)
    return minimal(limits)


@operation("POST", "/v2/concurrency_limits/increment-with-lease", writes=True)
def bulk_increment_active_slots_with_lease(
    tx: sa.Connection, body: LeasedSlotRequest
) -> ConcurrencyLimitWithLeaseResponse | NotYet:
    """Take slots under a lease; return it, and the limits that there are.

    Raises:
        Invalid: a limit never has so many slots, or has no decay and is asked for a rate.
        Locked: one of the limits has too few slots now.
    """
    limits = slots.select_limits(tx, body.names)
    holder = body.holder
    terms = slots.Terms(body.lease_duration, *((None, None) if holder is None else (holder.type, holder.id)))
    try:
        lease_id = slots.take(
            tx, limits, body.slots, rate=body.mode == "rate_limit", lease=terms, waiter_id=body.waiter_id
        )
    except Locked as full:
        return _wait(tx, limits, body, full)
    return ConcurrencyLimitWithLeaseResponse.model_validate({"lease_id": lease_id, "limits": minimal(limits)})


def _wait(tx: sa.Connection, limits: list[sa.RowMapping], body: SlotRequest, full: Locked) -> NotYet:
    """Take a place in line, and keep it; who is not willing to wait is refused, and leaves the line.

    Raises:
        Locked: there is no room now.
    """
    moment = now()
    if body.wait_seconds <= 0:
        if body.waiter_id is not None:
            slot_line.tell(tx, slot_line.leave(tx, body.waiter_id), moment)
        raise full
    waiter_id = body.waiter_id = body.waiter_id or new_uuid()  # the same for as long as the request is kept
    slot_line.enter(tx, waiter_id, [limit["id"] for limit in limits], body.slots, moment)
    decays = any(limit["slot_decay_per_second"] for limit in limits)
    pause = timedelta(seconds=full.retry_after) if decays and full.retry_after is not None else slot_line.ASK_AGAIN

    def leave(tx: sa.Connection) -> None:
        slot_line.tell(tx, slot_line.leave(tx, waiter_id), now())

    return NotYet(full, (slot_line.topic(waiter_id),), moment + min(pause, slot_line.ASK_AGAIN), abandon=leave)


@operation("POST", "/v2/concurrency_limits/leases/{lease_id}/renew", writes=True, status=204)
def renew_concurrency_lease(tx: sa.Connection, lease_id: UUID, body: LeaseRenewal) -> None:
    """Let a lease last longer.

    Raises:
        Gone: it has ended, or never was.
    """
    if not slots.renew(tx, lease_id, body.lease_duration):
        raise Gone("Lease not found - it may have expired or been revoked")


@operation("POST", "/v2/concurrency_limits/decrement", writes=True)
def bulk_decrement_active_slots(tx: sa.Connection, body: SlotReturn) -> list[MinimalConcurrencyLimitResponse]:
    """Give back slots that were taken without a lease; return the limits that there are."""
    limits = slots.select_limits(tx, body.names)
    slots.give_back(tx, limits, body.slots, body.occupancy_seconds)
    return minimal(limits)


@operation("POST", "/v2/concurrency_limits/decrement-with-lease", writes=True, status=204)
def bulk_decrement_active_slots_with_lease(tx: sa.Connection, body: LeaseReturn) -> None:
    """Give back what a lease holds; one that has ended holds nothing."""
    slots.end_lease(tx, body.lease_id)


def minimal(limits: list[sa.RowMapping], prefix: str = "") -> list[MinimalConcurrencyLimitResponse]:
    """Limits in brief, without a prefix of their names."""
    return [
        MinimalConcurrencyLimitResponse(id=limit["id"], name=limit["name"].removeprefix(prefix), limit=limit["limit"])
        for limit in limits
    ]


def _responses(tx: sa.Connection, limits: list[sa.RowMapping]) -> list[GlobalConcurrencyLimitResponse]:
    counts = slots.taken(tx, limits, now())
    return [
        GlobalConcurrencyLimitResponse.model_validate({**limit, "active_slots": slots.shown(counts[limit["id"]])})
        for limit in limits
    ]


def _is(id_or_name: UUID | str) -> sa.ColumnElement[bool]:
    try:
        return concurrency_limit.c.id == UUID(str(id_or_name))
    except ValueError:
        return concurrency_limit.c.name == id_or_name


def _tell(tx: sa.Connection, row: Mapping[Any, Any], what: str) -> None:
    outbox.object_changed(tx, "concurrency-limit", row, what, "name", "limit", "active", "slot_decay_per_second")


def _taken(name: str) -> Conflict:
    return Conflict(
        f"A concurrency limit with the name {name!r} already exists. Change that one, or choose another name."
    )
