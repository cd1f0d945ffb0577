"""The address at which the API is asked: links in its answers lead back there.

A server does not know by itself under which names and ports it can be reached; each request tells one.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from starlette import datastructures
else:
    datastructures = lazy_module("starlette.datastructures")  # who asks without a server has no address

_request: ContextVar[MutableMapping[str, Any] | None] = ContextVar("request", default=None)


def asked_by(scope: MutableMapping[str, Any]) -> None:
    """Note what request is answered in the current context, as ASGI has it."""
    _request.set(scope)


def api_url(route: str) -> str:
    """The address of the API, without a slash at its end.

    Args:
        route: the path of the operation that is carried out, such as "/events/filter".
    """
    settings = get_current_settings()
    known = (settings.api.url or f"http://{settings.server.api.host}:{settings.server.api.port}/api").rstrip("/")
    scope = _request.get()
    if scope is None:
        return known
    url = datastructures.URL(scope=scope)
    if datastructures.URL(known).netloc == url.netloc:
        return known  # it may have another scheme: the request may have come through a proxy
    return str(url.replace(path=url.path.partition(route)[0], query="")).rstrip("/")
