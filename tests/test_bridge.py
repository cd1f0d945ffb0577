"""Where synchronous and asynchronous code meet."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from prefect import _bridge
from prefect._bridge import (
    async_dispatch,
    in_async_context,
    in_running_loop,
    run,
    run_coro_as_sync,
    sync_compatible,
)

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def _double(value: int) -> int:
    return 2 * value


async def _suspends() -> int:
    await asyncio.sleep(0)
    return threading.get_ident()


class TestRun:
    def test_it_finishes_a_coroutine_that_never_suspends_on_this_thread(self) -> None:
        async def body() -> tuple[int, int]:
            variable.set("inside")
            return await _double(21), threading.get_ident()

        token = variable.set("outside")
        assert run(body()) == (42, threading.get_ident())
        assert variable.get() == "inside", "it runs in the caller's own context"
        variable.reset(token)

    def test_it_raises_what_the_coroutine_raises(self) -> None:
        async def body() -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            run(body())

    def test_it_refuses_to_wait_and_lets_the_coroutine_clean_up(self) -> None:
        cleaned = []

        async def body() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)

        async def outside() -> None:
            with pytest.raises(RuntimeError, match=r"body.*tried to wait asynchronously"):
                run(body())

        asyncio.run(outside())
        assert cleaned == [True]


class TestRunCoroAsSync:
    def test_on_this_thread_where_no_loop_runs(self) -> None:
        assert run_coro_as_sync(_suspends()) == threading.get_ident()

    async def test_on_another_thread_where_one_does_with_the_same_context(self) -> None:
        async def body() -> tuple[str, int]:
            return variable.get(), await _suspends()

        variable.set("mine")
        value, thread = run_coro_as_sync(body())
        assert value == "mine"
        assert thread != threading.get_ident()

    async def test_errors_cross_with_their_type(self) -> None:
        async def body() -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            run_coro_as_sync(body())

    async def test_so_do_signals(self) -> None:
        async def body() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_coro_as_sync(body())


@async_dispatch(_double)
def double(value: int) -> int:
    """Twice the value."""
    return 2 * value


class TestDispatch:
    def test_synchronous_code_gets_the_value(self) -> None:
        assert double(4) == 8
        assert double.__doc__ == "Twice the value."

    async def test_asynchronous_code_gets_a_coroutine(self) -> None:
        assert await double(4) == 8

    async def test_the_caller_may_choose(self) -> None:
        assert double(4, _sync=True) == 8
        assert await double.aio(4) == 8

    def test_also_outside_a_loop(self) -> None:
        assert asyncio.run(double(4, _sync=False)) == 8

    async def test_a_synchronous_run_in_a_loop_is_synchronous_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kind: list[bool | None] = [False]
        monkeypatch.setattr(_bridge, "_run_is_async", lambda: kind[0])
        assert not in_async_context()
        assert double(4) == 8
        for kind[0] in (True, None):
            assert in_async_context()

    def test_without_a_loop_nothing_is_asynchronous(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_bridge, "_run_is_async", lambda: True)
        assert not in_async_context()
        assert not in_running_loop()


class TestSyncCompatible:
    async def _method(self, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    method = sync_compatible(_method)

    def test_a_value_outside_a_loop(self) -> None:
        assert self.method(3) == 3

    async def test_a_coroutine_inside(self) -> None:
        assert await self.method(3) == 3
        assert self.method(3, _sync=True) == 3
