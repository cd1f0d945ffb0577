"""Requests that are kept waiting until there is something to say to them.

They cost no thread while they wait: the event loop keeps them, subscribed to the announcements of the database.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from prefect._clock import now
from prefect._operations.registry import NotYet
from prefect._store.announcements import Bus

T = TypeVar("T")

_SHORTEST = 0.02
"""Seconds between two looks at least, whatever an operation says."""


class _Turn:
    """Requests that wait for the same thing.

    Attributes:
        lock: held by the one that looks.
        vain: when the last look in vain began.
        found: what it found to wait for.
        count: how many requests there are.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.vain = -math.inf
        self.found: NotYet | None = None
        self.count = 0


class Waits:
    """The requests of a server that are kept waiting.

    Args:
        bus: what tells them to look again.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._events: set[asyncio.Event] = set()
        self._turns: dict[Hashable, _Turn] = {}
        self._ended = False

    def end(self) -> None:
        """Answer all of them now, and keep nobody waiting any more: the server is about to end. For the event loop."""
        self._ended = True
        for event in self._events:
            event.set()

    async def wait(
        self, request: Request, first: NotYet, seconds: float, look: Callable[[NotYet], Awaitable[T | NotYet]]
    ) -> T | NotYet:
        """Look again whenever something may have changed, until there is an answer or the time is over.

        Args:
            request: who waits; when it goes away nobody looks any more.
            first: what the first look gave.
            seconds: how long to wait at most.
            look: calls the operation, if it is worth it; given what the last call gave.

        Returns:
            the answer, or the last `NotYet`.

        Raises:
            ClientDisconnect: nobody waits for the answer any more.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        changed = asyncio.Event()
        gone = asyncio.ensure_future(_gone(request))
        gone.add_done_callback(lambda _: changed.set())
        self._events.add(changed)
        last = first
        try:
            with self._bus.subscribe(*first.topics, wake=functools.partial(loop.call_soon_threadsafe, changed.set)):
                while True:
                    changed.clear()
                    if gone.done():
                        raise ClientDisconnect
                    # also the first time: something may have been announced before there was a subscription
                    answer = await self._in_turn(last, look)
                    left = end - loop.time()
                    if not isinstance(answer, NotYet) or self._ended or left <= 0:
                        return answer
                    last = answer
                    if answer.until is not None:
                        left = min(left, max((answer.until - now()).total_seconds(), _SHORTEST))
                    await _told(changed, left)
        finally:
            self._events.discard(changed)
            gone.cancel()

    async def _in_turn(self, last: NotYet, look: Callable[[NotYet], Awaitable[T | NotYet]]) -> T | NotYet:
        if last.turn is None:
            return await look(last)
        woken = asyncio.get_running_loop().time()
        turn = self._turns.setdefault(last.turn, _Turn())
        turn.count += 1
        try:
            async with turn.lock:
                if turn.vain >= woken and turn.found is not None:
                    return turn.found
                began = asyncio.get_running_loop().time()
                answer = await look(last)
                if isinstance(answer, NotYet):
                    turn.vain, turn.found = began, answer
                return answer
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[last.turn]


async def _told(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        pass


async def _gone(request: Request) -> None:
    """Returns when the client has closed its connection. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
