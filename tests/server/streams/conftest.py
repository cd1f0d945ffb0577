"""Databases of both kinds, opened as a server opens them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import uvicorn
import websockets

from prefect._ids import new_uuid
from prefect.server.api.server import create_app
from prefect.server.database import Database, make_database
from prefect.settings import get_current_settings
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> str:
    """An empty PostgreSQL database."""
    return postgresql.database("streams")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    return (
        request.getfixturevalue("postgresql_url")
        if request.param == "postgresql"
        else f"sqlite:///{tmp_path}/pluperfect.db"
    )


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Open a database as another server would; closed at the end."""
    opened: list[Database] = []

    def open_(url: str) -> Database:
        database = make_database(url)
        database.open()
        opened.append(database)
        return database

    yield open_
    for database in reversed(opened):
        database.close()


@pytest.fixture
def database(url: str, open_database: Callable[[str], Database]) -> Database:
    return open_database(url)


class Server:
    """The real application on a real socket, in a thread of its own."""

    def __init__(self, database_url: str, port: int = 0, **settings: Any) -> None:
        changes = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url, **settings}
        self.app = create_app(get_current_settings().copy_with_update(changes))
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def start(self) -> Server:
        self._thread.start()
        end = time.monotonic() + 30
        while not self._server.started:
            assert self._thread.is_alive() and time.monotonic() < end, "the server did not start"
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(15)

    @property
    def database(self) -> Database:
        return self.app.state.database

    def post(self, path: str, body: Any, status: tuple[int, ...] = (200, 201, 204)) -> Any:
        response = httpx.post(f"{self.url}{path}", json=body, headers=self.headers)
        assert response.status_code in status, response.text
        return response.json() if response.content else None

    headers: ClassVar[dict[str, str]] = {}

    @contextlib.asynccontextmanager
    async def connect(self, path: str, *first: Any, auth: bool = True, **options: Any) -> AsyncIterator[Connection]:
        """A websocket, authenticated, with the first messages sent."""
        options = {"subprotocols": ["prefect"], **options}
        async with websockets.connect(f"ws://127.0.0.1:{self.port}/api{path}", **options) as socket:
            connection = Connection(socket)
            if auth:
                await connection.send({"type": "auth", "token": None})
                assert (await connection.receive())["type"] == "auth_success"
            for message in first:
                await connection.send(message)
            yield connection


class Connection:
    """A websocket that speaks JSON, with deadlines."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, message: Any) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def receive(self, timeout: float = 20) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.recv(), timeout))

    async def is_silent(self, seconds: float = 0.3) -> bool:
        try:
            await self.receive(seconds)
        except TimeoutError:
            return True
        return False

    async def closed(self, timeout: float = 20) -> tuple[int, str]:
        """The code and the reason with which the server closes the connection."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(self.socket.recv(), timeout)
        return self.socket.close_code, self.socket.close_reason


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Start a server on a database; stopped at the end."""
    started: list[Server] = []

    def start(database_url: str, port: int = 0, **settings: Any) -> Server:
        server = Server(database_url, port, **settings).start()
        started.append(server)
        return server

    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture
def server(url: str, start_server: Callable[..., Server]) -> Server:
    return start_server(url)


def an_event(name: str = "e", resource: str = "r", **more: Any) -> dict[str, Any]:
    """An event as a client sends it."""
    return {
        "event": name, "resource": {"prefect.resource.id": resource}, "related": [], "payload": {},
        "occurred": datetime.now(UTC).isoformat(), "id": str(new_uuid()), **more,
    }  # fmt: skip
