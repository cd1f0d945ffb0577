"""Requests reach the routes that asking one route after the other would find."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from prefect.server.api.routing import Table
from prefect.server.api.server import create_app
from prefect.settings import PREFECT_SERVER_API_BASE_PATH, temporary_settings

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")


@contextlib.asynccontextmanager
async def nothing(app: Starlette) -> AsyncIterator[None]:
    yield


def one_after_the_other(table: Table, scope: Scope) -> Route | None:
    return next((route for route in table.routes if route.matches(scope)[0] is Match.FULL), None)  # pyright: ignore[reportReturnType]


async def receive() -> dict[str, str]:
    raise AssertionError("nobody reads here")


async def reached(table: Table, scope: Scope) -> object:
    """The route that a request is handed to, or the status of the answer that it gets instead."""
    found: list[object] = []

    async def send(message: dict[str, object]) -> None:
        found.append(message.get("status"))

    class Seen(Exception):
        pass

    original = Route.handle

    async def handle(self: Route, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods and scope["method"] not in self.methods:
            await original(self, scope, receive, send)
            return
        found.append(self)
        raise Seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Route, "handle", handle)
        with contextlib.suppress(Seen):
            await table(scope, receive, send)  # pyright: ignore[reportArgumentType]
    return found[0]


def request(method: str, path: str) -> Scope:
    return {
        "type": "http", "method": method, "path": path, "root_path": "", "headers": [], "query_string": b"",
        "scheme": "http", "server": ("127.0.0.1", 80),
    }  # fmt: skip


@pytest.mark.parametrize("base", ["/api", "/one/two/three"])
async def test_every_route_is_found(base: str) -> None:
    with temporary_settings({PREFECT_SERVER_API_BASE_PATH: base}):
        table = create_app().router
    assert isinstance(table, Table)
    seen: set[int] = set()
    for route in table.routes:
        if not isinstance(route, Route):
            continue
        for word in (str(uuid4()), "a-name", "filter", "ü b"):
            path = route.path
            for name in route.param_convertors:
                for kind in (f"{{{name}:uuid}}", f"{{{name}:path}}", f"{{{name}}}"):
                    path = path.replace(kind, word)
            for method in METHODS:
                scope = request(method, path)
                expected = one_after_the_other(table, scope)
                if expected is not None:
                    seen.add(id(expected))
                    assert await reached(table, scope) is expected
    assert seen == {id(route) for route in table.routes if isinstance(route, Route)}


async def test_what_has_no_route_is_told_as_before() -> None:
    table = create_app().router
    assert isinstance(table, Table)
    assert await reached(table, request("PATCH", "/api/health")) == 405
    assert await reached(table, request("POST", "/api/flow_runs")) == 307
    for path in ("/api/nothing", "/", "/api", "/api/flow_runs/not-an-id", "//api/health", "/api/flow_runs/a/b/c/d/e"):
        assert await reached(table, request("GET", path)) == 404


async def test_a_path_with_any_number_of_segments_has_a_route() -> None:
    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None: ...

    routes = [Route("/api/{noun}/x", endpoint), Route("/api/files/{rest:path}", endpoint), Route("/", endpoint)]
    table = Table(routes, "/api", nothing)
    assert await reached(table, request("GET", "/api/flows/x")) is routes[0]
    assert await reached(table, request("GET", "/api/files/a/b/c")) is routes[1]
    assert await reached(table, request("GET", "/")) is routes[2]
