"""Many claim at once: nothing is run twice, no limit is exceeded, nothing is left behind."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import claims, leases
from prefect._operations.errors import Conflict
from prefect._operations.registry import NotYet
from prefect._operations.state_changes import propose_flow_run_state
from prefect._rules.states import RunState
from prefect._schemas.leases import ClaimedRun, ClaimRequest, HeldRun, LeaseHolder, LeaseRenewals, LeaseReturn
from prefect._store.tables import concurrency_limit, deployment, flow_run, flow_run_state, work_pool, work_queue
from prefect.server.database import Database, make_database
from store.conftest import PostgreSQL

from .conftest import World

LIMIT = 3


@pytest.fixture(params=["sqlite", "postgresql"])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Database]]:
    """Two servers' views of one database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/pluperfect.db"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.database("claims")
    databases = [make_database(url), make_database(url)]
    for database in databases:
        database.open()
    yield databases
    for database in databases:
        database.close()


class Work:
    """A pool with a limited queue, a deployment with a limit, and one without; runs of both that are due."""

    def __init__(self, database: Database, runs: int) -> None:
        self.limited: set[UUID] = set()
        database.write(lambda tx: self._make(World(tx), runs))

    def _make(self, world: World, runs: int) -> None:
        flow = world.flow()
        pool = world._insert(work_pool, name="pool", type="process")
        of_pool = {"work_pool_id": pool, "description": ""}
        free = world._insert(work_queue, name="free", priority=1, **of_pool)
        narrow = world._insert(work_queue, name="narrow", priority=2, concurrency_limit=LIMIT, **of_pool)
        limit = world._insert(concurrency_limit, name="deployment:x", limit=LIMIT)
        one = world._insert(deployment, name="limited", flow_id=flow, work_queue_id=free, concurrency_limit_id=limit)
        other = world._insert(deployment, name="free", flow_id=flow, work_queue_id=narrow)
        self.deployments = {"limited": one, "free": other}
        for n in range(runs):
            name = ("limited", "free", "both")[n % 3]
            due = now() - timedelta(seconds=runs - n)
            world.flow_run(
                flow, name, state="SCHEDULED", expected_start_time=due, next_scheduled_start_time=due,
                deployment_id=other if name == "free" else one, work_queue_id=free if name == "limited" else narrow,
                state_details={"scheduled_time": round(due.timestamp() * 1e6)},
            )  # fmt: skip


def holder(name: str = "w") -> LeaseHolder:
    return LeaseHolder(kind="worker", id=new_uuid(), name=name)


def claim(database: Database, who: LeaseHolder, limit: int = 1) -> list[ClaimedRun]:
    body = ClaimRequest(holder=who, work_pool_name="pool", limit=limit)
    found = database.write(lambda tx: claims.claim_flow_runs(tx, body))
    return found.value if isinstance(found, NotYet) else found


def enter(database: Database, run: ClaimedRun, type: str) -> str:
    def work(tx: sa.Connection) -> str:
        result, _ = propose_flow_run_state(tx, run.flow_run.id, RunState(type), lease_token=run.token)
        return result.status.value

    return database.write(work)


class Room:
    """Counts what is under way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.ran: Counter[UUID] = Counter()

    def enter(self, run: ClaimedRun) -> None:
        with self.lock:
            self.ran[run.flow_run.id] += 1
            for what in self._limits(run):
                self.under_way[what] += 1
                self.most[what] = max(self.most[what], self.under_way[what])

    def leave(self, run: ClaimedRun) -> None:
        with self.lock:
            for what in self._limits(run):
                self.under_way[what] -= 1

    def _limits(self, run: ClaimedRun) -> list[str]:
        return [
            what for what in (str(run.flow_run.deployment_id), run.work_queue.name if run.work_queue else "") if what
        ]


def test_nothing_is_claimed_twice_and_no_limit_is_exceeded(replicas: list[Database]) -> None:
    runs = 90
    work = Work(replicas[0], runs)
    room = Room()
    problems: list[str] = []

    def worker(number: int) -> None:
        database, me = replicas[number % 2], holder(f"w{number}")
        while len(room.ran) < runs and not problems:
            for run in claim(database, me, limit=2):
                room.enter(run)
                answers = [enter(database, run, "RUNNING")]
                room.leave(run)  # before the slot is given back: what is counted here is under way for certain
                answers.append(enter(database, run, "COMPLETED"))
                if answers != ["ACCEPT", "ACCEPT"]:
                    problems.append(f"{run.flow_run.name}: {answers}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(worker, range(8), timeout=120))
    assert problems == []
    assert len(room.ran) == runs
    assert set(room.ran.values()) == {1}
    assert room.most[str(work.deployments["limited"])] <= LIMIT
    assert room.most["narrow"] <= LIMIT
    states = sa.select(flow_run_state.c.type, sa.func.count()).group_by(flow_run_state.c.type)
    counts = replicas[0].read(lambda tx: dict(tx.execute(states).tuples().all()))
    assert counts["PENDING"] == counts["RUNNING"] == counts["COMPLETED"] == runs


def test_runs_of_a_queue_come_in_the_order_in_which_they_were_due(replicas: list[Database]) -> None:
    Work(replicas[0], 30)
    me = holder()
    seen: list[ClaimedRun] = []
    while found := claim(replicas[len(seen) % 2], me, limit=3):
        for run in found:
            seen.append(run)
            enter(replicas[0], run, "RUNNING")
            enter(replicas[1], run, "COMPLETED")
    assert len(seen) == 30
    for queue in ("free", "narrow"):
        dues = [
            run.flow_run.expected_start_time
            for run in seen
            if run.work_queue is not None and run.work_queue.name == queue
        ]
        assert dues == sorted(dues)  # type: ignore[type-var]


def test_of_those_who_lose_and_take_claims_one_is_listened_to(replicas: list[Database]) -> None:
    Work(replicas[0], 12)
    accepted: Counter[UUID] = Counter()
    lock = threading.Lock()
    done = threading.Event()

    def expire() -> None:
        later = now() + timedelta(hours=1)
        while not done.is_set():
            for database in replicas:
                for id in database.read(lambda tx: leases.expired(tx, later, 5)):
                    database.write(lambda tx, id=id: leases.expire(tx, id, later))

    def worker(number: int) -> None:
        database, me = replicas[number % 2], holder(f"w{number}")
        for _ in range(40):
            for run in claim(database, me, limit=3):
                held = HeldRun(flow_run_id=run.flow_run.id, token=run.token)
                database.write(lambda tx, held=held: leases.renew_flow_run_leases(tx, LeaseRenewals(leases=[held])))
                if number % 3 == 0:
                    try:
                        body = LeaseReturn(token=run.token)
                        database.write(
                            lambda tx, run=run, body=body: leases.release_flow_run(tx, run.flow_run.id, body)
                        )
                    except Conflict:
                        pass
                elif enter(database, run, "COMPLETED") == "ACCEPT":
                    with lock:
                        accepted[run.flow_run.id] += 1

    with ThreadPoolExecutor(5) as pool:
        expiring = pool.submit(expire)
        try:
            list(pool.map(worker, range(4), timeout=120))
        finally:
            done.set()
        expiring.result(timeout=60)
    assert all(count == 1 for count in accepted.values())
    completed = sa.select(flow_run.c.id).where(flow_run.c.state_type == "COMPLETED")
    assert set(replicas[0].read(lambda tx: tx.execute(completed).scalars().all())) == set(accepted)
    states = sa.select(flow_run_state.c.flow_run_id).where(flow_run_state.c.type == "COMPLETED")
    assert len(replicas[0].read(lambda tx: tx.execute(states).all())) == len(accepted)
