"""Functions that get a client when they are not given one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect.client import orchestration
    from prefect.client.orchestration import PrefectClient
else:
    orchestration = lazy_module("prefect.client.orchestration")

P = ParamSpec("P")
R = TypeVar("R")


def get_or_create_client(client: PrefectClient | None = None) -> tuple[PrefectClient, bool]:
    """A client, and whether there was one already.

    Args:
        client: returned when it is given; otherwise it is the one entered around this call, or a new one.
    """
    if client is not None:
        return client, True
    found = orchestration.get_client()
    return found, found._session.entered > 0


@contextmanager
def sync_client(given: Any = None) -> Iterator[Any]:
    """The client that was given, of whichever kind, or a synchronous one for the block."""
    if given is not None:
        yield given
    else:
        with orchestration.get_client(sync_client=True) as client:
            yield client


@asynccontextmanager
async def async_client(given: Any = None) -> AsyncIterator[Any]:
    """The client that was given, of whichever kind, or an asynchronous one for the block."""
    if given is not None:
        yield given
    else:
        async with orchestration.get_client() as client:
            yield client


def client_injector(
    func: Callable[Concatenate[PrefectClient, P], Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Give a function a client as its first argument, which its callers do not give."""

    @functools.wraps(func)
    async def with_client(*args: P.args, **kwargs: P.kwargs) -> R:
        client, _ = get_or_create_client()
        async with client as entered:
            return await func(entered, *args, **kwargs)

    return with_client


def inject_client(fn: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Give a function a client as its keyword argument `client`, unless its caller does."""

    @functools.wraps(fn)
    async def with_client(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = kwargs.get("client")
        client, _ = get_or_create_client(given)
        async with client as entered:
            kwargs["client"] = entered
            return await fn(*args, **kwargs)

    return with_client
