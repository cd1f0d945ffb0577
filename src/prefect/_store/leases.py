"""Leases of flow runs, as rows: taking, renewing and ending them. What they mean is in `prefect._operations.leases`.

A token is never given twice, also when the row of an earlier lease is gone: it is the time in microseconds, or one more
than the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import to_us
from prefect._store import single
from prefect._store.prepared import Row
from prefect._store.tables import run_lease

_OF_RUNS = sa.select(run_lease).where(run_lease.c.flow_run_id.in_(sa.bindparam("ids", expanding=True)))


class Holder(NamedTuple):
    """Who holds a lease."""

    kind: str
    id: UUID
    name: str | None = None


def describe(lease: Mapping[Any, Any]) -> str:
    """The holder of a lease, as people read it."""
    if lease["holder_kind"] == "heartbeat":
        return f"The {lease['holder_name']}"
    return f"{lease['holder_kind'].capitalize()} {lease['holder_name'] or lease['holder_id']}"


def lives(moment: datetime) -> sa.ColumnElement[bool]:
    """Whether a lease has not ended at a moment."""
    return run_lease.c.expires > moment


def read(tx: sa.Connection, flow_run_id: UUID) -> Row | None:
    """The lease of a run, held against other transactions; None when it has none. Lock the run first."""
    return single.read(tx, run_lease, flow_run_id, lock=True)


def take(
    tx: sa.Connection,
    flow_run_id: UUID,
    holder: Holder,
    moment: datetime,
    expires: datetime,
    *,
    claim: bool,
    first: bool = False,
) -> int:
    """Give the lease of a run, which is locked, to a new holder; returns the token.

    Args:
        claim: whether the run is taken to be started by and by.
        first: the run was made in this transaction, so that nobody can have held it.
    """
    values: dict[str, Any] = {
        "token": to_us(moment),
        "holder_kind": holder.kind,
        "holder_id": holder.id,
        "holder_name": holder.name,
        "claimed_at": moment,
        "renewed_at": moment,
        "expires": expires,
        "claims": int(claim),
    }
    last = None if first else read(tx, flow_run_id)
    if last is None:
        single.insert(tx, run_lease, {"flow_run_id": flow_run_id, **values})
    else:
        values["token"] = max(to_us(moment), last["token"] + 1)
        values["claims"] = last["claims"] + int(claim)
        single.update(tx, run_lease, flow_run_id, values)
    return values["token"]


def hand_over(tx: sa.Connection, flow_run_id: UUID, holder: Holder, moment: datetime, expires: datetime) -> None:
    """Give the lease of a run to another holder under the same token."""
    values = {
        "holder_kind": holder.kind, "holder_id": holder.id, "holder_name": holder.name, "renewed_at": moment,
        "expires": expires,
    }  # fmt: skip
    single.update(tx, run_lease, flow_run_id, values)


def renew(tx: sa.Connection, tokens: Mapping[UUID, int], moment: datetime, expires: datetime) -> None:
    """Let leases last longer, those whose token is not the current one excepted."""
    # in one order for everybody, so that nobody waits in a circle
    ids = sorted(tokens)
    tx.execute(
        sa.select(run_lease.c.flow_run_id)
        .where(run_lease.c.flow_run_id.in_(ids))
        .order_by(run_lease.c.flow_run_id)
        .with_for_update()
    )
    for id in ids:
        current = sa.and_(run_lease.c.flow_run_id == id, run_lease.c.token == tokens[id])
        tx.execute(sa.update(run_lease).where(current).values(renewed_at=moment, expires=expires))


def started(tx: sa.Connection, flow_run_id: UUID) -> None:
    """Note that a claimed run has begun."""
    single.update(tx, run_lease, flow_run_id, {"claims": 0})


def end(tx: sa.Connection, flow_run_id: UUID, **values: int) -> None:
    """End the lease of a run, and remember its token."""
    single.update(tx, run_lease, flow_run_id, {"expires": None, **values})


def forget(tx: sa.Connection, flow_run_id: UUID) -> None:
    """Delete the lease of a run that has finished."""
    single.delete(tx, run_lease, flow_run_id)


def stale(tx: sa.Connection, tokens: Mapping[UUID, int]) -> dict[UUID, Row | None]:
    """The runs for which a token is not the current one, each with its lease (None: it has none)."""
    found = tx.execute(_OF_RUNS, {"ids": list(tokens)}).mappings()
    leases = {lease["flow_run_id"]: dict(lease) for lease in found}
    return {id: leases.get(id) for id, token in tokens.items() if id not in leases or leases[id]["token"] != token}


def refusal(flow_run_id: UUID, lease: Row | None) -> str:
    """Why somebody with an old token is not listened to."""
    if lease is None:
        return (
            f"Flow run {flow_run_id} has ended, or was given to somebody else: this process does not hold it any more."
        )
    return (
        f"Flow run {flow_run_id} is held by {describe(lease)} since {lease['claimed_at'].isoformat(timespec='seconds')}: "
        "this process does not hold it any more."
    )


def tokens_of(pairs: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    """Pairs of runs and tokens; of two tokens of one run the newer counts."""
    tokens: dict[UUID, int] = {}
    for id, token in pairs:
        tokens[id] = max(token, tokens.get(id, token))
    return tokens
