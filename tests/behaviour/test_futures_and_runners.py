"""Futures and task runners: waiting, timeouts, callbacks, resolution, threads, processes, nesting."""

import contextvars
import os
import threading

import pytest

from prefect import flow, runtime, tags, task
from prefect.futures import (
    PrefectFutureList,
    as_completed,
    resolve_futures_to_results,
    resolve_futures_to_states,
    wait,
)
from prefect.states import State
from prefect.task_runners import ConcurrentTaskRunner, ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from .support import MODE, PEER, SYNC_MODE, Boom, Calls, asleep, both, ours_better, sleep  # noqa: F401

variable: contextvars.ContextVar = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def gate():
    """An event that is always set in the end, so that no worker waits for ever."""
    event = threading.Event()
    yield event
    event.set()


# --- futures ------------------------------------------------------------------------------------


def test_timeouts_of_futures(gate):
    @task
    def waits():
        assert gate.wait(60)
        return "through"

    @flow
    def parent():
        future = waits.submit()
        with pytest.raises(TimeoutError, match=r"within 0\.01 seconds"):
            future.result(timeout=0.01)
        assert future.wait(timeout=0.01) is None
        assert not future.state.is_final()
        gate.set()
        future.wait()
        assert future.state.is_completed()
        return future.result(timeout=5)

    assert parent() == "through"


@both
async def test_result_raises_or_returns_the_error():
    @task
    async def bad():
        raise Boom("x")

    @flow
    async def parent():
        future = bad.submit()
        with pytest.raises(Boom):
            future.result()
        assert isinstance(future.result(raise_on_failure=False), Boom)
        with pytest.raises(Boom):
            future.result()
        return future.state.name

    assert await parent() == "Failed"


def test_as_completed_gives_futures_in_the_order_they_end(gate):
    @task
    def late():
        assert gate.wait(60)
        return "late"

    @task
    def early():
        return "early"

    @flow
    def parent():
        seen = []
        for future in as_completed([late.submit(), early.submit()]):
            seen.append(future.result())
            gate.set()
        return seen

    assert parent() == ["early", "late"]


def test_as_completed_times_out(gate):
    @task
    def late():
        assert gate.wait(60)

    @flow
    def parent():
        futures = [late.submit(), late.submit()]
        with pytest.raises(TimeoutError, match=r"2 \(of 2\) futures unfinished"):
            list(as_completed(futures, timeout=0.05))
        gate.set()
        assert list(as_completed([])) == []

    parent()


def test_wait_splits_done_and_not_done(gate):
    @task
    def late():
        assert gate.wait(60)

    @task
    def early():
        return 1

    @flow
    def parent():
        slow, quick = late.submit(), early.submit()
        quick.wait()
        done, not_done = wait([slow, quick], timeout=0.05)
        assert (done, not_done) == ({quick}, {slow})
        gate.set()
        result = wait([slow, quick])
        assert (result.done, result.not_done) == ({slow, quick}, set())

    parent()


def test_future_lists(gate):
    @task
    def item(x):
        assert gate.wait(60)
        if x == 2:
            raise Boom(x)
        return x

    @flow
    def parent():
        futures = item.map([0, 1, 2])
        assert isinstance(futures, PrefectFutureList) and isinstance(futures, list)
        with pytest.raises(TimeoutError):
            futures.result(timeout=0.05)
        gate.set()
        futures.wait()
        assert all(future.state.is_final() for future in futures)
        with pytest.raises(Boom):
            futures.result()
        values = futures.result(raise_on_failure=False)
        assert values[:2] == [0, 1] and isinstance(values[2], Boom)
        return futures[:2]

    parent()


@both
async def test_callbacks_are_called_once_with_the_future(calls: Calls):
    done = threading.Event()

    @task
    async def item():
        return 1

    def callback(future):
        calls(future.task_run_id)
        done.set()

    @flow
    async def parent():
        future = item.submit()
        future.add_done_callback(callback)
        future.wait()
        assert done.wait(30)
        done.clear()
        future.add_done_callback(callback)
        assert done.wait(30)
        return future.task_run_id

    run_id = await parent()
    assert calls == [run_id, run_id]


@both
async def test_resolving_futures_in_expressions():
    @task
    async def one(x=1):
        return x

    @flow
    async def parent():
        a, b = one.submit(1), one.submit(2)
        expression = {"a": a, "l": [b, (a, 5)], "s": "text"}
        states = resolve_futures_to_states(expression)
        assert isinstance(states["a"], State) and isinstance(states["l"][1][0], State)
        assert states["s"] == "text"
        return resolve_futures_to_results(expression)

    assert await parent() == {"a": 1, "l": [2, (1, 5)], "s": "text"}


@both
async def test_unfinished_futures_at_the_end_of_the_flow_are_waited_for(calls: Calls):
    @task
    async def slow(i):
        await asleep(0.05)
        calls(i)

    @flow
    async def parent():
        for i in range(3):
            slow.submit(i)
        return "returned"

    assert await parent() == "returned"
    if not PEER or MODE == "sync":  # the peer drops what an async flow did not wait for
        assert sorted(calls) == [0, 1, 2]


def test_a_failing_flow_still_ends_its_submitted_tasks(calls: Calls):
    @task
    def slow():
        sleep(0.05)
        calls("ended")

    @flow
    def parent():
        slow.submit()
        raise Boom("flow")

    with pytest.raises(Boom):
        parent()
    assert calls in ([], ["ended"])


# --- thread pools -------------------------------------------------------------------------------


def test_max_workers_limits_what_runs_together(calls: Calls):
    running, lock = Calls(), threading.Lock()
    peak = []

    @task
    def item(i):
        with lock:
            running.append(i)
            peak.append(len(running))
        sleep(0.005)
        with lock:
            running.remove(i)
        return threading.current_thread().ident

    def body():
        return [s.result() for s in item.map(range(8), return_state=True)]

    one = set(flow(task_runner=ThreadPoolTaskRunner(max_workers=1))(body)())
    assert len(one) == 1 and max(peak) == 1
    peak.clear()
    flow(task_runner=ThreadPoolTaskRunner(max_workers=3))(body)()
    assert max(peak) <= 3


def test_runners_compare_copy_and_have_names():
    assert ConcurrentTaskRunner is ThreadPoolTaskRunner
    runner = ThreadPoolTaskRunner(max_workers=4)
    assert isinstance(runner, TaskRunner)
    assert runner.name == "threadpool"
    assert ProcessPoolTaskRunner(max_workers=1).name == "processpool"
    assert runner == ThreadPoolTaskRunner(max_workers=4)
    assert runner != ThreadPoolTaskRunner(max_workers=3)
    assert runner.duplicate() == runner and runner.duplicate() is not runner


@pytest.mark.parametrize("workers", [1, 2])
def test_a_runner_can_be_used_by_hand(workers):
    @task
    def add(x, y=1):
        return x + y

    with ThreadPoolTaskRunner(max_workers=workers) as runner:
        future = runner.submit(add, {"x": 1, "y": 2})
        assert future.result() == 3
        assert [f.result() for f in runner.map(add, {"x": [1, 2], "y": 5})] == [6, 7]


def test_submit_outside_of_its_context_is_an_error():
    @task
    def add(x):
        return x

    with pytest.raises(RuntimeError, match=r"start"):
        ThreadPoolTaskRunner().submit(add, {"x": 1})


@both
async def test_context_reaches_worker_threads():
    @task
    async def sees():
        return variable.get(), sorted(runtime.task_run.tags), runtime.flow_run.name

    @flow(flow_run_name="parent-run")
    async def parent():
        variable.set("set in flow")
        with tags("t"):
            return sees.submit().result()

    assert await parent() == ("set in flow", ["t"], "parent-run")


@both
async def test_what_a_worker_sets_stays_in_the_worker():
    @task
    async def changes():
        variable.set("changed in task")

    @flow
    async def parent():
        variable.set("flow's")
        changes.submit().wait()
        return variable.get()

    assert await parent() == "flow's"


@ours_better("the peer deadlocks when a task waits for tasks it submitted to its own one-worker pool")
@both
async def test_nested_submissions_do_not_deadlock_one_worker():
    @task
    async def leaf(x):
        return x + 1

    @task
    async def middle(x):
        return sum(leaf.map([x, x]).result())

    @task
    async def top(x):
        return middle.submit(x).result()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    async def parent():
        return [f.result() for f in [top.submit(i) for i in range(3)]]

    assert await parent() == [2, 4, 6]


@both
async def test_nested_submissions():
    @task
    async def leaf(x):
        return x + 1

    @task
    async def top(x):
        return sum(leaf.map([x, x]).result())

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
    async def parent():
        return top.map([1, 2]).result()

    assert await parent() == [4, 6]


@both
async def test_a_downstream_submitted_first_does_not_block_one_worker():
    @task
    async def one():
        return 1

    @task
    async def add(x, y):
        return x + y

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    async def parent():
        futures = [one.submit() for _ in range(3)]
        total = add.submit(futures[0], add.submit(futures[1], futures[2]))
        return total.result()

    assert await parent() == 3


@both
async def test_the_runner_of_a_subflow_is_its_own():
    @task
    async def thread():
        return threading.get_ident()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    async def child():
        return thread.submit().result()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    async def parent():
        return thread.submit().result() == await child()

    assert isinstance(await parent(), bool)


# --- processes ----------------------------------------------------------------------------------


@task
def process_task(x):
    return x * 2, os.getpid(), runtime.flow_run.name, sorted(runtime.task_run.tags)


@task
def process_bad():
    raise ValueError("from process")


@task
async def process_async(x):
    return x + 1


@flow(task_runner=ProcessPoolTaskRunner(max_workers=2), flow_run_name="in-parent")
def process_flow():
    with tags("proc"):
        first = process_task.submit(2)
        second = process_task.submit(first)
        mapped = process_task.map([1, 2])
    bad = process_bad.submit()
    bad.wait()
    assert bad.state.is_failed()
    with pytest.raises(ValueError, match="from process"):
        bad.result()
    if not PEER:  # the peer's wait() raises an internal error here
        waits = process_task.submit(bad)
        waits.wait()
        assert waits.state.name == "NotReady"
    return first.result(), second.result(), mapped.result(), process_async.submit(1).result()


def test_process_pool():
    (first, pid, name, seen_tags), (second, *_), mapped, from_async = process_flow()
    assert (first, second, from_async) == (4, (4, pid, name, seen_tags) * 2, 2)
    assert [row[0] for row in mapped] == [2, 4]
    assert pid != os.getpid()
    assert (name, seen_tags) == ("in-parent", ["proc"])


def test_process_pool_with_closures_and_context():
    factor = 7

    @task
    def scaled(x):
        return factor * x

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def parent():
        return scaled.map([1, 2]).result()

    assert parent() == [7, 14]
