"""Leases of flow runs: who may speak for a run, and for how long without being heard of.

Each claim of a run gives a new *token*. Whoever proposes a state under an older one is refused, so that a process that
was taken for dead and comes back does not disturb the one that runs in its place. A lease that is not renewed ends by
`expire`, which the service `prefect._services.leases` calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now, to_us
from prefect._operations import slot_counts
from prefect._operations.cleanup_orders import order_for_cancelled, order_for_claim, withdraw_for_claim
from prefect._operations.errors import Conflict, NotFound
from prefect._operations.registry import NotYet, operation
from prefect._operations.run_children import end_children
from prefect._operations.state_changes import accepted, current_state, enter_state, flow_retry_delay, locked_flow_run
from prefect._rules.leases import Held, Outcome, decide_ended, decide_expired
from prefect._rules.states import CANCELLING, CRASHED, PENDING, RUNNING, SCHEDULED, TERMINAL, RunState
from prefect._schemas.leases import (
    Lease,
    LeaseHolder,
    LeaseRenewals,
    LeaseRequest,
    LeaseReturn,
    LostProcess,
    RenewedLeases,
)
from prefect._schemas.orchestration import OrchestrationResult
from prefect._store import leases, single
from prefect._store.announcements import announce
from prefect._store.tables import flow_run, run_lease

_LOOKED_AT = 30.0
_JUST_NOW = 0.5
"""Seconds for which a lease that was renewed is not renewed again."""


def as_row(holder: LeaseHolder) -> leases.Holder:
    """A holder as the database has it."""
    return leases.Holder(holder.kind, holder.id, holder.name)


@operation("POST", "/flow_runs/{id}/lease", writes=True)
def lease_flow_run(tx: sa.Connection, id: UUID, body: LeaseRequest) -> Lease:
    """Hold a flow run that one starts oneself, or take over the claim of who started this process.

    Raises:
        NotFound: there is no such flow run.
        Conflict: somebody else holds it; or the token is not that of the last claim.
    """
    row = locked_flow_run(tx, id)
    found = leases.read(tx, id)
    moment = now()
    expires = moment + timedelta(seconds=body.lease_seconds)
    holder = as_row(body.holder)
    if body.token is not None:
        if found is None or found["token"] != body.token:
            raise Conflict(leases.refusal(id, found))
        if found["expires"] is None:
            if not _has_room(tx, row, moment):
                raise Conflict(
                    f"Flow run {id} was claimed and not begun in time, and its deployment has as many runs under way as "
                    "it may by now. It will be begun when there is room."
                )
            withdraw_for_claim(tx, row)
        leases.hand_over(tx, id, holder, moment, expires)
        return Lease(token=body.token, expires=expires)
    if found is not None and found["expires"] is not None and found["expires"] > moment:
        if found["holder_id"] != holder.id:
            raise Conflict(
                f"Flow run {id} is held by {leases.describe(found)}, which was heard of at "
                f"{found['renewed_at'].isoformat(timespec='seconds')}. Wait until it has ended, or cancel it."
            )
        leases.hand_over(tx, id, holder, moment, expires)  # asked again, as an answer got lost
        return Lease(token=found["token"], expires=expires)
    token = leases.take(tx, id, holder, moment, expires, claim=False)
    announce_short(tx, body.lease_seconds)
    return Lease(token=token, expires=expires)


def _has_room(tx: sa.Connection, row: Mapping[Any, Any], moment: datetime) -> bool:
    """Whether a run whose claim was given up may be gone on with: others may have taken its place since."""
    if row["state_type"] != SCHEDULED or row["deployment_id"] is None:
        return True
    return slot_counts.collision(tx, row["deployment_id"], moment) is None


def announce_short(tx: sa.Connection, seconds: float) -> None:
    """Tell who looks for leases that have ended of one that ends before he looks again."""
    if seconds < _LOOKED_AT:
        announce(tx, "leases")


@operation("POST", "/flow_runs/leases/renew", writes=True)
def renew_flow_run_leases(tx: sa.Connection, body: LeaseRenewals) -> RenewedLeases | NotYet:
    """Say that runs are still held; the answer says which are not, and which are to be cancelled.

    A run that was taken for crashed, and that nobody has claimed since, is running again. Who is willing to wait is
    answered when there is something to tell; the leases are renewed meanwhile.
    """
    moment = now()
    expires = moment + timedelta(seconds=body.lease_seconds)
    tokens = leases.tokens_of((held.flow_run_id, held.token) for held in body.leases)
    statement = (
        sa.select(run_lease, flow_run.c.state_type, flow_run.c.infrastructure_pid)
        .join(flow_run, flow_run.c.id == run_lease.c.flow_run_id)
        .where(run_lease.c.flow_run_id.in_(list(tokens)))
    )
    held = {row.flow_run_id: row for row in tx.execute(statement) if row.token == tokens[row.flow_run_id]}
    given_up = sorted(id for id, row in held.items() if row.expires is None)
    going_on = [id for id, row in held.items() if row.expires is not None and row.state_type not in TERMINAL]
    back = [id for id in given_up if take_back(tx, id, tokens[id], moment, expires)]
    # who waits and looks again has just done this
    old = {id: tokens[id] for id in going_on if abs((moment - held[id].renewed_at).total_seconds()) > _JUST_NOW}
    if old:
        leases.renew(tx, old, moment, expires)
        announce_short(tx, body.lease_seconds)
    renewed = [*going_on, *back]
    for told in body.leases:
        named = told.infrastructure_pid
        if named is not None and told.flow_run_id in renewed and held[told.flow_run_id].infrastructure_pid != named:
            single.update(tx, flow_run, told.flow_run_id, {"infrastructure_pid": named})
    cancelling = [id for id in renewed if held[id].state_type == CANCELLING]
    lost = [id for id in tokens if id not in set(renewed)]
    answer = RenewedLeases(renewed=renewed, lost=lost, cancelling=cancelling)
    if lost or cancelling or body.wait_seconds <= 0:
        return answer
    again = moment + timedelta(seconds=body.lease_seconds / 3)
    return NotYet(answer, tuple(f"flow_run:{id}" for id in renewed), again)


def take_back(tx: sa.Connection, id: UUID, token: int, moment: datetime, expires: datetime) -> bool:
    """Go on holding a run after the lease has ended, if nobody has taken it since."""
    try:
        row = locked_flow_run(tx, id)
    except NotFound:
        return False
    lease = leases.read(tx, id)
    if lease is None or lease["token"] != token:
        return False
    current = current_state(tx, flow_run, row)
    if current is not None and current.type in TERMINAL and current.type != CRASHED:
        return False
    if not _has_room(tx, row, moment):
        return False
    leases.renew(tx, {id: token}, moment, expires)
    withdraw_for_claim(tx, row)
    if current is None or row["start_time"] is None:
        return True
    if current.type == CRASHED or current.name == "AwaitingRetry":
        message = f"{leases.describe(lease)}, which runs it, is there again."
        enter_state(tx, flow_run, row, RunState(RUNNING, message=message), run_count=row["run_count"] - 1)
    return True


@operation("POST", "/flow_runs/{id}/release", writes=True, status=204)
def release_flow_run(tx: sa.Connection, id: UUID, body: LeaseReturn) -> None:
    """Give a claimed run back that was not started: it is scheduled again at once.

    Raises:
        NotFound: there is no such flow run.
        Conflict: the token is not that of the last claim.
    """
    row = locked_flow_run(tx, id)
    found = leases.read(tx, id)
    if found is None or found["token"] != body.token:
        raise Conflict(leases.refusal(id, found))
    leases.end(tx, id, claims=max(found["claims"] - 1, 0))
    current = current_state(tx, flow_run, row)
    if current is not None and current.type == PENDING:
        due = current.details.get("scheduled_time", to_us(now()))
        enter_state(tx, flow_run, row, RunState(SCHEDULED, details={"scheduled_time": due}))
    announce(tx, "scheduled")


@operation("POST", "/flow_runs/{id}/process_ended", writes=True)
def end_process_of_flow_run(tx: sa.Connection, id: UUID, body: LostProcess) -> OrchestrationResult[Any]:
    """Say that the process of a held run has ended without an end of the run: it is tried again, or has crashed.

    The holder says so, which knows how the process ended; nobody needs to wait for the end of the lease.

    Raises:
        NotFound: there is no such flow run.
        Conflict: the token is not that of the last claim.
    """
    row = locked_flow_run(tx, id)
    lease = leases.read(tx, id)
    if lease is None or lease["token"] != body.token:
        raise Conflict(leases.refusal(id, lease))
    current = current_state(tx, flow_run, row)
    if current is None or current.type in TERMINAL:
        leases.forget(tx, id)
        return accepted(id, current)
    moment = now()
    outcome = decide_ended(_held(row, lease, current, moment), body.message, to_us(moment))
    # a new token: what is still on its way from the process that has ended counts no more
    leases.end(tx, id, token=lease["token"] + 1)
    _go_on(tx, row, current, outcome)
    return accepted(id, outcome.state or current)


def expired(tx: sa.Connection, moment: datetime, limit: int) -> list[UUID]:
    """The runs whose lease has ended by a moment, the longest first."""
    statement = sa.select(run_lease.c.flow_run_id).where(run_lease.c.expires <= moment)
    return list(tx.execute(statement.order_by(run_lease.c.expires).limit(limit)).scalars())


def next_expiry(tx: sa.Connection) -> datetime | None:
    """When the next lease ends unless it is renewed."""
    return tx.execute(sa.select(sa.func.min(run_lease.c.expires))).scalar_one_or_none()


def prolong(tx: sa.Connection, id: UUID, until: datetime) -> None:
    """Let the lease of a run last longer, whoever holds it."""
    tx.execute(sa.update(run_lease).where(run_lease.c.flow_run_id == id).values(expires=until))


def expire(tx: sa.Connection, id: UUID, moment: datetime) -> RunState | None:
    """End the lease of a run if it has ended by a moment; returns the state that the run enters, or None."""
    try:
        row = locked_flow_run(tx, id)
    except NotFound:
        return None
    lease = leases.read(tx, id)
    if lease is None or lease["expires"] is None or lease["expires"] > moment:
        return None  # renewed, or ended by somebody else
    current = current_state(tx, flow_run, row)
    if current is None or current.type in TERMINAL:
        leases.forget(tx, id)
        return None
    outcome = decide_expired(_held(row, lease, current, moment), to_us(moment))
    leases.end(tx, id)
    _go_on(tx, row, current, outcome)
    # the holder may only be cut off from here: what it has started is taken down by others
    if current.type == PENDING:
        order_for_claim(tx, row, lease["token"])
    elif current.type == CANCELLING:
        order_for_cancelled(tx, row)
    return outcome.state


def _held(row: Mapping[Any, Any], lease: Mapping[Any, Any], current: RunState, moment: datetime) -> Held:
    """What the rules need to know of a run that its holder has left."""
    policy = row["empirical_policy"]
    return Held(
        state=current,
        holder=leases.describe(lease),
        silence=(moment - lease["renewed_at"]).total_seconds(),
        claims=lease["claims"],
        can_be_claimed=row["deployment_id"] is not None or row["work_queue_id"] is not None,
        run_count=row["run_count"],
        retries=policy.get("retries") or 0,
        retry_delay=flow_retry_delay(policy),
    )


def _go_on(tx: sa.Connection, row: Mapping[Any, Any], current: RunState, outcome: Outcome) -> None:
    """Let a run whose process is gone go on without it, or end; what belongs to it ends."""
    # on a local database: who ran it does not own it any more, or what follows would be ended with him
    tx.execute(sa.update(flow_run).where(flow_run.c.id == row["id"]).values(owner=None))
    announce(tx, "scheduled")
    if outcome.state is not None:
        enter_state(tx, flow_run, row, outcome.state, policy=outcome.policy)
        if current.type != PENDING:
            end_children(tx, row["id"], outcome.state)
