"""Requests over HTTP: sent again when that helps, with the tokens the server asks for.

What happens to a request is written once, in `_deliver`, over a port that sends and waits; a synchronous client drives
it on its own thread, an asynchronous one awaits it.
"""

from __future__ import annotations

import copy
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from prefect import exceptions
from prefect._bridge import run
from prefect._clock import now
from prefect._lazy import lazy_module
from prefect._transport.port import AsyncTransport, Reply, Request, Transport
from prefect._transport.retries import RetryPolicy
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    import httpx
else:
    asyncio = lazy_module("asyncio")
    httpx = lazy_module("httpx")

_log = logging.getLogger("prefect.client")

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

# the request never reached the server, or was not taken by it: it can be sent again whatever it asks for
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# the server may have done it: only what can be done twice is sent again
_ANSWER_LOST = (
    httpx.ReadTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
    httpx.LocalProtocolError,
)

NOT_REPEATABLE = "prefect_not_repeatable"
"""The extension of an `httpx.Request` that must not be done twice."""

Send = Callable[[httpx.Request], Awaitable[httpx.Response]]
Sleep = Callable[[float], Awaitable[None]]


class PrefectResponse(httpx.Response):
    """A response whose error, if it is one, also tells what the server said."""

    def raise_for_status(self) -> httpx.Response:
        """Return this response when it is a success.

        Raises:
            PrefectHTTPStatusError: the status is an error.
        """
        try:
            return super().raise_for_status()
        except httpx.HTTPStatusError as exc:
            raise exceptions.PrefectHTTPStatusError.from_httpx_error(exc) from exc.__cause__

    @classmethod
    def from_httpx_response(cls, response: httpx.Response) -> PrefectResponse:
        """The same response, with the better error."""
        better = copy.copy(response)
        better.__class__ = cls
        return better  # type: ignore[return-value]


class _Courier:
    """What the clients of both kinds know and decide alike."""

    def __init__(self, *, csrf: bool, raise_on_all_errors: bool) -> None:
        settings = get_current_settings().client
        self.policy = RetryPolicy(
            settings.max_retries, settings.retry_jitter_factor, frozenset(settings.retry_extra_codes)
        )
        self.csrf = csrf
        self.raise_on_all_errors = raise_on_all_errors
        self.csrf_client = str(uuid4())
        self.csrf_token: str | None = None

    async def deliver(self, request: httpx.Request, send: Send, sleep: Sleep, csrf_url: httpx.URL) -> PrefectResponse:
        """Send a request until there is an answer that is final, and return it."""
        self._sign(request)
        response = await self._deliver(request, send, sleep)
        if self._wants_token(request, response, csrf_url):
            granted = await self._fetch_token(send, csrf_url, request)
            if granted.status_code == 200:
                self.csrf_token = granted.json()["token"]
                self._sign(request)
                response = await self._deliver(request, send, sleep)
            elif granted.status_code == 401:
                response = granted  # what is missing in truth is not the token
        answer = PrefectResponse.from_httpx_response(response)
        if self.raise_on_all_errors:
            answer.raise_for_status()
        return answer

    async def _deliver(self, request: httpx.Request, send: Send, sleep: Sleep) -> httpx.Response:
        attempt = 0
        while True:
            try:
                response = await send(request)
                wait = self.policy.after_status(response.status_code, response.headers, attempt, now())
                reason = f"status {response.status_code}"
                if wait is None:
                    return response
            except _NOT_SENT + _ANSWER_LOST as exc:
                repeatable = isinstance(exc, _NOT_SENT) or not request.extensions.get(NOT_REPEATABLE)
                wait = self.policy.after_failure(attempt) if repeatable else None
                reason = f"{type(exc).__name__}: {exc}"
                if wait is None:
                    raise _told(exc, request, attempt + 1) from exc
            attempt += 1
            _log.debug(
                "%s %s: %s. Sending it again in %.1f s (%d of %d).",
                request.method, request.url, reason, wait, attempt, self.policy.most,
            )  # fmt: skip
            await sleep(wait)

    # a token is asked for when the server first asks for one: servers that do not protect themselves cost nothing

    def _sign(self, request: httpx.Request) -> None:
        if self.csrf_token is not None and request.method in _CHANGES:
            request.headers["Prefect-Csrf-Token"] = self.csrf_token
            request.headers["Prefect-Csrf-Client"] = self.csrf_client

    def _wants_token(self, request: httpx.Request, response: httpx.Response, csrf_url: httpx.URL) -> bool:
        return (
            self.csrf
            and csrf_url.is_absolute_url
            and response.status_code == 403
            and request.method in _CHANGES
            and b"csrf" in response.content.lower()
        )

    async def _fetch_token(self, send: Send, csrf_url: httpx.URL, refused: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in refused.headers.items() if name in ("authorization", "user-agent")}
        url = csrf_url.copy_merge_params({"client": self.csrf_client})
        return await send(httpx.Request("GET", url, headers=headers, extensions=refused.extensions))


def _told(exc: httpx.TransportError, request: httpx.Request, attempts: int) -> httpx.TransportError:
    """The same error with words that say which server, after how many attempts, and what to look at."""
    address = f"{request.url.scheme}://{request.url.netloc.decode()}"
    times = "once" if attempts == 1 else f"{attempts} times"
    reason = str(exc) or type(exc).__name__
    return type(exc)(
        f"{request.method} {request.url.path} was tried {times}, without an answer from {address}: {reason}. "
        "Check that the server runs there and can be reached from here.",
        request=request,
    )


class PrefectHttpxAsyncClient(httpx.AsyncClient):
    """`httpx.AsyncClient` that sends requests again when that helps, and brings CSRF tokens.

    Args:
        enable_csrf_support: fetch a token when the server asks for one.
        raise_on_all_errors: raise for every status that is an error; otherwise return the response.
        *args, **kwargs: of `httpx.AsyncClient`.
    """

    def __init__(
        self, *args: Any, enable_csrf_support: bool = False, raise_on_all_errors: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._courier = _Courier(csrf=enable_csrf_support, raise_on_all_errors=raise_on_all_errors)

    async def send(self, request: httpx.Request, *args: Any, **kwargs: Any) -> httpx.Response:
        """Send a request, again when it fails for a passing reason.

        Raises:
            PrefectHTTPStatusError: the answer is an error.
            httpx.RequestError: the server cannot be reached.
        """

        async def send(one: httpx.Request) -> httpx.Response:
            response = await super(PrefectHttpxAsyncClient, self).send(one, *args, **kwargs)
            if response.status_code == 403:
                await response.aread()
            return response

        return await self._courier.deliver(request, send, asyncio.sleep, self.base_url.join("csrf-token"))


class PrefectHttpxSyncClient(httpx.Client):
    """`httpx.Client` that sends requests again when that helps, and brings CSRF tokens.

    Args:
        enable_csrf_support: fetch a token when the server asks for one.
        raise_on_all_errors: raise for every status that is an error; otherwise return the response.
        *args, **kwargs: of `httpx.Client`.
    """

    def __init__(
        self, *args: Any, enable_csrf_support: bool = False, raise_on_all_errors: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._courier = _Courier(csrf=enable_csrf_support, raise_on_all_errors=raise_on_all_errors)

    def send(self, request: httpx.Request, *args: Any, **kwargs: Any) -> httpx.Response:
        """Send a request, again when it fails for a passing reason.

        Raises:
            PrefectHTTPStatusError: the answer is an error.
            httpx.RequestError: the server cannot be reached.
        """

        async def send(one: httpx.Request) -> httpx.Response:
            response = super(PrefectHttpxSyncClient, self).send(one, *args, **kwargs)
            if response.status_code == 403:
                response.read()
            return response

        return run(self._courier.deliver(request, send, _sleep, self.base_url.join("csrf-token")))


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  (asynchronous in form only: whoever called waits on its own thread)


def connection_options(
    *,
    auth_string: str | None = None,
    api_key: str | None = None,
    api_version: str,
    user_agent: str,
    httpx_settings: dict[str, Any] | None = None,
    transport: Any = None,
) -> dict[str, Any]:
    """The arguments for an httpx client, made of the settings and of what was given.

    Args:
        auth_string: `user:password`, instead of the setting `api.auth_string`.
        api_key: instead of the setting `api.key`.
        api_version: told to the server, for it to refuse what it does not speak.
        user_agent: how the client names itself.
        httpx_settings: arguments for httpx; they win over everything else, their headers are added to ours.
        transport: of httpx, instead of the network.
    """
    settings = get_current_settings()
    given = dict(httpx_settings or {})
    headers = {"User-Agent": user_agent, "X-PREFECT-API-VERSION": api_version}
    headers |= safe_headers(settings.client.custom_headers)
    key = api_key if api_key is not None else _revealed(settings.api.key)
    login = auth_string if auth_string is not None else _revealed(settings.api.auth_string)
    options: dict[str, Any] = {"timeout": httpx.Timeout(settings.api.request_timeout), "follow_redirects": True}
    if login:
        user, _, password = login.partition(":")
        options["auth"] = httpx.BasicAuth(user, password)
    elif key:
        headers["Authorization"] = f"Bearer {key}"
    if transport is not None:
        options["transport"] = transport
    elif "verify" not in given and "transport" not in given:
        options["verify"] = verification()
        options["http2"] = settings.api.enable_http2
        # what is idle longer than a server keeps it would fail at the next request
        options["limits"] = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=4)
    headers |= given.pop("headers", None) or {}
    return {**options, **given, "headers": headers}


_RESERVED_HEADERS = frozenset({"user-agent", "prefect-csrf-token", "prefect-csrf-client", "x-prefect-api-version"})


def safe_headers(custom: dict[str, str]) -> dict[str, str]:
    """The headers of the setting, without those that this client needs for itself."""
    reserved = [name for name in custom if name.lower() in _RESERVED_HEADERS]
    if reserved:
        _log.warning("PREFECT_CLIENT_CUSTOM_HEADERS cannot set %s: the client sets them itself.", ", ".join(reserved))
    return {name: value for name, value in custom.items() if name not in reserved}


def _revealed(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def verification() -> ssl.SSLContext | bool:
    """How a server's certificate is checked: not at all, by a file of authorities, or as httpx does."""
    settings = get_current_settings().api
    if settings.tls_insecure_skip_verify:
        return False
    if settings.ssl_cert_file:
        try:
            return ssl.create_default_context(cafile=settings.ssl_cert_file)
        except OSError as exc:
            raise exceptions.ConfigurationError(
                f"PREFECT_API_SSL_CERT_FILE is {settings.ssl_cert_file!r}, which cannot be read as certificates: {exc}. "
                "Point it to a file of trusted certificates (PEM), or unset it."
            ) from exc
    return True


class HTTPTransport:
    """Requests over HTTP, from synchronous code.

    Args:
        api_url: the address of the server.
        client: what sends the requests.
        before: called before each request; lets the runs of this process report what they hold back, so that a client
            reads what was done before it asked.
    """

    def __init__(self, api_url: str, client: PrefectHttpxSyncClient, before: Callable[[], None] = lambda: None) -> None:
        self.api_url = api_url
        self.client = client
        self._before = before

    def send(self, request: Request) -> Reply:
        self._before()
        try:
            response = self.client.send(_wire(self.client, request))
        except httpx.HTTPStatusError as exc:
            response = exc.response  # who sent the request makes an error of it, which knows more
        return Reply(request, response.status_code, response.content, response.headers, response)

    def close(self) -> None:
        self.client.close()


class AsyncHTTPTransport:
    """Requests over HTTP, from asynchronous code.

    Args:
        api_url, client: see `HTTPTransport`.
        before: see `HTTPTransport`; called in another thread.
    """

    def __init__(self, api_url: str, client: PrefectHttpxAsyncClient, before: Callable[[], None] | None = None) -> None:
        self.api_url = api_url
        self.client = client
        self._before = before

    async def send(self, request: Request) -> Reply:
        if self._before is not None:
            await asyncio.to_thread(self._before)
        try:
            response = await self.client.send(_wire(self.client, request))
        except httpx.HTTPStatusError as exc:
            response = exc.response  # who sent the request makes an error of it, which knows more
        return Reply(request, response.status_code, response.content, response.headers, response)

    async def close(self) -> None:
        await self.client.aclose()


def _wire(client: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    # without query parameters `params` must be None: an empty mapping would remove those that are in the address
    return client.build_request(
        request.method,
        request.target.lstrip("/"),
        params=request.query_pairs or None,
        content=request.content,
        headers={"Content-Type": "application/json"} if request.content is not None else None,
        extensions=None if request.repeatable else {NOT_REPEATABLE: True},
    )


class PortTransport(httpx.BaseTransport):
    """Lets an httpx client speak to another transport, for those who insist on one."""

    def __init__(self, port: Transport, api_url: str) -> None:
        self._port = port
        self._start = len(httpx.URL(api_url).path)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return _unwired(self._port.send(_unrouted(request, self._start)))


class AsyncPortTransport(httpx.AsyncBaseTransport):
    """Lets an httpx client speak to another transport, for those who insist on one."""

    def __init__(self, port: AsyncTransport, api_url: str) -> None:
        self._port = port
        self._start = len(httpx.URL(api_url).path)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return _unwired(await self._port.send(_unrouted(request, self._start)))


def _unrouted(request: httpx.Request, start: int) -> Request:
    query: dict[str, Any] = {name: request.url.params.get_list(name) for name in request.url.params}
    # the path is quoted already: it stands for itself, not for a parameter
    route = request.url.raw_path.decode().partition("?")[0][start:]
    return Request(request.method, route, {}, query, request.content or None)


def _unwired(reply: Reply) -> httpx.Response:
    return httpx.Response(reply.status, content=reply.content, headers=dict(reply.headers))
