"""How commands ask the API: the client of the current settings, everything page by page, objects by name or id."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from prefect._lazy import lazy_module
from prefect.cli import _console
from prefect.cli._output import as_uuid
from prefect.settings import get_current_settings, temporary_settings

if TYPE_CHECKING:
    import pydantic

    from prefect import exceptions
    from prefect.client import orchestration
    from prefect.client.orchestration import SyncPrefectClient
else:
    pydantic = lazy_module("pydantic")
    exceptions = lazy_module("prefect.exceptions")
    orchestration = lazy_module("prefect.client.orchestration")

T = TypeVar("T")
M = TypeVar("M", bound="pydantic.BaseModel")

PAGE = 200
"""How many objects are asked for at a time: what the API gives at most, unless it is set otherwise."""

_MIN_PREFIX = 4
_FEW = 8
_NO_ROUTE = "Not Found"


@contextlib.contextmanager
def client() -> Iterator[SyncPrefectClient]:
    """The client of the API that the current settings name.

    Somebody waits for the answer: unless the settings say otherwise, a server that does not answer is told soon.
    """
    changes: dict[str, Any] = {"PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": False}
    if get_current_settings().source_of("client.max_retries") is None:
        changes["PREFECT_CLIENT_MAX_RETRIES"] = 1
    with temporary_settings(changes), orchestration.get_client(sync_client=True) as api:
        yield api


def everything(read: Callable[[int, int], list[T]], most: int | None = None) -> Iterator[T]:
    """All objects, read page by page while they are used.

    Args:
        read: reads a page: how many, and how many to leave out first.
        most: not more than so many.
    """
    offset = 0
    while most is None or offset < most:
        size = PAGE if most is None else min(PAGE, most - offset)
        page = read(size, offset)
        yield from page
        offset += len(page)
        if len(page) < size:
            return


def pages(api: SyncPrefectClient, route: str, kind: type[M], most: int | None = None, **body: Any) -> Iterator[M]:
    """All objects that a filter route gives, as objects of a type, read page by page while they are used.

    Args:
        api: whom to ask.
        route: such as `/variables/filter`.
        kind: of the objects.
        most: not more than so many.
        body: conditions and order.
    """

    def read(limit: int, offset: int) -> list[M]:
        reply = api.request("POST", route, json={**body, "limit": limit, "offset": offset})
        return [kind.model_validate(one) for one in reply.json()]

    return everything(read, most)


def made(kind: type[M], fields: Mapping[str, Any]) -> M:
    """An object with fields that a user gave.

    Ends the command, with a line that names the field, when they do not fit.
    """
    try:
        return kind.model_validate(fields)
    except pydantic.ValidationError as problem:
        faults = [_fault(one) for one in problem.errors(include_url=False)]
        _console.fail("; ".join(dict.fromkeys(faults)))


def _fault(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def find(
    kind: str,
    given: str,
    exact: Callable[[str], T | None],
    every: Callable[[], Iterable[T]],
    names: Callable[[T], Sequence[str]],
) -> T:
    """The object that a name, an id or the beginning of an id says.

    Args:
        kind: what it is, for messages.
        given: what the user wrote.
        exact: asks the API for it; None or `ObjectNotFound` when it has no such name or id.
        every: reads all objects there are, when `exact` found nothing.
        names: of an object: its own name first.
    """
    try:
        if (found := exact(given)) is not None:
            return found
    except exceptions.ObjectNotFound:
        pass
    others = list(every())
    called = [one for one in others if given in names(one)]
    if not called and len(given) >= _MIN_PREFIX and as_uuid(given) is None:
        called = [one for one in others if str(one.id).startswith(given.lower())]  # type: ignore[attr-defined]
    if len(called) == 1:
        return called[0]
    if called:
        choice = ", ".join(f"{names(one)[0]} ({one.id})" for one in called[:10])  # type: ignore[attr-defined]
        _console.fail(f"More than one {kind} is called {given!r}: {choice}. Give an id.")
    return not_found(kind, given, [names(one)[0] for one in others])


@contextlib.contextmanager
def not_everywhere(what: str) -> Iterator[None]:
    """Say so when a server lacks what is asked for, as those of Prefect itself do.

    Args:
        what: it lacks, such as `backfills`.
    """
    try:
        yield
    except exceptions.ObjectNotFound as problem:
        if _console.explain(problem) == _NO_ROUTE:
            _console.fail(f"The server at {get_current_settings().api.url} knows no {what}.")
        raise


def not_found(kind: str, name: str, others: Iterable[str]) -> NoReturn:
    """End the command: there is no object of a name; say which one may have been meant."""
    known = list(others)
    guesses = difflib.get_close_matches(name, known, 1)
    if guesses:
        hint = f" Did you mean {guesses[0]!r}?"
    else:
        hint = f" There are: {', '.join(sorted(known))}." if 0 < len(known) <= _FEW else ""
    _console.fail(f"{kind[0].upper()}{kind[1:]} {name!r} not found.{hint}")


def one_of(what: dict[str, Any], *, of: str) -> None:
    """Check that exactly one of some options is given.

    Args:
        what: the options and their values; None, False and nothing at all are not given.
        of: what the options choose, for the message.
    """
    given = [name for name, value in what.items() if value not in (None, False, [], "")]
    if len(given) != 1:
        names = ", ".join(what)
        said = "none of them is given" if not given else f"{' and '.join(given)} are given"
        _console.usage(f"Say which {of} by one of {names}: {said}.")
