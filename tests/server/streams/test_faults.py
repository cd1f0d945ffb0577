"""Servers that are killed and databases that go away: what was acknowledged is there once, and everybody goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from prefect._store.dialects import make_engine
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient, PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter
from served.servers import free_port

from .conftest import Server, an_event

pytestmark = pytest.mark.faults


@contextmanager
def process(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, which answers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(home)
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-services"]
    started = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/api/health").status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert started.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        yield started
    finally:
        started.kill()
        started.wait()


def its(prefix: str) -> EventFilter:
    return EventFilter(event=EventNameFilter(prefix=[prefix]))


async def test_a_server_that_is_killed_loses_nothing_that_a_client_was_left_with(tmp_path: Path) -> None:
    port, count = free_port(), 600
    url = f"http://127.0.0.1:{port}/api"
    sent = [f"n.{number:04}" for number in range(count)]
    got: list[str] = []

    async def follow() -> None:
        async with PrefectEventSubscriber(url, its("n."), reconnection_attempts=-1) as subscriber:
            async for event in subscriber:
                got.append(event.event)
                if len(got) == count:
                    return

    async def emit() -> None:
        async with PrefectEventsClient(url, reconnection_attempts=-1, checkpoint_every=100) as client:
            for name in sent:
                await client.emit(Event(event=name, resource={"prefect.resource.id": "r"}))  # type: ignore[arg-type]
                await asyncio.sleep(0.002)

    with ExitStack() as servers:

        def start() -> subprocess.Popen[bytes]:
            return servers.enter_context(process(tmp_path, port))

        server = await asyncio.to_thread(start)
        both = asyncio.gather(follow(), emit())
        while len(got) < count // 4:
            assert not both.done()
            await asyncio.sleep(0.01)
        server.send_signal(signal.SIGKILL)
        await asyncio.to_thread(server.wait)
        await asyncio.to_thread(start)
        await asyncio.wait_for(both, 60)
        assert sorted(got) == sent
        async with httpx.AsyncClient() as client:
            body = {"filter": {"event": {"prefix": ["n."]}}}
            assert (await client.post(f"{url}/events/filter", json=body)).json()["total"] == count


async def test_subscribers_outlive_a_database_that_ends_all_connections(
    postgresql_url: str, start_server: Callable[..., Server]
) -> None:
    server = start_server(postgresql_url)
    async with server.connect("/events/out", {"type": "filter", "filter": {}, "backfill": False}) as out:
        assert await out.is_silent()
        engine = make_engine(postgresql_url)
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        engine.dispose()
        for number in range(5):
            await asyncio.to_thread(server.post, "/events", [an_event(f"e{number}")])
        assert [(await out.receive())["event"]["event"] for _ in range(5)] == [f"e{number}" for number in range(5)]
