"""Work pools, their queues in order of priority, and their workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect._clock import now
from prefect._ids import new_id, new_uuid
from prefect._operations import work_pools, work_queues
from prefect._operations.errors import Conflict, Forbidden, Invalid, NotFound
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate, WorkQueueCreate, WorkQueueUpdate
from prefect._schemas.work_pools import WorkPool, WorkPoolStorageConfiguration, WorkQueue
from prefect._store.tables import work_pool, work_queue, worker

from .conftest import World

TEMPLATE = {
    "job_configuration": {"command": "{{ command }} {{ $HOME }}", "env": ["{{prefect.variables.x}}"]},
    "variables": {"type": "object", "properties": {"command": {"type": "string"}}},
}


def make(tx: sa.Connection, name: str = "p", type: str = "process", **fields: Any) -> WorkPool:
    return work_pools.create_work_pool(tx, WorkPoolCreate(name=name, type=type, **fields))


def queue(tx: sa.Connection, name: str, pool: str = "p", **fields: Any) -> WorkQueue:
    return work_queues.create_pool_queue(tx, pool, WorkQueueCreate(name=name, **fields))


def order(tx: sa.Connection, pool: str = "p", **query: Any) -> dict[str, int]:
    body = work_queues.WorkQueueQuery.model_validate(query)
    return {found.name: found.priority for found in work_queues.read_pool_queues(tx, pool, body)}


def heartbeat(tx: sa.Connection, name: str = "w", **fields: Any) -> None:
    work_pools.worker_heartbeat(tx, "p", work_pools.WorkerHeartbeat(name=name, **fields))


# -- pools ----------------------------------------------------------------------------------------------------------


def test_a_pool_is_made_with_a_default_queue(both: sa.Connection) -> None:
    storage = WorkPoolStorageConfiguration(bundle_upload_step={"a": 1}, default_result_storage_block_id=new_uuid())
    made = make(both, base_job_template=TEMPLATE, concurrency_limit=5, description="d", storage_configuration=storage)
    assert made == work_pools.read_work_pool(both, "p")
    assert (made.type, made.base_job_template, made.storage_configuration) == ("process", TEMPLATE, storage)
    assert (made.status, made.active_slots, made.concurrency_limit) == ("NOT_READY", 0, 5)
    default = work_queues.read_pool_queue(both, "p", "default")
    assert (default.id, default.priority, default.work_pool_name) == (made.default_queue_id, 1, "p")


def test_a_name_is_taken_once_or_reserved(both: sa.Connection) -> None:
    make(both)
    with pytest.raises(Conflict, match="'p' already exists"):
        make(both)
    with pytest.raises(Forbidden, match="reserved"):
        make(both, "Prefect Foo")
    for name in ("  ", "a/b"):
        with pytest.raises(ValidationError):
            make(both, name)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"foo": 1}, "must contain both"),
        ({"job_configuration": {}, "variables": {"properties": {}}}, "must contain both"),
        ({"job_configuration": {"a": ["{{ nope }}", "{{ x }}"]}, "variables": {"properties": {"x": {}}}}, "nope"),
        ({"job_configuration": {"a": "{{ x }}"}, "variables": {"type": "object"}}, "not: x"),
    ],
)
def test_a_job_template_declares_what_it_uses(both: sa.Connection, template: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        make(both, base_job_template=template)
    make(both)
    with pytest.raises(Invalid, match=message):
        work_pools.update_work_pool(both, "p", WorkPoolUpdate(base_job_template=template))
    work_pools.update_work_pool(both, "p", WorkPoolUpdate(base_job_template=TEMPLATE))
    assert work_pools.read_work_pool(both, "p").base_job_template == TEMPLATE


def test_what_is_not_given_stays(both: sa.Connection) -> None:
    make(both, concurrency_limit=5, description="d")
    work_pools.update_work_pool(both, "p", WorkPoolUpdate(is_paused=True, concurrency_limit=None))
    changed = work_pools.read_work_pool(both, "p")
    assert (changed.status, changed.concurrency_limit, changed.description) == ("PAUSED", None, "d")
    with pytest.raises(Invalid, match="below 0"):
        work_pools.update_work_pool(both, "p", WorkPoolUpdate(concurrency_limit=-1))


def test_a_pool_is_deleted_with_all_that_is_in_it(both: sa.Connection) -> None:
    make(both)
    heartbeat(both)
    work_pools.delete_work_pool(both, "p")
    for table in (work_pool, work_queue, worker):
        assert both.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
    for absent in (
        lambda: work_pools.read_work_pool(both, "p"),
        lambda: work_pools.update_work_pool(both, "p", WorkPoolUpdate()),
        lambda: work_pools.delete_work_pool(both, "p"),
        lambda: queue(both, "q"),
        lambda: order(both),
        lambda: heartbeat(both),
    ):
        with pytest.raises(NotFound, match="Work pool 'p' not found"):
            absent()


def test_pools_found(both: sa.Connection) -> None:
    for name, type in {"b": "process", "a": "docker", "c": "docker"}.items():
        make(both, name, type)

    def names(**query: Any) -> list[str]:
        body = work_pools.WorkPoolQuery.model_validate(query)
        return [pool.name for pool in work_pools.read_work_pools(both, body)]

    assert names() == ["a", "b", "c"]
    assert names(limit=1, offset=1) == ["b"]
    docker = {"type": {"any_": ["docker"]}}
    assert names(work_pools=docker) == ["a", "c"]
    assert names(work_pools={"operator": "or_", **docker, "name": {"any_": ["b"]}}) == ["a", "b", "c"]
    selection = work_pools.WorkPoolSelection.model_validate({"work_pools": docker})
    assert work_pools.count_work_pools(both, selection) == 2


def test_runs_that_are_under_way_hold_slots(both: sa.Connection) -> None:
    make(both, concurrency_limit=3)
    limited, free = queue(both, "limited", concurrency_limit=2), queue(both, "free")
    world = World(both)
    flow = world.flow()
    for state, of in {"RUNNING": limited, "PENDING": limited, "CANCELLING": free, "SCHEDULED": limited}.items():
        world.flow_run(flow, state=state, work_queue_id=of.id)
    assert work_pools.read_work_pool(both, "p").active_slots == 3
    assert work_queues.read_work_queue(both, limited.id).active_slots == 2
    assert work_queues.read_work_queue(both, free.id).active_slots is None


# -- queues ---------------------------------------------------------------------------------------------------------


def test_a_queue_takes_its_place_and_others_move_back(both: sa.Connection) -> None:
    make(both)
    queue(both, "q1", priority=1)
    assert queue(both, "q2").priority == 3
    queue(both, "q3", priority=2)
    assert order(both) == {"q1": 1, "q3": 2, "default": 3, "q2": 4}
    work_queues.update_pool_queue(both, "p", "q1", WorkQueueUpdate(priority=3))
    assert order(both) == {"q3": 2, "q1": 3, "default": 4, "q2": 5}
    work_queues.delete_pool_queue(both, "p", "q1")
    assert order(both) == {"q3": 2, "default": 4, "q2": 5}
    assert order(both, work_queues={"name": {"startswith_": ["Q", "x"]}}, limit=1) == {"q3": 2}


@given(moves=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 6)), max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_two_queues_share_a_priority(both: sa.Connection, moves: list[tuple[str, int]]) -> None:
    pool = f"p-{new_id()}"
    make(both, pool)
    for name, priority in moves:
        if name in order(both, pool):
            work_queues.update_pool_queue(both, pool, name, WorkQueueUpdate(priority=priority))
        else:
            queue(both, name, pool, priority=priority)
        assert order(both, pool)[name] == priority
        assert len(set(order(both, pool).values())) == len(order(both, pool))


def test_a_queue_is_changed_by_name_or_id(both: sa.Connection) -> None:
    make(both)
    made = queue(both, "q", concurrency_limit=2, filter={"tags": ["t"]})
    assert (made.description, made.status, made.last_polled) == ("", "NOT_READY", None)
    work_queues.update_work_queue(both, made.id, WorkQueueUpdate(is_paused=True, concurrency_limit=9))
    work_queues.update_pool_queue(both, "p", "q", WorkQueueUpdate(name="r", description="x"))
    changed = work_queues.read_pool_queue(both, "p", "r")
    assert changed == work_queues.read_work_queue(both, made.id) == work_queues.read_work_queue_by_name(both, "r")
    assert (changed.status, changed.concurrency_limit, changed.description) == ("PAUSED", 9, "x")
    assert changed.filter == made.filter and changed.filter is not None and changed.filter.tags == ["t"]
    work_queues.update_work_queue(both, made.id, WorkQueueUpdate(is_paused=False, last_polled=now()))
    assert work_queues.read_work_queue(both, made.id).status == "READY"
    work_queues.update_work_queue(both, made.id, WorkQueueUpdate(last_polled=now() - timedelta(minutes=2)))
    assert work_queues.read_work_queue(both, made.id).status == "NOT_READY"
    work_queues.delete_work_queue(both, made.id)
    for absent in (
        lambda: work_queues.read_work_queue(both, made.id),
        lambda: work_queues.read_work_queue_by_name(both, "r"),
        lambda: work_queues.delete_work_queue(both, made.id),
        lambda: work_queues.update_pool_queue(both, "p", "r", WorkQueueUpdate()),
    ):
        with pytest.raises(NotFound):
            absent()


def test_a_queue_is_healthy_while_it_is_asked_for_runs_and_none_is_late(both: sa.Connection) -> None:
    make(both)
    id = queue(both, "q").id

    def health() -> tuple[bool, int]:
        status = work_queues.read_work_queue_status(both, id)
        return status.healthy, status.late_runs_count

    assert health() == (False, 0)
    work_queues.update_work_queue(both, id, WorkQueueUpdate(last_polled=now()))
    assert health() == (True, 0)
    world = World(both)
    for name in ("Late", "Scheduled"):
        world.flow_run(world.flow(name), state="SCHEDULED", state_name=name, work_queue_id=id)
    assert health() == (False, 1)
    with pytest.raises(NotFound, match="Work queue"):
        work_queues.read_work_queue_status(both, new_uuid())


def test_names_of_queues_are_taken_once_in_a_pool(both: sa.Connection) -> None:
    make(both)
    make(both, "other")
    queue(both, "q")
    queue(both, "q", "other")
    queue(both, "r")
    with pytest.raises(Conflict, match="'q' already exists"):
        queue(both, "q")
    with pytest.raises(Conflict, match="'q' already exists"):
        work_queues.update_pool_queue(both, "p", "r", WorkQueueUpdate(name="q"))
    for name in ("", "a/b"):
        with pytest.raises(Invalid, match="name"):
            queue(both, name)


def test_the_default_queue_stays(both: sa.Connection) -> None:
    made = make(both)
    with pytest.raises(Conflict, match="default queue"):
        work_queues.delete_pool_queue(both, "p", "default")
    with pytest.raises(Conflict, match="default queue"):
        work_queues.delete_work_queue(both, made.default_queue_id)


def test_a_queue_without_a_pool_is_one_of_agents(both: sa.Connection) -> None:
    make(both, "a")
    queue(both, "q", "a")
    made = work_queues.create_work_queue(both, WorkQueueCreate(name="q"))
    work_queues.create_work_queue(both, WorkQueueCreate(name="r"))
    assert made.work_pool_name == "default-agent-pool" and made.priority == 2
    assert work_queues.read_work_queue_by_name(both, "q").id == made.id
    assert work_pools.read_work_pool(both, "default-agent-pool").status is None
    body = work_queues.WorkQueueQuery.model_validate({"work_queues": {"name": {"any_": ["q", "r"]}}})
    assert [found.name for found in work_queues.read_work_queues(both, body)] == ["q", "q", "r"]


# -- workers --------------------------------------------------------------------------------------------------------


def workers(tx: sa.Connection, **query: Any) -> list[tuple[str, str]]:
    found = work_pools.read_workers(tx, "p", work_pools.WorkerQuery.model_validate({"workers": query or None}))
    return [(each.name, each.status.value) for each in found]


def silence(tx: sa.Connection, name: str, seconds: float) -> None:
    """Let a worker have been heard of so much earlier."""
    [row] = tx.execute(sa.select(worker).where(worker.c.name == name)).mappings()
    times = {column: row[column] - timedelta(seconds=seconds) for column in ("last_heartbeat_time", "offline_at")}
    tx.execute(sa.update(worker).where(worker.c.name == name).values(**times))


def test_a_pool_is_ready_while_a_worker_is_online(both: sa.Connection) -> None:
    make(both)
    heartbeat(both, heartbeat_interval_seconds=10)
    assert work_pools.read_work_pool(both, "p").status == "READY"
    silence(both, "w", 29)
    assert workers(both) == [("w", "ONLINE")]
    silence(both, "w", 1)
    assert workers(both) == [("w", "OFFLINE")]
    assert work_pools.read_work_pool(both, "p").status == "NOT_READY"
    heartbeat(both)
    [found] = work_pools.read_workers(both, "p", work_pools.WorkerQuery())
    assert (found.heartbeat_interval_seconds, found.status) == (10, "ONLINE")
    silence(both, "w", 31)
    assert workers(both) == [("w", "OFFLINE")]


def test_workers_found_and_forgotten(both: sa.Connection) -> None:
    make(both)
    heartbeat(both, "old")
    silence(both, "old", 1000)
    heartbeat(both, "new", metadata={"integrations": [{"name": "a", "version": "1"}], "more": 1})
    heartbeat(both, "new")
    assert both.execute(sa.select(worker.c.metadata).where(worker.c.name == "new")).scalar_one()["more"] == 1
    assert workers(both) == [("new", "ONLINE"), ("old", "OFFLINE")]
    assert workers(both, status={"any_": ["OFFLINE"]}) == [("old", "OFFLINE")]
    assert workers(both, status={"not_any_": ["OFFLINE"]}) == [("new", "ONLINE")]
    assert workers(both, last_heartbeat_time={"after_": now() - timedelta(seconds=500)}) == [("new", "ONLINE")]
    work_pools.delete_worker(both, "p", "old")
    with pytest.raises(NotFound, match="Worker 'old' not found"):
        work_pools.delete_worker(both, "p", "old")
