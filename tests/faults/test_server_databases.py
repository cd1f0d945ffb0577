"""Servers whose database goes away, and crowds of writers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from served.servers import DEADLINE_SECONDS, Server, until
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

pytestmark = pytest.mark.faults


class Writers:
    """Threads that make flows and remember which ones were acknowledged; an error that says "later" is tried again.

    Args:
        urls: gives the address to try next.
        count: how many threads.
    """

    def __init__(self, urls: Callable[[], str], count: int) -> None:
        self.acknowledged: set[str] = set()
        self.unexpected: list[str] = []
        self._urls = urls
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS)

    def wait_for(self, more: int) -> None:
        """Until so many more are acknowledged."""
        end = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= end or self.unexpected, "the acknowledgement of what is written")
        assert not self.unexpected, self.unexpected[:3]

    def _write(self, writer: int) -> None:
        with httpx.Client(timeout=DEADLINE_SECONDS) as client:
            number = 0
            while not self._ended.is_set():
                name = f"{writer}-{number}"
                try:
                    answer = client.post(f"{self._urls()}/flows/", json={"name": name})
                except httpx.TransportError:
                    self._ended.wait(0.05)  # that server is gone
                    continue
                if answer.status_code in (200, 201):  # 200: written by one that was killed before it could say so
                    self.acknowledged.add(answer.json()["name"])
                    number += 1
                elif answer.status_code == 503 and "Retry-After" in answer.headers:
                    self._ended.wait(0.05)
                else:
                    self.unexpected.append(f"{answer.status_code} {answer.text[:300]}")
                    return


def all_flows(server: Server) -> set[str]:
    return {flow["name"] for flow in server._pages("/flows/filter", {"sort": "NAME_ASC"})}


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.stop()


def test_postgresql_is_started_again_under_load(tmp_path: Path, servers: list[Server], postgresql: PostgreSQL) -> None:
    url = postgresql.database("restart")
    server = Server(tmp_path, PREFECT_SERVER_DATABASE_CONNECTION_URL=url).start()
    servers.append(server)
    with Writers(lambda: server.url, 8) as writers:
        writers.wait_for(50)
        postgresql.restart()
        writers.wait_for(50)
    assert not writers.unexpected, writers.unexpected[:3]
    assert writers.acknowledged <= all_flows(server)
    until(lambda: server.ask("GET", "/ready") is not None, "readiness")


def test_a_crowd_of_writers_on_sqlite(tmp_path: Path, servers: list[Server], soak: bool) -> None:
    server = Server(tmp_path).start()
    servers.append(server)
    count, seconds = 256, 60.0 if soak else 0.0

    async def crowd() -> list[str]:
        # a connection that idles for as long as the server keeps it may be closed just when it is used
        limits = httpx.Limits(max_connections=count, keepalive_expiry=1)
        async with httpx.AsyncClient(base_url=server.url, timeout=DEADLINE_SECONDS, limits=limits) as client:
            end = time.monotonic() + seconds

            async def write(writer: int) -> list[str]:
                written: list[str] = []
                while len(written) < 3 or time.monotonic() < end:
                    name = f"{writer}-{len(written)}"
                    answer = await client.post("/flows/", json={"name": name})
                    assert answer.status_code == 201, answer.text
                    written.append(name)
                return written

            return [name for names in await asyncio.gather(*map(write, range(count))) for name in names]

    written = asyncio.run(crowd())
    assert set(written) <= all_flows(server)
