"""Backfills: runs for the instants of a schedule in the past, so many at a time.

A run of a backfill is expected at its instant and starts when there is room: what asks for the time it stands for
(`prefect.runtime.flow_run.scheduled_start_time`) hears of the instant, and it stands in line behind what is due now.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now
from prefect._operations import edits, rows, scheduling
from prefect._operations.errors import Invalid
from prefect._operations.registry import operation
from prefect._operations.state_changes import propose_flow_run_state
from prefect._rules import schedules as rules
from prefect._rules.states import CANCELLED, SCHEDULED, TERMINAL, RunState
from prefect._schemas.backfills import Backfill, BackfillCreate
from prefect._store.announcements import BACKFILLS, announce
from prefect._store.tables import backfill, backfill_run, deployment, deployment_schedule, flow_run

"""Announced when a backfill was asked for."""

TAG = "backfill"
LABEL = "prefect.backfill.id"

_RUNNING, _COMPLETED, _CANCELLED = "RUNNING", "COMPLETED", "CANCELLED"
_LOOKED_AT_ONCE = 500
_BACKFILLS_AT_ONCE = 20


@operation("POST", "/deployments/{id}/backfills", writes=True, status=201)
def create_backfill(tx: sa.Connection, id: UUID, body: BackfillCreate) -> Backfill:
    """Run a deployment for the instants of a schedule in a range of the past, so many at a time, the earliest first.

    Raises:
        NotFound: there is no such deployment or schedule.
        Invalid: it has no schedule, or several and none is named; or the range is not past.
    """
    # it is not to be deleted meanwhile
    there = sa.select(deployment.c.id).where(deployment.c.id == id).with_for_update(read=True, key_share=True)
    rows.one(tx, there, "deployment", id)
    moment = now()
    if body.start > moment:
        raise Invalid(f"start: {body.start.isoformat()} is not past. The runs of what comes are made by the scheduler.")
    schedule_id, schedule, parameters = _schedule(tx, id, body)
    scheduling.preview(schedule, body.start - timedelta(microseconds=1), 1)  # whether it can be followed at all
    values = {
        "deployment_id": id,
        "schedule_id": schedule_id,
        "schedule": schedule,
        "range_start": body.start,
        "range_end": min(body.end, moment),
        "concurrency": body.concurrency,
        "skip_existing": body.skip_existing,
        "parameters": {**parameters, **body.model_dump(mode="json")["parameters"]},
        "status": _RUNNING,
    }
    made = tx.execute(sa.insert(backfill).values(**values).returning(backfill.c.id)).scalar_one()
    announce(tx, BACKFILLS)
    return read_backfill(tx, made)


@operation("GET", "/backfills/{id}")
def read_backfill(tx: sa.Connection, id: UUID) -> Backfill:
    """One backfill, and how far it has come.

    Raises:
        NotFound: there is no such backfill.
    """
    return _views(tx, [rows.one(tx, sa.select(backfill).where(backfill.c.id == id), "backfill", id)])[0]


@operation("GET", "/deployments/{id}/backfills")
def read_backfills(tx: sa.Connection, id: UUID, limit: int = rows.DEFAULT_LIMIT, offset: int = 0) -> list[Backfill]:
    """The backfills of a deployment, the newest first.

    Raises:
        NotFound: there is no such deployment.
        Invalid: limit or offset is below zero.
    """
    if limit < 0 or offset < 0:
        raise Invalid("limit and offset must not be below 0.")
    rows.one(tx, sa.select(deployment.c.id).where(deployment.c.id == id), "deployment", id)
    statement = sa.select(backfill).where(backfill.c.deployment_id == id).order_by(backfill.c.id.desc())
    return _views(tx, list(tx.execute(statement.limit(limit).offset(offset)).mappings()))


@operation("POST", "/backfills/{id}/cancel", writes=True)
def cancel_backfill(tx: sa.Connection, id: UUID) -> Backfill:
    """Make no more runs of a backfill and cancel those that have not begun; those under way end by themselves.

    Raises:
        NotFound: there is no such backfill.
    """
    statement = sa.select(backfill.c.status).where(backfill.c.id == id).with_for_update()
    if rows.one(tx, statement, "backfill", id)["status"] == _RUNNING:
        edits.update(tx, backfill, backfill.c.id == id, {"status": _CANCELLED}, taken="")
        waiting = sa.select(flow_run.c.id).where(_of(id), flow_run.c.state_type == SCHEDULED, flow_run.c.run_count == 0)
        for run_id in tx.execute(waiting).scalars().all():
            propose_flow_run_state(tx, run_id, RunState(CANCELLED, message="Its backfill was cancelled."), force=True)
    return read_backfill(tx, id)


# -- what the service does ------------------------------------------------------------------------------------------


def are_under_way(tx: sa.Connection) -> bool:
    """Whether there is a backfill that is not at its end."""
    return tx.execute(sa.select(backfill.c.id).where(backfill.c.status == _RUNNING).limit(1)).first() is not None


def go_on(tx: sa.Connection, moment: datetime) -> tuple[int, bool]:
    """Make the runs of backfills for which there is room; how many, and whether there is more to be done at once."""
    statement = sa.select(backfill).where(backfill.c.status == _RUNNING).order_by(backfill.c.id)
    made, more = 0, False
    for row in tx.execute(statement.limit(_BACKFILLS_AT_ONCE).with_for_update(skip_locked=True)).mappings().all():
        runs, unfinished = _go_on(tx, row, moment)
        made, more = made + runs, more or unfinished
    return made, more


def _go_on(tx: sa.Connection, row: sa.RowMapping, moment: datetime) -> tuple[int, bool]:
    active = (
        sa.select(sa.func.count()).select_from(flow_run).where(_of(row["id"]), flow_run.c.state_type.not_in(TERMINAL))
    )
    under_way = tx.execute(active).scalar_one()
    room = row["concurrency"] - under_way
    if room <= 0:
        return 0, False
    begin = row["position"] or row["range_start"] - timedelta(microseconds=1)
    coming = rules.instants(rules.spec_of(row["schedule"]), begin, row["range_end"])
    looked_at = list(itertools.islice(coming, _LOOKED_AT_ONCE))
    there = _existing(tx, row, looked_at)
    chosen = list(itertools.islice((instant for instant in looked_at if instant not in there), room))
    # what was passed over behind the last one that is made is looked at again
    position = chosen[-1] if len(chosen) == room else looked_at[-1] if looked_at else row["position"]
    ended = len(looked_at) < _LOOKED_AT_ONCE and len(chosen) < room and not chosen and under_way == 0
    values: dict[str, Any] = {"position": position, "status": _COMPLETED if ended else _RUNNING}
    tx.execute(sa.update(backfill).where(backfill.c.id == row["id"]).values(values))
    made = _make(tx, row, chosen, moment) if chosen else 0
    return made, len(looked_at) == _LOOKED_AT_ONCE and len(chosen) < room


def _make(tx: sa.Connection, row: sa.RowMapping, chosen: list[datetime], moment: datetime) -> int:
    of = tx.execute(sa.select(deployment).where(deployment.c.id == row["deployment_id"])).mappings().one()
    values = scheduling.values_of_scheduled_run(tx, of, row["parameters"], tags=(TAG,))
    values["created_by"] = {"id": str(row["id"]), "type": "BACKFILL", "display_value": f"backfill of {of['name']}"}
    values["labels"] = {**values["labels"], LABEL: str(row["id"])}
    runs = [
        scheduling.row_of_run(values, f"backfill {row['id']} {instant.isoformat(sep=' ')}", instant, moment, moment)
        for instant in chosen
    ]
    made = scheduling.insert_runs(tx, runs, moment)
    links = [
        {"backfill_id": row["id"], "instant": run["expected_start_time"], "flow_run_id": run["id"]} for run in runs
    ]
    tx.execute(sa.insert(backfill_run), links)
    return made


def _existing(tx: sa.Connection, row: sa.RowMapping, instants: list[datetime]) -> set[datetime]:
    """The instants for which the schedule made a run, if those are to be left out."""
    if not row["skip_existing"] or row["schedule_id"] is None or not instants:
        return set()
    keys = {scheduling.key_of(row["deployment_id"], row["schedule_id"], instant): instant for instant in instants}
    flow_id = sa.select(deployment.c.flow_id).where(deployment.c.id == row["deployment_id"]).scalar_subquery()
    statement = sa.select(flow_run.c.idempotency_key).where(
        flow_run.c.flow_id == flow_id, flow_run.c.idempotency_key.in_(list(keys))
    )
    return {keys[key] for key in tx.execute(statement).scalars()}


# -------------------------------------------------------------------------------------------------------------------


def _of(backfill_id: UUID) -> sa.ColumnElement[bool]:
    return flow_run.c.id.in_(sa.select(backfill_run.c.flow_run_id).where(backfill_run.c.backfill_id == backfill_id))


def _schedule(
    tx: sa.Connection, deployment_id: UUID, body: BackfillCreate
) -> tuple[UUID | None, dict[str, Any], dict[str, Any]]:
    """The schedule to follow: its id, what it says, and the parameters of its runs."""
    if body.schedule is not None:
        return None, body.schedule.model_dump(mode="json"), {}
    table = deployment_schedule
    statement = sa.select(table).where(table.c.deployment_id == deployment_id)
    if body.schedule_id is not None or body.slug is not None:
        named = table.c.slug == body.slug if body.schedule_id is None else table.c.id == body.schedule_id
        found = [rows.one(tx, statement.where(named), "schedule", str(body.schedule_id or body.slug))]
    else:
        found = list(tx.execute(statement).mappings())
    if len(found) != 1:
        raise Invalid(
            f"schedule: the deployment has {len(found) or 'no'} schedules. "
            + ("Name one by schedule_id or slug." if found else "Give one, such as {'cron': '0 0 * * *'}.")
        )
    return found[0]["id"], found[0]["schedule"], found[0]["parameters"]


def _views(tx: sa.Connection, found: list[sa.RowMapping]) -> list[Backfill]:
    statement = (
        sa.select(backfill_run.c.backfill_id, flow_run.c.state_type, sa.func.count())
        .join(flow_run, backfill_run.c.flow_run_id == flow_run.c.id)
        .where(backfill_run.c.backfill_id.in_([row["id"] for row in found]))
        .group_by(backfill_run.c.backfill_id, flow_run.c.state_type)
    )
    runs: dict[UUID, dict[str, int]] = {row["id"]: {} for row in found}
    for id, state, count in tx.execute(statement):
        runs[id][state] = count
    return [Backfill.model_validate({**row, "runs": runs[row["id"]]}) for row in found]
