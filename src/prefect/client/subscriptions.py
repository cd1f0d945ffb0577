"""Objects that a server hands out over a websocket, each to one subscriber."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket as sockets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from pydantic import BaseModel

from prefect._lazy import lazy_module
from prefect._transport.websocket import Attempts, StreamRefused, connection, refuse, socket_url
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from websockets import exceptions as websockets_exceptions
    from websockets.asyncio.client import ClientConnection
else:
    websockets_exceptions = lazy_module("websockets.exceptions")

__all__ = ["Subscription"]

S = TypeVar("S", bound=BaseModel)


class Subscription(Generic[S]):
    """Objects that are handed out for keys:

        async for run in Subscription(TaskRun, "/task_runs/subscriptions/scheduled", keys): ...

    Each is acknowledged when it arrives. A connection that fails is made again, for ever.

    Args:
        model: what an object is made into.
        path: of the websocket, below the address of the API.
        keys: which objects.
        client_id: what this subscriber is called; unless given, its host and process.
        base_url: the address of the API; unless given, that of the settings.

    Raises:
        ValueError: there is no address.
    """

    def __init__(
        self,
        model: type[S],
        path: str,
        keys: Iterable[str],
        client_id: str | None = None,
        base_url: str | None = None,
    ) -> None:
        base = base_url or get_current_settings().api.url
        if not base:
            raise ValueError("Only a server hands out objects: give base_url, or set PREFECT_API_URL.")
        self.model = model
        self.client_id = client_id or f"{sockets.gethostname()}-{os.getpid()}"
        self.keys = list(keys)
        self.subscription_url = socket_url(base, path)
        self._stack: contextlib.AsyncExitStack | None = None
        self._socket: ClientConnection | None = None

    @property
    def websocket(self) -> ClientConnection:
        """The connection.

        Raises:
            RuntimeError: there is none.
        """
        if self._socket is None:
            raise RuntimeError("The subscription is not connected: ask it for its first object.")
        return self._socket

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> S:
        tries = Attempts(-1)
        while True:
            try:
                if self._socket is None:
                    await self._connect()
                text = await self.websocket.recv()
                await self.websocket.send(json.dumps({"type": "ack"}))
                return self.model.model_validate_json(text)
            except StreamRefused:
                raise
            except (OSError, websockets_exceptions.ConnectionClosed) as exc:
                await self._disconnect()
                if isinstance(exc, websockets_exceptions.ConnectionClosed):
                    refuse(self.subscription_url, exc)
                await tries.failed(exc)
            except asyncio.CancelledError:
                await self._disconnect()
                raise

    async def _connect(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._socket, _ = await self._stack.enter_async_context(connection(self.subscription_url))
        request: dict[str, Any] = {"type": "subscribe", "keys": self.keys, "client_id": self.client_id}
        await self._socket.send(json.dumps(request))

    async def _disconnect(self) -> None:
        stack, self._stack, self._socket = self._stack, None, None
        if stack is not None:
            with contextlib.suppress(OSError, websockets_exceptions.ConnectionClosed):
                await stack.aclose()
