"""Requests over one kept connection, with nothing but the standard library.

What records runs speaks to the server through this: a flow that has one task needs three small requests, and an HTTP
library would take longer to load than they take. Clients that people use speak through `http`, by the same settings:
address, key or login, own headers, certificates, proxies, CSRF tokens.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from prefect._ids import new_id
from prefect._lazy import lazy_module
from prefect._transport.port import API_VERSION
from prefect.exceptions import ConfigurationError, PrefectException

if TYPE_CHECKING:
    import base64
    import ssl
    from urllib import request as urllib_request

    import certifi
    import orjson
else:
    base64 = lazy_module("base64")
    certifi = lazy_module("certifi")
    orjson = lazy_module("orjson")
    ssl = lazy_module("ssl")
    urllib_request = lazy_module("urllib.request")

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 4.0
"""A server may close a connection that is idle for longer."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OURS = frozenset({"user-agent", "prefect-csrf-token", "prefect-csrf-client", "x-prefect-api-version"})


class ServerUnreachable(PrefectException, ConnectionError):
    """There is no answer from the server.

    Attributes:
        retry_after: the seconds that the server asked to wait for, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Address:
    """Where a server is and how it is spoken to, as the settings say.

    Args:
        settings: those of the client.
        agent: how this program names itself.
    """

    def __init__(self, settings: Any, agent: str) -> None:
        url = str(settings.api.url).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"PREFECT_API_URL is {url!r}, which is no address of a server: it begins with http:// or https://."
            )
        self.secure = parts.scheme == "https"
        self.host: str = parts.hostname
        self.port: int = parts.port or (443 if self.secure else 80)
        self.path = parts.path
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self.timeout = float(settings.api.request_timeout)
        self.csrf = bool(settings.client.csrf_support_enabled)
        self.headers = self._headers(settings, parts, agent)
        self._insecure = bool(settings.api.tls_insecure_skip_verify)
        self._authorities = settings.api.ssl_cert_file
        self.proxy = self._proxy()

    def _headers(self, settings: Any, parts: SplitResult, agent: str) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": agent,
            "X-PREFECT-API-VERSION": API_VERSION,
        }
        custom = settings.client.custom_headers or {}
        headers |= {name: value for name, value in custom.items() if name.lower() not in _OURS}
        login, key = settings.reveal("api.auth_string"), settings.reveal("api.key")
        if not login and parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        if login:
            headers["Authorization"] = _basic(login)
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _proxy(self) -> SplitResult | None:
        # most environments name none, and then nobody needs the module that knows what they mean
        if not any(name.lower().endswith("_proxy") and value for name, value in os.environ.items()):
            return None
        if urllib_request.proxy_bypass(f"{self.host}:{self.port}"):
            return None
        proxies = urllib_request.getproxies()
        found = proxies.get("https" if self.secure else "http") or proxies.get("all")
        return urlsplit(found if "//" in found else f"http://{found}") if found else None

    def connect(self) -> http.client.HTTPConnection:
        """A new connection, which is made by its first request."""
        host, port = self.host, self.port
        if self.proxy is not None and self.proxy.hostname:
            host, port = self.proxy.hostname, self.proxy.port or 80
        if not self.secure:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self._trust())
        if self.proxy is not None:
            connection.set_tunnel(self.host, self.port, self._proxy_login())
        return connection

    def _trust(self) -> ssl.SSLContext:
        """What certificates are accepted: none is checked, those of a file, or those of the usual authorities."""
        if self._insecure:
            return ssl._create_unverified_context()
        try:
            return ssl.create_default_context(cafile=self._authorities or _usual_authorities())
        except OSError as exc:
            raise ConfigurationError(
                f"PREFECT_API_SSL_CERT_FILE is {self._authorities!r}, which cannot be read as certificates: {exc}. "
                "Point it to a file of trusted certificates (PEM), or unset it."
            ) from exc

    def _proxy_login(self) -> dict[str, str]:
        if self.proxy is None or not self.proxy.username:
            return {}
        return {"Proxy-Authorization": _basic(f"{unquote(self.proxy.username)}:{unquote(self.proxy.password or '')}")}

    def target(self, route: str) -> str:
        """What the request line asks for."""
        path = f"{self.path}{route}"
        if self.proxy is not None and not self.secure:  # such a proxy is told the whole address
            return f"http://{self.host}:{self.port}{path}"
        return path

    def request_headers(self) -> dict[str, str]:
        return self.headers if self.secure or self.proxy is None else {**self.headers, **self._proxy_login()}


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _usual_authorities() -> str:
    """The authorities that the HTTP library of the other clients trusts, so that all trust the same."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


class Connection:
    """A connection to a server, kept between requests. Used by one thread at a time.

    Args:
        address: of the server.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0
        self._csrf_client = ""
        self._csrf_token: str | None = None

    def send(self, method: str, route: str, body: bytes | None = None) -> Answer:
        """Send a request and return the answer, whatever it says.

        Everything that is sent can be sent twice, so a request whose connection broke is sent once more at once.

        Raises:
            ServerUnreachable: there is no answer, or none but that the server cannot answer now.
            ConfigurationError: the server is somewhere else.
        """
        answer = self._send(method, route, body)
        if answer.status == 403 and self.address.csrf and b"csrf" in answer.content.lower():
            self._fetch_token()
            answer = self._send(method, route, body)
        if answer.status in _REDIRECTS:
            raise ConfigurationError(
                f"{self.address.shown} says that it has moved to {answer.headers.get('Location')!r}. Set PREFECT_API_URL "
                "to the new address."
            )
        return answer

    def _fetch_token(self) -> None:
        self._csrf_client = self._csrf_client or new_id()
        granted = self._send("GET", f"/csrf-token?client={self._csrf_client}", None)
        if granted.status == 200:
            self._csrf_token = orjson.loads(granted.content)["token"]

    def _send(self, method: str, route: str, body: bytes | None) -> Answer:
        headers = self.address.request_headers()
        if self._csrf_token is not None and method != "GET":
            headers = {
                **headers, "Prefect-Csrf-Token": self._csrf_token, "Prefect-Csrf-Client": self._csrf_client,
            }  # fmt: skip
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        fresh = self._connection is None
        try:
            return self._exchange(method, route, body, headers)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            if fresh:
                raise self._unreachable(exc) from exc
        try:  # it was closed while nobody used it
            return self._exchange(method, route, body, headers)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            raise self._unreachable(exc) from exc
        except BaseException:
            self.close()
            raise

    def _exchange(self, method: str, route: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = self._connection
        try:
            if connection is None:
                connection = self.address.connect()
                connection.connect()
                connection.sock.settimeout(self.address.timeout)
                self._connection = connection
            connection.request(method, self.address.target(route), body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())  # type: ignore[arg-type]
        except BaseException:  # also a signal in between: what comes next on this connection would be another's answer
            self.close()
            raise
        self._used = time.monotonic()
        if response.will_close:
            self.close()
        return answer

    def _unreachable(self, exc: Exception) -> ServerUnreachable:
        reason = "it took too long to answer" if isinstance(exc, socket.timeout) else str(exc) or type(exc).__name__
        return ServerUnreachable(f"There is no answer from {self.address.shown}: {reason}.")

    def interrupt(self) -> None:
        """Let a request that waits for its answer fail now; called from another thread than that which sent it."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                pass

    def close(self) -> None:
        """Let go of the connection; the next request makes another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
