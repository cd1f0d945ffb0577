"""The websockets of a server, for scenarios: opened by name, spoken to, listened to, left.

A scenario about websockets yields, beside requests,

    CONNECT, "out", "/events/out", AUTH, {...}     # opens it, under the name "out"; sends what follows
    SEND, "out", {...}                             # a text is sent as it is
    RECEIVE, "out", view                           # is sent the next message; a view, if any, is what is compared
    PROBE, "out", make                             # sends what `make` makes until it comes back, and takes all up to it
    COLLECT, "out", is_last, view                  # is sent all messages up to the last one; a view of each is compared
    END, "out"                                     # the server is expected to close it: its code, and that it says why
    LEAVE, "out"                                   # closes it

and a status is that of the opening (101, or what was answered instead), 200 for a message, or the code of the close frame;
1006 if there was none (RFC 6455, section 7.1.5).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

CONNECT, SEND, RECEIVE, PROBE, COLLECT, END, LEAVE = (
    "CONNECT", "SEND", "RECEIVE", "PROBE", "COLLECT", "END", "LEAVE",
)  # fmt: skip
VERBS = frozenset({CONNECT, SEND, RECEIVE, PROBE, COLLECT, END, LEAVE})
AUTH = {"type": "auth", "token": None}
"""The first message of a client that has no secret."""
PLAINLY = "?plainly"
"""After a path: without the subprotocol, as old clients do."""

_DEADLINE_SECONDS = 60
_PROBE_SECONDS = 0.5
"""How long to wait before a probe is sent again."""


class Sockets:
    """The websockets of one scenario.

    Args:
        url: of the API.
        send: sends requests to the same server.
    """

    def __init__(self, url: str, send: Callable[[str, str, Any], Any]) -> None:
        self._url = "ws" + url.removeprefix("http")
        self._ask = send
        self._open: dict[str, ClientConnection] = {}

    def do(self, verb: str, name: str, *more: Any) -> tuple[int, Any]:
        """Carry out a step: its status, what was said, and what of that is compared."""
        match verb:
            case "CONNECT":
                return self._connect(name, *more)
            case "SEND":
                return self._send(name, *more)
            case "PROBE":
                return self._probe(name, *more)
            case "COLLECT":
                return self._collect(name, *more)
            case "LEAVE":
                self._open.pop(name).close()
                return 200, None
            case _:
                status, message = self._receive(name)
                assert (status == 200) is (verb == RECEIVE), f"{verb} {name}: {status} {message}"
                return status, message

    def close(self) -> None:
        """Leave those that are still open."""
        for connection in self._open.values():
            connection.close()

    def _connect(self, name: str, path: str, *messages: Any) -> tuple[int, Any]:
        protocols = None if path.endswith(PLAINLY) else [Subprotocol("prefect")]
        try:
            connection = connect(self._url + path.removesuffix(PLAINLY), subprotocols=protocols, max_size=None)
        except InvalidStatus as refused:
            return refused.response.status_code, None
        self._open[name] = connection
        for message in messages:
            self._send(name, message)
        return 101, {"subprotocol": connection.subprotocol}

    def _send(self, name: str, message: Any) -> tuple[int, Any]:
        with contextlib.suppress(ConnectionClosed):  # END says so
            self._open[name].send(message if isinstance(message, str | bytes) else json.dumps(message))
        return 200, None

    def _receive(self, name: str, seconds: float = _DEADLINE_SECONDS) -> tuple[int, Any]:
        try:
            return 200, json.loads(self._open[name].recv(seconds))
        except ConnectionClosed as closed:
            return (1006, None) if closed.rcvd is None else (closed.rcvd.code, {"reason": closed.rcvd.reason})

    def _probe(self, name: str, make: Callable[[], tuple[str, str, Any]]) -> tuple[int, Any]:
        end = time.monotonic() + _DEADLINE_SECONDS
        while time.monotonic() < end:
            method, path, body = make()
            token = body[0].get("message") or body[0]["id"]
            self._ask(method, path, body)
            with contextlib.suppress(TimeoutError):  # it was said before somebody listened, or is slow
                while token not in json.dumps(self._heard(name)):
                    pass  # those before it
                return 200, None
        raise AssertionError(f"{name} says nothing")

    def _heard(self, name: str) -> Any:
        status, message = self._receive(name, _PROBE_SECONDS)
        assert status == 200, f"{name}: {status} {message}"
        return message

    def _collect(
        self, name: str, is_last: Callable[[Any], bool], view: Callable[[Any], Any] = lambda message: message
    ) -> tuple[int, Any]:
        messages: list[Any] = []
        while not messages or not is_last(messages[-1]):
            status, message = self._receive(name)
            if status != 200:
                return status, message
            messages.append(message)
        return 200, [view(message) for message in messages]


@contextlib.contextmanager
def opened(url: str, send: Callable[[str, str, Any], Any]) -> Iterator[Callable[..., tuple[int, Any]]]:
    """What carries out the steps of a scenario that are about websockets."""
    sockets = Sockets(url, send)
    try:
        yield sockets.do
    finally:
        sockets.close()
