"""What a client and an API say to each other, whatever lies between them.

Nothing here imports an HTTP library: a client of the local database never needs one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")  # a quarter of a second that the local database never needs

API_VERSION = "0.8.4"
"""The version of the REST API that clients speak; told to the server with every request."""

_IN_ROUTE = re.compile(r"{(\w+)}")


def _text(value: Any) -> str:
    """A parameter as it is written in an address."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    return str(value)


@dataclass(frozen=True)
class Request:
    """One call of an operation."""

    method: str
    route: str
    """Below the address of the API; the names in braces stand for entries of `path`."""
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the query string; None and absent are the same."""
    content: bytes | None = None
    """The body, as JSON."""
    repeatable: bool = True
    """Whether doing it twice is the same as doing it once, so that it may be sent again when the answer got lost."""

    @property
    def target(self) -> str:
        """The route with its parameters in place, quoted."""
        try:
            return _IN_ROUTE.sub(lambda found: quote(_text(self.path[found[1]]), safe=""), self.route)
        except KeyError as missing:
            raise ValueError(f"{self.method} {self.route} lacks the path parameter {missing}.") from None

    @property
    def query_pairs(self) -> list[tuple[str, str | int | float | bool | None]]:
        """The query string, as pairs of names and values; all values are text (the type is the one httpx asks for)."""
        pairs: list[tuple[str, str | int | float | bool | None]] = []
        for name, value in self.query.items():
            values = value if isinstance(value, (list, tuple, set)) else [value]
            pairs.extend((name, _text(one)) for one in values if one is not None)
        return pairs

    def __str__(self) -> str:
        query = urlencode(self.query_pairs)
        return f"{self.method} {self.target}{'?' if query else ''}{query}"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    request: Request
    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    response: httpx.Response | None = None
    """The HTTP response that this was made of, if there was one."""

    def as_response(self, api_url: str) -> httpx.Response:
        """The same as an HTTP response, for those who want one."""
        if self.response is not None:
            return self.response
        request = httpx.Request(
            self.request.method, api_url + self.request.target, params=self.request.query_pairs,
            content=self.request.content,
        )  # fmt: skip
        return httpx.Response(self.status, content=self.content, headers=dict(self.headers), request=request)


class Transport(Protocol):
    """Takes requests to an API, and waits for the answer on this thread."""

    @property
    def api_url(self) -> str: ...

    def send(self, request: Request) -> Reply: ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """Takes requests to an API, and lets the event loop run while it waits."""

    @property
    def api_url(self) -> str: ...

    async def send(self, request: Request) -> Reply: ...

    async def close(self) -> None: ...
