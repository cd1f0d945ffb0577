"""Deferred task runs, as our task workers ask for them: claimed under a lease, waited for, and taken back from the dead.

Each claim of a run gives a new *token*, which every record of its states shows; who has an older one is not listened to
any more (`recording`). Programs of the published client are handed runs over a websocket instead
(`task_run_deliveries`): a run goes to one of them or to one of ours, as whoever has it enters a state that others see.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now, now_us, to_us
from prefect._operations import task_run_deliveries, task_runs
from prefect._operations.registry import NotYet, operation
from prefect._operations.state_changes import current_state, enter_state, locked_task_run, propose_task_run_state
from prefect._rules.retries import retry_delay
from prefect._rules.states import CRASHED, PENDING, RUNNING, SCHEDULED, RunState, awaiting_retry
from prefect._schemas.base import ActionBaseModel, PrefectBaseModel
from prefect._schemas.task_runs import TaskRun
from prefect._store.announcements import announce
from prefect._store.dialects import insert
from prefect._store.tables import task_run, task_run_lease, task_run_state

LEASE_SECONDS: Final = 60.0
ENDED: Final = "task_runs_ended"
"""Announced when deferred runs have ended."""
MAX_UNBEGUN_CLAIMS: Final = 3
"""A run that was claimed so often by workers that died before it began is not tried again."""


class ClaimTaskRuns(ActionBaseModel):
    """Which task runs a task worker is ready to carry out."""

    worker: str = Field(description="What the worker is called.")
    task_keys: list[str] = Field(min_length=1)
    task_run_ids: list[UUID] | None = Field(default=None, description="Only these, whether they are due or not.")
    limit: int = Field(default=1, ge=1, le=500, description="At most so many.")
    wait_seconds: float = Field(default=0, ge=0, description="How long to wait for one.")


class ClaimedTaskRun(PrefectBaseModel):
    """A task run that is claimed."""

    task_run: TaskRun
    token: int = Field(description="To be shown with every state that is recorded.")
    unbegun: int = Field(description="How often it was claimed, this time included, since it last began.")
    task_parameters_id: UUID | None = Field(default=None, description="Under which its parameters are kept.")


class HeldTaskRun(PrefectBaseModel):
    """A task run, and the token it is held by."""

    task_run_id: UUID
    token: int


class RenewTaskRuns(ActionBaseModel):
    """The task runs that a worker still carries out."""

    leases: list[HeldTaskRun] = Field(max_length=5_000)


class LostTaskRuns(PrefectBaseModel):
    """What became of them."""

    lost: list[UUID] = Field(description="Held by somebody else, or ended.")


class WaitForTaskRuns(ActionBaseModel):
    """Task runs whose end is waited for."""

    ids: list[UUID] = Field(max_length=5_000)
    wait_seconds: float = Field(default=0, ge=0, description="How long to wait for the first of them to end.")


@operation("POST", "/task_runs/claim", writes=True)
def claim_task_runs(tx: sa.Connection, body: ClaimTaskRuns) -> list[ClaimedTaskRun] | NotYet:
    """Claim deferred runs that are due, those due longest first; they are pending from now on."""
    moment = now()
    waiting = task_run_deliveries.open_runs(body.task_keys, moment)
    wanted = task_run.c.next_scheduled_start_time <= moment
    if body.task_run_ids is not None:
        wanted = task_run.c.id.in_(body.task_run_ids)
    due = (
        sa.select(task_run.c.id)
        .where(*waiting, wanted)
        .order_by(task_run.c.next_scheduled_start_time, task_run.c.id)
        .limit(body.limit)
        .with_for_update(skip_locked=True)
    )
    claimed = [_claim(tx, id, body.worker, moment) for id in list(tx.execute(due).scalars())]
    found = [claim for claim in claimed if claim is not None]
    if found:
        announce(tx, "task_run_leases")
        return found
    topics = tuple(task_run_deliveries.topic(key) for key in body.task_keys)
    return NotYet([], topics, task_run_deliveries.next_due(tx, body.task_keys, moment))


def _claim(tx: sa.Connection, id: UUID, worker: str, moment: datetime) -> ClaimedTaskRun | None:
    result, written = propose_task_run_state(tx, id, RunState(PENDING))
    if not written or result.status.value != "ACCEPT":
        return None
    values = {"token": to_us(moment), "holder_name": worker, "expires": moment + timedelta(seconds=LEASE_SECONDS)}
    statement = insert(tx, task_run_lease).values(task_run_id=id, unbegun=1, **values)
    last = task_run_lease.c.token
    values["token"] = sa.case((last >= statement.excluded.token, last + 1), else_=statement.excluded.token)
    statement = statement.on_conflict_do_update(
        index_elements=["task_run_id"], set_={**values, "unbegun": task_run_lease.c.unbegun + 1}
    ).returning(task_run_lease.c.token, task_run_lease.c.unbegun)
    held = tx.execute(statement).one()
    return ClaimedTaskRun(
        task_run=task_runs.task_run_of(tx, id),
        token=held.token,
        unbegun=held.unbegun,
        task_parameters_id=_deferred_details(tx, id).get("task_parameters_id"),
    )


@operation("POST", "/task_runs/leases/renew", writes=True)
def renew_task_run_leases(tx: sa.Connection, body: RenewTaskRuns) -> LostTaskRuns:
    """Say that task runs are still being carried out; the answer says which are not this worker's any more."""
    expires = now() + timedelta(seconds=LEASE_SECONDS)
    lost = []
    for held in sorted(body.leases, key=lambda each: each.task_run_id):
        mine = sa.and_(
            task_run_lease.c.task_run_id == held.task_run_id,
            task_run_lease.c.token == held.token,
            task_run_lease.c.expires.is_not(None),
        )
        if not tx.execute(sa.update(task_run_lease).where(mine).values(expires=expires)).rowcount:
            lost.append(held.task_run_id)
    return LostTaskRuns(lost=lost)


@operation("POST", "/task_runs/wait")
def wait_for_task_runs(tx: sa.Connection, body: WaitForTaskRuns) -> list[TaskRun] | NotYet:
    """Those of some task runs that have ended, as soon as there are any."""
    over = sa.or_(task_run.c.end_time.is_not(None), task_run.c.state_name == "NotReady")
    ended = tx.execute(sa.select(task_run.c.id).where(task_run.c.id.in_(body.ids), over)).scalars().all()
    if ended:
        return [task_runs.task_run_of(tx, id) for id in ended]
    return NotYet([], (ENDED,))


# -- what is recorded under a claim ------------------------------------------------------------------------------------


def stale(tx: sa.Connection, tokens: dict[UUID, int]) -> set[UUID]:
    """Those task runs that whoever holds these tokens does not hold any more."""
    if not tokens:
        return set()
    lease = task_run_lease.c
    rows = tx.execute(sa.select(lease.task_run_id, lease.token).where(lease.task_run_id.in_(list(tokens))))
    current = {row.task_run_id: row.token for row in rows}
    return {id for id, token in tokens.items() if current.get(id) != token}


def recorded(tx: sa.Connection, entered: dict[UUID, str]) -> None:
    """Keep the leases in step with the states (by type) that runs have entered under them."""
    lease = task_run_lease.c
    begun = [id for id, kind in entered.items() if kind == RUNNING]
    over = [id for id, kind in entered.items() if kind not in (RUNNING, PENDING)]
    if begun:
        tx.execute(sa.update(task_run_lease).where(lease.task_run_id.in_(begun)).values(unbegun=0))
    if over:
        tx.execute(sa.update(task_run_lease).where(lease.task_run_id.in_(over)).values(expires=sa.null()))


# -- runs whose worker died --------------------------------------------------------------------------------------------


def expired(tx: sa.Connection, moment: datetime, limit: int) -> list[UUID]:
    """The runs whose lease has ended by a moment, the longest first."""
    lease = task_run_lease.c
    statement = sa.select(lease.task_run_id).where(lease.expires <= moment).order_by(lease.expires)
    return list(tx.execute(statement.limit(limit)).scalars())


def next_expiry(tx: sa.Connection) -> datetime | None:
    """When the next lease ends unless it is renewed."""
    return tx.execute(sa.select(sa.func.min(task_run_lease.c.expires))).scalar_one_or_none()


def expire(tx: sa.Connection, id: UUID, moment: datetime) -> RunState | None:
    """End the lease of a run if it has ended by a moment; returns the state that the run enters, or None.

    A run that has not begun can be had again; one that had begun counts as an attempt that failed.
    """
    row = locked_task_run(tx, id)
    mine = task_run_lease.c.task_run_id == id
    lease = tx.execute(sa.select(task_run_lease).where(mine).with_for_update()).mappings().one_or_none()
    if lease is None or lease["expires"] is None or lease["expires"] > moment:
        return None
    tx.execute(sa.update(task_run_lease).where(mine).values(expires=sa.null()))
    current = current_state(tx, task_run, row)
    if current is None or current.type not in (PENDING, RUNNING):
        return None
    state = _after_death(tx, row, current, lease)
    enter_state(tx, task_run, row, state)
    announce(tx, ENDED if state.is_final else task_run_deliveries.topic(row["task_key"]))
    return state


def _after_death(tx: sa.Connection, row: Mapping[Any, Any], current: RunState, lease: Mapping[Any, Any]) -> RunState:
    died = f"The task worker that ran this task run ({lease['holder_name']}) has not been heard of any more"
    policy = row["empirical_policy"]
    if current.type == PENDING:
        if lease["unbegun"] < MAX_UNBEGUN_CLAIMS:
            return RunState(SCHEDULED, details={**_deferred_details(tx, row["id"]), "scheduled_time": now_us()})
        died = f"{MAX_UNBEGUN_CLAIMS} task workers ended when they were about to begin this task run"
    elif row["run_count"] <= (policy.get("retries") or 0):
        delay = retry_delay(policy.get("retry_delay"), row["run_count"] - 1, policy.get("retry_jitter_factor"))
        state = awaiting_retry(now_us() + int(delay * 1e6), f"{died}.")
        state.details = {**_deferred_details(tx, row["id"]), **state.details}
        return state
    return RunState(CRASHED, None, f"{died}.")


def _deferred_details(tx: sa.Connection, id: UUID) -> dict[str, Any]:
    """What the state in which a run was deferred says of it."""
    history = (
        sa.select(task_run_state.c.state_details)
        .where(task_run_state.c.task_run_id == id, task_run_state.c.type == SCHEDULED)
        .order_by(task_run_state.c.timestamp)
    )
    for details in tx.execute(history).scalars():
        if details.get("deferred"):
            return {name: details[name] for name in ("deferred", "task_parameters_id") if name in details}
    return {"deferred": True}


def begin(tx: sa.Connection, moment: datetime) -> None:
    """Give everybody time to renew: nobody could while no server was there."""
    until = moment + timedelta(seconds=LEASE_SECONDS)
    tx.execute(sa.update(task_run_lease).where(task_run_lease.c.expires < until).values(expires=until))
