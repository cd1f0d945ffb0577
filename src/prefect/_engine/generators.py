"""Generator flows and tasks: the same life, given out piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from prefect._bridge import run
from prefect._clock import now_us
from prefect._engine.port import Port


class Steps:
    """A user's generator, advanced one item at a time through the port.

    Args:
        source: the generator or asynchronous generator.
        is_async: which of the two it is.
        limit: tells (seconds left, error to raise) before each step; None for no limit.
    """

    __slots__ = ("_argument", "_io", "_is_async", "_limit", "_source", "_thrown", "item", "returned")

    def __init__(
        self, io: Port, source: Any, is_async: bool, limit: Callable[[], tuple[float, type[BaseException]]] | None
    ) -> None:
        self._io, self._source, self._is_async, self._limit = io, source, is_async, limit
        self._argument: Any = None
        self._thrown: BaseException | None = None
        self.item: Any = None
        self.returned: Any = None

    def send(self, value: Any) -> None:
        """What the next `advance` sends into the generator."""
        self._argument = value

    def throw(self, exc: BaseException) -> None:
        """What the next `advance` raises inside the generator."""
        self._thrown = exc

    async def advance(self) -> bool:
        """Run the generator to its next item (True, the item is in `item`) or to its end (False)."""
        step = self._step_async if self._is_async else self._step
        if self._limit is None:
            return await self._io.call(step, (), {})
        seconds, error = self._limit()
        return await self._io.call_within(seconds, error, step, (), {})

    def _step(self) -> bool:
        argument, thrown = self._argument, self._thrown
        self._argument = self._thrown = None
        try:
            self.item = self._source.throw(thrown) if thrown is not None else self._source.send(argument)
        except StopIteration as stop:
            self.returned = stop.value
            return False
        return True

    async def _step_async(self) -> bool:
        argument, thrown = self._argument, self._thrown
        self._argument = self._thrown = None
        source = self._source
        try:
            self.item = await (source.athrow(thrown) if thrown is not None else source.asend(argument))
        except StopAsyncIteration:
            return False
        return True

    async def close(self) -> None:
        """Let the generator run its `finally` blocks."""
        if self._is_async:
            await self._source.aclose()
        else:
            self._source.close()


def rest_of_limit(
    seconds: float | None, began_us: int, error: type[BaseException]
) -> Callable[[], tuple[float, type[BaseException]]] | None:
    """What tells `Steps` how much is left of an attempt's time limit; None without a limit.

    Args:
        seconds: the limit.
        began_us: when the attempt began, in microseconds.
        error: what is raised when the time is over.
    """
    if not seconds:
        return None
    return lambda: (max(seconds - (now_us() - began_us) / 1e6, 1e-6), error)


def exhaust(life: AsyncGenerator[Any, Any]) -> None:
    """Bring one of the engine's asynchronous generators that never suspends to its end."""
    while True:
        try:
            run(life.asend(None))  # type: ignore[arg-type]
        except StopAsyncIteration:
            return


def drive(life: AsyncGenerator[Any, Any], result: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """An ordinary generator from one of the engine's asynchronous ones that never suspends.

    Args:
        life: the run.
        result: tells, at the end, what the user's generator returned.
    """
    step = life.asend(None)
    while True:
        try:
            item = run(step)  # type: ignore[arg-type]
        except StopAsyncIteration:
            return result()
        try:
            sent = yield item
        except GeneratorExit:
            run(life.aclose())  # type: ignore[arg-type]
            raise
        except BaseException as thrown:
            step = life.athrow(thrown)
        else:
            step = life.asend(sent)


async def pass_on(begin: Callable[[], AsyncGenerator[Any, Any]]) -> AsyncGenerator[Any, Any]:
    """An asynchronous generator that begins the run when it is first advanced."""
    life = begin()
    step = life.asend(None)
    while True:
        try:
            item = await step
        except StopAsyncIteration:
            return
        try:
            sent = yield item
        except GeneratorExit:
            await life.aclose()
            raise
        except BaseException as thrown:
            step = life.athrow(thrown)
        else:
            step = life.asend(sent)
