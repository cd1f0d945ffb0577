"""Who may ask: one check in front of every route, HTTP and websocket alike."""

from __future__ import annotations

import base64
import binascii
import secrets

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class BasicAuthentication:
    """Lets through only who gives the configured `user:password` (HTTP basic authentication, RFC 7617).

    Args:
        app: the application behind it.
        auth_string: `user:password`.
        exempt: the exact paths that need no authentication.
    """

    def __init__(self, app: ASGIApp, auth_string: str, exempt: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._expected = auth_string.encode()
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_exempt(scope) or self._is_known(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # the handshake, which is then refused
            await send({"type": "websocket.close", "code": 1008, "reason": "Unauthorized"})
        else:
            challenge = {"WWW-Authenticate": 'Basic realm="prefect"'}
            response = JSONResponse({"exception_message": "Unauthorized"}, 401, challenge)
            await response(scope, receive, send)

    def _is_exempt(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] in self._exempt

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            return secrets.compare_digest(base64.b64decode(given, validate=True), self._expected)
        except (binascii.Error, ValueError):
            return False
