"""A websocket of the API: opened, authenticated, read and closed in one way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from prefect.server.calls import Calls
from prefect.settings import Settings
from prefect.settings.context import push_settings

T = TypeVar("T")

_log = logging.getLogger("prefect.server")

SUBPROTOCOL = "prefect"
FIRST_MESSAGE_SECONDS = 10.0
"""How long a client may take to say what it wants."""

POLICY_VIOLATION = 1008
PROTOCOL_ERROR = 1002
SERVER_ERROR = 1011


class Refusal(Exception):
    """The connection is closed for this reason.

    Args:
        code: of the close frame (RFC 6455, section 7.4).
        reason: for the client.
    """

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Work:
    """Runs work on the database for code in the event loop, under the server's settings."""

    def __init__(self, calls: Calls, settings: Settings) -> None:
        self.calls = calls
        self.settings = settings

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """As `Database.read`."""
        return await self.calls.read(self._in_settings(work))

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """As `Database.write`."""
        return await self.calls.write(self._in_settings(work))

    def _in_settings(self, work: Callable[[sa.Connection], T]) -> Callable[[sa.Connection], T]:
        def run(tx: sa.Connection) -> T:
            push_settings(self.settings)  # in the context of this call alone: each has a copy
            return work(tx)

        return run


class Socket:
    """A websocket that was accepted.

    Args:
        websocket: the connection.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def authenticate(
        self, *, reason: str = "Expected 'auth' message", more: Mapping[str, Any] | None = None
    ) -> None:
        """Take the client's first message, which must be of type `auth`.

        Whether its token is good was checked before, by the one that checks every request.

        Args:
            reason: why the connection is closed when it is not.
            more: what to tell the client beside that it is welcome.
        """
        try:
            first = await self.receive(FIRST_MESSAGE_SECONDS)
        except Refusal:
            first = {}
        if first.get("type") != "auth":
            raise Refusal(POLICY_VIOLATION, reason)
        await self.send(json.dumps({"type": "auth_success", **(more or {})}, separators=(",", ":")))

    async def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """The next message, which must be a JSON object.

        Args:
            timeout: seconds to wait for it.

        Raises:
            Refusal: it is not, or nothing came.
            WebSocketDisconnect: the client has gone.
        """
        try:
            async with asyncio.timeout(timeout):
                message = json.loads(await self.receive_text())
        except TimeoutError:
            raise Refusal(POLICY_VIOLATION, "Nothing was said") from None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Refusal(PROTOCOL_ERROR, "Expected a JSON object")
        return message

    async def receive_text(self) -> str:
        """The next message as it is.

        Raises:
            Refusal: it is not text.
            WebSocketDisconnect: the client has gone.
        """
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1000)
        text = message.get("text")
        if text is None:
            raise Refusal(PROTOCOL_ERROR, "Expected text")
        return text

    async def send(self, text: str) -> None:
        """Send a message; returns when the client's side has room for more.

        Raises:
            WebSocketDisconnect: the client has gone.
        """
        await self._websocket.send_text(text)

    async def until_gone(self) -> None:
        """Read what the client sends, which means nothing here, until it goes away."""
        with contextlib.suppress(WebSocketDisconnect, Refusal):
            while True:
                await self.receive_text()


Handler = Callable[[Socket, WebSocket], Awaitable[None]]


def switched_off(socket: Socket, websocket: WebSocket) -> Any:
    """The handler of a stream that the settings do not offer."""
    raise Refusal(POLICY_VIOLATION, "This stream is switched off by the server's settings")


def speaks_subprotocol(websocket: WebSocket) -> bool:
    """Whether a client begins with an `auth` message, as those do that offer our subprotocol."""
    return SUBPROTOCOL in (websocket.scope.get("subprotocols") or [])


def handled(
    handler: Handler, *, authenticates: bool = True, takes_old_clients: bool = True
) -> Callable[[WebSocket], Awaitable[None]]:
    """An endpoint that opens a websocket, leaves it to a handler, and closes it.

    Args:
        handler: what to do with it.
        authenticates: wait for the `auth` message of a client that sends one; otherwise the handler does that.
        takes_old_clients: also let in a client that does not offer the subprotocol, and begins with what it wants.
    """

    async def endpoint(websocket: WebSocket) -> None:
        speaks = speaks_subprotocol(websocket)
        if not (speaks or takes_old_clients):
            await websocket.close(POLICY_VIOLATION)  # before it is accepted: the handshake is answered with 403
            return
        await websocket.accept(subprotocol=SUBPROTOCOL if speaks else None)
        socket = Socket(websocket)
        try:
            if authenticates and speaks:
                await socket.authenticate()
            await handler(socket, websocket)
        except WebSocketDisconnect:
            return
        except Refusal as refusal:
            await _close(websocket, refusal.code, refusal.reason)
        except Exception:
            _log.exception("The websocket %s failed.", websocket.url.path)
            await _close(websocket, SERVER_ERROR, "Internal error")
        else:
            await _close(websocket, 1000, "")

    return endpoint


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    if websocket.application_state is WebSocketState.DISCONNECTED or (
        websocket.client_state is WebSocketState.DISCONNECTED
    ):
        return
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone meanwhile
        await websocket.close(code, reason[:120])


@contextlib.asynccontextmanager
async def while_connected(socket: Socket) -> AsyncIterator[None]:
    """Run the body until the client goes away, which ends it."""
    body = asyncio.current_task()
    assert body is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        await socket.until_gone()
        gone = True
        body.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        body.uncancel()
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
