"""The server as an ASGI application."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from prefect._operations import system_blocks
from prefect._operations.routes import ROUTES
from prefect.server.api import mounting, openapi
from prefect.server.api.auth import BasicAuthentication, OwnOrigin
from prefect.server.api.csrf import CsrfProtection
from prefect.server.api.routing import Table
from prefect.server.api.waiting import Waits
from prefect.server.calls import Calls, calls_of
from prefect.server.database import database_of
from prefect.server.services import enabled_loops
from prefect.server.streams import routes as streams
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect.settings import Settings

_SOON_SECONDS = 0.5


def create_app(settings: Settings | None = None, *, services: bool = False) -> Starlette:
    """Make the server's application.

    It opens its database when it starts and closes it when it ends.

    Args:
        settings: what it is configured by; by default the current settings.
        services: whether what goes on in the background goes on in this process too.
    """
    settings = settings or get_current_settings()
    api = settings.server.api
    prefix = "/" + (api.base_path or "/api").strip("/")
    database = database_of(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(database.open)
        if settings.server.register_blocks_on_start:
            memoize = settings.server.memoize_block_auto_registration
            install = system_blocks.install_new if memoize else system_blocks.install
            await run_in_threadpool(database.write, install)
        loops = enabled_loops(database, settings) if services else None
        if loops is not None:
            loops.start()
        soon = threading.Timer(_SOON_SECONDS, _prepare_recording, [routes])
        soon.daemon = True
        soon.start()
        try:
            yield
        finally:
            soon.cancel()
            if loops is not None:
                await run_in_threadpool(loops.stop)
            await run_in_threadpool(calls.close)
            await run_in_threadpool(database.close)

    waits, calls = Waits(database.bus), calls_of(database)
    description = _Description(prefix)
    routes = [
        *mounting.routes(ROUTES, calls, prefix=prefix, settings=settings, waits=waits),
        *streams.routes(calls, prefix=prefix, settings=settings),
        Route(f"{prefix}/openapi.json", description.as_json),
        *([Route("/docs", description.as_page)] if settings.server.ui.enabled else []),
    ]
    app = Starlette(
        middleware=_middleware(settings, prefix, calls),
        exception_handlers={404: _no_such_route, 405: _no_such_method},
    )
    app.router = Table(routes, prefix, lifespan)
    app.state.database = database
    app.state.waits = waits
    return app


def _prepare_recording(routes: Iterable[BaseRoute]) -> None:
    """Have what flows report by ready before the first one comes: nobody waits for it then."""
    for route in routes:
        if (
            isinstance(route, Route)
            and route.path.endswith("/runs/record")
            and isinstance(route.app, mounting.Endpoint)
        ):
            route.app.prepare()


def _middleware(settings: Settings, prefix: str, calls: Calls) -> list[Middleware]:
    """What stands in front of the routes, outermost first."""
    api = settings.server.api
    stack: list[Middleware] = []
    # the default names every origin; browsers are let in only where somebody said so
    lets_in = settings.source_of("server.api.cors_allowed_origins") is not None
    origins = frozenset(api.cors_allowed_origins.split(",")) if lets_in else frozenset[str]()
    stack.append(Middleware(OwnOrigin, origins=origins))
    if lets_in:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=api.cors_allowed_origins.split(","),
                allow_methods=api.cors_allowed_methods.split(","),
                allow_headers=api.cors_allowed_headers.split(","),
            )
        )
    if api.auth_string is not None:
        exempt = frozenset({f"{prefix}/health", f"{prefix}/ready"})
        stack.append(Middleware(BasicAuthentication, auth_string=api.auth_string.get_secret_value(), exempt=exempt))
    if api.csrf_protection_enabled:
        stack.append(Middleware(CsrfProtection, calls=calls))
    return stack


class _Description:
    """The OpenAPI document, made when somebody asks for it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @cached_property
    def _document(self) -> str:
        return json.dumps(openapi.document([where.operation() for where in ROUTES], prefix=self._prefix))

    async def as_json(self, request: Request) -> Response:
        return Response(await run_in_threadpool(lambda: self._document), media_type="application/json")

    async def as_page(self, request: Request) -> Response:
        return HTMLResponse(openapi.page(json.loads(await run_in_threadpool(lambda: self._document))))


async def _no_such_route(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "Not Found"}, 404)


async def _no_such_method(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "Method Not Allowed"}, 405, headers=getattr(error, "headers", None))
