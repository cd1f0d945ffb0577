"""What clients of the API are made of."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from prefect._lazy import lazy_attributes, lazy_module
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    from prefect._transport.http import PrefectHttpxAsyncClient as PrefectHttpxAsyncClient
    from prefect._transport.http import PrefectHttpxSyncClient as PrefectHttpxSyncClient
    from prefect._transport.http import PrefectResponse as PrefectResponse
else:
    asyncio = lazy_module("asyncio")

Message = MutableMapping[str, Any]

_LIFESPAN_SECONDS = 30


class ServerType(str, Enum):  # noqa: UP042
    """What is at the other end."""

    EPHEMERAL = "EPHEMERAL"
    SERVER = "SERVER"
    CLOUD = "CLOUD"
    UNCONFIGURED = "UNCONFIGURED"


class ASGIApp(Protocol):
    """An application that speaks ASGI, such as a server in this process."""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None: ...


def determine_server_type() -> ServerType:
    """What the current settings connect to: a cloud, a server, or the local database (`EPHEMERAL`)."""
    settings = get_current_settings()
    if not settings.api.url:
        return ServerType.EPHEMERAL
    return ServerType.CLOUD if settings.api.url.startswith(settings.cloud.api_url) else ServerType.SERVER


@contextlib.asynccontextmanager
async def app_lifespan_context(app: ASGIApp) -> AsyncIterator[None]:
    """Start an ASGI application, and stop it at the end (ASGI lifespan protocol 2.0).

    Raises:
        RuntimeError: the application could not start or stop, or took longer than 30 seconds to say so.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    try:
        if await _lifespan_step("startup", inbox, outbox, running):
            yield
            await _lifespan_step("shutdown", inbox, outbox, running)
        else:
            yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _lifespan_step(
    step: str, inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message], running: asyncio.Future[None]
) -> bool:
    """Ask the application for a step; False when it ended instead: it has no lifespan."""
    await inbox.put({"type": f"lifespan.{step}"})
    answer = asyncio.ensure_future(outbox.get())
    done, _ = await asyncio.wait([answer, running], timeout=_LIFESPAN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if answer not in done:
        answer.cancel()
        if running in done:
            return False
        raise RuntimeError(f"The application did not finish its {step} within {_LIFESPAN_SECONDS} seconds.")
    message = answer.result()
    if message["type"] == f"lifespan.{step}.failed":
        raise RuntimeError(f"The application failed its {step}: {message.get('message', '')}")
    return True


__getattr__, __dir__, _LAZY = lazy_attributes(
    __name__,
    dict.fromkeys(("PrefectHttpxAsyncClient", "PrefectHttpxSyncClient", "PrefectResponse"), "prefect._transport.http"),
)
__all__ = [  # noqa: PLE0604, RUF100
    "ASGIApp",
    "PrefectHttpxAsyncClient",
    "PrefectHttpxSyncClient",
    "PrefectResponse",
    "ServerType",
    "app_lifespan_context",
    "determine_server_type",
]
