"""Automations that are each other's reason: the chain ends, is told of, and harms nobody else."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._operations import chains, outbox
from prefect._operations.automations import create_automation
from prefect._operations.events import load_events
from prefect._operations.work_pools import WorkerHeartbeat, worker_heartbeat
from prefect._schemas.automation_requests import AutomationCreate
from prefect._services import actions, foreman, late_runs, triggers
from prefect._services.triggers import _MOST_OF_ONE_CHAIN as MOST
from prefect._store.tables import automation_action, automation_count, event, flow_run

from .conftest import Town

STOPPED = "prefect.automation.loop-stopped"


def make(town: Town, name: str, expect: list[str], *wanted: dict[str, Any], match: Any = None, **trigger: Any) -> UUID:
    body = {
        "name": name,
        "trigger": {"type": "event", "posture": "Reactive", "expect": expect, "match": match or {}, **trigger},
        "actions": list(wanted) or [{"type": "do-nothing"}],
    }
    return town.database.write(lambda tx: create_automation(tx, AutomationCreate.model_validate(body))).id


def emit(town: Town, name: str = "begin", of: str = "x") -> None:
    town.database.write(lambda tx: outbox.emit(tx, name, {"prefect.resource.id": of}))


def settle(town: Town, *more: Any, seconds: float = 0) -> None:
    """Let the services, and more of them, work until nothing is left to do; each time as if seconds had gone by."""
    quiet = 0
    for turn in range(300):
        moment = now() + turn * timedelta(seconds=seconds)
        looked = triggers.run_once(town.database, moment)
        did = actions.run_once(town.database, moment)
        others = [service.run_once(town.database, moment) for service in more]
        did_something = looked.done or looked.more or did.done or any(found.done for found in others)
        quiet = 0 if did_something else quiet + 1
        if quiet == 2:  # what was told in the first quiet one is seen in the next
            assert town.rows(sa.select(automation_action)) == []
            return
    raise AssertionError("it goes round for ever")


def fired(town: Town, id: UUID) -> int:
    is_its = (event.c.event == "prefect.automation.triggered", event.c.resource_id == f"prefect.automation.{id}")
    return len(town.rows(sa.select(event.c.id).where(*is_its)))


def stopped(town: Town) -> list[str]:
    return [row["resource_id"] for row in town.rows(sa.select(event.c.resource_id).where(event.c.event == STOPPED))]


def test_a_pair_that_pauses_and_resumes(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    """Each does what the other one waits for."""
    pool = {"source": "selected", "work_pool_id": str(town.pool)}
    resumes = make(town, "resumes", ["prefect.work-pool.paused"], {"type": "resume-work-pool", **pool})
    pauses = make(
        town, "pauses", ["prefect.work-pool.ready", "prefect.work-pool.not-ready"], {"type": "pause-work-pool", **pool}
    )
    bystander = make(town, "bystander", [STOPPED])
    here = WorkerHeartbeat(name="w")
    with caplog.at_level(logging.WARNING, "prefect.server.services"):
        town.database.write(lambda tx: worker_heartbeat(tx, "pool", here))
        settle(town, foreman)  # which tells what pools are, a while after they were changed
    assert MOST <= fired(town, pauses) <= MOST + 1
    assert MOST <= fired(town, resumes) <= MOST + 1
    (told,) = stopped(town)  # the other one waits in vain from then on
    assert told in (f"prefect.automation.{pauses}", f"prefect.automation.{resumes}")
    assert fired(town, bystander) == 1
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "goes round in circles" in warning
    assert str(told).rpartition(".")[2] in warning


def test_a_run_for_each_run_that_is_late(town: Town) -> None:
    """Nobody carries them out, so the next one is late, too."""
    run = {"type": "run-deployment", "source": "selected", "deployment_id": str(town.deployment)}
    once_more = make(town, "once more", ["begin", "prefect.flow-run.Late"], run)
    emit(town)
    settle(town, late_runs, seconds=60)
    assert fired(town, once_more) == MOST + 1
    assert stopped(town) == [f"prefect.automation.{once_more}"]


def test_a_pair_that_only_watches_each_other(town: Town) -> None:
    fires = ["prefect.automation.triggered"]
    first = make(town, "first", ["begin", *fires])
    second = make(town, "second", fires)
    emit(town)
    settle(town)
    assert MOST <= fired(town, first) <= MOST + 1
    assert MOST <= fired(town, second) <= MOST + 1
    assert len(stopped(town)) >= 1


def test_a_chain_that_branches_does_not_flood(town: Town) -> None:
    run = {"type": "run-deployment", "source": "selected", "deployment_id": str(town.deployment)}
    make(town, "one becomes two", ["begin", "prefect.flow-run.Scheduled"], run, run)
    emit(town)
    settle(town)
    assert len(town.rows(sa.select(flow_run.c.id))) == 2 * (MOST + 1)
    assert len(stopped(town)) == 1


def test_what_happens_by_itself_fires_as_often_as_it_happens(town: Town) -> None:
    often = make(town, "often", ["begin"])
    reports = make(town, "reports", ["prefect.automation.triggered"])
    for _ in range(MOST + 10):
        emit(town)
    settle(town)
    assert fired(town, often) == fired(town, reports) == MOST + 10
    assert stopped(town) == []


def test_events_say_what_began_the_chain(town: Town) -> None:
    pool = {"source": "selected", "work_pool_id": str(town.pool)}
    make(town, "pauses", ["begin"], {"type": "pause-work-pool", **pool})
    town.database.write(lambda tx: worker_heartbeat(tx, "pool", WorkerHeartbeat(name="w")))
    foreman.run_once(town.database, now())
    begin = town.database.write(lambda tx: outbox.emit(tx, "begin", {"prefect.resource.id": "x"}))
    settle(town, foreman)
    names = [
        "prefect.automation.triggered", "prefect.work-pool.paused", "prefect.automation.action.triggered",
        "prefect.automation.action.executed",
    ]  # fmt: skip
    rows = town.rows(sa.select(event).where(event.c.event.in_(names)))
    assert sorted(row["event"] for row in rows) == sorted(names)
    for one in town.database.read(lambda tx: load_events(tx, rows)):
        assert chains.origin_of(each.root for each in one.related) == begin
    (first,) = town.database.read(
        lambda tx: load_events(tx, town.rows(sa.select(event).where(event.c.event == "begin")))
    )
    assert chains.origin_of(each.root for each in first.related) is None


def test_what_is_remembered_of_a_chain_is_forgotten(town: Town) -> None:
    make(town, "first", ["begin", "prefect.automation.triggered"])
    make(town, "second", ["prefect.automation.triggered"])
    emit(town)
    settle(town)
    counts = sa.select(automation_count).where(automation_count.c.key == "chain")
    assert town.rows(counts)
    assert all(row["expires"] > now() for row in town.rows(counts))
    emit(town, "prefect.nothing")
    triggers.run_once(town.database, max(row["expires"] for row in town.rows(counts)))
    assert town.rows(counts) == []


@pytest.mark.parametrize("id", ["prefect.event.no-id", "x", "other.01930000-0000-7000-8000-000000000001"])
def test_what_others_say_of_a_chain_is_read_with_care(id: str) -> None:
    assert chains.origin_of([{"prefect.resource.id": id, "prefect.resource.role": chains.ROLE}]) is None
