"""What a reply that is not a success becomes.

Some programs look for `ObjectNotFound`, others for an HTTP error and its status: the errors made here are both.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from prefect import exceptions
from prefect._transport.port import Reply


class OperationUnavailable(exceptions.PrefectException):
    """This version cannot do this on the local database; connect to a server with PREFECT_API_URL.

    Args:
        method, route: what was asked for; also attributes.
    """

    def __init__(self, method: str, route: str) -> None:
        super().__init__(method, route)
        self.method = method
        self.route = route

    def __str__(self) -> str:
        return (
            f"The local database has no operation {self.method} {self.route} in this version. "
            "Set PREFECT_API_URL to the address of a server that has it."
        )


def explanation(reply: Reply) -> str:
    """What the API says about a reply, as one line; '' when it says nothing that a person could read."""
    try:
        said: Any = json.loads(reply.content)
    except ValueError:
        return ""  # a page of a proxy says little and is long
    if isinstance(said, dict):
        said = said.get("detail") or said.get("exception_detail") or said.get("exception_message") or said
    if isinstance(said, list):
        return "; ".join(_fault(item) for item in said)
    return said if isinstance(said, str) else json.dumps(said)


def _fault(item: Any) -> str:
    """One fault of a request that does not fit its form."""
    if isinstance(item, dict) and "msg" in item:
        return f"{'.'.join(str(part) for part in item.get('loc', ()))}: {item['msg']}"
    return json.dumps(item)


def error_of(reply: Reply, api_url: str) -> Exception:
    """The error that says what was asked for, of whom, and what the API answered."""
    said = explanation(reply)
    kind = _kind(reply, said)
    response = reply.as_response(api_url)
    answerer = api_url if reply.response is not None else "the local database"
    message = f"{reply.request} was answered with status {reply.status} {response.reason_phrase} by {answerer}"
    message = f"{message}: {said}" if said else message
    if reply.status == 401:
        message += ". Set PREFECT_API_KEY or PREFECT_API_AUTH_STRING to what the server accepts."
    underneath = exceptions.PrefectHTTPStatusError(message, request=response.request, response=response)
    return underneath if kind is None else _both(kind)(message, underneath)


def _kind(reply: Reply, said: str) -> type[Exception] | None:
    if reply.status == 404:
        return exceptions.ObjectNotFound
    if reply.status == 409:
        return exceptions.ObjectAlreadyExists
    if reply.status == 403 and "protected" in said.lower():
        return exceptions.ProtectedBlockError
    return None


@functools.cache
def _both(kind: type[Exception]) -> type[Any]:
    """A class of errors that are of this kind and HTTP errors too; it is told as the kind."""

    class Answer(kind, exceptions.PrefectHTTPStatusError):  # type: ignore[misc,valid-type]
        def __init__(self, message: str, underneath: Any) -> None:
            Exception.__init__(self, message)
            self.http_exc = underneath
            self.help_message = message
            self.request = underneath.request
            self.response = underneath.response

        def __str__(self) -> str:
            return str(self.args[0])

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, (kind, self.args[0], self.http_exc)

    Answer.__name__ = Answer.__qualname__ = kind.__name__
    Answer.__doc__ = kind.__doc__
    Answer.__module__ = kind.__module__
    return Answer


def _rebuild(kind: type[Exception], message: str, underneath: Any) -> Exception:
    return _both(kind)(message, underneath)
