"""How many slots of concurrency limits are taken: by leases that live, openly, and by the runs of a deployment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._rules.states import CANCELLING, PENDING, RUNNING
from prefect._schemas.enums import ConcurrencyLimitStrategy
from prefect._store.tables import (
    concurrency_lease,
    concurrency_limit,
    concurrency_slot,
    deployment,
    flow_run,
    run_lease,
)
from prefect.settings import get_current_settings

SLOT_STATES = (PENDING, RUNNING, CANCELLING)
"""The states in which a run holds a slot of its deployment, its pool and its queue."""

GUARD = 1e-9  # levels are floating-point numbers; a slot is not refused for the last bit of one

Limit = sa.RowMapping


def level(limit: Limit, moment: datetime) -> float:
    """How many open slots of a limit are still taken at a moment."""
    passed = max((moment - limit["open_slots_at"]).total_seconds(), 0.0)
    return max(limit["open_slots"] - limit["slot_decay_per_second"] * passed, 0.0)


def taken(tx: sa.Connection, limits: Sequence[Limit], moment: datetime) -> dict[UUID, float]:
    """How many slots of each limit are taken at a moment."""
    ids = [limit["id"] for limit in limits]
    leased, run = _leased(tx, ids, moment), _held_by_runs(tx, ids, moment)
    return {
        id: level(limit, moment) + (0 if limit["slot_decay_per_second"] else leased.get(id, 0) + run.get(id, 0))
        for id, limit in zip(ids, limits, strict=True)
    }


def shown(count: float) -> int:
    """A number of taken slots as the API has it: a slot is taken until all of it is free."""
    return math.ceil(count - GUARD)


def lives(moment: datetime) -> sa.ColumnElement[bool]:
    """Whether a lease of slots has not ended at a moment."""
    return sa.or_(concurrency_lease.c.expires.is_(None), concurrency_lease.c.expires > moment)


def _leased(tx: sa.Connection, limit_ids: list[UUID], moment: datetime) -> dict[UUID, int]:
    statement = (
        sa.select(concurrency_slot.c.limit_id, sa.func.sum(concurrency_slot.c.slots))
        .join(concurrency_lease, concurrency_slot.c.lease_id == concurrency_lease.c.id)
        .where(concurrency_slot.c.limit_id.in_(limit_ids), lives(moment))
        .group_by(concurrency_slot.c.limit_id)
    )
    return {limit_id: int(count) for limit_id, count in tx.execute(statement)}


def _held_by_runs(tx: sa.Connection, limit_ids: list[UUID], moment: datetime) -> Counter[UUID]:
    """The slots that runs of deployments hold, by the limit of the deployment."""
    if not limit_ids:
        return Counter()
    # one statement, which sees one moment: between two, a run that begins would be in neither
    runs = (
        sa.select(
            deployment.c.concurrency_limit_id.label("limit_id"),
            deployment.c.concurrency_options.label("options"),
            flow_run.c.state_type,
            flow_run.c.state_timestamp,
            run_lease.c.expires,
        )
        .select_from(
            deployment.join(flow_run, flow_run.c.deployment_id == deployment.c.id).outerjoin(
                run_lease, run_lease.c.flow_run_id == flow_run.c.id
            )
        )
        .where(deployment.c.concurrency_limit_id.in_(limit_ids), flow_run.c.state_type.in_(SLOT_STATES))
    )
    held: Counter[UUID] = Counter()
    for run in tx.execute(runs):
        is_held = run.expires is not None and run.expires > moment
        if run.state_type != PENDING or is_held or run.state_timestamp + _grace(run.options) > moment:
            held[run.limit_id] += 1
    return held


def _grace(options: dict[str, Any] | None) -> timedelta:
    """How long a run that nobody holds may be pending before its slot is given to another."""
    seconds = (options or {}).get("grace_period_seconds")
    if seconds is None:
        seconds = get_current_settings().server.concurrency.initial_deployment_lease_duration
    return timedelta(seconds=seconds)


def collision(tx: sa.Connection, deployment_id: UUID, moment: datetime) -> str | None:
    """What becomes of one more run of a deployment that has as many under way as it may; None while there is room.

    The deployment's limit is held against other transactions until this one ends.
    """
    limited = concurrency_limit.join(deployment, deployment.c.concurrency_limit_id == concurrency_limit.c.id)
    statement = sa.select(concurrency_limit, deployment.c.concurrency_options).select_from(limited)
    statement = statement.where(deployment.c.id == deployment_id, concurrency_limit.c.active.is_(True))
    limit = tx.execute(statement.with_for_update(of=concurrency_limit)).mappings().one_or_none()
    if limit is None or taken(tx, [limit], moment)[limit["id"]] + 1 <= limit["limit"] + GUARD:
        return None
    return (limit["concurrency_options"] or {}).get("collision_strategy", ConcurrencyLimitStrategy.ENQUEUE.value)
