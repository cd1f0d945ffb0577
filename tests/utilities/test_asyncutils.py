"""Where synchronous and asynchronous code meet, for integrations."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import UUID

import pytest

from prefect import flow, get_client, task
from prefect.client.schemas.objects import FlowRunResult, TaskRunResult
from prefect.exceptions import Abort
from prefect.states import Completed, Failed, Pending, Running
from prefect.utilities import asyncutils, engine
from prefect.utilities.generics import validate_list


async def add(x: int, y: int = 1) -> int:
    await asyncio.sleep(0)
    return x + y


async def test_threads() -> None:
    def work() -> tuple[bool, bool, int]:
        marked = asyncutils.in_async_worker_thread()
        return marked, asyncutils.in_async_main_thread(), asyncutils.run_async_from_worker_thread(add, 1, y=2)

    assert await asyncutils.run_sync_in_worker_thread(work) == (True, False, 3)
    assert asyncutils.in_async_main_thread() and not asyncutils.in_async_worker_thread()
    assert asyncutils.run_coro_as_sync(add(1)) == 2
    done = threading.Event()

    async def later() -> None:
        done.set()

    assert asyncutils.run_coro_as_sync(later(), wait_for_result=False) is None
    assert await asyncio.to_thread(done.wait, 10)


def test_from_synchronous_code() -> None:
    assert asyncutils.sync(add, 1, y=3) == 4
    assert asyncutils.run_async_in_new_loop(add, 1) == 2
    with pytest.raises(TypeError):
        asyncutils.run_coro_as_sync(add("a"), force_new_thread=True)  # type: ignore[arg-type]


async def test_gathering() -> None:
    assert await asyncutils.gather(lambda: add(1), lambda: add(2)) == [2, 3]
    async with asyncutils.create_gather_task_group() as group:
        key = group.start_soon(add, 5)
        with pytest.raises(asyncutils.GatherIncomplete):
            group.get_result(key)
    assert group.get_result(key) == 6
    assert await asyncutils.create_task(add(1)) == 2
    async with asyncutils.asyncnullcontext(3) as value, asyncutils.LazySemaphore(lambda: 1):
        assert value == 3


def test_a_loop_that_ends_calls_back() -> None:
    called: list[int] = []

    async def main() -> None:
        async def callback() -> None:
            called.append(1)

        await asyncutils.add_event_loop_shutdown_callback(callback)
        assert called == []

    asyncio.run(main())
    assert called == [1]


def test_kinds_of_functions() -> None:
    async def generator() -> Any:
        yield 1

    assert asyncutils.is_async_fn(add) and not asyncutils.is_async_fn(test_kinds_of_functions)
    assert asyncutils.is_async_gen_fn(generator) and not asyncutils.is_async_gen_fn(add)
    assert validate_list(TaskRunResult, [{"id": UUID(int=1)}]) == [TaskRunResult(id=UUID(int=1))]


def test_runs_that_values_come_from(home: Any) -> None:
    @task
    def make() -> dict[str, int]:
        return {"a": 1}

    @flow
    def outer() -> Any:
        future, value = make.submit(), make()
        found = engine.collect_task_run_inputs_sync([future, {"x": value}, 5])
        resolved = engine.resolve_inputs_sync({"f": future, "n": 1})
        return (
            len(found),
            all(isinstance(one, TaskRunResult) for one in found),
            resolved,
            future.task_run_id in {one.id for one in found},
        )

    assert outer() == (2, True, {"f": {"a": 1}, "n": 1}, True)
    state = Completed()
    state.state_details.flow_run_id = UUID(int=1)
    assert engine.collect_task_run_inputs_sync(state) == {FlowRunResult(id=UUID(int=1))}


async def test_states_are_proposed(home: Any) -> None:
    @flow
    def nothing() -> None: ...

    async with get_client() as client:
        run = await client.create_flow_run(nothing, state=Pending())
        state = await engine.propose_state(client, Running(), run.id)
        assert state.is_running()
        with pytest.raises(Abort):
            await engine.propose_state(client, Pending(), run.id)
        assert (await engine.propose_state(client, Failed(), run.id)).is_failed()
        await engine.check_api_reachable(client, "no")
