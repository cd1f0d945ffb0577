"""What both clients know of themselves: where the API is, how often they are entered, and who may share them."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import __version__
from prefect._lazy import imported, lazy_module
from prefect._transport.port import AsyncTransport, Transport
from prefect.client._versions import API_VERSION
from prefect.client.base import ASGIApp, ServerType, determine_server_type
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import httpx

    from prefect._transport import embedded, http
else:
    # an embedded client needs no HTTP, and a client of a server no database
    httpx = lazy_module("httpx")
    embedded = lazy_module("prefect._transport.embedded")
    http = lazy_module("prefect._transport.http")

C = TypeVar("C")

LOCAL = "local"
"""Stands where the address of an API is wanted, for the local database."""

_ASGI_URL = "http://ephemeral-prefect/api"


@dataclass
class Session:
    """How a client reaches its API, and how many are using it.

    Attributes:
        api: an address, an application, or `LOCAL`.
        server_type: what that is.
        shared: whether `get_client` may hand the client out again to those it is entered around.
    """

    api: str | ASGIApp
    options: dict[str, Any]
    server_type: ServerType
    shared: bool = False
    entered: int = 0
    closed: bool = False
    settings: Any = field(default_factory=get_current_settings)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def enter(self) -> bool:
        """Count one more user; True for the first.

        Raises:
            RuntimeError: the client was closed.
        """
        with self.lock:
            if self.closed:
                raise RuntimeError("The client cannot be started again after closing: make another one.")
            self.entered += 1
            return self.entered == 1

    def leave(self) -> bool:
        """Count one user less; True for the last, after which the client is closed."""
        with self.lock:
            self.entered -= 1
            self.closed = self.entered == 0
            return self.closed

    @property
    def usable(self) -> bool:
        """Whether `get_client` would make just the same client again."""
        return self.shared and self.entered > 0 and not self.closed and self.settings is get_current_settings()

    def transport(self) -> Transport:
        """A way to the API, for synchronous code."""
        if self.api == LOCAL:
            return embedded.EmbeddedTransport(write_what_is_held_back)
        if not isinstance(self.api, str):
            raise TypeError(
                "A synchronous client cannot run an application: give it the address of a server, or use PrefectClient."
            )
        client = http.PrefectHttpxSyncClient(
            base_url=_base_url(self.api), enable_csrf_support=self._csrf, **self._options()
        )
        return http.HTTPTransport(_shown(self.api), client, write_what_is_held_back)

    def async_transport(self) -> AsyncTransport:
        """A way to the API, for asynchronous code."""
        if self.api == LOCAL:
            return embedded.AsyncEmbeddedTransport(write_what_is_held_back)
        url, options = _ASGI_URL, self._options()
        if isinstance(self.api, str):
            url = self.api
        else:
            options |= {"transport": httpx.ASGITransport(self.api, raise_app_exceptions=False)}  # type: ignore[arg-type]
        client = http.PrefectHttpxAsyncClient(base_url=_base_url(url), enable_csrf_support=self._csrf, **options)
        return http.AsyncHTTPTransport(_shown(url), client, _held_back())

    @property
    def _csrf(self) -> bool:
        return get_current_settings().client.csrf_support_enabled

    def _options(self) -> dict[str, Any]:
        return http.connection_options(
            **self.options, user_agent=f"prefect/{__version__} (API {self.options['api_version']})"
        )


def _base_url(api_url: str) -> str:
    return f"{api_url.rstrip('/')}/"


def _shown(api_url: str) -> str:
    """The address as it may be printed: without a user and password that it may hold."""
    return str(httpx.URL(api_url).copy_with(username=None, password=None))


def make_session(
    api: str | ASGIApp,
    *,
    auth_string: str | None,
    api_key: str | None,
    api_version: str | None,
    httpx_settings: dict[str, Any] | None,
    server_type: ServerType | None,
) -> Session:
    """A session with what a client was given.

    Raises:
        TypeError: `api` is neither an address nor an application.
    """
    if not isinstance(api, str) and not callable(api):
        raise TypeError(
            f"Unexpected type {type(api).__name__!r} for argument `api`. Expected an address (str) or ASGIApp."
        )
    if isinstance(api, str) and api != LOCAL:
        api = api.rstrip("/")
    options = {
        "auth_string": auth_string,
        "api_key": api_key,
        "api_version": api_version or API_VERSION,
        "httpx_settings": httpx_settings,
    }
    return Session(api, options, server_type or _type_of(api))


def _type_of(api: str | ASGIApp) -> ServerType:
    if not isinstance(api, str) or api == LOCAL:
        return ServerType.EPHEMERAL
    return ServerType.CLOUD if api.startswith(get_current_settings().cloud.api_url) else ServerType.SERVER


def configured_api() -> str:
    """Where the current settings say that the API is."""
    return LOCAL if determine_server_type() is ServerType.EPHEMERAL else str(get_current_settings().api.url)


def write_what_is_held_back() -> None:
    """Write the states and log lines that runs of this process have not written yet, so that they are read."""
    recorder = imported("prefect._engine.recorder")
    if recorder is not None:
        recorder.flush_all()


def _held_back() -> Callable[[], None] | None:
    """`write_what_is_held_back`, None where no run can have begun: waiting for a thread costs more than asking."""
    return write_what_is_held_back if imported("prefect._engine.recorder") is not None else None


class Shared:
    """Which client is entered around the code that asks."""

    def __init__(self, name: str) -> None:
        self._entered: contextvars.ContextVar[Any] = contextvars.ContextVar(name, default=None)

    def put(self, client: Any) -> Any:
        """Say that a client was entered; returns the one that was around it."""
        outer = self._entered.get()
        self._entered.set(client)
        return outer

    def get(self) -> Any:
        """The client that was entered last, None when there is none."""
        return self._entered.get()
