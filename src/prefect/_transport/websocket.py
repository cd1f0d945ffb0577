"""Websockets to an API: where they are, how one says who one is, and staying connected."""

from __future__ import annotations

import contextlib
import json
import random
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from prefect import __version__
from prefect._lazy import lazy_module
from prefect._transport.http import safe_headers, verification
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    import websockets
    from websockets import exceptions as websockets_exceptions
    from websockets.asyncio import client as websockets_client
else:
    # what follows nothing does not wait for them
    asyncio = lazy_module("asyncio")
    websockets = lazy_module("websockets")
    websockets_exceptions = lazy_module("websockets.exceptions")
    websockets_client = lazy_module("websockets.asyncio.client")

SUBPROTOCOL = "prefect"
LARGEST_MESSAGE = 64 * 1024 * 1024

_OPEN_SECONDS = 10.0
_LONGEST_PAUSE = 5.0
_REFUSED = (1002, 1003, 1007, 1008, 4001)
"""Codes with which a server ends a connection that it would end again."""


class StreamRefused(ConnectionError):
    """The server does not want this connection; trying again does not help.

    Args:
        url: where it was tried.
        code: of the close frame, or the HTTP status.
        reason: what the server said.
    """

    def __init__(self, url: str, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        hint = ""
        if code in (401, 403, 1008):
            hint = " Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING, and that the server has this stream."
        super().__init__(f"{url} was refused ({code} {reason or 'without a reason'}).{hint}")


def http_to_ws(url: str) -> str:
    """The address of a websocket for the address of an API: `ws` for `http`, `wss` for `https`, no slash at the end."""
    return url.replace("https://", "wss://").replace("http://", "ws://").rstrip("/")


def socket_url(api_url: str, path: str) -> str:
    """The address of a websocket of an API."""
    return http_to_ws(api_url) + path


def token() -> str | None:
    """What the settings say that one proves with who one is."""
    settings = get_current_settings()
    for secret in (settings.api.auth_string, settings.api.key):
        if secret is not None:
            return secret.get_secret_value()
    return None


def cloud_access(api_url: str | None, api_key: str | None) -> tuple[str, str]:
    """The address and the key of Prefect Cloud: those that are given, or those of the settings.

    Raises:
        ValueError: there is no address or no key.
    """
    settings = get_current_settings().api
    url, key = api_url or settings.url, api_key or (settings.key.get_secret_value() if settings.key else None)
    if not url or not key:
        raise ValueError("Prefect Cloud needs an address and a key: set PREFECT_API_URL and PREFECT_API_KEY.")
    return url, key


def _tls(url: str) -> dict[str, Any]:
    if not url.startswith("wss:"):
        return {}
    how = verification()
    if isinstance(how, ssl.SSLContext):
        return {"ssl": how}
    context = ssl.create_default_context()
    if not how:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


@contextlib.asynccontextmanager
async def connection(
    url: str, *, key: str | None = None
) -> AsyncIterator[tuple[websockets_client.ClientConnection, dict[str, Any]]]:
    """A websocket that has been let in, and what the server said to that.

    Args:
        url: its address.
        key: what proves who one is, in the handshake already; unless given, what the settings say, after it.

    Raises:
        StreamRefused: the server did not let it in.
        OSError: there is no such server, or it does not answer.
    """
    headers = safe_headers(get_current_settings().client.custom_headers)
    if key is not None:
        headers = {**headers, "Authorization": f"Bearer {key}"}
    try:
        async with websockets_client.connect(
            url,
            subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
            additional_headers=headers,
            user_agent_header=f"prefect/{__version__}",
            open_timeout=_OPEN_SECONDS,
            max_size=LARGEST_MESSAGE,
            **_tls(url),
        ) as socket:
            await socket.send(json.dumps({"type": "auth", "token": key if key is not None else token()}))
            async with asyncio.timeout(_OPEN_SECONDS):
                said = json.loads(await socket.recv())
            if said.get("type") != "auth_success":
                raise StreamRefused(url, 1008, str(said.get("reason", "")))
            yield socket, said
    except websockets_exceptions.InvalidStatus as exc:
        status = exc.response.status_code
        if status in (408, 425, 429) or status >= 500:
            raise ConnectionError(f"{url} was answered with status {status}.") from exc
        raise StreamRefused(url, status, exc.response.reason_phrase) from exc
    except websockets_exceptions.ConnectionClosed as exc:
        refuse(url, exc)
        raise
    except (websockets_exceptions.InvalidHandshake, TimeoutError) as exc:
        raise ConnectionError(f"{url} cannot be opened: {exc or 'nobody answers'}") from exc


def refuse(url: str, exc: websockets_exceptions.ConnectionClosed) -> None:
    """Raise `StreamRefused` when a connection was closed for good."""
    if exc.rcvd is not None and exc.rcvd.code in _REFUSED:
        raise StreamRefused(url, exc.rcvd.code, exc.rcvd.reason) from exc


class Attempts:
    """Tries again after connections that failed, later and later, so many times in a row at most.

    Args:
        most: failures in a row after which it gives up; negative: never.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._failed = 0

    def succeeded(self) -> None:
        self._failed = 0

    async def failed(self, exc: BaseException) -> None:
        """Wait before the next attempt.

        Raises:
            BaseException: the failure, when there were too many.
        """
        self._failed += 1
        if 0 <= self._most < self._failed:
            raise exc
        if self._failed > 1:  # at once the first time: most often a server was restarted
            longest = min(0.1 * 2 ** (self._failed - 1), _LONGEST_PAUSE)
            await asyncio.sleep(random.uniform(longest / 2, longest))
