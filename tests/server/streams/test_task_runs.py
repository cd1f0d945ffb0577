"""Background task runs: each is handed to one subscriber, and to another when that one has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import task_run_deliveries
from prefect.server.streams import task_runs

from .conftest import Connection, Server

PATH = "/task_runs/subscriptions/scheduled"


def subscribe(*keys: str, client: str = "c") -> dict[str, Any]:
    return {"type": "subscribe", "keys": list(keys), "client_id": client}


def make(server: Server, key: str = "k", delay: float = 0, **details: Any) -> str:
    due = (datetime.now(UTC) + timedelta(seconds=delay)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"deferred": True, "scheduled_time": due, **details}}
    body = {"name": "t", "task_key": key, "dynamic_key": str(new_uuid()), "flow_run_id": None, "state": state}
    return server.post("/task_runs/", body)["id"]


async def take(connection: Connection) -> str:
    run = await connection.receive()
    await connection.send({"type": "ack"})
    return run["id"]


async def test_runs_come_in_order_as_they_are_made(server: Server) -> None:
    first, second = make(server), make(server)
    make(server, "another task")
    make(server, deferred=False)  # a retry that waits in its own process
    async with server.connect(PATH, subscribe("k")) as worker:
        assert [await take(worker), await take(worker)] == [first, second]
        third = make(server)
        assert await take(worker) == third
        assert await worker.is_silent()


async def test_a_run_comes_when_it_is_due(server: Server) -> None:
    async with server.connect(PATH, subscribe("k")) as worker:
        later = make(server, delay=2)  # the other one is made well before
        at_once = make(server)
        assert [await take(worker), await take(worker)] == [at_once, later]


async def test_each_run_goes_to_one_subscriber(server: Server) -> None:
    runs: list[str] = []
    taken: list[list[str]] = []
    ready, done = asyncio.Semaphore(0), asyncio.Event()

    async def drain(got: list[str]) -> None:
        async with server.connect(PATH, subscribe("k")) as worker:
            ready.release()
            while True:
                run = await worker.receive(30)
                got.append(run["id"])
                if sum(map(len, taken)) == 40:
                    done.set()
                await worker.send({"type": "ack"})

    taken.extend([[], [], [], []])
    workers = [asyncio.create_task(drain(got)) for got in taken]
    for _ in workers:
        await ready.acquire()
    runs += [await asyncio.to_thread(make, server) for _ in range(40)]
    await asyncio.wait_for(done.wait(), 30)
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert sorted(id for got in taken for id in got) == sorted(runs)


async def test_what_a_subscriber_has_not_begun_goes_to_another(server: Server) -> None:
    begun, held = make(server), make(server)
    async with server.connect(PATH, subscribe("k", client="one")) as one:
        assert [await take(one), await take(one)] == [begun, held]
        server.post(f"/task_runs/{begun}/set_state", {"state": {"type": "RUNNING"}})
        async with server.connect(PATH, subscribe("k", client="two")) as two:
            assert await two.is_silent()
            await one.socket.close()
            assert await take(two) == held
            assert await two.is_silent()


async def test_what_is_not_acknowledged_goes_to_another(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(task_runs, "_ANSWER_SECONDS", 0.3)
    run = make(server)
    async with server.connect(PATH, subscribe("k")) as one:
        assert (await one.receive())["id"] == run
        assert (await one.closed())[0] == 4001
    async with server.connect(PATH, subscribe("k")) as two:
        assert await take(two) == run


async def test_what_a_dead_servers_subscriber_held_goes_to_another(server: Server) -> None:
    run, dead = make(server), new_uuid()
    long_ago = now() - task_run_deliveries.LIFETIME - timedelta(seconds=1)
    server.database.write(lambda tx: task_run_deliveries.subscribe(tx, dead, "dead", ["k"], now()))
    server.database.write(lambda tx: task_run_deliveries.reserve(tx, dead, ["k"], now()))
    async with server.connect(PATH, subscribe("k")) as worker:
        assert await worker.is_silent()
    server.database.write(lambda tx: task_run_deliveries.keep_alive(tx, dead, long_ago))
    async with server.connect(PATH, subscribe("k")) as worker:
        assert await take(worker) == run


async def test_runs_reach_the_subscribers_of_another_server(
    postgresql_url: str, start_server: Callable[..., Server]
) -> None:
    here, there = start_server(postgresql_url), start_server(postgresql_url)
    async with there.connect(PATH, subscribe("k")) as worker:
        assert await worker.is_silent()
        run = make(here)
        assert await take(worker) == run


async def test_who_waits_is_listed(server: Server) -> None:
    async with server.connect(PATH, subscribe("b", "a", client="me")) as worker:
        assert await worker.is_silent()
        everybody = server.post("/task_workers/filter", {})
        assert [(one["identifier"], one["task_keys"]) for one in everybody] == [("me", ["a", "b"])]
        assert server.post("/task_workers/filter", {"task_worker_filter": {"task_keys": ["c"]}}) == []


async def test_protocol_errors_are_told(server: Server) -> None:
    for wrong, told in [
        ({"type": "x"}, "expected 'subscribe' message"),
        ({"type": "subscribe", "keys": [], "client_id": "c"}, "expected 'keys' in subscribe message"),
        ({"type": "subscribe", "keys": [1], "client_id": "c"}, "expected 'keys' in subscribe message"),
        ({"type": "subscribe", "keys": ["k"]}, "expected 'client_id' in subscribe message"),
    ]:
        async with server.connect(PATH, wrong) as connection:
            assert await connection.closed() == (4001, f"Protocol violation: {told}")
    make(server)
    async with server.connect(PATH, subscribe("k")) as connection:
        await connection.receive()
        await connection.send({"type": "nack"})
        assert await connection.closed() == (4001, "Protocol violation: expected 'ack' message")
