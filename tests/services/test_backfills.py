"""Backfills: every instant of a range once, so many at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import backfills as ops
from prefect._operations import deployments, flow_runs
from prefect._operations.errors import Invalid, NotFound
from prefect._operations.state_changes import propose_flow_run_state
from prefect._rules.states import COMPLETED, RunState
from prefect._schemas.actions.deployments import DeploymentCreate
from prefect._schemas.backfills import Backfill, BackfillCreate
from prefect._schemas.deployments import DeploymentResponse
from prefect._services import backfills, scheduler
from prefect._store.tables import flow_run

from .conftest import NOON, Town

HOUR = timedelta(hours=1)
HOURLY = {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "slug": "hourly", "parameters": {"b": 2}}


def put(town: Town, schedules: Any = (HOURLY,)) -> DeploymentResponse:
    fields = {"name": "b", "flow_id": town.flow, "parameters": {"a": 1}, "tags": ["x"], "schedules": list(schedules)}
    return town.database.write(
        lambda tx: deployments.create_deployment(tx, DeploymentCreate.model_validate(fields))
    ).value


def start(town: Town, id: UUID, hours: int = 5, **fields: Any) -> Backfill:
    body = BackfillCreate.model_validate({"start": NOON, "end": NOON + hours * HOUR, **fields})
    return town.database.write(lambda tx: ops.create_backfill(tx, id, body))


def read(town: Town, id: UUID) -> Backfill:
    return town.database.read(lambda tx: ops.read_backfill(tx, id))


def waiting(town: Town) -> list[tuple[UUID, datetime]]:
    statement = sa.select(flow_run.c.id, flow_run.c.expected_start_time).where(flow_run.c.state_type == "SCHEDULED")
    return [tuple(row.values()) for row in town.rows(statement.order_by(flow_run.c.expected_start_time))]


def finish(town: Town, *ids: UUID) -> None:
    for id in ids:
        town.database.write(lambda tx, id=id: propose_flow_run_state(tx, id, RunState(COMPLETED), force=True))


def test_so_many_runs_are_under_way_at_once_until_the_range_is_done(town: Town) -> None:
    begun = start(town, put(town).id, concurrency=2)
    assert (begun.status, begun.runs, begun.position) == ("RUNNING", {}, None)
    seen: list[datetime] = []
    for _ in range(3):
        while backfills.run_once(town.database, now()).more:
            pass
        assert backfills.run_once(town.database, now()).done == 0
        seen += [moment for _, moment in waiting(town)]
        assert len(waiting(town)) == 2
        finish(town, *(id for id, _ in waiting(town)))
    backfills.run_once(town.database, now())
    assert seen == [NOON + hour * HOUR for hour in range(6)]
    ended = read(town, begun.id)
    assert (ended.status, ended.runs, ended.position) == ("COMPLETED", {"COMPLETED": 6}, NOON + 5 * HOUR)
    assert backfills.run_once(town.database, now()).done == 0


def test_a_run_of_a_backfill_stands_for_its_instant(town: Town) -> None:
    deployed = put(town)
    begun = start(town, deployed.id, parameters={"c": 3})
    backfills.run_once(town.database, moment := now())
    ((id, instant),) = waiting(town)
    run = town.database.read(lambda tx: flow_runs.flow_run_of(tx, id))
    assert (instant, run.expected_start_time, run.next_scheduled_start_time) == (NOON, NOON, moment)
    assert (run.parameters, run.tags, run.auto_scheduled) == ({"a": 1, "b": 2, "c": 3}, ["backfill", "x"], False)
    assert run.labels["prefect.backfill.id"] == str(begun.id)
    assert run.created_by is not None and run.created_by.type == "BACKFILL"
    assert town.events("prefect.flow-run.") == ["prefect.flow-run.Scheduled"]


@pytest.mark.parametrize("skip", [True, False])
def test_instants_that_have_a_run_may_be_left_out(town: Town, skip: bool) -> None:
    deployed = put(town)
    scheduler.run_once(town.database, NOON)  # makes those of one, two and three hours later
    finish(town, *(id for id, _ in waiting(town)))
    start(town, deployed.id, concurrency=100, skip_existing=skip)
    backfills.run_once(town.database, now())
    hours = [0, 4, 5] if skip else range(6)
    assert [moment for _, moment in waiting(town)] == [NOON + hour * HOUR for hour in hours]


def test_a_range_in_which_all_is_done_comes_to_its_end(town: Town) -> None:
    minutely = {"schedule": {"interval": 1, "anchor_date": NOON.isoformat()}, "max_scheduled_runs": 1}
    deployed = put(town, [minutely])
    begun = start(town, deployed.id, 1, concurrency=1000, schedule={"cron": "0 0 1 1 *"})
    backfills.run_once(town.database, now())
    assert read(town, begun.id).status == "COMPLETED"


def test_a_long_range_is_gone_through_in_pieces(town: Town) -> None:
    deployed = put(town)
    body = {"schedule": {"interval": 1, "anchor_date": NOON.isoformat()}, "concurrency": 1000}
    begun = start(town, deployed.id, 1, **body)
    rounds = 1
    while backfills.run_once(town.database, now()).more:
        rounds += 1
    assert (rounds, read(town, begun.id).runs) == (2, {"SCHEDULED": 1000})
    assert read(town, begun.id).position == NOON + timedelta(seconds=999)


def test_a_backfill_is_cancelled(town: Town) -> None:
    deployed = put(town)
    begun = start(town, deployed.id, concurrency=3)
    backfills.run_once(town.database, now())
    first = waiting(town)[0][0]
    town.execute(sa.update(flow_run).where(flow_run.c.id == first).values(state_type="RUNNING", run_count=1))
    cancelled = town.database.write(lambda tx: ops.cancel_backfill(tx, begun.id))
    assert (cancelled.status, cancelled.runs) == ("CANCELLED", {"RUNNING": 1, "CANCELLED": 2})
    assert town.database.write(lambda tx: ops.cancel_backfill(tx, begun.id)) == cancelled
    assert backfills.run_once(town.database, now()).done == 0
    (listed,) = town.database.read(lambda tx: ops.read_backfills(tx, deployed.id))
    assert listed == cancelled


def test_which_schedule_must_be_clear(town: Town) -> None:
    with_two = put(town, [HOURLY, {"schedule": {"cron": "0 0 * * *"}, "slug": "daily"}])
    with pytest.raises(Invalid, match=r"2 schedules.*by schedule_id or slug"):
        start(town, with_two.id)
    assert start(town, with_two.id, slug="daily").schedule_id in {one.id for one in with_two.schedules}
    with pytest.raises(NotFound, match="Schedule 'nope'"):
        start(town, with_two.id, slug="nope")
    without = put(town, [])
    with pytest.raises(Invalid, match="no schedules"):
        start(town, without.id)
    assert start(town, without.id, schedule={"interval": 3600, "anchor_date": NOON}).schedule_id is None
    with pytest.raises(NotFound, match="Deployment"):
        start(town, new_uuid())
    with pytest.raises(Invalid, match="is not past"):
        start(town, without.id, start=now() + HOUR, end=now() + 2 * HOUR, schedule={"cron": "0 0 * * *"})
    with pytest.raises(ValidationError, match="end must not be before start"):
        BackfillCreate(start=NOON, end=NOON - HOUR)
