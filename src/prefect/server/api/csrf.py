"""Requests that change something must carry their client's token, when the server asks for tokens."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from prefect._clock import now
from prefect._operations import csrf_tokens
from prefect.server.calls import Calls, Pace

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class CsrfProtection:
    """Refuses changes without a valid token (`GET /csrf-token` gives one).

    Args:
        app: the application behind it.
        calls: has work done on the database where the tokens are.
    """

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self._app = app
        self._calls = calls
        self._pace = Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _CHANGES:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        client, token = headers.get("prefect-csrf-client"), headers.get("prefect-csrf-token")
        if client is None or token is None:
            problem = "Missing CSRF token or client: send Prefect-Csrf-Token and Prefect-Csrf-Client."
        elif not await self._calls.read(lambda tx: csrf_tokens.is_valid(tx, client, token, now()), self._pace):
            problem = "Invalid CSRF token or client identifier: fetch a new token."
        else:
            await self._app(scope, receive, send)
            return
        await JSONResponse({"detail": problem}, 403)(scope, receive, send)
