"""Schedules of deployments: when runs of them are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now
from prefect._operations import edits, rows
from prefect._operations.errors import Invalid, NotFound
from prefect._operations.registry import operation
from prefect._operations.scheduling import schedules_changed
from prefect._schemas.actions.deployments import DeploymentScheduleCreate, DeploymentScheduleUpdate
from prefect._schemas.deployments import DeploymentSchedule
from prefect._schemas.schedules import NoSchedule
from prefect._store.announcements import SCHEDULES, announce
from prefect._store.tables import deployment, deployment_schedule

_SLUG_TAKEN = (
    "Two schedules of this deployment would have the same slug. Give each its own, or change the one that has it."
)


@operation("GET", "/deployments/{id}/schedules")
def read_deployment_schedules(tx: sa.Connection, id: UUID) -> list[DeploymentSchedule]:
    """The schedules of a deployment, the one changed last first.

    Raises:
        NotFound: there is no such deployment.
    """
    _check_deployment(tx, id)
    return schedules_of(tx, [id])[id]


@operation("POST", "/deployments/{id}/schedules", writes=True, status=201)
def create_deployment_schedules(
    tx: sa.Connection, id: UUID, body: list[DeploymentScheduleCreate]
) -> list[DeploymentSchedule]:
    """Add schedules to a deployment.

    Raises:
        NotFound: there is no such deployment.
        Conflict: one of its schedules has that slug.
        Invalid: one of them does not say when.
    """
    _check_deployment(tx, id, to_change=True)
    if any(isinstance(one.schedule, NoSchedule) for one in body):
        raise Invalid("schedule says neither cron, nor interval, nor rrule: say when the deployment is to run.")
    return add_schedules(tx, id, body)


@operation("PATCH", "/deployments/{id}/schedules/{schedule_id}", writes=True, status=204)
def update_deployment_schedule(tx: sa.Connection, id: UUID, schedule_id: UUID, body: DeploymentScheduleUpdate) -> None:
    """Change a schedule of a deployment; what is not given stays as it is.

    Raises:
        NotFound: there is no such deployment, or it has no such schedule.
        Conflict: another one of its schedules has that slug.
    """
    _check_deployment(tx, id, to_change=True)
    values = edits.changes(deployment_schedule, body)
    if body.schedule is not None:
        values["schedule"] = body.schedule.model_dump(mode="json")
    before = rows.one(tx, sa.select(deployment_schedule).where(_is(id, schedule_id)), "schedule", schedule_id)
    if all(before[name] == value for name, value in values.items()):
        return
    if edits.update(tx, deployment_schedule, _is(id, schedule_id), values, taken=_SLUG_TAKEN) == 0:
        raise NotFound("schedule", schedule_id)
    # what is due goes on, unless the schedule is told to stop
    schedules_changed(tx, id, [schedule_id], due_after=None if body.active is False else now())


@operation("DELETE", "/deployments/{id}/schedules/{schedule_id}", writes=True, status=204)
def delete_deployment_schedule(tx: sa.Connection, id: UUID, schedule_id: UUID) -> None:
    """Delete a schedule of a deployment.

    Raises:
        NotFound: there is no such deployment, or it has no such schedule.
    """
    _check_deployment(tx, id, to_change=True)
    # first the schedule, which waits for who makes runs of it; then its runs
    edits.delete(tx, deployment_schedule, _is(id, schedule_id), "schedule", schedule_id)
    schedules_changed(tx, id, [schedule_id])


def schedules_of(tx: sa.Connection, deployment_ids: Sequence[UUID]) -> dict[UUID, list[DeploymentSchedule]]:
    """The schedules of deployments, by deployment, the one changed last first."""
    found: dict[UUID, list[DeploymentSchedule]] = {id: [] for id in deployment_ids}
    statement = sa.select(deployment_schedule).where(deployment_schedule.c.deployment_id.in_(deployment_ids))
    statement = statement.order_by(deployment_schedule.c.updated.desc(), deployment_schedule.c.id.desc())
    for row in tx.execute(statement).mappings():
        found[row["deployment_id"]].append(DeploymentSchedule.model_validate(row))
    return found


def add_schedules(
    tx: sa.Connection, deployment_id: UUID, given: Sequence[DeploymentScheduleCreate]
) -> list[DeploymentSchedule]:
    """Add schedules to a deployment that exists; one that replaces another takes its place.

    Raises:
        Conflict: a slug is taken.
    """
    replaced = [schedule.replaces for schedule in given if schedule.replaces is not None]
    table = deployment_schedule
    _remove(tx, deployment_id, table.c.slug.in_(replaced))
    announce(tx, SCHEDULES)
    made: list[DeploymentSchedule] = []
    with edits.conflicts(tx, _SLUG_TAKEN):
        for schedule in given:
            values = schedule.model_dump(mode="json", exclude={"replaces"})
            statement = sa.insert(table).values(**values, deployment_id=deployment_id).returning(*table.c)
            made.append(DeploymentSchedule.model_validate(tx.execute(statement).mappings().one()))
    return made


def replace_schedules(
    tx: sa.Connection, deployment_id: UUID, given: Sequence[DeploymentScheduleCreate | DeploymentScheduleUpdate]
) -> None:
    """Give a deployment these schedules, and no others. Those that it has already stay as they are, with their runs.

    Raises:
        Conflict: two of them have the same slug.
        Invalid: one of them does not say when.
    """
    there = sa.select(deployment_schedule).where(deployment_schedule.c.deployment_id == deployment_id).with_for_update()
    left = list(tx.execute(there).mappings())
    new: list[DeploymentScheduleCreate] = []
    for schedule in map(_complete, given):
        same = next((row for row in left if _is_same(row, schedule)), None)
        if same is None:
            new.append(schedule)
            continue
        left.remove(same)
        values = _values(schedule)
        if any(same[name] != value for name, value in values.items()):
            tx.execute(sa.update(deployment_schedule).where(_is(deployment_id, same["id"])).values(values))
            stops = same["active"] and not schedule.active
            schedules_changed(tx, deployment_id, [same["id"]], due_after=None if stops else now())
    _remove(tx, deployment_id, deployment_schedule.c.id.in_([row["id"] for row in left]))
    add_schedules(tx, deployment_id, new)


def change_schedules(tx: sa.Connection, deployment_id: UUID, given: Sequence[DeploymentScheduleUpdate]) -> None:
    """Change schedules of a deployment by their slugs, where all of those that it has have one; others stay.

    Where one of them has none, the deployment gets these schedules and no others.

    Raises:
        Conflict: two of them would have the same slug.
        Invalid: one of them has no slug, or is new and does not say when.
    """
    there = sa.select(deployment_schedule).where(deployment_schedule.c.deployment_id == deployment_id).with_for_update()
    by_slug = {row["slug"]: row for row in tx.execute(there).mappings()}
    if not by_slug or None in by_slug:
        replace_schedules(tx, deployment_id, given)
        return
    nameless = [number for number, schedule in enumerate(given) if schedule.slug is None]
    if nameless:
        raise Invalid(
            f"schedules.{nameless[0]}: it needs a slug, as all schedules of the deployment have one: a slug says which "
            f"one is meant. They are {', '.join(sorted(map(repr, by_slug)))}."
        )
    for schedule in given:
        row = by_slug.get(schedule.replaces) or by_slug.get(schedule.slug)
        if row is None:
            add_schedules(tx, deployment_id, [_complete(schedule)])
        else:
            update_deployment_schedule(tx, deployment_id, row["id"], schedule)


def _complete(schedule: DeploymentScheduleCreate | DeploymentScheduleUpdate) -> DeploymentScheduleCreate:
    fields: dict[str, Any] = {name: getattr(schedule, name) for name in schedule.model_fields_set}
    if fields.get("schedule") is None:
        raise Invalid("schedules: one of them has no `schedule` (interval, cron or rrule).")
    return DeploymentScheduleCreate(**{name: value for name, value in fields.items() if value is not None})


def _values(schedule: DeploymentScheduleCreate) -> dict[str, Any]:
    return schedule.model_dump(mode="json", exclude={"replaces"})


def _is_same(row: sa.RowMapping, schedule: DeploymentScheduleCreate) -> bool:
    """Whether a schedule is meant that is there: by its slug, or, without one, by when it fires and with what."""
    if schedule.slug is not None or row["slug"] is not None:
        return row["slug"] in (schedule.slug, schedule.replaces) and row["slug"] is not None
    values = _values(schedule)
    return row["schedule"] == values["schedule"] and row["parameters"] == values["parameters"]


def _remove(tx: sa.Connection, deployment_id: UUID, where: sa.ColumnElement[bool]) -> None:
    """Remove schedules of a deployment with the runs of them that have not begun."""
    of_deployment = sa.and_(deployment_schedule.c.deployment_id == deployment_id, where)
    gone = tx.execute(sa.delete(deployment_schedule).where(of_deployment).returning(deployment_schedule.c.id))
    ids = list(gone.scalars())
    if ids:
        schedules_changed(tx, deployment_id, ids)


def _check_deployment(tx: sa.Connection, id: UUID, *, to_change: bool = False) -> None:
    statement = sa.select(deployment.c.id).where(deployment.c.id == id)
    if to_change:  # it is not to be deleted meanwhile
        statement = statement.with_for_update(read=True, key_share=True)
    rows.one(tx, statement, "deployment", id)


def _is(deployment_id: UUID, id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(deployment_schedule.c.deployment_id == deployment_id, deployment_schedule.c.id == id)
