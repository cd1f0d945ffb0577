"""What each service does, at times of our choosing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now, to_us
from prefect._ids import new_uuid
from prefect._operations import claims, leases, rows, slots, work_pools
from prefect._operations.state_changes import enter_state, locked_flow_run, propose_flow_run_state
from prefect._rules.states import RunState
from prefect._schemas.leases import ClaimRequest, HeldRun, LeaseHolder, LeaseRenewals, LeaseRequest
from prefect._services import (
    cancellation_cleanup,
    db_vacuum,
    foreman,
    late_runs,
    lease_expiry,
    pause_expirations,
    repossessor,
    task_run_reconciliation,
)
from prefect._store.tables import (
    artifact,
    artifact_collection,
    cleanup_message,
    concurrency_lease,
    concurrency_limit,
    csrf_token,
    deployment,
    event,
    event_resource,
    flow_run,
    flow_run_state,
    log,
    run_lease,
    task_run,
    worker,
)
from prefect.settings import temporary_settings

from .conftest import NOON, Town, at

HOLDER = LeaseHolder(kind="process", id=new_uuid(), name="p")


def hold(town: Town, run: UUID, until: Any) -> None:
    town.database.write(lambda tx: leases.lease_flow_run(tx, run, LeaseRequest(holder=HOLDER)))
    town.execute(sa.update(run_lease).where(run_lease.c.flow_run_id == run).values(expires=until, renewed_at=NOON))


def test_a_state_is_not_entered_before_the_one_that_it_follows(town: Town) -> None:
    run = town.run("SCHEDULED")
    (made,) = town.database.read(lambda tx: rows.state_history(tx, flow_run_state, run))

    def enter(tx: sa.Connection) -> None:
        row = locked_flow_run(tx, run)
        enter_state(tx, flow_run, row, RunState("SCHEDULED", "Late", timestamp=to_us(made.timestamp) - 1000))

    town.database.write(enter)
    states = town.database.read(lambda tx: rows.state_history(tx, flow_run_state, run))
    assert [(state.name, state.timestamp) for state in states] == [
        (made.name, made.timestamp), ("Late", made.timestamp),
    ]  # fmt: skip


# -- late runs ------------------------------------------------------------------------------------------------------


def test_runs_that_did_not_start_in_time_are_late(town: Town) -> None:
    late, due, later = town.scheduled(0), town.scheduled(10), town.scheduled(100)
    found = late_runs.run_once(town.database, at(16))
    assert (found.done, found.more, found.next_at) == (1, False, at(25))
    assert [town.state(run)["name"] for run in (late, due, later)] == ["Late", "Scheduled", "Scheduled"]
    assert town.state(late)["state_details"]["scheduled_time"] == round(at(0).timestamp() * 1e6)
    assert town.events("prefect.flow-run") == ["prefect.flow-run.Late"]
    assert late_runs.run_once(town.database, at(16)).done == 0


def test_the_grace_is_a_setting(town: Town) -> None:
    run = town.scheduled(0)
    with temporary_settings({"PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": 60}):
        assert late_runs.run_once(town.database, at(59)).done == 0
        assert late_runs.run_once(town.database, at(61)).done == 1
    assert town.state(run)["name"] == "Late"


def test_a_run_that_somebody_holds_is_not_late(town: Town) -> None:
    run = town.scheduled(0)
    hold(town, run, at(100))
    assert late_runs.run_once(town.database, at(30)).done == 0
    assert late_runs.run_once(town.database, at(101)).done == 1


def test_two_servers_mark_a_run_once(town: Town) -> None:
    for _ in range(30):
        town.scheduled(0)
    with ThreadPoolExecutor(2) as pool:
        rounds = list(pool.map(lambda _: late_runs.run_once(town.database, at(60)), range(2)))
    assert sum(one.done for one in rounds) == 30
    assert town.events("prefect.flow-run") == ["prefect.flow-run.Late"] * 30


# -- pauses ---------------------------------------------------------------------------------------------------------


def test_a_pause_that_lasted_too_long_fails_the_run(town: Town) -> None:
    paused = [
        town.run("PAUSED", state_details={"pause_timeout": round(at(seconds).timestamp() * 1e6)})
        for seconds in (10, 20)
    ]
    endless = town.run("PAUSED")
    task = town.task(paused[0], "PAUSED")
    found = pause_expirations.run_once(town.database, at(11))
    assert (found.done, found.next_at) == (1, at(20))
    assert [town.state(run)["type"] for run in [*paused, endless]] == ["FAILED", "PAUSED", "PAUSED"]
    assert town.state(paused[0])["message"] == "The flow was paused and never resumed."
    assert town.task_state(task) == "Crashed"
    assert pause_expirations.run_once(town.database, at(21)).next_at is None


# -- leases ---------------------------------------------------------------------------------------------------------


def test_leases_that_have_ended(town: Town) -> None:
    run, held = town.run(), town.run()
    hold(town, run, at(60))
    hold(town, held, at(70))
    found = lease_expiry.run_once(town.database, at(60))
    assert (found.done, found.next_at) == (1, at(70))
    assert [town.state(one)["type"] for one in (run, held)] == ["CRASHED", "RUNNING"]
    assert town.events("prefect.flow-run") == ["prefect.flow-run.Crashed"]


def test_nobody_is_taken_for_dead_because_there_was_no_server(town: Town) -> None:
    run, other = town.run(), town.run()
    hold(town, run, at(60))
    hold(town, other, at(3600))
    lease_expiry.begin(town.database, at(600))
    assert lease_expiry.run_once(town.database, at(600)) == (False, at(660), 0)
    assert lease_expiry.run_once(town.database, at(661)).done == 1


def test_a_clock_that_was_set_back_keeps_no_lease_for_longer(town: Town) -> None:
    """Whoever lives renews it within a minute by either clock; of who does not, one need not hear an hour later."""
    before, after = town.run(), town.run()
    hold(town, before, at(3660))
    town.execute(sa.update(run_lease).values(renewed_at=at(3600)))
    hold(town, after, at(600))  # for a run that is due in nine minutes
    lease_expiry.begin(town.database, NOON)
    assert lease_expiry.run_once(town.database, at(59)) == (False, at(60), 0)
    assert lease_expiry.run_once(town.database, at(61)) == (False, at(600), 1)
    assert "61 seconds ago" in town.state(before)["message"]


def test_two_servers_end_a_lease_once(town: Town) -> None:
    runs = [town.run() for _ in range(20)]
    for run in runs:
        hold(town, run, at(0))
    with ThreadPoolExecutor(2) as pool:
        rounds = list(pool.map(lambda _: lease_expiry.run_once(town.database, at(1)), range(2)))
    assert sum(one.done for one in rounds) == 20
    assert town.events("prefect.flow-run") == ["prefect.flow-run.Crashed"] * 20


# -- cancellations --------------------------------------------------------------------------------------------------


def test_cancelling_goes_on_to_sub_flow_runs(town: Town) -> None:
    cancelled = town.run("CANCELLED", state_timestamp=at(-10))
    inside = town.run(parent_flow_run_id=cancelled)
    inside_that = town.run(parent_flow_run_id=inside)
    task = town.task(inside_that)
    apart = town.run(parent_flow_run_id=cancelled, deployment_id=town.deployment)
    paused = town.run("PAUSED", parent_flow_run_id=cancelled, deployment_id=town.deployment)
    waiting = town.make(
        lambda world: world.flow_run(
            town.flow, state="SCHEDULED", parent_flow_run_id=cancelled, deployment_id=town.deployment
        )
    )
    done = town.run("COMPLETED", parent_flow_run_id=cancelled)
    cancellation_cleanup.run_once(town.database, NOON)
    states = [town.state(run)["type"] for run in (inside, inside_that, apart, paused, waiting, done)]
    assert states == ["CANCELLED", "CANCELLED", "CANCELLING", "CANCELLED", "CANCELLED", "COMPLETED"]
    assert town.task_state(task) == "Cancelled"
    assert cancellation_cleanup.run_once(town.database, NOON).done == 0


def test_a_run_that_is_being_cancelled_takes_care_of_its_process(town: Town) -> None:
    cancelling = town.run("CANCELLING", state_timestamp=at(-10))
    inside = town.run(parent_flow_run_id=cancelling)
    apart = town.run(parent_flow_run_id=cancelling, deployment_id=town.deployment)
    of_pool = town.run(parent_flow_run_id=cancelling, work_queue_id=town.queue)
    cancellation_cleanup.run_once(town.database, NOON)
    states = [town.state(run)["type"] for run in (inside, apart, of_pool)]
    assert states == ["RUNNING", "CANCELLING", "CANCELLING"]


def test_a_cancellation_that_nobody_answers_is_over(town: Town) -> None:
    silent, held = (town.run("CANCELLING", state_timestamp=NOON) for _ in range(2))
    hold(town, held, at(1000))
    found = cancellation_cleanup.run_once(town.database, at(299))
    assert (found.done, found.next_at) == (0, at(300))
    assert cancellation_cleanup.run_once(town.database, at(301)).done == 1
    assert [town.state(run)["type"] for run in (silent, held)] == ["CANCELLED", "CANCELLING"]


def orders(town: Town) -> list[tuple[str, Any, Any, Any]]:
    found = town.rows(sa.select(cleanup_message).order_by(cleanup_message.c.id))
    return [(row["kind"], row["flow_run_id"], row["work_queue_id"], row["target"]) for row in found]


def test_what_may_still_run_of_a_cancelled_run_is_taken_down(town: Town) -> None:
    timeout = "cancelling_timeout_teardown.v1"
    of_pool = {"state_timestamp": NOON, "work_queue_id": town.queue, "infrastructure_pid": "job-1"}
    left = town.run("CANCELLING", **of_pool)
    town.run("CANCELLING", **{**of_pool, "infrastructure_pid": None})
    town.run("CANCELLING", **{**of_pool, "work_queue_id": None})
    assert cancellation_cleanup.run_once(town.database, at(301)).done == 3
    target = {"flow_run_id": str(left), "infrastructure_pid": "job-1"}
    assert orders(town) == [(timeout, left, town.queue, target)]
    cut_off = town.run("CANCELLING", **of_pool)
    hold(town, cut_off, at(400))
    assert lease_expiry.run_once(town.database, at(401)).done == 1
    assert [one[:2] for one in orders(town)] == [(timeout, left), (timeout, cut_off)]
    assert town.state(cut_off)["type"] == "CANCELLED"


def test_what_a_lost_claim_has_started_is_taken_down(town: Town) -> None:
    run = town.run("PENDING", work_queue_id=town.queue, deployment_id=town.deployment, infrastructure_pid="job-1")
    bare = town.run("PENDING", work_queue_id=town.queue, deployment_id=town.deployment)
    for one in (run, bare):
        hold(town, one, at(60))
    assert lease_expiry.run_once(town.database, at(61)).done == 2
    assert [town.state(one)["type"] for one in (run, bare)] == ["SCHEDULED", "SCHEDULED"]
    [(kind, id, queue, target)] = orders(town)
    assert (kind, id, queue) == ("pending_claim_teardown.v1", run, town.queue)
    assert target["infrastructure_pid"] == "job-1" and UUID(target["claim_id"]).version == 5
    # what is started next is another one, and its order takes the place of the first
    town.execute(sa.update(flow_run).where(flow_run.c.id == run).values(infrastructure_pid="job-2"))
    town.execute(sa.update(cleanup_message).values(delivery_count=9, dead_since=NOON))
    make_pending(town, run)
    hold(town, run, at(120))
    assert lease_expiry.run_once(town.database, at(121)).done == 1
    [order] = town.rows(sa.select(cleanup_message))
    assert order["target"]["infrastructure_pid"] == "job-2" and order["target"]["claim_id"] != target["claim_id"]
    assert (order["delivery_count"], order["dead_since"]) == (0, None)


def make_pending(town: Town, run: UUID) -> None:
    town.database.write(lambda tx: propose_flow_run_state(tx, run, RunState("PENDING"), force=True))


@pytest.mark.parametrize("by", ["lease", "renew"])
def test_who_comes_back_with_a_claim_keeps_what_was_started(town: Town, by: str) -> None:
    run = town.run("PENDING", work_queue_id=town.queue, deployment_id=town.deployment, infrastructure_pid="job-1")
    hold(town, run, at(60))
    token = town.rows(sa.select(run_lease.c.token))[0]["token"]
    lease_expiry.run_once(town.database, at(61))
    assert len(orders(town)) == 1
    request = LeaseRequest(holder=HOLDER, token=token)
    renewal = LeaseRenewals(leases=[HeldRun(flow_run_id=run, token=token)])
    if by == "lease":
        town.database.write(lambda tx: leases.lease_flow_run(tx, run, request))
    else:
        town.database.write(lambda tx: leases.renew_flow_run_leases(tx, renewal))
    assert orders(town) == []
    assert town.rows(sa.select(flow_run.c.infrastructure_pid))[0]["infrastructure_pid"] == "job-1"


def test_an_order_that_nobody_carries_out_is_forgotten(town: Town) -> None:
    of_pool = {"state_timestamp": NOON, "work_queue_id": town.queue, "infrastructure_pid": "x"}
    _, run = [town.run("CANCELLING", **of_pool) for _ in range(2)]
    assert cancellation_cleanup.run_once(town.database, at(301)).done == 2
    town.execute(sa.update(cleanup_message).values(created=at(-10)))
    town.execute(sa.update(cleanup_message).where(cleanup_message.c.flow_run_id == run).values(created=at(0)))
    db_vacuum.run_once(town.database, at(86400 - 5))
    assert [one[1] for one in orders(town)] == [run]


# -- task runs ------------------------------------------------------------------------------------------------------


def test_task_runs_that_were_left_open_have_crashed(town: Town) -> None:
    ended = town.run("COMPLETED", end_time=NOON)
    going_on = town.run()
    left, ran, other = (
        town.task(ended, state_timestamp=at(-5)),
        town.task(ended, "COMPLETED", end_time=NOON),
        town.task(going_on),
    )
    assert task_run_reconciliation.run_once(town.database, at(30)).done == 0
    assert task_run_reconciliation.run_once(town.database, at(61)).done == 1
    assert [town.task_state(task) for task in (left, ran, other)] == ["Crashed", "Completed", "Running"]
    # what the task run reports after all is newer
    [row] = town.rows(sa.select(task_run.c.state_timestamp).where(task_run.c.id == left))
    assert row["state_timestamp"] == at(-5) + timedelta(microseconds=1)


# -- slots ----------------------------------------------------------------------------------------------------------


def test_slots_of_the_dead_come_free(town: Town) -> None:
    town.make(lambda world: world._insert(concurrency_limit, name="x", limit=2))

    def take(tx: sa.Connection) -> None:
        slots.take(tx, slots.select_limits(tx, ["x"]), 1, lease=slots.Terms(60))

    town.database.write(take)
    [row] = town.rows(sa.select(concurrency_lease.c.expires))
    found = repossessor.run_once(town.database, now())
    assert (found.done, found.next_at) == (0, row["expires"])
    assert repossessor.run_once(town.database, row["expires"]) == (False, None, 1)


def test_nobody_loses_slots_because_there_was_no_server(town: Town) -> None:
    town.make(lambda world: world._insert(concurrency_limit, name="x", limit=9))
    for seconds in (60, 3600):
        terms = slots.Terms(seconds)
        town.database.write(lambda tx, terms=terms: slots.take(tx, slots.select_limits(tx, ["x"]), 1, lease=terms))
    short, long = sorted(row["expires"] for row in town.rows(sa.select(concurrency_lease.c.expires)))
    later = short + timedelta(minutes=5)
    repossessor.begin(town.database, later)
    assert repossessor.run_once(town.database, later) == (False, later + timedelta(minutes=2), 0)
    assert repossessor.run_once(town.database, later + timedelta(minutes=2)) == (False, long, 1)


# -- readiness ------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_runs_is_told(town: Town) -> None:
    town.scheduled(0)
    body = ClaimRequest(holder=HOLDER, work_pool_name="pool")
    town.database.write(lambda tx: claims.claim_flow_runs(tx, body))
    beat = work_pools.WorkerHeartbeat(name="w", heartbeat_interval_seconds=10)
    town.database.write(lambda tx: work_pools.worker_heartbeat(tx, "pool", beat))
    moment = now()
    found = foreman.run_once(town.database, moment)
    told = {f"prefect.{kind}.ready" for kind in ("work-pool", "work-queue", "deployment")}
    assert found.next_at is not None
    assert 25 < (found.next_at - moment).total_seconds() < 31
    assert {name for name in town.events() if "flow-run" not in name} == told
    assert foreman.run_once(town.database, moment).done == 0
    assert foreman.run_once(town.database, moment + timedelta(seconds=120)).done == 3
    names = [name for name in town.events() if "flow-run" not in name]
    assert sorted(names[3:]) == sorted(name.replace(".ready", ".not-ready") for name in told)
    ready, unready = town.rows(
        sa.select(event).where(event.c.event.startswith("prefect.work-pool")).order_by(event.c.occurred)
    )
    assert unready["follows"] == ready["id"]


def test_two_servers_tell_of_it_once(town: Town) -> None:
    town.execute(sa.update(deployment).values(last_polled=NOON))
    with ThreadPoolExecutor(2) as pool:
        rounds = list(pool.map(lambda _: foreman.run_once(town.database, at(1)), range(2)))
    assert sum(one.done for one in rounds) == 1
    town.execute(sa.delete(deployment))
    assert foreman.run_once(town.database, at(2)).done == 1
    assert town.events() == ["prefect.deployment.ready"]


def test_of_many_deployments_it_is_told_some_at_a_time(town: Town) -> None:
    def many(world: Any) -> None:
        flow_id = world.flow("many")
        for number in range(101):
            world._insert(deployment, name=f"d{number}", flow_id=flow_id, last_polled=NOON)

    town.make(many)
    first, second = foreman.run_once(town.database, at(1)), foreman.run_once(town.database, at(1))
    assert (first.more, first.done) == (True, 100)
    assert (second.more, second.done) == (False, 1)
    assert town.events() == ["prefect.deployment.ready"] * 101


# -- retention ------------------------------------------------------------------------------------------------------


def old(town: Town, days: float, **values: Any) -> UUID:
    moment = NOON - timedelta(days=days)
    return town.run("COMPLETED", expected_start_time=moment, end_time=moment, **values)


def test_old_flow_runs_go_with_what_belongs_to_them(town: Town) -> None:
    gone, kept, going_on = old(town, 400), old(town, 300), town.run(expected_start_time=NOON - timedelta(days=400))
    child = old(town, 400, parent_flow_run_id=gone)
    town.task(gone, "COMPLETED")

    def artifacts(world: Any) -> list[UUID]:
        made = [world._insert(artifact, key=key, flow_run_id=gone) for key in ("a", "a", None)]
        world._insert(artifact_collection, key="a", latest_id=made[1])
        return made

    made = town.make(artifacts)
    while db_vacuum.run_once(town.database, NOON).more:
        pass
    db_vacuum.run_once(town.database, NOON)  # the sub-flow run, whose parent has gone
    left = {row["id"] for row in town.rows(sa.select(flow_run.c.id))}
    assert left == {kept, going_on}
    assert child not in left
    assert [row["id"] for row in town.rows(sa.select(artifact.c.id))] == [made[1]]
    assert town.rows(sa.select(task_run.c.id)) == []


def id_of(days: float) -> UUID:
    milliseconds = round((NOON - timedelta(days=days)).timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | new_uuid().int & (1 << 62) - 1)


def happened(town: Town, name: str, days: float) -> None:
    def work(world: Any) -> None:
        moment = NOON - timedelta(days=days)
        id = world._insert(event, event=name, occurred=moment, resource_id="x", payload={}, received=moment)
        row = {"event_id": id, "position": 0, "resource_id": "x", "role": "", "labels": {}, "occurred": moment}
        world.tx.execute(sa.insert(event_resource).values(**row))

    town.make(work)


def test_old_events_and_lines_go(town: Town) -> None:
    for days in (1, 6, 8):
        happened(town, "a", days)
        happened(town, "prefect.flow-run.heartbeat", days)
    for days in (1, 179, 181):
        town.make(lambda world, days=days: world.log(f"{days}", id=id_of(days)))
    with temporary_settings({"PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": {
        "prefect.flow-run.heartbeat": timedelta(days=2)
    }}):  # fmt: skip
        db_vacuum.run_once(town.database, NOON)
    assert sorted(town.events("")) == ["a", "a", "prefect.flow-run.heartbeat"]
    assert len(town.rows(sa.select(event_resource))) == 3
    assert {row["message"] for row in town.rows(sa.select(log.c.message))} == {"1", "179"}


def test_a_batch_at_a_time(town: Town) -> None:
    for _ in range(7):
        happened(town, "a", 8)
    with temporary_settings({"PREFECT_SERVER_SERVICES_DB_VACUUM_BATCH_SIZE": 3}):
        assert [db_vacuum.run_once(town.database, NOON).more for _ in range(3)] == [True, True, False]
    assert town.events("") == []


@pytest.mark.parametrize(("setting", "left"), [("false", 1), ("events", 1), ("flow_runs", 0), ("true", 0)])
def test_what_is_removed_is_a_choice(town: Town, setting: str, left: int) -> None:
    old(town, 50)
    changes = {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": setting,
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": timedelta(days=30),
    }
    with temporary_settings(changes):
        db_vacuum.run_once(town.database, NOON)
    assert len(town.rows(sa.select(flow_run.c.id))) == left


def test_what_nobody_can_use_any_more_goes(town: Town) -> None:
    def make(world: Any) -> None:
        for name, moment in (("a", at(-1)), ("b", at(1))):
            world._insert(csrf_token, token=name, client=name, expiration=moment)
        for name, days in (("a", 40), ("b", 20)):
            moment = NOON - timedelta(days=days)
            world._insert(worker, name=name, work_pool_id=town.pool, last_heartbeat_time=moment, offline_at=moment)

    town.make(make)
    db_vacuum.run_once(town.database, NOON)
    assert [row["client"] for row in town.rows(sa.select(csrf_token.c.client))] == ["b"]
    assert [row["name"] for row in town.rows(sa.select(worker.c.name))] == ["b"]


def test_a_service_is_imported_when_there_is_something_for_it(tmp_path: Path) -> None:
    """A server that has nothing to do does not load what would do it; one that has does, and it is done."""
    script = """
import sys
from prefect._clock import now, to_us
from prefect._services.framework import all_services
from prefect.server.database import make_database

database = make_database(f"sqlite:///{sys.argv[1]}")
database.open()
modules = {f"prefect._services.{service.name}" for service in all_services()}
for service in all_services():
    if service.begin is not None:
        service.begin(database, now())
    assert service.run_once(database, now()).next_at is None, service.name
print(sorted(modules & set(sys.modules)))
"""
    given = [sys.executable, "-c", script, str(tmp_path / "a.db")]
    assert subprocess.run(given, capture_output=True, text=True, check=True).stdout == "[]\n"
