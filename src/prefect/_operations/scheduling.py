"""Runs of schedules: made ahead of time, once for each instant, and taken back when the schedule changes.

A run of a schedule has the key `scheduled <deployment> <schedule> <instant>`, which is unique among the runs of its
flow: whatever number of servers, requests and repetitions there are, an instant has one run. Whoever makes runs holds
the rows of the schedule and its deployment; whoever changes them waits for that, and then takes back what was made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect import _names
from prefect._clock import to_us
from prefect._ids import new_id, new_uuid
from prefect._operations import outbox
from prefect._operations.deployment_runs import values_of_run
from prefect._operations.errors import Invalid
from prefect._operations.run_parameters import make_parameters
from prefect._operations.state_changes import propose_flow_run_state
from prefect._rules import schedules as rules
from prefect._rules.states import CANCELLED, SCHEDULED, RunState
from prefect._store import bulk
from prefect._store.announcements import SCHEDULES, announce
from prefect._store.dialects import insert
from prefect._store.tables import (
    deployment,
    deployment_schedule,
    flow_run,
    flow_run_state,
    run_lease,
    schedule_progress,
)
from prefect.settings import get_current_settings

"""Announced when the runs of a schedule may have to be made."""

AUTO_TAG = "auto-scheduled"

_log = logging.getLogger("prefect.server.services.scheduler")
_CLOCK_ERROR = timedelta(seconds=5)
_FAULTY_AGAIN = timedelta(hours=1)
_CANCELLED_AT_ONCE = 100
_KINDS = {"cron": "CronSchedule", "interval": "IntervalSchedule", "rrule": "RRuleSchedule"}

_RUN_COLUMNS = (
    "id", "created", "updated", "name", "flow_id", "deployment_id", "deployment_version", "work_queue_id",
    "work_queue_name", "infrastructure_document_id", "idempotency_key", "parameters", "context", "empirical_policy",
    "tags", "labels", "job_variables", "auto_scheduled", "created_by", "state_id", "state_type", "state_name",
    "state_timestamp", "run_count", "expected_start_time", "next_scheduled_start_time", "total_run_time",
)  # fmt: skip
_STATE_COLUMNS = ("id", "flow_run_id", "timestamp", "type", "name", "message", "state_details")


@dataclass(frozen=True)
class Made:
    """What a look at the schedules came to."""

    runs: int = 0
    looked_at: int = 0
    more: bool = False
    """There is more to be done at once."""


def horizon_of_settings() -> rules.Horizon:
    """How far ahead the settings want runs."""
    settings = get_current_settings().server.services.scheduler
    return rules.Horizon(settings.min_runs, settings.max_runs, settings.min_scheduled_time, settings.max_scheduled_time)


# -- the scheduler --------------------------------------------------------------------------------------------------


def is_work(tx: sa.Connection, moment: datetime) -> bool:
    """Whether a schedule is to be looked at."""
    some = sa.select(deployment_schedule.c.id).select_from(_SCHEDULES).where(_is_due(moment)).limit(1)
    return tx.execute(some).first() is not None


def next_look(tx: sa.Connection, moment: datetime) -> datetime | None:
    """When the next schedule is to be looked at, as far as is known."""
    statement = sa.select(sa.func.min(schedule_progress.c.look_again)).select_from(_SCHEDULES)
    statement = statement.where(
        deployment_schedule.c.active.is_(True), deployment.c.paused.is_(False), schedule_progress.c.look_again > moment
    )
    return tx.execute(statement).scalar_one()


def make_runs(tx: sa.Connection, moment: datetime, horizon: rules.Horizon, batch: int) -> Made:
    """Make the runs that are to be made of some schedules, and let their catch-up policies be followed."""
    statement = _SELECT.where(_is_due(moment)).order_by(
        schedule_progress.c.look_again.nulls_first(), deployment_schedule.c.id
    )
    # two who make runs do not wait for each other
    locked = statement.limit(batch).with_for_update(
        skip_locked=True, key_share=True, of=[deployment_schedule, deployment]
    )
    found = tx.execute(locked).mappings().all()
    rows: list[dict[str, Any]] = []
    progress: list[dict[str, Any]] = []
    more = crowd = len(found) == batch
    most = get_current_settings().server.services.scheduler.insert_batch_size
    for schedule in found:
        if len(rows) >= most:  # others want to write, too
            more = True
            break
        # one of many new schedules: the others are not to miss an instant while distant runs of this one are made
        in_turn = crowd and schedule["looked_at"] is None
        plan = _plan(schedule, moment, horizon.nearest if in_turn else horizon)
        rows += _rows(tx, schedule, plan.make, moment)
        more = _cancel_overtaken(tx, schedule, plan.overtaken, moment) or plan.more or more
        progress.append(
            {
                "schedule_id": schedule["schedule_id"],
                "made_until": plan.made_until,
                "looked_at": moment,
                "look_again": moment if in_turn else plan.look_again,
            }
        )
    made = insert_runs(tx, rows, moment)
    if progress:
        put = insert(tx, schedule_progress)
        changed = {name: put.excluded[name] for name in ("made_until", "looked_at", "look_again")}
        tx.execute(put.on_conflict_do_update(index_elements=["schedule_id"], set_=changed), progress)
    return Made(made, len(found), more)


_SCHEDULES = deployment_schedule.join(deployment, deployment_schedule.c.deployment_id == deployment.c.id).outerjoin(
    schedule_progress, schedule_progress.c.schedule_id == deployment_schedule.c.id
)
_SELECT = sa.select(
    deployment,
    deployment_schedule.c.id.label("schedule_id"),
    deployment_schedule.c.schedule,
    deployment_schedule.c.parameters.label("schedule_parameters"),
    deployment_schedule.c.slug,
    deployment_schedule.c.max_scheduled_runs,
    deployment_schedule.c.catch_up,
    schedule_progress.c.made_until,
    schedule_progress.c.looked_at,
).select_from(_SCHEDULES)


def _is_due(moment: datetime) -> sa.ColumnElement[bool]:
    """Active schedules whose time has come; also those that were looked at before the clock was set back."""
    return sa.and_(
        deployment_schedule.c.active.is_(True),
        deployment.c.paused.is_(False),
        sa.or_(
            schedule_progress.c.look_again.is_(None),
            schedule_progress.c.look_again <= moment,
            schedule_progress.c.looked_at > moment + _CLOCK_ERROR,
        ),
    )


def _plan(schedule: sa.RowMapping, moment: datetime, horizon: rules.Horizon) -> rules.Plan:
    try:
        return rules.plan(
            rules.spec_of(schedule["schedule"]),
            moment,
            horizon.of_schedule(schedule["max_scheduled_runs"]),
            made_until=schedule["made_until"],
            looked_at=schedule["looked_at"],
            catch_up=schedule["catch_up"],
        )
    except (ValueError, OverflowError) as exc:
        _log.warning(
            "Schedule %s of deployment '%s' (%s) makes no runs: %s",
            schedule["slug"] or schedule["schedule_id"], schedule["name"], schedule["id"], exc,
        )  # fmt: skip
        return rules.Plan(made_until=schedule["made_until"], look_again=moment + _FAULTY_AGAIN)


def _cancel_overtaken(tx: sa.Connection, schedule: sa.RowMapping, until: datetime | None, moment: datetime) -> bool:
    """Cancel the runs of a schedule that have not begun and whose successor is due; whether there are more of them."""
    if until is None:
        return False
    held = sa.exists().where(run_lease.c.flow_run_id == flow_run.c.id, run_lease.c.expires > moment)
    statement = (
        sa.select(flow_run.c.id)
        .where(
            _not_begun([schedule["id"]]),
            _of_schedules(schedule["id"], [schedule["schedule_id"]]),
            flow_run.c.expected_start_time < until,
            ~held,
        )
        .limit(_CANCELLED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = tx.execute(statement).scalars().all()
    message = (
        f"Overtaken by the run of {until.isoformat()}: the catch-up policy of the schedule is {schedule['catch_up']!r}."
    )
    for id in ids:
        propose_flow_run_state(tx, id, RunState(CANCELLED, message=message), force=True)
    return len(ids) == _CANCELLED_AT_ONCE


# -- making runs ----------------------------------------------------------------------------------------------------


def key_of(deployment_id: UUID, schedule_id: UUID, instant: datetime) -> str:
    """The idempotency key of the run of an instant."""
    return f"{_prefix(deployment_id, schedule_id)}{instant.isoformat(sep=' ')}"


def _prefix(deployment_id: UUID, schedule_id: UUID) -> str:
    return f"scheduled {deployment_id} {schedule_id} "


def make_between(
    tx: sa.Connection, deployment_id: UUID, start: datetime, end: datetime, horizon: rules.Horizon, moment: datetime
) -> int:
    """Make the runs of a deployment's active schedules from a moment on; return how many were made.

    Args:
        start: the first moment.
        end: the last one.
        horizon: how many runs, and for how long.
        moment: now.

    Raises:
        Invalid: a schedule cannot be followed.
    """
    # in the order of those who change a deployment and then its schedules
    tx.execute(sa.select(deployment.c.id).where(deployment.c.id == deployment_id).with_for_update(key_share=True))
    statement = _SELECT.where(deployment.c.id == deployment_id, deployment_schedule.c.active.is_(True))
    locked = statement.with_for_update(key_share=True, of=[deployment_schedule, deployment])
    rows: list[dict[str, Any]] = []
    for schedule in tx.execute(locked).mappings().all():
        limits = horizon.of_schedule(schedule["max_scheduled_runs"])
        chosen: list[datetime] = []
        try:
            coming = rules.instants(rules.spec_of(schedule["schedule"]), start - timedelta(microseconds=1), end)
            for instant in coming:
                enough = len(chosen) >= limits.least and chosen and chosen[-1] >= start + limits.time
                if len(chosen) >= limits.most or enough:
                    break
                chosen.append(instant)
        except (ValueError, OverflowError) as exc:
            raise Invalid(f"Schedule {schedule['slug'] or schedule['schedule_id']}: {exc}") from exc
        rows += _rows(tx, schedule, chosen, moment)
    return insert_runs(tx, rows, moment)


def preview(schedule: Mapping[str, Any], after: datetime, count: int) -> list[datetime]:
    """The next instants of a schedule.

    Raises:
        Invalid: it cannot be followed.
    """
    try:
        return rules.next_instants(rules.spec_of(schedule), after, count)
    except (ValueError, OverflowError) as exc:
        raise Invalid(f"schedule: {exc}") from exc


def _rows(
    tx: sa.Connection, schedule: sa.RowMapping, chosen: Sequence[datetime], moment: datetime
) -> list[dict[str, Any]]:
    """The runs of some instants of a schedule, as rows."""
    if not chosen:
        return []
    kind = next((name for field, name in _KINDS.items() if field in schedule["schedule"]), "NoSchedule")
    maker = {"id": str(schedule["schedule_id"]), "type": "SCHEDULE", "display_value": schedule["slug"] or kind}
    values = values_of_scheduled_run(tx, schedule, schedule["schedule_parameters"]) | {"created_by": maker}
    return [
        row_of_run(values, key_of(schedule["id"], schedule["schedule_id"], instant), instant, instant, moment)
        for instant in chosen
    ]


def values_of_scheduled_run(
    tx: sa.Connection, of: sa.RowMapping, parameters: Mapping[str, Any], *, tags: Iterable[str] = (AUTO_TAG,)
) -> dict[str, Any]:
    """What all runs of a deployment that nobody asked for one by one have in common, as columns.

    Args:
        of: the deployment.
        parameters: over those of the deployment.
        tags: beside those of the deployment.
    """
    given = {**of["parameters"], **parameters}
    try:
        made = make_parameters(tx, given)
    except Invalid as exc:
        _log.warning("Runs of deployment '%s' (%s) get parameters as they are: %s", of["name"], of["id"], exc)
        made = given
    return values_of_run(of) | {
        "parameters": made,
        "context": {},
        "empirical_policy": {},
        "job_variables": {},
        "tags": list(dict.fromkeys([*tags, *of["tags"]])),
        "auto_scheduled": AUTO_TAG in tags,
        "created_by": None,
        "parent_task_run_id": None,
        "run_count": 0,
        "total_run_time": timedelta(0),
    }


def row_of_run(
    values: Mapping[str, Any], key: str, instant: datetime, start: datetime, moment: datetime
) -> dict[str, Any]:
    """A scheduled run, as a row.

    Args:
        values: what it has in common with others.
        key: its idempotency key.
        instant: the time it stands for.
        start: when it is to start.
        moment: now.
    """
    return {
        **values,
        "id": new_uuid(),
        "created": moment,
        "updated": moment,
        "name": _names.generate_slug(2),
        "idempotency_key": key,
        "state_id": UUID(new_id()),
        "state_type": SCHEDULED,
        "state_name": "Scheduled",
        "state_timestamp": moment,
        "expected_start_time": instant,
        "next_scheduled_start_time": start,
    }


def insert_runs(tx: sa.Connection, rows: Sequence[dict[str, Any]], moment: datetime) -> int:
    """Insert scheduled runs with their states and events; those whose key is taken are left out. Returns how many."""
    size = get_current_settings().server.services.scheduler.insert_batch_size
    inserted = 0
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        bulk.insert_new(tx, flow_run, _RUN_COLUMNS, some)
        statement = sa.select(flow_run.c.id).where(flow_run.c.id.in_([row["id"] for row in some]))
        made = set(tx.execute(statement).scalars())
        new = [row for row in some if row["id"] in made]
        states = {row["id"]: _state(row, moment) for row in new}
        bulk.insert_new(
            tx, flow_run_state, _STATE_COLUMNS, [_state_row(id, state, moment) for id, state in states.items()]
        )
        outbox.flow_runs_made(tx, new, [states[row["id"]] for row in new])
        inserted += len(new)
    if inserted:
        announce(tx, "scheduled", "flow_runs")
    return inserted


def _state(row: Mapping[str, Any], moment: datetime) -> RunState:
    details = {"scheduled_time": to_us(row["next_scheduled_start_time"])}
    return RunState(
        SCHEDULED, message="Flow run scheduled", details=details, timestamp=to_us(moment), id=str(row["state_id"])
    )


def _state_row(run_id: UUID, state: RunState, moment: datetime) -> dict[str, Any]:
    return {
        "id": UUID(state.id), "flow_run_id": run_id, "timestamp": moment, "type": state.type, "name": state.name,
        "message": state.message, "state_details": state.details,
    }  # fmt: skip


# -- taking runs back -----------------------------------------------------------------------------------------------


def schedules_changed(
    tx: sa.Connection, deployment_id: UUID, schedule_ids: Sequence[UUID], *, due_after: datetime | None = None
) -> None:
    """Take back the runs of schedules that have not begun, and let the scheduler begin anew with them.

    Args:
        schedule_ids: of schedules of the deployment that have changed, end, or pause.
        due_after: only the runs that are due after this moment: the others go on.
    """
    if schedule_ids:
        where = sa.and_(_not_begun([deployment_id]), _of_schedules(deployment_id, schedule_ids))
        if due_after is not None:
            where = sa.and_(where, flow_run.c.next_scheduled_start_time > due_after)
        tx.execute(sa.delete(flow_run).where(where))
        tx.execute(sa.delete(schedule_progress).where(schedule_progress.c.schedule_id.in_(schedule_ids)))
    announce(tx, SCHEDULES, "scheduled")


def take_back_runs(tx: sa.Connection, deployment_ids: Sequence[UUID], *, due_after: datetime | None = None) -> None:
    """Take back all runs of deployments that a schedule made and that have not begun."""
    where = _not_begun(deployment_ids)
    if due_after is not None:
        where = sa.and_(where, flow_run.c.next_scheduled_start_time > due_after)
    tx.execute(sa.delete(flow_run).where(where))
    of_deployments = sa.select(deployment_schedule.c.id).where(deployment_schedule.c.deployment_id.in_(deployment_ids))
    tx.execute(sa.delete(schedule_progress).where(schedule_progress.c.schedule_id.in_(of_deployments)))
    announce(tx, SCHEDULES, "scheduled")


def cancel_runs(tx: sa.Connection, deployment_ids: Sequence[UUID]) -> None:
    """Cancel the runs of deployments that somebody asked for and that nobody has begun: their deployments go.

    A few at once; the others are ended when a worker asks for them.
    """
    nobody = sa.not_(sa.exists().where(run_lease.c.flow_run_id == flow_run.c.id, run_lease.c.expires.is_not(None)))
    statement = (
        sa.select(flow_run.c.id)
        .where(flow_run.c.deployment_id.in_(deployment_ids), flow_run.c.state_type == SCHEDULED, nobody)
        .order_by(flow_run.c.id)
        .limit(_CANCELLED_AT_ONCE)
        .with_for_update(skip_locked=True, of=flow_run)
    )
    for id in tx.execute(statement).scalars().all():
        state = RunState(CANCELLED, message="The deployment of this flow run was deleted before the run began.")
        propose_flow_run_state(tx, id, state, force=True)


def _not_begun(deployment_ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    return sa.and_(
        flow_run.c.deployment_id.in_(deployment_ids),
        flow_run.c.state_type == SCHEDULED,
        flow_run.c.auto_scheduled.is_(True),
        flow_run.c.run_count == 0,
    )


def _of_schedules(deployment_id: UUID, schedule_ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.false(),
        *(flow_run.c.idempotency_key.startswith(_prefix(deployment_id, id), autoescape=True) for id in schedule_ids),
    )
