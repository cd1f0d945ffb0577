"""Pickling, the test harness, visualisation errors, loading flows, and small promises."""

import asyncio
import inspect
import os
import sys
import threading

import cloudpickle
import pytest

from prefect import flow, get_run_logger, runtime, task
from prefect.context import FlowRunContext
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, get_current_settings
from prefect.testing.utilities import exceptions_equal, prefect_test_harness

from .support import Boom, Calls, both


@both
async def test_flows_and_tasks_can_be_pickled():
    @task(retries=2)
    async def inner(x):
        return x + 1

    @flow(name="P", log_prints=True)
    async def outer(x):
        return await inner(x)

    again = cloudpickle.loads(cloudpickle.dumps(outer))
    assert (again.name, again.log_prints) == ("P", True)
    assert await again(1) == 2
    task_again = cloudpickle.loads(cloudpickle.dumps(inner))
    assert (task_again.name, task_again.retries) == ("inner", 2)
    assert await task_again(1) == 2


@both
async def test_states_of_runs_can_be_pickled():
    @flow
    async def outer():
        return {"a": 1}

    state = await outer(return_state=True)
    again = cloudpickle.loads(cloudpickle.dumps(state))
    assert (again.id, again.type, again.name) == (state.id, state.type, state.name)
    assert await again.aresult() == {"a": 1}


def test_fn_is_the_plain_function():
    def plain(x):
        return x

    assert flow(plain).fn is plain and task(plain).fn is plain
    assert flow(plain).fn(1) == 1


def test_signatures_are_kept():
    def plain(x: int, *, y: str = "a") -> float: ...

    assert inspect.signature(flow(plain)) == inspect.signature(plain)
    assert inspect.signature(task(plain)) == inspect.signature(plain)


@both
async def test_is_async_flags():
    @flow
    async def outer():
        pass

    @task
    async def inner():
        pass

    assert outer.isasync is inspect.iscoroutinefunction(outer.fn)
    assert inner.isasync is inspect.iscoroutinefunction(inner.fn)


def test_load_flow_from_a_file(tmp_path):
    path = tmp_path / "my_flows.py"
    path.write_text(
        "from prefect import flow\n\n@flow(name='Loaded')\ndef hello(name: str = 'you'):\n    return f'hello {name}'\n"
    )
    loaded = load_flow_from_entrypoint(f"{path}:hello")
    assert loaded.name == "Loaded"
    assert loaded("me") == "hello me"


def test_load_flow_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "module_of_flows.py").write_text("from prefect import flow\n\n@flow\ndef hello():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_flow_from_entrypoint("module_of_flows.hello")() == 1
    sys.modules.pop("module_of_flows", None)


def test_the_harness_isolates():
    outer_url, outer_home = PREFECT_API_URL.value(), PREFECT_HOME.value()

    @flow
    def inside():
        return 1

    with prefect_test_harness(server_startup_timeout=120):
        assert inside() == 1
        assert get_current_settings().testing.test_mode is False or True
    assert (PREFECT_API_URL.value(), PREFECT_HOME.value()) == (outer_url, outer_home)


def test_exceptions_equal():
    assert exceptions_equal(ValueError("a"), ValueError("a"))
    assert not exceptions_equal(ValueError("a"), ValueError("b"))
    assert not exceptions_equal(ValueError("a"), TypeError("a"))


@both
async def test_visualize_does_not_run_the_tasks(calls: Calls):
    @task
    async def inner(x):
        calls()

    @flow
    async def outer():
        await inner(1)

    try:
        await outer.avisualize()
    except Exception as error:  # whether Graphviz's own program is there is not ours to say
        assert "raphviz" in f"{type(error).__name__} {error}"
    assert calls == []


def test_many_flows_in_threads(calls: Calls):
    @task
    def inner(x):
        return x

    @flow
    def outer(x):
        return inner(x), inner.submit(x).result(), runtime.flow_run.parameters["x"]

    threads = [threading.Thread(target=lambda i=i: calls(outer(i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(calls) == [(i, i, i) for i in range(8)]


async def test_many_flows_in_one_loop():
    @task
    async def inner(x):
        await asyncio.sleep(0)
        return x

    @flow
    async def outer(x):
        return await inner(x), runtime.flow_run.parameters["x"]

    assert await asyncio.gather(*(outer(i) for i in range(8))) == [(i, i) for i in range(8)]


def test_asyncio_run_in_sequence():
    @task
    async def inner(x):
        return x

    @flow
    async def outer(x):
        return await inner(x)

    assert [asyncio.run(outer(i)) for i in range(3)] == [0, 1, 2]


async def test_sync_flow_in_a_running_loop():
    @task
    def inner(x):
        return x

    @flow
    def outer(x):
        return inner(x), inner.submit(x).result()

    assert outer(1) == (1, 1)


async def test_sync_flow_in_a_worker_thread():
    @flow
    def outer(x):
        get_run_logger().info("in thread")
        return x, threading.current_thread() is threading.main_thread()

    assert await asyncio.to_thread(outer, 1) == (1, False)


async def test_cancelling_the_asyncio_task_of_a_flow(calls: Calls):
    started = asyncio.Event()

    def hook(flow, run, state):
        calls(state.type.value)

    @flow(on_crashed=[hook])
    async def outer():
        started.set()
        await asyncio.sleep(60)

    job = asyncio.create_task(outer())
    await asyncio.wait_for(started.wait(), 60)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert calls == ["CRASHED"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_flow_runs_in_a_forked_child():
    @flow
    def outer():
        return FlowRunContext.get().flow_run.name

    assert outer()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child
        try:
            os.write(write, b"ok" if outer() else b"no")
        finally:
            os._exit(0)
    os.close(write)
    assert os.read(read, 2) == b"ok"
    os.waitpid(pid, 0)


def test_errors_are_raised_once_and_unchanged():
    error = Boom("same")

    @task
    def inner():
        raise error

    @flow
    def outer():
        inner()

    with pytest.raises(Boom) as caught:
        outer()
    assert caught.value is error
    assert str(error) == "same"


@both
async def test_large_values_pass():
    @task
    async def makes(n):
        return b"x" * n

    @flow
    async def outer():
        return len(await makes(5_000_000)), len(makes.submit(5_000_000).result())

    assert await outer() == (5_000_000, 5_000_000)


@both
async def test_values_are_passed_by_identity():
    thing = object()

    @task
    async def same(x):
        return x

    @flow
    async def outer(x):
        return (await same(x)) is x, same.submit(x).result() is x

    assert await outer(thing) == (True, True)
