"""Made from `_methods/base.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._transport import port
from prefect._transport.errors import error_of
from prefect.client.wire import encode

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")

NOTHING = object()
"""Stands for: no body."""


class Asking:
    """What all groups of methods stand on."""

    _transport: port.Transport

    def _call(
        self,
        method: str,
        route: str,
        body: Any = NOTHING,
        *,
        query: Mapping[str, Any] | None = None,
        repeatable: bool = True,
        allow: Collection[int] = (),
        **path: Any,
    ) -> port.Reply:
        """Ask the API, and return its reply when it is a success.

        Args:
            method, route: of the operation.
            body: what is sent as JSON.
            query: parameters of the query string.
            repeatable: whether doing it twice does the same as doing it once.
            allow: statuses that are errors elsewhere but answers here.
            **path: the parameters in the route.

        Raises:
            ObjectNotFound: there is no such object.
            ObjectAlreadyExists: there is such an object already.
            PrefectHTTPStatusError: the API refuses for another reason.
        """
        content = None if body is NOTHING else encode(body)
        reply = self._transport.send(port.Request(method, route, path, query or {}, content, repeatable))
        if reply.status >= 400 and reply.status not in allow:
            raise error_of(reply, self._transport.api_url)
        return reply

    def _respond(self, method: str, route: str, body: Any = NOTHING, **options: Any) -> httpx.Response:
        """As `_call`; returns the reply as an HTTP response."""
        reply = self._call(method, route, body, **options)
        return reply.as_response(self._transport.api_url)
