"""Claims and leases: who may run what, and who is not listened to any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations.claims import claim_flow_runs
from prefect._operations.deployments import delete_deployment
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._operations.flow_run_control import SetState, set_flow_run_state
from prefect._operations.leases import expire, lease_flow_run, release_flow_run, renew_flow_run_leases
from prefect._operations.registry import NotYet
from prefect._operations.work_pools import delete_work_pool
from prefect._operations.work_queues import delete_pool_queue
from prefect._rules.leases import MOST_CLAIMS
from prefect._schemas.actions.runs import StateCreate
from prefect._schemas.enums import SetStateStatus
from prefect._schemas.leases import (
    ClaimedRun,
    ClaimRequest,
    HeldRun,
    LeaseHolder,
    LeaseRenewals,
    LeaseRequest,
    LeaseReturn,
)
from prefect._schemas.states import StateType
from prefect._store.tables import (
    concurrency_limit,
    deployment,
    flow_run,
    flow_run_state,
    run_lease,
    task_run,
    task_run_state,
    work_pool,
    work_queue,
)

from .conftest import World

WORKER = LeaseHolder(kind="worker", id=new_uuid(), name="w1")
OTHER = LeaseHolder(kind="worker", id=new_uuid(), name="w2")
PROCESS = LeaseHolder(kind="process", id=new_uuid(), name="p")


class Pool:
    """A pool with two queues, a deployment, and runs of it."""

    def __init__(self, tx: sa.Connection) -> None:
        self.tx = tx
        self.world = World(tx)
        self.flow = self.world.flow(f"flow-{new_uuid()}")
        self.pool = self.world._insert(work_pool, name="pool", type="process")
        self.queue = self.world._insert(work_queue, name="default", work_pool_id=self.pool, description="", priority=2)
        self.urgent = self.world._insert(work_queue, name="urgent", work_pool_id=self.pool, description="", priority=1)
        self.deployment = self.world._insert(
            deployment, name="d", flow_id=self.flow, work_queue_id=self.queue, work_queue_name="default"
        )

    def run(self, due: float = -1, queue: UUID | None = None, **values: Any) -> UUID:
        moment = now() + timedelta(seconds=due)
        return self.world.flow_run(
            self.flow, state="SCHEDULED", deployment_id=self.deployment, work_queue_id=queue or self.queue,
            next_scheduled_start_time=moment, expected_start_time=moment,
            state_details={"scheduled_time": round(moment.timestamp() * 1e6)}, **values,
        )  # fmt: skip

    def claim(self, holder: LeaseHolder = WORKER, **values: Any) -> list[ClaimedRun]:
        found = claim_flow_runs(self.tx, ClaimRequest(holder=holder, work_pool_name="pool", **values))
        return found.value if isinstance(found, NotYet) else found

    def state(self, id: UUID) -> Any:
        return self.tx.execute(
            sa.select(flow_run_state)
            .join(flow_run, sa.and_(flow_run.c.state_id == flow_run_state.c.id, flow_run.c.id == id))
        ).mappings().one()  # fmt: skip

    def lease(self, id: UUID) -> Any:
        return self.tx.execute(sa.select(run_lease).where(run_lease.c.flow_run_id == id)).mappings().one_or_none()

    def enter(self, id: UUID, type: str, token: int | None = None, force: bool = False, **details: Any) -> Any:
        body = SetState(state=StateCreate(type=StateType(type), **details), lease_token=token, force=force)
        return set_flow_run_state(self.tx, id, body).value

    def expire(self, id: UUID, after: float = 61) -> Any:
        return expire(self.tx, id, now() + timedelta(seconds=after))


@pytest.fixture
def pool(both: sa.Connection) -> Pool:
    return Pool(both)


def renewed(pool: Pool, *held: tuple[UUID, int]) -> tuple[list[UUID], list[UUID], list[UUID]]:
    body = LeaseRenewals(leases=[HeldRun(flow_run_id=id, token=token) for id, token in held])
    answer = renew_flow_run_leases(pool.tx, body)
    assert not isinstance(answer, NotYet)
    return answer.renewed, answer.lost, answer.cancelling


def test_due_runs_are_claimed_in_order_of_priority_and_time(pool: Pool) -> None:
    second, third = pool.run(-1), pool.run(0)
    first = pool.run(0, pool.urgent)
    pool.run(60)
    claimed = pool.claim(limit=10)
    assert [one.flow_run.id for one in claimed] == [first, second, third]
    assert {one.flow_run.state_name for one in claimed} == {"Pending"}
    assert claimed[0].deployment is not None and claimed[0].deployment.name == "d"
    assert claimed[0].work_queue is not None and claimed[0].work_queue.name == "urgent"
    assert claimed[0].flow.id == pool.flow
    assert pool.claim(OTHER) == []


def test_a_claim_may_wait_until_something_is_due(pool: Pool) -> None:
    pool.run(60)
    answer = claim_flow_runs(pool.tx, ClaimRequest(holder=WORKER, work_pool_name="pool", prefetch_seconds=10))
    assert isinstance(answer, NotYet)
    assert answer.final() == []
    assert answer.until is not None
    assert 45 < (answer.until - now()).total_seconds() < 51
    assert len(pool.claim(prefetch_seconds=70)) == 1


def test_claims_name_what_they_want(pool: Pool) -> None:
    run = pool.run(queue=pool.urgent)
    assert pool.claim(work_queue_names=["default"]) == []
    assert [one.flow_run.id for one in pool.claim(work_queue_names=["urgent"])] == [run]
    run = pool.run()
    body = ClaimRequest(holder=WORKER, deployment_ids=[pool.deployment])
    answer = claim_flow_runs(pool.tx, body)
    assert not isinstance(answer, NotYet)
    assert [one.flow_run.id for one in answer] == [run]
    with pytest.raises(Invalid):
        claim_flow_runs(pool.tx, ClaimRequest(holder=WORKER))
    with pytest.raises(NotFound):
        claim_flow_runs(pool.tx, ClaimRequest(holder=WORKER, work_pool_name="none"))


@pytest.mark.parametrize("table", [work_pool, work_queue])
def test_what_is_paused_is_not_claimed(pool: Pool, table: sa.Table) -> None:
    pool.run()
    pool.tx.execute(sa.update(table).values(is_paused=True))
    assert pool.claim() == []


def test_a_process_takes_over_the_claim_of_its_worker(pool: Pool) -> None:
    run = pool.run()
    token = pool.claim()[0].token
    lease = lease_flow_run(pool.tx, run, LeaseRequest(holder=PROCESS, token=token))
    assert lease.token == token
    assert pool.lease(run)["holder_kind"] == "process"
    assert pool.enter(run, "RUNNING", token).status == SetStateStatus.ACCEPT
    assert pool.lease(run)["claims"] == 0
    assert pool.enter(run, "COMPLETED", token).status == SetStateStatus.ACCEPT
    assert pool.lease(run) is None


def test_a_lease_of_ones_own(pool: Pool) -> None:
    run = pool.world.flow_run(pool.flow, state="PENDING")
    lease = lease_flow_run(pool.tx, run, LeaseRequest(holder=PROCESS))
    assert lease_flow_run(pool.tx, run, LeaseRequest(holder=PROCESS)).token == lease.token
    with pytest.raises(Conflict, match="Process p"):
        lease_flow_run(pool.tx, run, LeaseRequest(holder=OTHER))
    with pytest.raises(NotFound):
        lease_flow_run(pool.tx, new_uuid(), LeaseRequest(holder=PROCESS))


def test_who_lost_a_claim_is_not_listened_to(pool: Pool) -> None:
    run = pool.run()
    old = pool.claim()[0].token
    assert pool.expire(run).type == "SCHEDULED"
    new = pool.claim(OTHER)[0].token
    assert new > old
    for force in (False, True):
        answer = pool.enter(run, "RUNNING", old, force)
        assert answer.status == SetStateStatus.ABORT
        assert "Worker w2" in answer.details.reason
    with pytest.raises(Conflict, match="w2"):
        lease_flow_run(pool.tx, run, LeaseRequest(holder=PROCESS, token=old))
    with pytest.raises(Conflict):
        release_flow_run(pool.tx, run, LeaseReturn(token=old))
    assert renewed(pool, (run, old)) == ([], [run], [])
    assert pool.enter(run, "RUNNING", new).status == SetStateStatus.ACCEPT
    assert pool.enter(run, "COMPLETED", new).status == SetStateStatus.ACCEPT
    assert pool.enter(run, "FAILED", old).status == SetStateStatus.ABORT
    assert pool.state(run)["type"] == "COMPLETED"


def test_an_answer_that_got_lost_is_given_again(pool: Pool) -> None:
    run = pool.run()
    token = pool.claim()[0].token
    pool.enter(run, "RUNNING", token)
    details: dict[str, Any] = {"state_details": {"transition_id": str(new_uuid())}}
    assert pool.enter(run, "COMPLETED", token, **details).status == SetStateStatus.ACCEPT
    answer = pool.enter(run, "COMPLETED", token, **details)
    assert answer.status == SetStateStatus.REJECT
    assert answer.state.type == "COMPLETED"


def test_a_claim_that_is_given_back_is_there_for_others(pool: Pool) -> None:
    run = pool.run()
    due = pool.state(run)["state_details"]["scheduled_time"]
    for _ in range(MOST_CLAIMS + 1):
        release_flow_run(pool.tx, run, LeaseReturn(token=pool.claim()[0].token))
        assert pool.state(run)["type"] == "SCHEDULED"
        assert pool.state(run)["state_details"]["scheduled_time"] == due
    assert pool.lease(run)["claims"] == 0


def test_renewals_tell_what_is_to_be_cancelled_and_what_is_lost(pool: Pool) -> None:
    runs = [pool.run() for _ in range(3)]
    tokens = {one.flow_run.id: one.token for one in pool.claim(limit=3)}
    for run in runs:
        pool.enter(run, "RUNNING", tokens[run])
    pool.enter(runs[1], "CANCELLING")
    pool.enter(runs[2], "CANCELLED", force=True)
    assert renewed(pool, *tokens.items()) == (runs[:2], [runs[2]], [runs[1]])
    assert pool.lease(runs[0])["expires"] > now() + timedelta(seconds=55)


def test_renewals_tell_how_infrastructure_is_known(pool: Pool) -> None:
    ids = [pool.run(), pool.run()]
    (one, token), (other, _) = [(claim.flow_run.id, claim.token) for claim in pool.claim(limit=2)]
    held = [
        HeldRun(flow_run_id=one, token=token, infrastructure_pid="host:1"),
        HeldRun(flow_run_id=other, token=99, infrastructure_pid="host:2"),
    ]
    renew_flow_run_leases(pool.tx, LeaseRenewals(leases=held))
    rows = pool.tx.execute(sa.select(flow_run.c.id, flow_run.c.infrastructure_pid).where(flow_run.c.id.in_(ids)))
    assert {row.id: row.infrastructure_pid for row in rows} == {one: "host:1", other: None}


def test_a_renewal_may_wait_for_news(pool: Pool) -> None:
    run = pool.run()
    token = pool.claim()[0].token
    pool.enter(run, "RUNNING", token)
    body = LeaseRenewals(leases=[HeldRun(flow_run_id=run, token=token)], wait_seconds=30)
    answer = renew_flow_run_leases(pool.tx, body)
    assert isinstance(answer, NotYet)
    assert answer.topics == (f"flow_run:{run}",)
    assert answer.until is not None
    assert 15 < (answer.until - now()).total_seconds() < 21
    assert answer.final().renewed == [run]
    pool.enter(run, "CANCELLING")
    answer = renew_flow_run_leases(pool.tx, body)
    assert not isinstance(answer, NotYet)
    assert answer.cancelling == [run]


def test_a_run_that_is_never_started_is_given_up(pool: Pool) -> None:
    run = pool.run()
    for _ in range(MOST_CLAIMS - 1):
        assert pool.claim()
        assert pool.expire(run).type == "SCHEDULED"
    assert pool.claim()
    assert pool.expire(run).type == "CRASHED"
    assert "never started" in pool.state(run)["message"]


def test_who_begins_too_late_does_so_only_where_there_is_room(pool: Pool) -> None:
    limit = pool.world._insert(concurrency_limit, name="one", limit=1, active=True)
    pool.tx.execute(sa.update(deployment).values(concurrency_limit_id=limit).where(deployment.c.id == pool.deployment))
    late, other = pool.run(-2), pool.run(-1)
    token = pool.claim()[0].token
    pool.expire(late)
    pool.tx.execute(sa.update(flow_run).values(next_scheduled_start_time=now()).where(flow_run.c.id == late))
    [claimed] = pool.claim()
    assert claimed.flow_run.id == other
    begins = LeaseRequest(holder=PROCESS, token=token)
    with pytest.raises(Conflict, match=r"not begun in time.*as many runs under way"):
        lease_flow_run(pool.tx, late, begins)
    assert renewed(pool, (late, token)) == ([], [late], [])
    pool.enter(other, "RUNNING", claimed.token)
    pool.enter(other, "COMPLETED", claimed.token)
    assert renewed(pool, (late, token)) == ([late], [], [])
    assert lease_flow_run(pool.tx, late, begins).token == token


def test_a_lease_that_lives_does_not_end(pool: Pool) -> None:
    run = pool.run()
    pool.claim()
    assert pool.expire(run, 30) is None
    assert pool.state(run)["type"] == "PENDING"
    assert pool.expire(new_uuid()) is None


def running(pool: Pool, **values: Any) -> tuple[UUID, int]:
    run = pool.run(**values)
    token = pool.claim()[0].token
    pool.enter(run, "RUNNING", token)
    return run, token


def test_a_running_one_has_crashed_with_what_belongs_to_it(pool: Pool) -> None:
    run, _ = running(pool)
    task = pool.world.task_run(run, state="RUNNING")
    done = pool.world.task_run(run, state="COMPLETED", end_time=now())
    child = pool.world.flow_run(pool.flow, state="RUNNING", parent_flow_run_id=run)
    in_child = pool.world.task_run(child, state="PENDING")
    deployed = pool.world.flow_run(pool.flow, state="RUNNING", parent_flow_run_id=run, deployment_id=pool.deployment)
    assert pool.expire(run).type == "CRASHED"
    assert "Worker w1" in pool.state(run)["message"]
    assert "61 seconds ago" in pool.state(run)["message"]
    types = dict(pool.tx.execute(sa.select(task_run.c.id, task_run.c.state_type)).tuples().all())
    assert types == {task: "CRASHED", done: "COMPLETED", in_child: "CRASHED"}
    assert pool.state(child)["type"] == "CRASHED"
    assert pool.state(deployed)["type"] == "RUNNING"
    assert pool.expire(run, 100) is None
    crashes = sa.select(sa.func.count()).select_from(flow_run_state).where(flow_run_state.c.type == "CRASHED")
    assert pool.tx.execute(crashes.where(flow_run_state.c.flow_run_id == run)).scalar_one() == 1
    stamps = sa.select(task_run_state.c.timestamp).where(task_run_state.c.task_run_id == task)
    assert len(pool.tx.execute(stamps).all()) == 2


def test_a_process_that_was_taken_for_dead_goes_on(pool: Pool) -> None:
    run, token = running(pool)
    pool.expire(run)
    assert renewed(pool, (run, token)) == ([run], [], [])
    state = pool.state(run)
    assert (state["type"], "again" in state["message"]) == ("RUNNING", True)
    assert pool.tx.execute(sa.select(flow_run.c.run_count).where(flow_run.c.id == run)).scalar_one() == 1
    assert pool.enter(run, "COMPLETED", token).status == SetStateStatus.ACCEPT


def test_its_result_counts_too(pool: Pool) -> None:
    run, token = running(pool)
    pool.expire(run)
    assert pool.enter(run, "COMPLETED", token).status == SetStateStatus.ACCEPT
    assert pool.lease(run) is None


def test_retries_are_for_crashes_too(pool: Pool) -> None:
    run, token = running(pool, empirical_policy={"retries": 1, "retry_delay": 0})
    assert pool.expire(run).name == "AwaitingRetry"
    # it is due when the lease was found to have ended, which is a minute ahead here
    assert [one.flow_run.id for one in pool.claim(OTHER, prefetch_seconds=61)] == [run]
    assert renewed(pool, (run, token)) == ([], [run], [])
    pool.enter(run, "RUNNING", pool.lease(run)["token"], force=True)
    assert pool.expire(run, 130).type == "CRASHED"


def test_what_was_to_be_cancelled_is_cancelled(pool: Pool) -> None:
    run, _ = running(pool)
    task = pool.world.task_run(run, state="RUNNING")
    pool.enter(run, "CANCELLING")
    assert pool.expire(run).type == "CANCELLED"
    assert pool.tx.execute(sa.select(task_run.c.state_type).where(task_run.c.id == task)).scalar_one() == "CANCELLED"


def test_the_retry_of_a_dead_process_is_there_for_others(pool: Pool) -> None:
    run, token = running(pool, empirical_policy={"retries": 2})
    pool.enter(run, "FAILED", token)
    assert pool.state(run)["name"] == "AwaitingRetry"
    assert pool.claim(OTHER) == []  # its process tries again by itself
    assert pool.expire(run) is None
    assert [one.flow_run.id for one in pool.claim(OTHER)] == [run]


def test_nobody_can_take_on_a_run_without_a_deployment(pool: Pool) -> None:
    for state in ("PENDING", "RUNNING", "PAUSED"):
        run = pool.world.flow_run(pool.flow, state=state)
        lease_flow_run(pool.tx, run, LeaseRequest(holder=PROCESS))
        assert pool.expire(run).type == "CRASHED"


def test_a_suspended_run_waits_for_whoever_resumes_it(pool: Pool) -> None:
    run, _ = running(pool)
    pool.enter(run, "PAUSED", state_details={"pause_reschedule": True})
    assert pool.expire(run) is None
    assert pool.state(run)["type"] == "PAUSED"


def test_runs_of_a_deleted_deployment_hold_nobody_up(pool: Pool) -> None:
    other = pool.world._insert(deployment, name="e", flow_id=pool.flow, work_queue_id=pool.queue)
    claimed = pool.run(-30)
    assert [each.flow_run.id for each in pool.claim()] == [claimed]
    asked_for = pool.run(-20)
    by_schedule = pool.run(60, auto_scheduled=True)
    delete_deployment(pool.tx, pool.deployment)
    resumed = pool.run(-10)  # as one that was suspended when the deployment was deleted
    next_one = pool.run(-5)
    pool.tx.execute(sa.update(flow_run).where(flow_run.c.id == next_one).values(deployment_id=other))
    assert [each.flow_run.id for each in pool.claim()] == [next_one]
    left = dict(pool.tx.execute(sa.select(flow_run.c.id, flow_run.c.state_type)).tuples().all())
    assert left == {claimed: "PENDING", asked_for: "CANCELLED", resumed: "CRASHED", next_one: "PENDING"}
    assert by_schedule not in left
    assert "deleted before the run began" in pool.state(asked_for)["message"]
    assert "has been deleted" in pool.state(resumed)["message"]
    assert pool.claim() == []


def test_runs_of_a_deleted_queue_go_to_the_default_one(pool: Pool) -> None:
    pool.tx.execute(sa.update(work_pool).where(work_pool.c.id == pool.pool).values(default_queue_id=pool.queue))
    pool.tx.execute(sa.update(deployment).values(work_queue_id=pool.urgent, work_queue_name="urgent"))
    ended = pool.run(-30, pool.urgent)
    [held] = pool.claim()
    pool.enter(ended, "COMPLETED", held.token)
    due, later = pool.run(-20, pool.urgent), pool.run(60, pool.urgent)
    delete_pool_queue(pool.tx, "pool", "urgent")
    assert [each.flow_run.id for each in pool.claim()] == [due]
    queues = dict(pool.tx.execute(sa.select(flow_run.c.id, flow_run.c.work_queue_id)).tuples().all())
    assert queues == {ended: pool.urgent, due: pool.queue, later: pool.queue}
    moved = pool.tx.execute(sa.select(deployment.c.work_queue_id, deployment.c.work_queue_name)).one()
    assert moved == (pool.queue, "default")


def test_runs_of_a_deleted_pool_are_carried_out_by_who_serves_their_deployment(pool: Pool) -> None:
    run = pool.run(-20)
    delete_work_pool(pool.tx, "pool")
    body = ClaimRequest(holder=WORKER, deployment_ids=[pool.deployment])
    [claimed] = claim_flow_runs(pool.tx, body)  # type: ignore[misc]
    assert claimed.flow_run.id == run and claimed.work_queue is None
