"""Who may ask: one check in front of every route, HTTP and websocket alike.

A websocket may bring its credentials as a request does, in a header, or in its first message, as clients do that cannot
set headers: `{"type": "auth", "token": "user:password"}`. Until they are found good, nothing behind this check sees the
connection.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
from collections import deque
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SUBPROTOCOL = "prefect"
_FIRST_MESSAGE_SECONDS = 10.0


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
            await self._ask(scope, receive, send)
        else:
            challenge = {"WWW-Authenticate": 'Basic realm="prefect"'}
            response = JSONResponse({"exception_message": "Unauthorized"}, 401, challenge)
            await response(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a websocket in whose first message has good credentials; the application finds it as it came."""
        handshake = await receive()
        if _SUBPROTOCOL not in (scope.get("subprotocols") or []) or "authorization" in Headers(scope=scope):
            await send({"type": "websocket.close", "code": 1008, "reason": "Unauthorized"})  # refuses the handshake
            return
        await send({"type": "websocket.accept", "subprotocol": _SUBPROTOCOL})
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_SECONDS):
                first = await receive()
        except TimeoutError:
            first = {"type": "websocket.receive", "text": ""}
        if first["type"] == "websocket.disconnect":
            return
        if not self._is_token(first.get("text") or ""):
            await send({"type": "websocket.close", "code": 1008, "reason": "authentication_failed"})
            return
        given = deque([handshake, first])

        async def receive_again() -> Message:
            return given.popleft() if given else await receive()

        async def send_on(message: Message) -> None:
            if message["type"] != "websocket.accept":
                await send(message)

        await self._app(scope, receive_again, send_on)

    def _is_token(self, text: str) -> bool:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if not isinstance(message, dict) or message.get("type") != "auth" or not isinstance(message.get("token"), str):
            return False
        return secrets.compare_digest(message["token"].encode(errors="surrogatepass"), self._expected)

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


class OwnOrigin:
    """Refuses websockets that another site's page opens: browsers let any page open them, and tell only where from.

    Args:
        app: the application behind it.
        origins: the sites that may; `*` for all. The server's own pages always may.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not self._is_allowed(Headers(scope=scope)):
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "Another site's page"})
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return True
        return urlsplit(origin).netloc == headers.get("host")
