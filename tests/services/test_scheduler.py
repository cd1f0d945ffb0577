"""Runs of schedules: every instant once, whoever makes runs and whoever changes schedules at the same time."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._operations import deployment_schedules, deployments, flow_runs, scheduled_runs, scheduling
from prefect._operations.errors import NotFound
from prefect._rules import schedules as rules
from prefect._schemas.actions.deployments import (
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect._schemas.deployments import DeploymentResponse
from prefect._services import scheduler
from prefect._services.loops import Loops
from prefect._store.tables import deployment, deployment_schedule, flow_run, flow_run_state
from prefect.server.database import Database, make_database
from prefect.settings import get_current_settings

from .conftest import NOON, Town, at
from .named import named

HOUR = timedelta(hours=1)
HOURLY = {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "slug": "hourly"}
DAILY = {"schedule": {"cron": "0 0 * * *", "timezone": "UTC"}, "slug": "daily"}


def put(town: Town, name: str = "s", schedules: Any = (HOURLY,), **fields: Any) -> DeploymentResponse:
    body = DeploymentCreate.model_validate(
        {
            "name": name,
            "flow_id": town.flow,
            "work_pool_name": "pool",
            "work_queue_name": "default",
            "schedules": list(schedules),
            **fields,
        }
    )
    return town.database.write(lambda tx: deployments.create_deployment(tx, body)).value


def instants(town: Town, **where: Any) -> list[datetime]:
    statement = sa.select(flow_run.c.expected_start_time).where(flow_run.c.auto_scheduled.is_(True))
    statement = statement.filter_by(state_type="SCHEDULED", **where).order_by(flow_run.c.expected_start_time)
    return [row["expected_start_time"] for row in town.rows(statement)]


def hours(*numbers: int) -> list[datetime]:
    return [NOON + number * HOUR for number in numbers]


def look(town: Town, moment: datetime = NOON) -> int:
    done = 0
    for _ in range(200):
        found = scheduler.run_once(town.database, moment)
        done += found.done
        if not found.more:
            return done
    raise AssertionError("the scheduler does not come to an end")


def change(town: Town, id: UUID, **fields: Any) -> None:
    body = DeploymentUpdate.model_validate(fields)
    town.database.write(lambda tx: deployments.update_deployment(tx, id, body))


def test_a_run_of_a_schedule_says_where_it_is_from(town: Town) -> None:
    schedule = {**HOURLY, "parameters": {"b": 2}}
    made = put(town, schedules=[schedule], parameters={"a": 1}, tags=["x"], labels={"l": 1}, version="3")
    assert look(town) == 3
    assert instants(town) == hours(1, 2, 3)
    (id, *_) = [row["id"] for row in town.rows(sa.select(flow_run.c.id).order_by(flow_run.c.expected_start_time))]
    run = town.database.read(lambda tx: flow_runs.flow_run_of(tx, id))
    key = f"scheduled {made.id} {made.schedules[0].id} 2024-05-17 13:00:00+00:00"
    assert (run.idempotency_key, run.auto_scheduled, run.deployment_version) == (key, True, "3")
    assert (run.parameters, run.tags) == ({"a": 1, "b": 2}, ["auto-scheduled", "x"])
    assert run.labels["l"] == 1 and run.labels["prefect.deployment.id"] == str(made.id)
    assert run.created_by is not None
    assert (run.created_by.id, run.created_by.type) == (made.schedules[0].id, "SCHEDULE")
    assert run.created_by.display_value == "hourly"
    assert (run.work_pool_name, run.work_queue_name) == ("pool", "default")
    assert run.next_scheduled_start_time == run.expected_start_time == NOON + HOUR
    assert run.state is not None and run.state.name == "Scheduled" and run.state.message == "Flow run scheduled"
    assert run.state.state_details.scheduled_time == NOON + HOUR
    assert town.events("prefect.flow-run.") == ["prefect.flow-run.Scheduled"] * 3


def test_runs_are_made_before_they_are_due_and_once(town: Town) -> None:
    put(town)
    put(town, "other", [DAILY])
    moment, looks = NOON, 0
    while moment < NOON + timedelta(days=2):
        found = scheduler.run_once(town.database, moment)
        looks += 1
        assert found.next_at is not None and moment < found.next_at <= moment + timedelta(days=1)
        moment = found.next_at
    days = [NOON + timedelta(hours=12 + 24 * day) for day in range(5)]
    assert instants(town) == sorted([*hours(*range(1, 51)), *days])
    assert looks < 60
    assert scheduler.run_once(town.database, NOON + timedelta(minutes=1)).done == 0


def test_many_deployments_are_dealt_with_in_pieces(town: Town) -> None:
    for number in range(130):
        put(town, f"d{number}")
    first = scheduler.run_once(town.database, NOON)
    assert (first.done, first.more) == (300, True)
    assert look(town) == 90
    assert len(instants(town)) == 390


def test_of_many_new_schedules_none_waits_for_the_distant_runs_of_another(town: Town) -> None:
    """An instant that comes while runs of the next hour are made for others is not missed."""
    often = {"schedule": {"interval": 60.0, "anchor_date": "2024-01-01T00:00:00Z"}}
    for number in range(130):
        put(town, f"d{number}", [often])
    first, second = scheduler.run_once(town.database, NOON), scheduler.run_once(town.database, NOON)
    assert first.more
    assert second.more
    assert instants(town).count(NOON + timedelta(minutes=1)) == 130
    made = first.done + second.done + look(town)
    assert Counter(instants(town)) == {NOON + timedelta(minutes=each): 130 for each in range(1, 62)}
    assert made == 130 * 61


def test_what_is_paused_or_inactive_makes_no_runs(town: Town) -> None:
    paused = put(town, "paused", paused=True)
    put(town, "inactive", [{**HOURLY, "active": False}])
    made = put(town, "on")
    assert look(town) == 3
    change(town, paused.id, paused=False)
    assert look(town) == 3
    town.database.write(lambda tx: deployments.pause_deployment(tx, made.id))
    assert instants(town, deployment_id=made.id) == []
    assert look(town, at(10)) == 0
    town.database.write(lambda tx: deployments.resume_deployment(tx, made.id))
    assert look(town, at(3600 * 5)) == 6
    assert instants(town, deployment_id=made.id) == hours(6, 7, 8)


def test_a_changed_schedule_takes_its_future_runs_back_and_no_others(town: Town) -> None:
    made = put(town, schedules=[HOURLY, DAILY])
    look(town)
    hourly = next(one for one in made.schedules if one.slug == "hourly")
    started = town.rows(sa.select(flow_run.c.id).order_by(flow_run.c.expected_start_time))[0]["id"]
    town.execute(sa.update(flow_run).where(flow_run.c.id == started).values(state_type="RUNNING", run_count=1))
    body = DeploymentScheduleUpdate.model_validate({"schedule": {"cron": "30 * * * *"}})
    town.database.write(lambda tx: deployment_schedules.update_deployment_schedule(tx, made.id, hourly.id, body))
    days = [NOON + timedelta(hours=12 + 24 * day) for day in range(3)]
    assert instants(town) in (days, sorted([*hours(1, 2, 3)[1:], *days]))
    look(town)
    halves = [moment + HOUR / 2 for moment in hours(0, 1, 2)]
    assert set(halves) <= set(instants(town))
    town.database.write(lambda tx: deployment_schedules.delete_deployment_schedule(tx, made.id, hourly.id))
    assert not set(halves) & set(instants(town))
    assert set(days) <= set(instants(town))
    assert town.rows(sa.select(flow_run.c.id).where(flow_run.c.id == started))


def test_deploying_the_same_again_changes_nothing(town: Town) -> None:
    first = put(town, parameters={"a": 1})
    look(town, moment := now())
    before = instants(town)
    again = put(town, parameters={"a": 1})
    assert [one.id for one in again.schedules] == [one.id for one in first.schedules]
    assert instants(town) == before
    put(town, parameters={"a": 2})
    assert instants(town) == []
    look(town, moment)
    assert instants(town) == before
    statement = sa.select(flow_run.c.parameters).where(flow_run.c.deployment_id == first.id)
    assert [row["parameters"] for row in town.rows(statement)] == [{"a": 2}] * 3


def test_a_schedule_with_a_slug_stays_itself_when_it_changes(town: Town) -> None:
    first = put(town, schedules=[HOURLY])
    second = put(town, schedules=[{**HOURLY, "schedule": {"interval": 60}}, DAILY])
    ids = {one.slug: one.id for one in second.schedules}
    assert ids["hourly"] == first.schedules[0].id
    third = put(town, schedules=[{"schedule": {"cron": "1 1 * * *"}, "slug": "new", "replaces": "hourly"}])
    assert [(one.slug, one.id) for one in third.schedules] == [("new", ids["hourly"])]


@pytest.mark.parametrize(
    ("catch_up", "waiting", "cancelled"),
    [
        (None, hours(1, 2, 3, 10, 11, 12), []),
        ("skip", hours(10, 11, 12), hours(1, 2, 3)),
        ("latest", hours(9, 10, 11, 12), hours(1, 2, 3)),
        ("all", hours(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), []),
    ],
)
def test_after_a_long_night_the_policy_says_what_is_made_up_for(
    town: Town, catch_up: str | None, waiting: list[datetime], cancelled: list[datetime]
) -> None:
    put(town, schedules=[{**HOURLY, "catch_up": catch_up}])
    look(town)
    look(town, NOON + 9.5 * HOUR)
    assert instants(town) == waiting
    statement = sa.select(flow_run.c.expected_start_time).where(flow_run.c.state_name == "Cancelled")
    assert [
        row["expected_start_time"] for row in town.rows(statement.order_by(flow_run.c.expected_start_time))
    ] == cancelled
    if cancelled:
        message = sa.select(flow_run_state.c.message).where(flow_run_state.c.type == "CANCELLED")
        assert f"catch-up policy of the schedule is {catch_up!r}" in town.rows(message)[0]["message"]


def test_a_clock_that_jumps_makes_no_instant_twice_and_leaves_none_out(town: Town) -> None:
    put(town)
    look(town)
    look(town, NOON + timedelta(days=30))
    look(town, NOON + HOUR)
    assert look(town, NOON + HOUR) == 0
    month = [moment + timedelta(days=30) for moment in hours(1, 2, 3)]
    assert instants(town) == [*hours(1, 2, 3, 4), *month]


def test_a_rule_that_costs_too_much_is_told_and_holds_nobody_up(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    put(town, "bad", [{"schedule": {"rrule": "FREQ=SECONDLY;COUNT=900000000", "timezone": "UTC"}, "slug": "costly"}])
    put(town, "good")
    assert look(town) == 3
    assert "Schedule costly of deployment 'bad'" in caplog.text and "200,000" in caplog.text
    assert look(town, at(60)) == 0


def test_runs_of_a_range_are_made_on_request(town: Town) -> None:
    made = put(town, schedules=[HOURLY, {"schedule": {"interval": 600, "anchor_date": NOON.isoformat()}}])
    horizon = rules.Horizon()
    for expected in (10, 0):
        count = town.database.write(
            lambda tx: scheduling.make_between(tx, made.id, NOON, NOON + 5 * HOUR, horizon, NOON)
        )
        assert count == expected
    assert instants(town)[:2] == [NOON, NOON]


def test_the_scheduler_hears_of_changes(town: Town) -> None:
    loops = Loops(town.database, named("scheduler"), get_current_settings())
    loops.start()
    try:
        made = put(town)
        wait_for(lambda: len(instants(town)) == 3)
        town.database.write(lambda tx: deployments.pause_deployment(tx, made.id))
        assert instants(town) == []
        town.database.write(lambda tx: deployments.resume_deployment(tx, made.id))
        wait_for(lambda: len(instants(town)) == 3)
    finally:
        loops.stop()


def wait_for(holds: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_schedulers_and_deploys_at_once_leave_every_instant_once(town: Town, url: str) -> None:
    names = [f"d{number}" for number in range(6)]
    for name in names:
        put(town, name, [HOURLY])
    stop = threading.Event()

    servers = [make_database(url) for _ in range(3)]
    for server in servers:
        server.open()

    def schedule(database: Database) -> int:
        made = 0
        while not stop.is_set():
            made += scheduler.run_once(database, now()).done
        return made

    def disturb(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            name = rng.choice(names)
            minute = rng.choice(["0", "30"])
            made = put(
                town, name, [{**HOURLY, "schedule": {"cron": f"{minute} * * * *"}}], parameters={"n": rng.randrange(3)},
                paused=rng.random() < 0.3,
            )  # fmt: skip
            town.database.write(rng.choice([
                lambda tx, id=made.id: add_quarter(tx, id),
                lambda tx, id=made.id: make_some(tx, id),
                lambda tx, one=made: delete_something(tx, one, rng),
                lambda tx: None,
            ]))  # fmt: skip

    with ThreadPoolExecutor(5) as pool:
        makers = [pool.submit(schedule, server) for server in servers]
        disturbers = [pool.submit(disturb, seed) for seed in range(2)]
        try:
            for disturber in disturbers:
                disturber.result(60)
        finally:
            stop.set()
        for maker in makers:
            maker.result(60)
    for server in servers:
        server.close()
    for number in range(3):
        look(town, now() + timedelta(milliseconds=number))
    left = town.database.read(lambda tx: deployments.read_deployments(tx, deployments.DeploymentQuery()))
    for one in left:
        check_runs(town, one)
    of_none = flow_run.c.deployment_id.not_in([one.id for one in left])
    assert town.rows(sa.select(flow_run.c.id).where(of_none, flow_run.c.expected_start_time > now())) == []


def add_quarter(tx: sa.Connection, id: UUID) -> None:
    schedules = [DeploymentScheduleCreate.model_validate({"schedule": {"cron": "15 * * * *"}})]
    with contextlib.suppress(NotFound):  # somebody else was faster
        deployment_schedules.create_deployment_schedules(tx, id, schedules)


def make_some(tx: sa.Connection, id: UUID) -> None:
    unpaused = sa.select(deployment.c.id).where(deployment.c.id == id, deployment.c.paused.is_(False))
    if tx.execute(unpaused.with_for_update()).first() is not None:
        scheduled_runs.schedule_deployment(tx, id)


def delete_something(tx: sa.Connection, made: DeploymentResponse, rng: random.Random) -> None:
    with contextlib.suppress(NotFound):
        if rng.random() < 0.5:
            deployments.delete_deployment(tx, made.id)
        else:
            deployment_schedules.delete_deployment_schedule(tx, made.id, rng.choice(made.schedules).id)


def check_runs(town: Town, deployed: DeploymentResponse) -> None:
    statement = sa.select(flow_run.c.expected_start_time, flow_run.c.created_by, flow_run.c.parameters).where(
        flow_run.c.deployment_id == deployed.id, flow_run.c.expected_start_time > now()
    )
    found = town.rows(statement)
    if deployed.paused:
        assert found == []
        return
    schedules = {str(one.id): one for one in deployed.schedules}
    assert {row["created_by"]["id"] for row in found} == set(schedules)
    assert all(row["parameters"] == deployed.parameters for row in found)
    for id, schedule in schedules.items():
        moments = sorted(row["expected_start_time"] for row in found if row["created_by"]["id"] == id)
        spec = rules.spec_of(schedule.schedule.model_dump(mode="json"))
        assert moments == list(rules.instants(spec, now(), moments[-1])) and len(moments) >= 2
    in_table = town.rows(sa.select(deployment_schedule.c.id).where(deployment_schedule.c.deployment_id == deployed.id))
    assert len(in_table) == len(schedules)
