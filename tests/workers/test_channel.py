"""The channel of a worker to its pool: what it spares, and what a worker is ordered by it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from starlette.routing import Router

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import cleanup_orders
from prefect._schemas.worker_channel import (
    CANCELLING_TIMEOUT_TEARDOWN,
    PENDING_CLAIM_TEARDOWN,
    SUPPORTED_CLEANUP_KINDS,
    WORK_POOL_WORKER_CHANNEL_ROUTE,
)
from prefect._services import cancellation_cleanup, lease_expiry
from prefect._store.tables import cleanup_message, flow_run
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.flows import flow
from prefect.states import Cancelled, Cancelling, Pending, Running
from prefect.workers.base import BaseWorker, BaseWorkerResult
from prefect.workers.process import ProcessWorker
from served.conftest import speaking_to
from server.streams.conftest import Server, start_server

from .conftest import InThread, Work, starting, wait_for

__all__ = ["start_server"]

POOL = "tidied"


class Tidy(BaseWorker[Any, Any, BaseWorkerResult]):
    """Ends infrastructure by noting that it did; the name says how that goes."""

    type = "test-tidy"
    ended: ClassVar[list[str]] = []
    slow: ClassVar[threading.Event] = threading.Event()

    async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> BaseWorkerResult:
        return BaseWorkerResult(identifier="never", status_code=1)

    async def kill_infrastructure(self, infrastructure_pid: str, configuration: Any, grace_seconds: int = 30) -> None:
        self.ended.append(infrastructure_pid)
        if infrastructure_pid == "gone":
            raise InfrastructureNotFound("It is gone.")
        if infrastructure_pid == "elsewhere":
            raise InfrastructureNotAvailable("It is elsewhere.")
        if infrastructure_pid == "stubborn":
            raise RuntimeError("It does not end.")
        if infrastructure_pid == "slow":
            await asyncio.to_thread(self.slow.wait, 60)


class Plain(BaseWorker[Any, Any, BaseWorkerResult]):
    """Cannot end what it starts."""

    type = "test-plain"

    async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> BaseWorkerResult:
        return BaseWorkerResult(identifier="never", status_code=1)


@pytest.fixture
def server(tmp_path: Path, start_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose orders have to be renewed often."""
    Tidy.ended.clear()
    Tidy.slow.clear()
    started = start_server(
        f"sqlite:///{tmp_path}/server.db",
        PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_LEASE_SECONDS=1,
    )
    with speaking_to(started, tmp_path / "home", monkeypatch):
        yield started
    Tidy.slow.set()


@pytest.fixture
def work() -> Iterator[Work]:
    yield from starting()


@pytest.fixture
def api(server: Server) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def connected(worker: Any) -> Any:
    """Wait until the channel of a worker stands."""
    wait_for(lambda: is_connected(worker), "The channel stands")
    return worker


def is_connected(worker: Any) -> bool:
    channel = worker._pool._channel
    return channel is not None and channel.healthy


def order(server: Server, api: SyncPrefectClient, pid: str | None, kind: Any = CANCELLING_TIMEOUT_TEARDOWN) -> UUID:
    """An order to take down the infrastructure of a cancelled run; returns the run's id."""
    run = api.create_flow_run(nothing, state=Cancelled())
    pool = api.read_work_pool(POOL).id
    more: dict[str, Any] = {"infrastructure_pid": pid} if pid is not None else {}
    if kind == PENDING_CLAIM_TEARDOWN:
        more["claim_id"] = str(new_uuid())
    server.database.write(lambda tx: cleanup_orders.order(tx, kind, work_pool_id=pool, flow_run_id=run.id, target=more))
    return run.id


def orders(server: Server) -> list[Any]:
    return server.database.read(lambda tx: list(tx.execute(sa.select(cleanup_message)).mappings()))


@flow
def nothing() -> None:
    pass


# -- what it spares --------------------------------------------------------------------------------------------------


def test_what_is_known_of_the_pool_comes_by_the_channel(server: Server, work: Work, api: SyncPrefectClient) -> None:
    asked: list[str] = []

    class Counting(Tidy):
        type = "test-counting"

    worker = connected(work(Counting(POOL, name="w", heartbeat_interval_seconds=1)))
    heartbeat, read = worker.client.send_worker_heartbeat, worker.client.read_work_pool
    worker.client.send_worker_heartbeat = lambda *args, **kwargs: (
        asked.append("heartbeat") or heartbeat(*args, **kwargs)
    )
    worker.client.read_work_pool = lambda *args, **kwargs: asked.append("pool") or read(*args, **kwargs)
    api.update_work_pool(POOL, WorkPoolUpdate(description="new"))
    wait_for(lambda: worker.work_pool.description == "new", "The worker hears of the change")
    first = api.read_workers_for_work_pool(POOL)[0].last_heartbeat_time
    wait_for(lambda: api.read_workers_for_work_pool(POOL)[0].last_heartbeat_time != first, "A heartbeat arrives")
    assert asked == []


def test_a_server_without_a_channel_is_told_by_requests(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    server = Server(f"sqlite:///{tmp_path}/old.db")
    router = server.app.router
    routes = [route for route in router.routes if WORK_POOL_WORKER_CHANNEL_ROUTE not in getattr(route, "path", "")]
    server.app.router = Router(routes, lifespan=router.lifespan_context)
    server.start()
    request.addfinalizer(server.stop)
    with speaking_to(server, tmp_path / "home-of-old", monkeypatch), get_client(sync_client=True) as api:
        worker = work(Tidy(POOL, heartbeat_interval_seconds=1))
        first = api.read_workers_for_work_pool(POOL)[0].last_heartbeat_time
        wait_for(lambda: worker._pool._channel is not None and worker._pool._channel._told, "The channel is refused")
        assert "403" in worker._pool._channel._told or "404" in worker._pool._channel._told
        wait_for(lambda: api.read_workers_for_work_pool(POOL)[0].last_heartbeat_time != first, "A heartbeat arrives")
        assert not is_connected(worker)
        worker.stop()
        wait_for(lambda: not worker.is_setup, "The worker stops")


def test_a_channel_that_broke_is_made_again(
    tmp_path: Path, work: Work, start_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/again.db"
    server = start_server(url)
    with speaking_to(server, tmp_path / "home-again", monkeypatch), get_client(sync_client=True) as api:
        worker = connected(work(Tidy(POOL, heartbeat_interval_seconds=1)))
        server.stop()
        wait_for(lambda: not is_connected(worker), "The channel breaks")
        start_server(url, server.port)
        connected(worker)
        api.update_work_pool(POOL, WorkPoolUpdate(description="after"))
        wait_for(lambda: worker.work_pool.description == "after", "The worker hears of the change")
        worker.stop()
        wait_for(lambda: not worker.is_setup, "The worker stops")


def test_a_pool_that_is_gone_is_not_made_again(server: Server, work: Work, api: SyncPrefectClient) -> None:
    worker = connected(work(Tidy(POOL, heartbeat_interval_seconds=1)))
    api.delete_work_pool(POOL)
    wait_for(lambda: not is_connected(worker), "The channel is closed")
    wait_for(lambda: worker._pool.is_gone, "The worker notices")
    assert not worker._pool.may_be_made  # neither by itself nor by what it asks of a channel
    assert api.read_work_pools() == []
    api.create_work_pool(WorkPoolCreate(name=POOL, type=worker.type))
    wait_for(lambda: not worker._pool.is_gone, "The worker works for the new one")


# -- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SUPPORTED_CLEANUP_KINDS)
@pytest.mark.parametrize("pid", ["job-1", "gone"])
def test_an_order_is_carried_out_once(server: Server, work: Work, api: SyncPrefectClient, kind: Any, pid: str) -> None:
    connected(work(Tidy(POOL)))
    order(server, api, pid, kind)
    wait_for(lambda: not orders(server), "The order is acknowledged")
    assert Tidy.ended == [pid]


def test_an_order_without_anything_to_end(server: Server, work: Work, api: SyncPrefectClient) -> None:
    connected(work(Tidy(POOL)))
    run = order(server, api, None)
    deleted = order(server, api, "job-of-a-deleted-run")
    api.delete_flow_run(deleted)
    with pytest.raises(ObjectNotFound):
        api.read_flow_run(deleted)
    going_on = api.create_flow_run(nothing, state=Running())
    api.update_flow_run(going_on.id, infrastructure_pid="back")
    pool = api.read_work_pool(POOL).id
    back = {"infrastructure_pid": "back"}
    server.database.write(
        lambda tx: cleanup_orders.order(
            tx, CANCELLING_TIMEOUT_TEARDOWN, work_pool_id=pool, flow_run_id=going_on.id, target=back
        )
    )
    wait_for(lambda: not orders(server), "The orders are acknowledged")
    assert run not in (deleted, going_on.id)
    assert set(Tidy.ended) <= {"job-of-a-deleted-run"}  # it may have been faster than the deletion


def test_an_order_is_held_while_it_lasts(server: Server, work: Work, api: SyncPrefectClient) -> None:
    connected(work(Tidy(POOL)))
    order(server, api, "slow")
    first = wait_for(lambda: [row["reserved_until"] for row in orders(server) if row["reserved_until"]], "It is taken")
    wait_for(lambda: orders(server)[0]["reserved_until"] > first[0], "It is renewed")
    [row] = orders(server)
    assert row["delivery_count"] == 1
    Tidy.slow.set()
    wait_for(lambda: not orders(server), "The order is acknowledged")
    assert Tidy.ended == ["slow"]


def test_an_order_is_for_another_worker(server: Server, work: Work, api: SyncPrefectClient) -> None:
    """One that cannot reach it does not use up the attempts of those who can."""
    connected(work(Tidy(POOL, name="one")))
    order(server, api, "elsewhere")
    wait_for(lambda: Tidy.ended and not orders(server)[0]["reservation_token"], "The order is given back")
    assert orders(server)[0]["delivery_count"] == 0

    class Near(Tidy):
        type = "test-near"

        async def kill_infrastructure(
            self, infrastructure_pid: str, configuration: Any, grace_seconds: int = 30
        ) -> None:
            self.ended.append("by the other")

    connected(work(Near(POOL, name="two")))
    wait_for(lambda: not orders(server), "The order is acknowledged")
    assert Tidy.ended[-1] == "by the other"


def test_an_order_that_fails_is_tried_again_and_given_up(
    server: Server, work: Work, api: SyncPrefectClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "prefect.worker"):
        connected(work(Tidy(POOL)))
        run = order(server, api, "stubborn")
        wait_for(lambda: orders(server)[0]["dead_since"], "The order is given up")
    assert Tidy.ended == ["stubborn"] * 3  # `cleanup_max_delivery_attempts`
    assert orders(server)[0]["flow_run_id"] == run


def test_what_a_worker_can_do_about_orders() -> None:
    for cannot in (Plain("p"),):
        assert (cannot.handled_cleanup_kinds, cannot.max_cleanup_concurrency) == ((), 0)
    for can in (Tidy("p"), ProcessWorker("p")):
        assert (can.handled_cleanup_kinds, can.max_cleanup_concurrency) == (SUPPORTED_CLEANUP_KINDS, 1)
        with pytest.raises(ValueError, match="already has a handler"):
            can.cleanup_handler_registry.register(One())
    worker = Plain("p")
    assert worker.cleanup_handler_registry.get(PENDING_CLAIM_TEARDOWN) is None
    handler = One()
    worker.cleanup_handler_registry.register(handler)
    assert worker.cleanup_handler_registry.get(PENDING_CLAIM_TEARDOWN) is handler
    assert (worker.handled_cleanup_kinds, worker.max_cleanup_concurrency) == ((PENDING_CLAIM_TEARDOWN,), 1)
    for wrong, why in ((object(), "does not say"), (Unknown(), "no cleanup kind 'tea.v1'")):
        with pytest.raises(ValueError, match=why):
            worker.cleanup_handler_registry.register(wrong)  # type: ignore[arg-type]


class One:
    cleanup_kind = PENDING_CLAIM_TEARDOWN

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def cleanup(self, payload: Any) -> None:
        self.seen.append(payload.target.infrastructure_pid)


class Unknown(One):
    cleanup_kind = "tea.v1"  # type: ignore[assignment]


def test_a_handler_of_ones_own(server: Server, work: Work, api: SyncPrefectClient) -> None:
    worker, handler = Plain(POOL), One()
    worker.cleanup_handler_registry.register(handler)
    connected(work(worker))
    order(server, api, "mine", PENDING_CLAIM_TEARDOWN)
    order(server, api, "not mine")
    wait_for(lambda: len(orders(server)) == 1, "The order is acknowledged")
    assert handler.seen == ["mine"]
    assert [row["delivery_count"] for row in orders(server)] == [0]


# -- from beginning to end ---------------------------------------------------------------------------------------------


def of_pool(api: SyncPrefectClient, state: Any, pid: str) -> FlowRun:
    run = api.create_flow_run(nothing, state=state, work_pool_name=POOL)
    api.update_flow_run(run.id, infrastructure_pid=pid)
    return run


def test_a_cancellation_that_nobody_confirmed(server: Server, work: Work, api: SyncPrefectClient) -> None:
    api.create_work_pool(WorkPoolCreate(name=POOL, type="test-tidy"))
    run = of_pool(api, Cancelling(), "job-1")
    assert cancellation_cleanup.run_once(server.database, now() + timedelta(seconds=301)).done == 1
    assert api.read_flow_run(run.id).state_name == "Cancelled"
    connected(work(Tidy(POOL)))
    wait_for(lambda: not orders(server), "The order is acknowledged")
    assert Tidy.ended == ["job-1"]


def test_a_claim_whose_holder_is_gone(server: Server, work: Work, api: SyncPrefectClient) -> None:
    api.create_work_pool(WorkPoolCreate(name=POOL, type="test-tidy"))
    run = of_pool(api, Pending(), "job-1")
    holder = {"kind": "worker", "id": str(uuid4()), "name": "gone"}
    server.post(f"/flow_runs/{run.id}/lease", {"holder": holder})
    assert lease_expiry.run_once(server.database, now() + timedelta(seconds=61)).done == 1
    read = sa.select(flow_run.c.infrastructure_pid).where(flow_run.c.id == run.id)
    assert server.database.read(lambda tx: tx.execute(read).scalar_one()) is None
    connected(work(Tidy(POOL)))
    wait_for(lambda: not orders(server), "The order is acknowledged")
    assert Tidy.ended[:1] == ["job-1"]


def test_a_worker_that_stops_leaves_its_order_to_others(server: Server, api: SyncPrefectClient) -> None:
    worker = Tidy(POOL)
    thread = InThread(lambda: worker.start(printer=lambda *_: None))
    connected(worker)
    order(server, api, "slow")
    wait_for(lambda: Tidy.ended, "It is taken")
    worker.stop()
    wait_for(lambda: orders(server)[0]["reservation_token"] is None, "The order is free")
    Tidy.slow.set()
    thread.join()
