"""The channel between a worker and its pool."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import cleanup_orders
from prefect._schemas.worker_channel import WorkerReadyFrame, validate_worker_channel_frame

from .conftest import Connection, Server

REQUIRED = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
PENDING = "pending_claim_teardown.v1"


def frame(type: str, **payload: Any) -> dict[str, Any]:
    return {"type": type, "id": str(new_uuid()), "sent_at": now().isoformat(), "payload": payload}


def hello(**more: Any) -> dict[str, Any]:
    return frame("worker.hello.v1", **{
        "consumer_id": str(new_uuid()), "worker_name": "w", "worker_type": "process", "heartbeat_interval_seconds": 30,
        "supported_channel_versions": ["work_pool_worker_channel.v1"], "requested_capabilities": REQUIRED, **more,
    })  # fmt: skip


def cleaner(**more: Any) -> dict[str, Any]:
    capabilities = [*REQUIRED, "cleanup_delivery.v1"]
    return hello(requested_capabilities=capabilities, handled_cleanup_kinds=[PENDING], **more)


def path(pool: str = "p") -> str:
    return f"/work_pools/{pool}/workers/connect"


@pytest.fixture
def pool(server: Server) -> dict[str, Any]:
    return server.post("/work_pools/", {"name": "p", "type": "process"})


async def ready(connection: Connection) -> WorkerReadyFrame:
    found = validate_worker_channel_frame(await connection.receive())
    assert isinstance(found, WorkerReadyFrame)
    return found


async def test_a_worker_is_let_in_and_its_heartbeats_are_kept(server: Server, pool: dict[str, Any]) -> None:
    greeting = hello(requested_capabilities=[*REQUIRED, "flying.v1"])
    who = {key: greeting["payload"][key] for key in ("consumer_id", "worker_name", "heartbeat_interval_seconds")}
    async with server.connect(path(), greeting) as worker:
        answer = (await ready(worker)).payload
        assert answer.accepted_capabilities == REQUIRED and answer.rejected_capabilities == ["flying.v1"]
        assert [queue.name for queue in answer.resolved_work_queues] == ["default"]
        assert str(answer.initial_snapshot.work_pool.id) == pool["id"]
        first = server.post("/work_pools/p/workers/filter", {})[0]
        await worker.send(frame("worker.heartbeat.v1", **who))
        assert await worker.is_silent()
        second = server.post("/work_pools/p/workers/filter", {})[0]
        assert first["name"] == "w" and second["last_heartbeat_time"] > first["last_heartbeat_time"]


async def test_the_pool_is_made_if_asked_for(server: Server) -> None:
    async with server.connect(path("new"), hello()) as worker:
        assert await worker.closed() == (1008, "authorization_failed")
    async with server.connect(path("new"), hello(create_pool_if_not_found=True)) as worker:
        assert (await ready(worker)).payload.initial_snapshot.work_pool.type == "process"


async def test_changes_of_the_pool_are_shown(server: Server, pool: dict[str, Any]) -> None:
    async with server.connect(path(), hello()) as worker, httpx.AsyncClient(base_url=server.url) as client:
        await ready(worker)
        await client.patch("/work_pools/p", json={"description": "new"})
        shown = await worker.receive()
        assert shown["type"] == "work_pool.snapshot.v1" and shown["payload"]["snapshot_sequence"] == 2
        assert shown["payload"]["work_pool"]["description"] == "new"
        await client.delete("/work_pools/p")
        assert await worker.closed() == (1008, "authorization_failed")


@pytest.mark.parametrize(("first", "told"), [
    (hello(supported_channel_versions=["v9"]), (1008, "unsupported_version")),
    (hello(work_queue_names=["default", "missing"]), (1008, "authorization_failed")),
    (hello(bogus=1), (1002, "protocol_error")),
    (frame("worker.heartbeat.v1"), (1002, "protocol_error")),
    ("junk", (1002, "protocol_error")),
])  # fmt: skip
async def test_who_does_not_speak_the_protocol_is_refused(
    server: Server, pool: dict[str, Any], first: Any, told: tuple[int, str]
) -> None:
    async with server.connect(path(), first) as worker:
        assert await worker.closed() == told


async def test_a_second_hello_and_a_strangers_heartbeat_are_refused(server: Server, pool: dict[str, Any]) -> None:
    stranger = frame("worker.heartbeat.v1", consumer_id=str(new_uuid()), worker_name="w", heartbeat_interval_seconds=30)
    for wrong in (hello(), stranger):
        async with server.connect(path(), hello(), wrong) as worker:
            assert await worker.closed() == (1002, "protocol_error")
    async with server.connect(path(), hello(), auth=False) as worker:
        assert await worker.closed() == (1008, "authentication_failed")


def order(server: Server, pool: dict[str, Any]) -> str:
    run = new_uuid()
    server.database.write(
        lambda tx: cleanup_orders.order(
            tx, PENDING, work_pool_id=pool["id"], flow_run_id=run,
            target={"claim_id": str(new_uuid()), "infrastructure_pid": "7"},
        )
    )  # fmt: skip
    return str(run)


async def test_orders_are_carried_out_once(server: Server, pool: dict[str, Any]) -> None:
    async with server.connect(path(), cleaner()) as worker:
        await ready(worker)
        run = order(server, pool)
        message = (await worker.receive())["payload"]
        assert message["kind"] == PENDING and message["delivery_count"] == 1
        assert message["target"]["flow_run_id"] == run and message["target"]["infrastructure_pid"] == "7"
        held = {key: message[key] for key in ("message_id", "reservation_token")}
        await worker.send(frame("cleanup.renew.v1", **held))
        assert (await worker.receive())["payload"]["lease_expires_at"] > message["lease_expires_at"]
        await worker.send(frame("cleanup.ack.v1", **{**held, "reservation_token": "forged"}))
        assert (await worker.receive())["payload"]["status"] == "not_current"
        await worker.send(frame("cleanup.ack.v1", **held))
        assert (await worker.receive())["payload"]["status"] == "accepted"
        await worker.send(frame("cleanup.ack.v1", **held))
        assert (await worker.receive())["payload"]["status"] == "not_found"


async def test_an_order_goes_to_another_worker(server: Server, pool: dict[str, Any]) -> None:
    order(server, pool)
    async with server.connect(path(), cleaner(worker_name="one")) as one:
        await ready(one)
        first = (await one.receive())["payload"]
        async with server.connect(path(), cleaner(worker_name="two")) as two:
            await ready(two)
            assert await two.is_silent()
            held = {key: first[key] for key in ("message_id", "reservation_token")}
            await one.send(frame("cleanup.release.v1", **held, reason="busy"))
            takers = [await one.receive(), None]
            assert takers[0]["payload"]["status"] == "accepted"
            await one.socket.close()
            again = (await two.receive())["payload"]
            assert again["message_id"] == first["message_id"]
            assert again["reservation_token"] != first["reservation_token"]


async def test_an_order_is_given_up(server: Server, pool: dict[str, Any]) -> None:
    order(server, pool)
    moment = now()

    def reserve(later: int) -> Any:
        return server.database.write(
            lambda tx: cleanup_orders.reserve(
                tx, pool["id"], [PENDING], [], moment + timedelta(seconds=later), seconds=10, attempts=2
            )
        )

    first = reserve(0)
    assert first["delivery_count"] == 1 and reserve(5) is None
    assert reserve(11)["delivery_count"] == 2
    assert reserve(30) is None
    renewed = server.database.write(
        lambda tx: cleanup_orders.renew(tx, first["id"], first["reservation_token"], moment, seconds=1)
    )
    assert renewed == ("dead_lettered", None)


def test_giving_an_order_back_untried_does_not_count(server: Server, pool: dict[str, Any]) -> None:
    order(server, pool)
    moment = now()

    def reserve(tx: Any) -> Any:
        return cleanup_orders.reserve(tx, pool["id"], [PENDING], [], moment, seconds=10, attempts=2)

    for reason, count in (("infrastructure_not_available", 1), ("handler_failed", 1), ("handler_failed", 2)):
        row = server.database.write(reserve)
        assert row["delivery_count"] == count
        server.database.write(
            lambda tx, row=row, why=reason: cleanup_orders.release(tx, row["id"], row["reservation_token"], moment, why)
        )
    assert server.database.write(reserve) is None
