"""From operations to routes.

A request is parsed in the event loop, unless it is large; `prefect.server.calls` knows where its transaction takes place. What a
route needs to parse and to serialise is built when it is used first, so that a server with two hundred routes starts
at once.
"""

from __future__ import annotations

import json
import threading
import types
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from prefect._operations import address
from prefect._operations.registry import Address, NotYet, Operation, PlainText, Rendered, sent_name, waiting_seconds
from prefect._schemas.filters.conditions import REFUSE_UNKNOWN
from prefect.server.api import text
from prefect.server.api.errors import BadRequest, problems_of, response_for
from prefect.server.api.waiting import Waits
from prefect.server.calls import Calls, Pace
from prefect.settings.context import push_settings

if TYPE_CHECKING:
    from prefect.settings import Settings

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Larger requests are refused."""

_SMALL_BODY = 64 * 1024

_CUTS = ("limit", "offset", "page", "sort")

_building = threading.RLock()


def adapter_of(type_: Any) -> TypeAdapter[Any]:
    """A type's adapter, complete."""
    with _building:  # models are built at first use, which is not safe in two threads at once
        adapter: TypeAdapter[Any] = TypeAdapter(type_)
        adapter.rebuild()
        return adapter


class Endpoint:
    """Answers the requests of one operation.

    Args:
        where: where the operation is; it is imported with the first request.
        calls: has work done on the database.
        settings: the server's settings, which are in force while an operation runs.
        waits: keeps the requests that have no answer yet.
    """

    operation: Operation

    def __init__(self, where: Address, calls: Calls, settings: Settings, waits: Waits) -> None:
        self._where = where
        self._waits = waits
        self._calls = calls
        self._pace = Pace()
        self._settings = settings
        self._default_limit = settings.server.api.default_limit
        self._lock = threading.Lock()
        self._ready = False

    def prepare(self) -> None:
        """Import the operation, and build what its requests and answers need; the first request does so otherwise."""
        with self._lock:
            if self._ready:
                return
            with _building:
                operation = self.operation = self._where.operation()
            self._body = None if operation.body is None else adapter_of(operation.body)
            self._path = {name: adapter_of(hint) for name, hint in operation.path_parameters.items()}
            self._query = {name: adapter_of(hint) for name, hint in operation.query_parameters.items()}
            has_json = operation.status != 204 and operation.output is not PlainText
            self._output = adapter_of(operation.output) if has_json else None
            self._pages = operation.path.endswith(("/filter", "/paginate")) and _has_open_limit(operation.body)
            self._ready = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        try:
            body = await _read_body(request)
            if not self._ready:
                await run_in_threadpool(self.prepare)
            push_settings(self._settings)  # a request has a task, and a context, of its own
            address.asked_by(request.scope)
            if len(body) <= _SMALL_BODY:
                arguments = self._arguments(request, body)
            else:
                arguments = await run_in_threadpool(self._arguments, request, body)
            answer = await self._answer(arguments)
            if isinstance(answer, NotYet):
                answer = await self._wait(request, arguments, answer)
            return answer
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            return response_for(error)

    def _arguments(self, request: Request, body: bytes) -> dict[str, Any]:
        arguments = self._parameters(request)
        if self._body is not None:
            arguments["body"] = self._parse(self._body, text.storable(self.operation, body))
        return arguments

    async def _answer(self, arguments: dict[str, Any]) -> Response | NotYet:
        def work(tx: sa.Connection) -> Response | NotYet:
            value, status = self.operation.call(tx, **arguments)
            # serialised inside: what is returned may still be read from the database
            return value if isinstance(value, NotYet) else self._respond(value, status)

        pace = None if self.operation.lengthy else self._pace
        if self.operation.writes:
            return await self._calls.write(work, pace, alone=self.operation.one_statement)
        return await self._calls.read(work, pace)

    async def _wait(self, request: Request, arguments: dict[str, Any], first: NotYet) -> Response:
        seconds = waiting_seconds(arguments)
        last: Response | NotYet = first
        if seconds > 0:
            try:
                last = await self._waits.wait(request, first, seconds, lambda last: self._look(arguments, last))
            except ClientDisconnect:
                if first.abandon is not None:
                    await self._calls.write(first.abandon)
                raise
        return self._respond(last.final(), self.operation.status) if isinstance(last, NotYet) else last

    async def _look(self, arguments: dict[str, Any], last: NotYet) -> Response | NotYet:
        if last.look is not None:
            waits = await self._calls.read(last.look, self._pace)
            if waits is not None:
                return waits
        return await self._answer(arguments)

    def _respond(self, value: Any, status: int) -> Response:
        if isinstance(value, PlainText):
            return Response(value, status, media_type=value.media_type, headers=value.headers)
        if self._output is None or status == 204:
            return Response(status_code=status)
        content = value.json if isinstance(value, Rendered) else self._output.dump_json(value)
        return Response(content, status, media_type="application/json")

    def _parse(self, adapter: TypeAdapter[Any], body: bytes) -> Any:
        try:
            parsed = adapter.validate_json(body or b"{}", context=REFUSE_UNKNOWN)
        except ValidationError as error:
            given = _without_nulls(body) if self._pages else None
            if given is None:
                raise BadRequest(problems_of(error, "body"), body) from error
            return self._parse(adapter, given)
        return self._limited(parsed, body) if self._pages else parsed

    def _limited(self, parsed: Any, body: bytes) -> Any:
        if "limit" not in parsed.model_fields_set or parsed.limit is None:
            return parsed.model_copy(update={"limit": self._default_limit})
        if parsed.limit > self._default_limit:
            message = f"Input should be less than or equal to {self._default_limit}"
            problem = {"type": "less_than_equal", "loc": ["body", "limit"], "msg": message, "input": parsed.limit}
            raise BadRequest([problem], body)
        return parsed

    def _parameters(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        problems: list[dict[str, Any]] = []
        for name, adapter in self._path.items():
            _validate(adapter, name, request.path_params[name], "path", arguments, problems)
        for name, adapter in self._query.items():
            sent = sent_name(name, self.operation.query_parameters[name])
            values = request.query_params.getlist(sent) or request.query_params.getlist(name)
            if values:
                value: Any = values if _is_list(self.operation.query_parameters[name]) else values[-1]
                _validate(adapter, name, value, "query", arguments, problems)
            elif name in self.operation.required:
                problems.append({"type": "missing", "loc": ["query", sent], "msg": "Field required", "input": None})
        if problems:
            raise BadRequest(problems)
        return arguments


def _validate(
    adapter: TypeAdapter[Any], name: str, value: Any, where: str, arguments: dict[str, Any], problems: list[Any]
) -> None:
    if any(isinstance(each, str) and "\0" in each for each in (value if isinstance(value, list) else [value])):
        problems.append(text.problem(where, name))
        return
    try:
        arguments[name] = adapter.validate_python(value)
    except ValidationError as error:
        problems += [{**problem, "loc": [where, name, *problem["loc"][1:]]} for problem in problems_of(error, where)]


def _without_nulls(body: bytes) -> bytes | None:
    """A body without the members by which a list is cut and that are null; None when there are none.

    Clients write null where they have no wish.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    empty = [name for name in _CUTS if name in given and given[name] is None]
    if not empty:
        return None
    return json.dumps({name: value for name, value in given.items() if name not in empty}).encode()


async def _read_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            message = f"The body is larger than {MAX_BODY_BYTES} bytes; send less at once."
            raise BadRequest([{"type": "too_long", "loc": ["body"], "msg": message, "input": None}], status=413)
        chunks.append(chunk)
    return b"".join(chunks)


def _is_list(hint: Any) -> bool:
    alternatives = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return any(typing.get_origin(alternative) is list for alternative in alternatives)


def _has_open_limit(body: Any) -> bool:
    """Whether a body has a limit that is up to the server's settings: one without an upper bound of its own."""
    field = getattr(body, "model_fields", {}).get("limit")
    return field is not None and not any(hasattr(constraint, "le") for constraint in field.metadata)


def route_path(where: Address) -> str:
    """The path of an operation as Starlette has it; what is not an id does not match where one belongs."""
    path = where.path
    for name in where.ids:
        path = path.replace(f"{{{name}}}", f"{{{name}:uuid}}")
    return path


def routes(addresses: Iterable[Address], calls: Calls, *, prefix: str, settings: Settings, waits: Waits) -> list[Route]:
    """The routes of operations, exact ones before those with parameters."""
    ordered = sorted(addresses, key=lambda where: [part[:1] == "{" for part in where.path.split("/")])
    return [
        Route(
            prefix + route_path(where), Endpoint(where, calls, settings, waits), methods=[where.method],
            name=f"{where.method} {where.path}",
        )
        for where in ordered
    ]  # fmt: skip
