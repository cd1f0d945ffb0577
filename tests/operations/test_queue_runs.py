"""Which runs may start: in what order, within which limits, and that none holds up those behind it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect._ids import new_uuid
from prefect._operations.queue_runs import Scope, find_due, next_due, tell_those_without_room
from prefect._rules.orchestration import AWAITING_SLOT
from prefect._store.tables import (
    concurrency_limit,
    deployment,
    flow_run,
    flow_run_state,
    run_lease,
    work_pool,
    work_queue,
)

from .conftest import NOON, World, after


class Queues(World):
    """Pools, queues, deployments and scheduled runs."""

    def __init__(self, tx: sa.Connection) -> None:
        super().__init__(tx)
        self.flow_id = self.flow(f"f-{new_uuid()}")

    def pool(self, **values: Any) -> UUID:
        return self._insert(work_pool, name=str(new_uuid()), type="process", **values)

    def queue(self, pool_id: UUID, priority: int = 1, **values: Any) -> UUID:
        values = {"description": "", "name": str(new_uuid()), **values}
        return self._insert(work_queue, work_pool_id=pool_id, priority=priority, **values)

    def deployment(self, limit: int | None = None, strategy: str | None = None, **values: Any) -> UUID:
        if limit is not None:
            values["concurrency_limit_id"] = self._insert(concurrency_limit, name=str(new_uuid()), limit=limit)
        if strategy is not None:
            values["concurrency_options"] = {"collision_strategy": strategy}
        return self._insert(deployment, name=str(new_uuid()), flow_id=self.flow_id, **values)

    def due(self, queue_id: UUID | None, seconds: float = 0, **values: Any) -> UUID:
        values = {
            "state": "SCHEDULED",
            "work_queue_id": queue_id,
            "next_scheduled_start_time": after(seconds),
            **values,
        }
        return self.flow_run(self.flow_id, **values)

    def lease(self, run_id: UUID, seconds: float | None) -> None:
        expires = None if seconds is None else after(seconds)
        self.tx.execute(
            sa.insert(run_lease).values(
                flow_run_id=run_id, token=1, holder_kind="worker", holder_id=new_uuid(), claimed_at=NOON,
                renewed_at=NOON, expires=expires, claims=1,
            )
        )  # fmt: skip

    def ask(self, limit: int = 100, ahead: float = 0, **scope: Any) -> list[UUID]:
        return [run.id for run in find_due(self.tx, Scope(**scope), limit=limit, moment=NOON, until=after(ahead)).runs]

    def end(self, run_id: UUID, state: str = "COMPLETED") -> None:
        self.tx.execute(
            sa.update(flow_run).where(flow_run.c.id == run_id).values(state_type=state, next_scheduled_start_time=None)
        )


@pytest.fixture
def q(both: sa.Connection) -> Queues:
    return Queues(both)


def test_runs_come_by_priority_of_their_queue_then_by_time(q: Queues) -> None:
    pool = q.pool()
    second, first = q.queue(pool, 2), q.queue(pool, 1)
    late, early, urgent = q.due(second, -1), q.due(second, -9), q.due(first, -2)
    q.due(first, 5)
    q.due(q.queue(q.pool()), -3)
    assert q.ask(pool_id=pool) == [urgent, early, late]
    assert q.ask(pool_id=pool, limit=2) == [urgent, early]
    assert q.ask(pool_id=pool, queue_ids=[second]) == [early, late]
    assert q.ask(pool_id=pool, queue_ids=[]) == []
    assert q.ask(pool_id=pool, limit=0) == []


def test_runs_are_found_ahead_of_time_and_the_next_one_is_known(q: Queues) -> None:
    queue = q.queue(pool := q.pool())
    soon, later = q.due(queue, 5), q.due(queue, 50)
    assert q.ask(pool_id=pool) == []
    assert q.ask(pool_id=pool, ahead=10) == [soon]
    assert next_due(q.tx, Scope(pool_id=pool), after=NOON) == after(5)
    assert next_due(q.tx, Scope(pool_id=pool), after=after(5)) == after(50)
    assert next_due(q.tx, Scope(deployment_ids=[new_uuid()]), after=NOON) is None
    found = find_due(q.tx, Scope(pool_id=pool), limit=9, moment=NOON, until=after(60), since=after(6))
    assert [(run.id, run.work_queue_id, run.work_pool_id, run.due) for run in found.runs] == [
        (later, queue, pool, after(50))
    ]


def test_what_is_paused_is_not_offered(q: Queues) -> None:
    paused = q.queue(pool := q.pool(), is_paused=True)
    other = q.queue(pool)
    halted = q.queue(stopped := q.pool(is_paused=True))
    a_deployment = q.deployment()
    for queue in (paused, halted):
        q.due(queue, deployment_id=a_deployment)
    ready = q.due(other, deployment_id=a_deployment)
    nowhere = q.due(None, deployment_id=a_deployment)
    assert q.ask(pool_id=pool) == [ready]
    assert q.ask(pool_id=stopped) == []
    assert set(q.ask(deployment_ids=[a_deployment])) == {ready, nowhere}


@pytest.mark.parametrize("limited", ["pool", "queue"])
def test_limits_of_pools_and_queues_count_what_is_under_way(q: Queues, limited: str) -> None:
    pool = q.pool(**({"concurrency_limit": 3} if limited == "pool" else {}))
    queue = q.queue(pool, **({"concurrency_limit": 3} if limited == "queue" else {}))
    a_deployment = q.deployment()
    runs = [q.due(queue, seconds - 9, deployment_id=a_deployment) for seconds in range(5)]
    assert q.ask(pool_id=pool) == q.ask(deployment_ids=[a_deployment]) == runs[:3]
    q.flow_run(q.flow_id, state="RUNNING", work_queue_id=queue)
    q.flow_run(q.flow_id, state="PENDING", work_queue_id=queue)
    q.flow_run(q.flow_id, state="COMPLETED", work_queue_id=queue)
    assert q.ask(pool_id=pool) == q.ask(deployment_ids=[a_deployment]) == runs[:1]
    q.flow_run(q.flow_id, state="CANCELLING", work_queue_id=queue)
    assert q.ask(pool_id=pool) == q.ask(deployment_ids=[a_deployment]) == []


def test_a_deployment_that_is_full_does_not_hold_up_those_behind_it(q: Queues) -> None:
    queue = q.queue(pool := q.pool())
    limited, free = q.deployment(2), q.deployment()
    ahead = [q.due(queue, second - 100, deployment_id=limited) for second in range(20)]
    behind = [q.due(queue, second - 50, deployment_id=free) for second in range(3)]
    assert q.ask(pool_id=pool) == [*ahead[:2], *behind]
    assert q.ask(pool_id=pool, limit=3) == [*ahead[:2], behind[0]]
    assert q.ask(deployment_ids=[limited, free]) == [*ahead[:2], *behind]
    q.flow_run(q.flow_id, state="RUNNING", deployment_id=limited)
    assert q.ask(pool_id=pool) == [ahead[0], *behind]
    assert find_due(q.tx, Scope(pool_id=pool), limit=9, moment=NOON, until=NOON).full == {limited}


def test_deployments_may_share_a_limit_and_an_inactive_one_is_none(q: Queues) -> None:
    queue = q.queue(pool := q.pool())
    one = q.deployment(1)
    limit = q.tx.execute(sa.select(deployment.c.concurrency_limit_id).where(deployment.c.id == one)).scalar_one()
    two = q.deployment(concurrency_limit_id=limit)
    first, second = q.due(queue, -2, deployment_id=one), q.due(queue, -1, deployment_id=two)
    assert q.ask(pool_id=pool) == [first]
    q.tx.execute(sa.update(concurrency_limit).where(concurrency_limit.c.id == limit).values(active=False))
    assert q.ask(pool_id=pool) == [first, second]


def test_a_run_that_somebody_holds_is_not_offered(q: Queues) -> None:
    queue = q.queue(pool := q.pool())
    held, given_back, ended = q.due(queue, -3), q.due(queue, -2), q.due(queue, -1)
    q.lease(held, 5)
    q.lease(given_back, None)
    q.lease(ended, -1)
    assert q.ask(pool_id=pool) == [given_back, ended]


def test_a_run_that_its_own_process_tries_again_is_not_offered(q: Queues) -> None:
    queue = q.queue(pool := q.pool())
    policy = {"retry_type": "in_process"}
    waiting = q.due(queue, -3, state_name="AwaitingRetry", empirical_policy=policy)
    rescheduled = q.due(queue, -2, state_name="AwaitingRetry", empirical_policy={"retry_type": None})
    assert q.ask(pool_id=pool) == [rescheduled]
    q.lease(waiting, -1)  # its process was heard of, and is no more
    assert q.ask(pool_id=pool) == [waiting, rescheduled]


@pytest.mark.parametrize(
    ("strategy", "name"), [(None, AWAITING_SLOT), ("ENQUEUE", AWAITING_SLOT), ("CANCEL_NEW", "Cancelled")]
)
def test_a_run_without_room_says_so(q: Queues, strategy: str | None, name: str) -> None:
    queue = q.queue(pool := q.pool())
    limited = q.deployment(1, strategy)
    first, second = q.due(queue, -2, deployment_id=limited), q.due(queue, -1, deployment_id=limited)
    future = q.due(queue, 5, deployment_id=limited)
    scope = Scope(pool_id=pool)
    found = find_due(q.tx, scope, limit=9, moment=NOON, until=NOON)
    for _ in range(2):
        tell_those_without_room(q.tx, scope, found, moment=NOON)
    columns = (flow_run.c.state_name, flow_run.c.next_scheduled_start_time)
    states = {id: tuple(q.tx.execute(sa.select(*columns).where(flow_run.c.id == id)).one()) for id in (second, future)}
    assert q.ask(pool_id=pool) == [first]
    q.end(first, "PENDING")
    assert states[second] == (name, after(-1) if name == AWAITING_SLOT else None)
    assert states[future] == ("Scheduled", after(5))
    history = sa.select(sa.func.count()).where(flow_run_state.c.flow_run_id == second)
    assert q.tx.execute(history).scalar_one() == 2
    q.end(first)
    assert q.ask(pool_id=pool) == ([second] if name == AWAITING_SLOT else [])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(-9, 0)), max_size=25),
    limits=st.tuples(
        st.none() | st.integers(0, 6),
        st.lists(st.none() | st.integers(0, 5), min_size=3, max_size=3),
        st.lists(st.none() | st.integers(1, 4), min_size=4, max_size=4),
    ),
    limit=st.integers(0, 30),
)
def test_the_answer_is_what_one_gets_by_going_through_the_line(
    sqlite_engine: sa.Engine,
    runs: list[tuple[int, int, int]],
    limits: tuple[int | None, list[int | None], list[int | None]],
    limit: int,
) -> None:
    of_pool, of_queues, of_deployments = limits
    with sqlite_engine.connect() as tx, tx.begin() as transaction:
        q = Queues(tx)
        pool = q.pool(concurrency_limit=of_pool)
        queues = [q.queue(pool, number, concurrency_limit=each) for number, each in enumerate(of_queues)]
        owners = [q.deployment(each) for each in of_deployments]
        made = [(queue, owner, q.due(queues[queue], at, deployment_id=owners[owner]), at) for queue, owner, at in runs]
        expected: list[UUID] = []
        left: dict[Any, int] = {("pool",): of_pool} if of_pool is not None else {}
        left |= {("queue", number): each for number, each in enumerate(of_queues) if each is not None}
        left |= {("owner", number): each for number, each in enumerate(of_deployments) if each is not None}
        for queue, owner, id, _ in sorted(made, key=lambda run: (run[0], run[3], run[2])):
            keys = [key for key in (("pool",), ("queue", queue), ("owner", owner)) if key in left]
            if len(expected) < limit and all(left[key] > 0 for key in keys):
                expected.append(id)
                for key in keys:
                    left[key] -= 1
        assert q.ask(pool_id=pool, limit=limit) == expected
        transaction.rollback()


def test_the_line_is_found_by_an_index(q: Queues) -> None:
    if q.tx.dialect.name != "sqlite":
        pytest.skip("a planner that looks at the number of rows needs many of them")
    plan = q.tx.exec_driver_sql(
        "EXPLAIN QUERY PLAN SELECT id FROM flow_run WHERE work_queue_id = 'x' AND next_scheduled_start_time <= 5 "
        "AND state_type = 'SCHEDULED' ORDER BY next_scheduled_start_time, id LIMIT 5"
    ).all()
    assert any("ix_flow_run__due" in row[3] for row in plan)


def test_a_pending_run_that_nobody_holds_keeps_its_slot_for_a_while_only(q: Queues) -> None:
    queue = q.queue(pool := q.pool())
    limited = q.deployment(1, concurrency_options={"collision_strategy": "ENQUEUE", "grace_period_seconds": 60})
    waiting = q.due(queue, -1, deployment_id=limited)
    pending = q.flow_run(q.flow_id, state="PENDING", deployment_id=limited, state_timestamp=after(-50))
    assert q.ask(pool_id=pool) == []
    q.tx.execute(sa.update(flow_run).where(flow_run.c.id == pending).values(state_timestamp=after(-61)))
    assert q.ask(pool_id=pool) == [waiting]
    q.lease(pending, 5)
    assert q.ask(pool_id=pool) == []
