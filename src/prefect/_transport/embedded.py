"""Requests to the local database: the operations are called in this process, without HTTP and without a server.

A request is matched to an operation by its method and path alone, so that every operation that is declared can be
called at once. What an operation takes and returns is checked and written as JSON exactly as a server would.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import UUID

import pydantic

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect._operations import errors, local, registry
from prefect._operations.routes import ROUTES
from prefect._schemas.filters.conditions import REFUSE_UNKNOWN
from prefect._transport.errors import OperationUnavailable
from prefect._transport.port import Reply, Request

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_module("asyncio")

API_URL = "http://local-database/api"
"""Stands where an address is wanted, in errors and in responses. Nothing is ever sent there."""

_SHORTEST_WAIT = 0.02
"""Seconds between two looks at least, whatever an operation says."""

_JSON = {"content-type": "application/json"}


class _BadRequest(Exception):
    """A request that does not fit the operation; `faults` are those of pydantic."""

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__(faults)
        self.faults = faults


class _NowhereAt(Exception):
    """A request for an address that is none."""


class Dispatcher:
    """Finds the operation that a request is for, and imports its module.

    Args:
        routes: those to choose from.
    """

    def __init__(self, routes: Iterable[registry.Address]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[list[str], registry.Address]]] = {}
        for route in routes:
            parts = _parts(route.path)
            self._by_shape.setdefault((route.method, len(parts)), []).append((parts, route))
        for candidates in self._by_shape.values():
            # "/flows/filter" before "/flows/{id}": what is spelt out wins
            candidates.sort(key=lambda candidate: [part.startswith("{") for part in candidate[0]])

    def find(self, method: str, target: str) -> tuple[registry.Operation, dict[str, str]]:
        """The operation for a method and a path, with the path's parameters as text.

        Raises:
            OperationUnavailable: there is none.
        """
        given = _parts(target)
        for parts, route in self._by_shape.get((method, len(given)), ()):
            if all(part.startswith("{") or part == one for part, one in zip(parts, given, strict=True)):
                pairs = zip(parts, given, strict=True)
                return route.operation(), {part[1:-1]: unquote(one) for part, one in pairs if part.startswith("{")}
        raise OperationUnavailable(method, target)


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")


@functools.cache
def _dispatcher() -> Dispatcher:
    return Dispatcher(ROUTES)


def _find(method: str, target: str) -> tuple[registry.Operation, dict[str, str]]:
    try:
        return _dispatcher().find(method, target)
    except OperationUnavailable:  # one that was declared after the table was made
        declared = registry.all_operations()
        return Dispatcher(registry.address_of(one) for one in declared).find(method, target)


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)


def _from_text(kind: Any, value: Any, *where: str) -> Any:
    try:
        return _adapter(kind).validate_python(value)
    except pydantic.ValidationError as exc:
        raise _BadRequest(_faults(exc, where)) from exc


def _from_json(kind: Any, content: bytes | None) -> Any:
    try:
        return _adapter(kind).validate_json(content or b"{}", context=REFUSE_UNKNOWN)
    except pydantic.ValidationError as exc:
        raise _BadRequest(_faults(exc, ("body",))) from exc


def _faults(exc: pydantic.ValidationError, where: tuple[str, ...]) -> list[dict[str, Any]]:
    faults = exc.errors(include_url=False, include_context=False, include_input=False)
    return [{**fault, "loc": [*where, *fault["loc"]]} for fault in faults]


def _arguments(
    operation: registry.Operation, path: Mapping[str, str], query: Iterable[tuple[str, Any]], content: bytes | None
) -> dict[str, Any]:
    """The arguments of an operation, made of the parts of a request."""
    given: dict[str, list[Any]] = {}
    for name, value in query:
        given.setdefault(name.replace("-", "_"), []).append(value)  # `page-token` is `page_token` in Python
    arguments = {name: _of_path(operation, name, value) for name, value in path.items()}
    for name, kind in operation.query_parameters.items():
        sent = registry.sent_name(name, kind)
        if name in given:
            values = given[name]
            arguments[name] = _from_text(kind, values[0] if len(values) == 1 else values, "query", sent)
        elif name in _required(operation.function):
            raise _BadRequest([{"type": "missing", "loc": ["query", sent], "msg": "Field required"}])
    if operation.body is not None:
        arguments["body"] = _from_json(operation.body, content)
    return arguments


def _of_path(operation: registry.Operation, name: str, value: str) -> Any:
    kind = operation.path_parameters[name]
    try:
        return _from_text(kind, value, "path", name)
    except _BadRequest as exc:
        if kind is UUID:  # nothing is at an address with something else in it, as a server says too
            raise _NowhereAt() from exc
        raise


@functools.cache
def _required(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters of a function that have no default."""
    parameters = inspect.signature(function).parameters.values()
    return frozenset(parameter.name for parameter in parameters if parameter.default is parameter.empty)


class EmbeddedTransport:
    """The API of the local database.

    Args:
        before: called before each request; lets the runs of this process write what they hold back, so that a client
            reads what was done before it asked.
    """

    api_url = API_URL

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._database: local.LocalDatabase | None = None
        self._holds_file = False
        self._one = threading.Lock()
        self._waiting: set[threading.Event] = set()

    def send(self, request: Request, stop: threading.Event | None = None) -> Reply:
        """Call the operation that a request is for.

        Args:
            request: what is asked.
            stop: set when nobody waits for the answer any more.

        Raises:
            OperationUnavailable: this version has no such operation.
            DatabaseUnavailable: the database cannot be used.
        """
        operation, path = _find(request.method, request.target)
        self._before()
        try:
            arguments = _arguments(operation, path, request.query_pairs, request.content)
            value, status = self._call(operation, arguments)
            if isinstance(value, registry.NotYet):
                value, status = self._wait(operation, arguments, value, stop or threading.Event())
        except Exception as exc:
            return _refusal(request, exc)
        if status == 204:
            return Reply(request, status)
        if isinstance(value, registry.PlainText):
            return Reply(request, status, value.encode(), {"content-type": value.media_type, **value.headers})
        if isinstance(value, registry.Rendered):
            return Reply(request, status, value.json, _JSON)
        return Reply(request, status, _adapter(operation.output).dump_json(value), _JSON)

    def _call(self, operation: registry.Operation, arguments: dict[str, Any]) -> tuple[Any, int]:
        database = self._database
        if database is not None and self._holds_file and not operation.writes:
            with database.read() as tx:
                return operation.call(tx, **arguments)
        # one at a time: the write lock is that of a process, and an empty database is a single connection
        with self._one:
            database = self._open(operation.writes)
            with database.write() if operation.writes else database.read() as tx:
                return operation.call(tx, **arguments)

    def _wait(
        self, operation: registry.Operation, arguments: dict[str, Any], answer: registry.NotYet, stop: threading.Event
    ) -> tuple[Any, int]:
        """Look again whenever somebody has written to the database, until there is an answer or the time is over."""
        end = time.monotonic() + registry.waiting_seconds(arguments)
        self._waiting.add(stop)
        try:
            with local.Changes(self._open(operation.writes).path) as changes:
                while (left := end - time.monotonic()) > 0 and not stop.is_set():
                    # also the first time: something may have been written before the changes were counted
                    value, status = self._look(operation, arguments, answer)
                    if not isinstance(value, registry.NotYet):
                        return value, status
                    answer = value
                    if answer.until is not None:
                        left = min(left, max((answer.until - now()).total_seconds(), _SHORTEST_WAIT))
                    changes.wait(left, stop)
        finally:
            self._waiting.discard(stop)
        if stop.is_set() and answer.abandon is not None:
            with self._one, self._open(True).write() as tx:
                answer.abandon(tx)
        return answer.final(), operation.status

    def _look(self, operation: registry.Operation, arguments: dict[str, Any], last: registry.NotYet) -> tuple[Any, int]:
        if last.look is not None and self._holds_file:
            with self._open(False).read() as tx:
                waits = last.look(tx)
            if waits is not None:
                return waits, operation.status
        return self._call(operation, arguments)

    def _open(self, writes: bool) -> local.LocalDatabase:
        """The database; its file is made by the first request that writes, and looked for anew until it is there."""
        if self._database is None or not self._holds_file:
            self._release()
            database = local.open_local()
            if writes:
                database.create()
            self._holds_file = os.path.exists(database.path)
            self._database = database
        return self._database

    def close(self) -> None:
        """Let go of the database; who waits is answered. The next request opens it again."""
        for stop in list(self._waiting):
            stop.set()
        self._release()

    def _release(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _refusal(request: Request, exc: Exception) -> Reply:
    """What a server would answer to the error of an operation."""
    if isinstance(exc, _BadRequest):
        body = {"exception_message": "Invalid request received.", "exception_detail": exc.faults}
        return Reply(request, 422, _adapter(Any).dump_json(body), _JSON)
    if isinstance(exc, _NowhereAt):
        return Reply(request, 404, _adapter(Any).dump_json({"detail": "Not Found"}), _JSON)
    refused = errors.refusal(exc)
    if refused is None:
        raise exc
    headers = _JSON if refused.retry_after is None else {**_JSON, "retry-after": str(refused.retry_after)}
    return Reply(request, refused.status, _adapter(Any).dump_json({"detail": refused.detail}), headers)


class AsyncEmbeddedTransport:
    """The API of the local database for asynchronous code: it works in another thread, so that the loop goes on.

    Args:
        before: see `EmbeddedTransport`.
    """

    api_url = API_URL

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self._transport = EmbeddedTransport(before)

    async def send(self, request: Request) -> Reply:
        """As `EmbeddedTransport.send`."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._transport.send, request, stop)
        except asyncio.CancelledError:
            stop.set()  # or the thread would wait on
            raise

    async def close(self) -> None:
        """As `EmbeddedTransport.close`."""
        self._transport.close()
