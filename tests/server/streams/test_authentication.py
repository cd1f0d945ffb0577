"""Nobody gets anything out of a websocket, or into it, whom the server would not answer."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from starlette.routing import WebSocketRoute

from .conftest import Server, an_event

SECRET = "admin:s3cret"
PATHS = [
    "/events/in",
    "/events/out",
    "/logs/out",
    "/task_runs/subscriptions/scheduled",
    "/work_pools/p/workers/connect",
    "/events/in/../../health",
]


@pytest.fixture
def guarded(tmp_path: Path, start_server: Callable[..., Server]) -> Server:
    return start_server(f"sqlite:///{tmp_path}/a.db", PREFECT_SERVER_API_AUTH_STRING=SECRET)


def header(credentials: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def test_every_websocket_is_tried(guarded: Server) -> None:
    routes = {route.path for route in guarded.app.routes if isinstance(route, WebSocketRoute)}
    assert routes == {f"/api{path}".replace("/p/", "/{work_pool_name}/") for path in PATHS[:-1]}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("first", [
    {"type": "auth", "token": None}, {"type": "auth", "token": "admin:wrong"}, {"type": "auth"}, an_event(), "nonsense",
    {"type": "auth", "token": 1}, {"type": "filter", "filter": {}}, {"type": "auth", "token": "\ud800"},
])  # fmt: skip
async def test_a_wrong_first_message_ends_it(guarded: Server, path: str, first: Any) -> None:
    async with guarded.connect(path, first, auth=False) as connection:
        assert await connection.closed() == (1008, "authentication_failed")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("options", [
    {"subprotocols": None}, {"additional_headers": header("admin:wrong")}, {"additional_headers": header("")},
    {"additional_headers": {"Authorization": "Bearer s3cret"}},
])  # fmt: skip
async def test_a_wrong_handshake_is_refused(guarded: Server, path: str, options: dict[str, Any]) -> None:
    with pytest.raises(websockets.InvalidStatus):
        async with guarded.connect(path, auth=False, **options):
            pass


async def test_good_credentials_in_the_first_message(guarded: Server) -> None:
    token = {"type": "auth", "token": SECRET}
    async with guarded.connect("/events/in", token, an_event("a"), auth=False) as into:
        assert (await into.receive())["type"] == "auth_success"
        await into.send({"type": "checkpoint", "id": 1})
        await into.receive()
    async with httpx.AsyncClient(headers=header(SECRET)) as client:
        found = await client.post(f"{guarded.url}/events/filter", json={})
    assert [event["event"] for event in found.json()["events"]] == ["a"]


async def test_good_credentials_in_a_header(guarded: Server) -> None:
    async with guarded.connect("/events/in", additional_headers=header(SECRET)) as into:
        await into.send({"type": "checkpoint", "id": 1})
        assert await into.receive() == {"type": "checkpoint", "id": 1}


async def test_pages_of_other_sites_are_refused(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    server = start_server(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(websockets.InvalidStatus):
        async with server.connect("/events/out", origin="https://elsewhere.example"):
            pass
    async with server.connect("/events/out", origin=f"http://127.0.0.1:{server.port}"):
        pass
    open_to = {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "https://elsewhere.example"}
    other = start_server(f"sqlite:///{tmp_path}/b.db", **open_to)
    async with other.connect("/events/out", origin="https://elsewhere.example"):
        pass
