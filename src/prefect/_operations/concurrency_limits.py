"""Limits on the task runs with a tag. The limit of tag `x` is the global concurrency limit `tag:x`; each task run that
holds a slot of it holds a lease without an end."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import edits, rows, slots
from prefect._operations.concurrency_limits_v2 import ConcurrencyLimitPage, minimal
from prefect._operations.errors import Locked, NotFound
from prefect._operations.registry import Answer, operation
from prefect._schemas.actions.concurrency import ConcurrencyLimitCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.concurrency import ConcurrencyLimit, MinimalConcurrencyLimitResponse
from prefect._store import single
from prefect._store.tables import concurrency_lease, concurrency_limit, concurrency_slot
from prefect.settings import get_current_settings

PREFIX = "tag:"

_KIND = "concurrency limit"
_HOLDER = "task_run"
_OF_TAGS = concurrency_limit.c.name.startswith(PREFIX, autoescape=True)


class TagSlots(PrefectBaseModel):
    """The slots of a task run."""

    names: list[str] = Field(description="Its tags.")
    task_run_id: UUID


class TagSlotOverride(PrefectBaseModel):
    """Who holds the slots of a limit, whatever was recorded."""

    slot_override: list[UUID] | None = Field(default=None, description="These task runs; none when left out.")


@operation("POST", "/concurrency_limits/", writes=True)
def create_concurrency_limit(tx: sa.Connection, body: ConcurrencyLimitCreate) -> Answer[ConcurrencyLimit]:
    """Limit the task runs with a tag (201), or change the limit that there is (200)."""
    values = {"name": PREFIX + body.tag, "limit": body.concurrency_limit}
    row = single.insert_new(tx, concurrency_limit, values)
    status = 200 if row is None else 201
    row = row or edits.upsert(tx, concurrency_limit, values, by=["name"], change=["limit"])
    return Answer(_views(tx, [row])[0], status)


@operation("GET", "/concurrency_limits/{id}")
def read_concurrency_limit(tx: sa.Connection, id: UUID) -> ConcurrencyLimit:
    """One limit of a tag.

    Raises:
        NotFound: there is no such limit.
    """
    statement = sa.select(concurrency_limit).where(concurrency_limit.c.id == id, _OF_TAGS)
    return _views(tx, [rows.one(tx, statement, _KIND, id)])[0]


@operation("GET", "/concurrency_limits/tag/{tag}")
def read_concurrency_limit_by_tag(tx: sa.Connection, tag: str) -> ConcurrencyLimit:
    """The limit of a tag.

    Raises:
        NotFound: it has none.
    """
    statement = sa.select(concurrency_limit).where(concurrency_limit.c.name == PREFIX + tag)
    return _views(tx, [rows.one(tx, statement, _KIND, tag)])[0]


@operation("POST", "/concurrency_limits/filter")
def read_concurrency_limits(tx: sa.Connection, body: ConcurrencyLimitPage) -> list[ConcurrencyLimit]:
    """The limits of tags, by tag, a page of them."""
    statement = sa.select(concurrency_limit).where(_OF_TAGS).order_by(concurrency_limit.c.name)
    return _views(tx, list(tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()))


@operation("POST", "/concurrency_limits/tag/{tag}/reset", writes=True)
def reset_concurrency_limit_by_tag(tx: sa.Connection, tag: str, body: TagSlotOverride) -> None:
    """Say who holds the slots of a tag's limit: nobody, or the task runs that are given.

    Raises:
        NotFound: the tag has no limit.
    """
    found = slots.select_limits(tx, [PREFIX + tag])
    if not found:
        raise NotFound(_KIND, tag)
    limit_id = found[0]["id"]
    _release(tx, concurrency_slot.c.limit_id == limit_id)
    for task_run_id in dict.fromkeys(body.slot_override or ()):
        _hold(tx, [limit_id], task_run_id)


@operation("DELETE", "/concurrency_limits/{id}", writes=True)
def delete_concurrency_limit(tx: sa.Connection, id: UUID) -> None:
    """Delete the limit of a tag.

    Raises:
        NotFound: there is no such limit.
    """
    _delete(tx, concurrency_limit.c.id == id, id)


@operation("DELETE", "/concurrency_limits/tag/{tag}", writes=True)
def delete_concurrency_limit_by_tag(tx: sa.Connection, tag: str) -> None:
    """Delete the limit of a tag.

    Raises:
        NotFound: it has none.
    """
    _delete(tx, concurrency_limit.c.name == PREFIX + tag, tag)


@operation("POST", "/concurrency_limits/increment", writes=True)
def increment_concurrency_limits_v1(tx: sa.Connection, body: TagSlots) -> list[MinimalConcurrencyLimitResponse]:
    """Take a slot of each tag that has a limit, or of none; a task run that holds one already keeps it.

    Raises:
        Locked: a tag has no slot now, or never has one.
    """
    limits = slots.select_limits(tx, [PREFIX + tag for tag in body.names])
    holders = _holders(tx, [limit["id"] for limit in limits])
    counts = slots.taken(tx, limits, now())
    needed = [limit for limit in limits if limit["active"] and body.task_run_id not in holders[limit["id"]]]
    for limit in needed:
        tag = limit["name"].removeprefix(PREFIX)
        if limit["limit"] <= 0:
            raise Locked(f'The concurrency limit on tag "{tag}" is {limit["limit"]}: a task run with it never starts.')
        if slots.shown(counts[limit["id"]]) >= limit["limit"]:
            wait = get_current_settings().server.tasks.tag_concurrency_slot_wait_seconds
            raise Locked(f"Concurrency limit for the {tag} tag has been reached", retry_after=wait)
    _hold(tx, [limit["id"] for limit in needed], body.task_run_id)
    return minimal(limits, PREFIX)


@operation("POST", "/concurrency_limits/decrement", writes=True)
def decrement_concurrency_limits_v1(tx: sa.Connection, body: TagSlots) -> list[MinimalConcurrencyLimitResponse]:
    """Give back what a task run holds of these tags."""
    limits = slots.select_limits(tx, [PREFIX + tag for tag in body.names])
    leases = sa.select(concurrency_lease.c.id).where(
        concurrency_lease.c.holder_type == _HOLDER, concurrency_lease.c.holder_id == body.task_run_id
    )
    _release(
        tx,
        sa.and_(
            concurrency_slot.c.limit_id.in_([limit["id"] for limit in limits]),
            concurrency_slot.c.lease_id.in_(leases),
        ),
    )
    return minimal(limits, PREFIX)


def secure(tx: sa.Connection, task_run_id: UUID, tags: list[str]) -> Locked | None:
    """Take a slot of each tag that has a limit, for a task run that is to begin; returns why it cannot, or None."""
    try:
        increment_concurrency_limits_v1(tx, TagSlots(names=tags, task_run_id=task_run_id))
    except Locked as full:
        return full
    return None


def release(tx: sa.Connection, task_run_id: UUID) -> None:
    """Give back the slots of tags that a task run holds, as it does not run any more."""
    held = sa.select(concurrency_lease.c.id).where(
        concurrency_lease.c.holder_type == _HOLDER,
        concurrency_lease.c.holder_id == task_run_id,
        # what has an end was taken by the task run itself, which gives it back
        concurrency_lease.c.expires.is_(None),
    )
    for lease_id in tx.execute(held).scalars().all():
        slots.end_lease(tx, lease_id)


def _delete(tx: sa.Connection, where: sa.ColumnElement[bool], key: UUID | str) -> None:
    found = rows.one(tx, sa.select(concurrency_limit.c.id).where(where, _OF_TAGS), _KIND, key)
    _release(tx, concurrency_slot.c.limit_id == found["id"])
    tx.execute(sa.delete(concurrency_limit).where(concurrency_limit.c.id == found["id"]))


def _hold(tx: sa.Connection, limit_ids: list[UUID], task_run_id: UUID) -> None:
    # a lease for each limit: they are given back one by one
    for limit_id in limit_ids:
        lease_id = slots.grant(tx, slots.Terms(None, _HOLDER, task_run_id))
        tx.execute(sa.insert(concurrency_slot).values(limit_id=limit_id, lease_id=lease_id, slots=1))


def _release(tx: sa.Connection, where: sa.ColumnElement[bool]) -> None:
    for lease_id in tx.execute(sa.select(concurrency_slot.c.lease_id).where(where)).scalars().all():
        slots.end_lease(tx, lease_id)


def _holders(tx: sa.Connection, limit_ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """The task runs that hold slots of limits, by limit, the longest first."""
    holders: dict[UUID, list[UUID]] = {limit_id: [] for limit_id in limit_ids}
    statement = (
        sa.select(concurrency_slot.c.limit_id, concurrency_lease.c.holder_id)
        .join(concurrency_lease, concurrency_slot.c.lease_id == concurrency_lease.c.id)
        .where(concurrency_slot.c.limit_id.in_(list(holders)), concurrency_lease.c.holder_type == _HOLDER)
        .order_by(concurrency_lease.c.created, concurrency_lease.c.id)
    )
    for limit_id, task_run_id in tx.execute(statement):
        holders[limit_id].append(task_run_id)
    return holders


def _views(tx: sa.Connection, limits: list[sa.RowMapping]) -> list[ConcurrencyLimit]:
    holders = _holders(tx, [limit["id"] for limit in limits])
    return [
        ConcurrencyLimit(
            id=limit["id"],
            created=limit["created"],
            updated=limit["updated"],
            tag=limit["name"].removeprefix(PREFIX),
            concurrency_limit=limit["limit"],
            active_slots=holders[limit["id"]],
        )
        for limit in limits
    ]
