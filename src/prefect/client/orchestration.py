"""Clients of the API: `PrefectClient` for asynchronous code, `SyncPrefectClient` for the rest, `get_client` for both.

    async with get_client() as client:
        runs = await client.read_flow_runs(limit=10)

Without `PREFECT_API_URL` they work on the local database, in this process.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, overload

from prefect._bridge import in_running_loop
from prefect._lazy import lazy_module
from prefect._transport.port import AsyncTransport, Transport
from prefect.client._methods.all import AllMethods
from prefect.client._session import Session, Shared, configured_api, make_session
from prefect.client._sync_methods.all import AllMethods as AllSyncMethods
from prefect.client.base import ASGIApp, ServerType, app_lifespan_context
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    import httpx

    from prefect._transport import http
else:
    asyncio = lazy_module("asyncio")
    httpx = lazy_module("httpx")
    http = lazy_module("prefect._transport.http")

__all__ = ["PrefectClient", "SyncPrefectClient", "get_client"]

_async_clients = Shared("prefect_async_client")
_sync_clients = Shared("prefect_sync_client")


class PrefectClient(AllMethods):
    """Talks to an API from asynchronous code. Use it with `async with`; entering it again inside is allowed.

    Args:
        api: the address of the API, or an ASGI application.
        auth_string: `user:password`; that of the settings unless given.
        api_key: that of the settings unless given.
        api_version: of the REST API, told to the server.
        httpx_settings: arguments for `httpx.AsyncClient`; they win over the settings.
        server_type: what is at the other end; found out by the address unless given.
    """

    def __init__(
        self,
        api: str | ASGIApp,
        *,
        auth_string: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        httpx_settings: dict[str, Any] | None = None,
        server_type: ServerType | None = None,
    ) -> None:
        self._session = make_session(
            api, auth_string=auth_string, api_key=api_key, api_version=api_version, httpx_settings=httpx_settings,
            server_type=server_type,
        )  # fmt: skip
        self.server_type = self._session.server_type
        self._opened: AsyncTransport | None = None
        self._exits = contextlib.AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outer: Any = None

    @property
    def _transport(self) -> AsyncTransport:  # type: ignore[override]
        if self._opened is None:
            self._opened = self._session.async_transport()
        return self._opened

    @property
    def _client(self) -> httpx.AsyncClient:
        """The HTTP client underneath, which some integrations use."""
        transport = self._transport
        if isinstance(transport, http.AsyncHTTPTransport):
            return transport.client
        return http.PrefectHttpxAsyncClient(
            base_url=transport.api_url, transport=http.AsyncPortTransport(transport, transport.api_url)
        )

    @property
    def api_url(self) -> httpx.URL:
        """The address of the API."""
        return httpx.URL(f"{self._transport.api_url}/")

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which this client was entered."""
        return self._loop

    async def __aenter__(self) -> Self:
        if self._session.enter():
            self._loop = asyncio.get_running_loop()
            self._outer = _async_clients.put(self)
            try:
                if not isinstance(self._session.api, str):
                    await self._exits.enter_async_context(app_lifespan_context(self._session.api))
                if get_current_settings().client.server_version_check_enabled:
                    await self.raise_for_api_version_mismatch_once()
            except BaseException:
                await self.__aexit__(None, None, None)
                raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session.leave():
            _async_clients.put(self._outer)
            if self._opened is not None:
                await self._opened.close()
            await self._exits.__aexit__(exc_type, exc, traceback)

    def __enter__(self) -> NoReturn:
        raise RuntimeError(
            "The `PrefectClient` must be entered with an async context. Use 'async with PrefectClient(...)' not "
            "'with PrefectClient(...)'; synchronous code uses `get_client(sync_client=True)`."
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never reached: `__enter__` raises. Python looks for it before it calls that."""


class SyncPrefectClient(AllSyncMethods):
    """Talks to an API from synchronous code. Use it with `with`; entering it again inside is allowed.

    Args:
        api: the address of the API.
        auth_string: `user:password`; that of the settings unless given.
        api_key: that of the settings unless given.
        api_version: of the REST API, told to the server.
        httpx_settings: arguments for `httpx.Client`; they win over the settings.
        server_type: what is at the other end; found out by the address unless given.
    """

    def __init__(
        self,
        api: str | ASGIApp,
        *,
        auth_string: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        httpx_settings: dict[str, Any] | None = None,
        server_type: ServerType | None = None,
    ) -> None:
        self._session = make_session(
            api, auth_string=auth_string, api_key=api_key, api_version=api_version, httpx_settings=httpx_settings,
            server_type=server_type,
        )  # fmt: skip
        self.server_type = self._session.server_type
        self._opened: Transport | None = None
        self._outer: Any = None

    @property
    def _transport(self) -> Transport:  # type: ignore[override]
        with self._session.lock:  # a client may be used by several threads
            if self._opened is None:
                self._opened = self._session.transport()
            return self._opened

    @property
    def _client(self) -> httpx.Client:
        """The HTTP client underneath, which some integrations use."""
        transport = self._transport
        if isinstance(transport, http.HTTPTransport):
            return transport.client
        return http.PrefectHttpxSyncClient(
            base_url=transport.api_url, transport=http.PortTransport(transport, transport.api_url)
        )

    @property
    def api_url(self) -> httpx.URL:
        """The address of the API."""
        return httpx.URL(f"{self._transport.api_url}/")

    def __enter__(self) -> Self:
        if self._session.enter():
            self._outer = _sync_clients.put(self)
            try:
                if get_current_settings().client.server_version_check_enabled:
                    self.raise_for_api_version_mismatch_once()
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session.leave():
            _sync_clients.put(self._outer)
            if self._opened is not None:
                self._opened.close()


@overload
def get_client(httpx_settings: dict[str, Any] | None = None, sync_client: Literal[False] = False) -> PrefectClient: ...


@overload
def get_client(httpx_settings: dict[str, Any] | None = None, *, sync_client: Literal[True]) -> SyncPrefectClient: ...


@overload
def get_client(
    httpx_settings: dict[str, Any] | None = None, sync_client: bool = False
) -> PrefectClient | SyncPrefectClient: ...


def get_client(
    httpx_settings: dict[str, Any] | None = None, sync_client: bool = False
) -> PrefectClient | SyncPrefectClient:
    """A client of the API that the current settings name: a server, or the local database.

    Inside the `with` block of a client that it returned, it returns that client again, so that connections are used
    again, unless the settings have changed in between or the event loop is another.

    Args:
        httpx_settings: arguments for the HTTP client; then the client is always a new one.
        sync_client: a `SyncPrefectClient` instead of a `PrefectClient`.
    """
    clients = _sync_clients if sync_client else _async_clients
    around = clients.get()
    if httpx_settings is None and around is not None and around._session.usable and _same_loop(around):
        return around
    kind = SyncPrefectClient if sync_client else PrefectClient
    client = kind(configured_api(), httpx_settings=httpx_settings)
    session: Session = client._session
    session.shared = httpx_settings is None
    return client


def _same_loop(client: Any) -> bool:
    if isinstance(client, SyncPrefectClient):
        return True
    return in_running_loop() and client.loop is asyncio.get_running_loop()
