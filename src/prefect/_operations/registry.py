"""How an operation is declared, and the list of those declared.

    @operation("GET", "/flow_runs/{id}")
    def read_flow_run(tx: Connection, id: UUID) -> FlowRun: ...

The declaration says everything a transport needs: which parameters are part of the path, which one is the body (it is
called `body`), that the others are part of the query string, and what comes back. The function stays an ordinary one
and is called directly by whoever is in the same process.

An operation with more than one kind of success (made, or found) returns an `Answer`; `Operation.call` takes it apart. One
that answers with text which is not JSON returns `PlainText`; one that writes its JSON itself, `Rendered`. One that has
nothing to say yet, to somebody who is willing to wait (a field of the body or a parameter called `wait_seconds`), returns
`NotYet`: its transport calls it again when something may have changed. It fails with the exceptions of
`_operations.errors`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin
from uuid import UUID

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

_PACKAGE = __name__.rpartition(".")[0]
_IN_PATH = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What an operation returns when its kind of success is not always the declared one."""

    value: T
    status: int
    """The HTTP status, instead of the declared one."""


@dataclass(frozen=True)
class Rendered(Generic[T]):
    """What an operation returns that has written its value as JSON itself."""

    json: bytes
    """The value, as the model `T` would write it."""


LONGEST_WAIT = 45.0
"""Seconds that a request is kept waiting at most, whatever it asks for: clients and
programs in between give up on silence (our clients after a minute)."""


@dataclass(frozen=True)
class NotYet:
    """What an operation returns when it has nothing to say yet. Its transaction is committed all the same."""

    value: Any
    """The answer when the time to wait is over; an exception is raised then."""
    topics: tuple[str, ...]
    """The announcements after which it is worth asking again (`_store.announcements`)."""
    until: datetime | None = None
    """When it is worth asking again without any."""
    look: Callable[[Any], NotYet | None] | None = None
    """Called with a transaction that reads, before the operation is called again: None when that is worth it, otherwise
    what to wait for now. An operation that writes and has many who wait for it has one, so that they keep nobody."""
    turn: Hashable = None
    """Requests with the same one wait for the same thing: they look one after the other, and what one has just looked for
    in vain the others need not look for."""
    abandon: Callable[[Any], None] | None = None
    """Called with a transaction that may write, when whoever waited has gone without an answer."""

    def final(self) -> Any:
        """The answer when the time to wait is over."""
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def waiting_seconds(arguments: Mapping[str, Any]) -> float:
    """How long a caller is willing to wait: the argument `wait_seconds`, or that of the body."""
    given = arguments.get("wait_seconds", getattr(arguments.get("body"), "wait_seconds", 0.0))
    return min(max(given or 0.0, 0.0), LONGEST_WAIT)


@dataclass(frozen=True)
class SentAs:
    """Marks a parameter that has another name on the wire: `Annotated[str, SentAs("page-token")]`."""

    name: str


def sent_name(name: str, hint: Any) -> str:
    """What a parameter is called on the wire."""
    marks = (mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, SentAs))
    return next((mark.name for mark in marks), name)


class PlainText(str):
    """Text that is sent as it is, not as JSON.

    Attributes:
        media_type: what kind of text it is.
        headers: HTTP headers to send with it.
    """

    media_type: str
    headers: dict[str, str]

    def __new__(cls, text: str, media_type: str = "text/plain", headers: dict[str, str] | None = None) -> PlainText:
        self = super().__new__(cls, text)
        self.media_type = media_type
        self.headers = headers or {}
        return self


@dataclass(frozen=True)
class Operation:
    """What a transport needs to know of an operation."""

    name: str
    method: Method
    path: str
    writes: bool
    """Whether it needs a transaction that may write."""
    status: int
    """The HTTP status of success."""
    lengthy: bool
    """Whether it may take long even where the database answers at once."""
    one_statement: bool
    """Whether it writes by one statement and reads nothing."""
    function: Callable[..., Any]

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.function, include_extras=True)

    @cached_property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        parameters = dict(inspect.signature(self.function).parameters)
        parameters.pop("tx")
        return parameters

    @property
    def path_parameters(self) -> dict[str, Any]:
        """Names and types of the parameters that are part of the path."""
        return {name: self._hints[name] for name in _IN_PATH.findall(self.path)}

    @property
    def query_parameters(self) -> dict[str, Any]:
        """Names and types of the parameters that are part of the query string."""
        elsewhere = {"body", *_IN_PATH.findall(self.path)}
        return {name: self._hints[name] for name in self._parameters if name not in elsewhere}

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of the parameters that have no default."""
        empty = inspect.Parameter.empty
        return frozenset(name for name, parameter in self._parameters.items() if parameter.default is empty)

    @property
    def statuses(self) -> tuple[int, ...]:
        """The HTTP statuses of success: what was found is a 200, what was made a 201."""
        declared = self._hints["return"]
        return (200, 201) if Answer in (get_origin(declared), *map(get_origin, get_args(declared))) else (self.status,)

    @property
    def body(self) -> Any:
        """The type of the request's body, or None when it has none."""
        return self._hints.get("body")

    @property
    def output(self) -> Any:
        """The type of what it returns, without `Answer` or `Rendered` around it and `NotYet` beside it."""
        declared = self._hints["return"]
        if get_origin(declared) in (typing.Union, types.UnionType) and NotYet in get_args(declared):
            declared = typing.Union[tuple(kind for kind in get_args(declared) if kind is not NotYet)]  # noqa: UP007
        while get_origin(declared) in (Answer, Rendered):
            declared = get_args(declared)[0]
        return declared

    def call(self, tx: Any, **arguments: Any) -> tuple[Any, int]:
        """Run it in a transaction; returns its value (or a `NotYet`) and the HTTP status that goes with it."""
        returned = self.function(tx, **arguments)
        return (returned.value, returned.status) if isinstance(returned, Answer) else (returned, self.status)


OPERATIONS: dict[str, Operation] = {}
"""The operations of all imported modules, by name."""

BY_ROUTE: dict[tuple[str, str], Operation] = {}
"""The same, by method and path."""


class Address(NamedTuple):
    """Where an operation is: on the wire, and in this package."""

    method: Method
    path: str
    module: str
    """The name of its module, in this package."""
    ids: tuple[str, ...] = ()
    """The parameters of the path that are ids: other text does not match there."""

    def operation(self) -> Operation:
        """The operation; its module is imported."""
        importlib.import_module(f"{_PACKAGE}.{self.module}")
        return BY_ROUTE[self.method, self.path]


def address_of(operation: Operation) -> Address:
    """Where an operation is."""
    ids = tuple(name for name, hint in operation.path_parameters.items() if hint is UUID)
    return Address(operation.method, operation.path, operation.function.__module__.rpartition(".")[2], ids)


def all_operations() -> list[Operation]:
    """All operations there are, those of modules that nobody has imported yet included."""
    for module in pkgutil.iter_modules([os.path.dirname(__file__)], f"{_PACKAGE}."):
        importlib.import_module(module.name)
    return list(OPERATIONS.values())


def operation(
    method: Method,
    path: str,
    *,
    writes: bool = False,
    lengthy: bool = False,
    one_statement: bool = False,
    status: int = 200,
) -> Callable[[F], F]:
    """Declare a function `(tx, ...) -> result` as an operation of the API.

    Args:
        method: the HTTP method.
        path: the route below `/api`; names in braces are parameters of the function.
        writes: whether it needs a transaction that may write.
        lengthy: whether it may take long even where the database answers at once.
        one_statement: whether it writes by one statement and reads nothing, so that a database need not be told where its
            transaction begins and ends.
        status: the HTTP status of success.

    Raises:
        TypeError: the function does not fit its declaration.
        ValueError: the name or the route is declared already.
    """

    def declare(function: F) -> F:
        names = list(inspect.signature(function).parameters)
        missing = [name for name in ["tx", *_IN_PATH.findall(path)] if name not in names]
        if missing:
            raise TypeError(f"Operation {function.__name__!r} ({method} {path}) lacks the parameters {missing}.")
        other = OPERATIONS.get(function.__name__) or BY_ROUTE.get((method, path))
        if other is not None:
            raise ValueError(f"{method} {path} ({function.__name__!r}) is declared already, as {other.name!r}.")
        made = Operation(function.__name__, method, path, writes, status, lengthy, one_statement, function)
        OPERATIONS[made.name] = BY_ROUTE[method, path] = made
        return function

    return declare
