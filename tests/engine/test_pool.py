"""The threads of submitted tasks: how many there are, what they wait for, when they end."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect import flow, futures, task
from prefect._engine import pool as pool_module
from prefect._engine.pool import ThreadPool
from prefect.futures import as_completed, wait
from prefect.task_runners import ThreadPoolTaskRunner

from .conftest import Database

DEADLINE = 15.0
Until = Callable[..., Any]


@pytest.fixture
def make() -> Iterator[Callable[[int | None], ThreadPool]]:
    pools: list[ThreadPool] = []

    def new(limit: int | None = None) -> ThreadPool:
        pools.append(ThreadPool(limit, name="pool-under-test"))
        return pools[-1]

    yield new
    for pool in pools:
        pool.close()


def threads() -> int:
    return sum(thread.name.startswith("pool-under-test") for thread in threading.enumerate())


def submit(pool: ThreadPool, fn: Callable[..., Any], *args: Any) -> None:
    pool.submit(contextvars.copy_context(), fn, *args)


class TestPool:
    @pytest.mark.parametrize("limit", [1, 3])
    def test_no_more_calls_run_at_a_time_than_its_limit(self, make: Any, limit: int) -> None:
        pool = make(limit)
        lock, running, most = threading.Lock(), 0, 0

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.001)
            with lock:
                running -= 1

        for _ in range(40):
            submit(pool, work)
        pool.drain()
        assert most == limit

    def test_short_calls_need_few_threads(self, make: Any) -> None:
        pool = make()
        done: list[int] = []
        for number in range(3000):
            submit(pool, done.append, number)
        pool.drain()
        assert len(done) == 3000
        assert threads() <= 40

    def test_calls_that_wait_for_each_other_all_get_a_thread(self, make: Any) -> None:
        pool = make()
        barrier = threading.Barrier(60)
        for _ in range(60):
            submit(pool, barrier.wait, DEADLINE)
        pool.drain()
        assert not barrier.broken

    def test_so_they_do_when_threads_are_idle(self, make: Any, until: Until) -> None:
        pool = make()
        submit(pool, int)
        pool.drain()
        until(lambda: pool._idle == 1)
        barrier = threading.Barrier(2)
        reached: list[int] = []

        def meet() -> None:
            barrier.wait(DEADLINE)
            reached.append(1)

        submit(pool, meet)
        submit(pool, meet)
        pool.drain()
        assert reached == [1, 1]

    def test_a_call_that_waits_gives_its_place_away_whatever_the_limit(self, make: Any) -> None:
        pool = make(1)
        order: list[str] = []
        inner_done = threading.Event()

        def outer() -> None:
            submit(pool, inner)
            with pool.giving_way():
                assert inner_done.wait(DEADLINE)
            order.append("outer")

        def inner() -> None:
            order.append("inner")
            inner_done.set()

        submit(pool, outer)
        pool.drain()
        assert order == ["inner", "outer"]

    def test_giving_way_twice_on_a_thread_frees_one_place(self, make: Any) -> None:
        pool = make(2)

        def work() -> None:
            with pool.giving_way(), pool.giving_way():
                assert pool._waiting == 1
            assert pool._waiting == 0

        submit(pool, work)
        pool.drain()

    def test_outside_its_threads_giving_way_means_nothing(self, make: Any) -> None:
        pool = make(1)
        with pool.giving_way():
            assert pool._waiting == 0

    def test_idle_threads_end(self, make: Any, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
        monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.02)
        pool = make()
        for _ in range(20):
            submit(pool, time.sleep, 0.001)
        pool.drain()
        until(lambda: threads() == 0)
        assert pool._threads == pool._idle == 0
        submit(pool, int)
        pool.drain()

    def test_closing_ends_them_at_once(self, make: Any, until: Until) -> None:
        pool = make()
        submit(pool, int)
        pool.drain()
        pool.close()
        until(lambda: threads() == 0)
        with pytest.raises(RuntimeError, match="shut down"):
            submit(pool, int)

    def test_what_has_not_begun_can_be_taken_back(self, make: Any) -> None:
        pool = make(1)
        begun, go = threading.Event(), threading.Event()

        def first() -> None:
            begun.set()
            go.wait(DEADLINE)

        ran: list[int] = []
        submit(pool, first)
        begun.wait(DEADLINE)
        for number in range(5):
            submit(pool, ran.append, number)
        assert pool.cancel_pending() == [(number,) for number in range(5)]
        go.set()
        pool.drain()
        assert ran == []

    def test_each_call_has_the_context_it_was_submitted_in(self, make: Any) -> None:
        variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
        pool = make(2)
        seen: list[int] = []

        def work() -> None:
            seen.append(variable.get())
            variable.set(-1)

        for number in range(20):
            variable.set(number)
            submit(pool, work)
        pool.drain()
        assert sorted(seen) == list(range(20))
        assert variable.get() == 19

    def test_a_system_out_of_threads_slows_it_down_and_loses_nothing(
        self, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pool = make()
        start = threading.Thread.start
        allowed = [2]

        def scarce(thread: threading.Thread) -> None:
            if thread.name.startswith("pool-under-test") and not thread.name.endswith("starter"):
                if not allowed[0]:
                    raise RuntimeError("can't start new thread")
                allowed[0] -= 1
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", scarce)
        done: list[int] = []
        for number in range(50):
            submit(pool, lambda n: (time.sleep(0.001), done.append(n)), number)
        pool.drain()
        assert sorted(done) == list(range(50))


class TestRunner:
    def test_dependencies_keep_no_thread_waiting(self, home: Path) -> None:
        most = 0
        go = threading.Event()

        @task
        def first() -> int:
            go.wait(DEADLINE)
            return 1

        @task
        def then(value: int) -> int:
            return value + 1

        @flow
        def main() -> list[int]:
            nonlocal most
            root = first.submit()
            dependents = [then.submit(root) for _ in range(300)]
            most = sum(t.name.startswith("prefect-task") for t in threading.enumerate())
            go.set()
            return [future.result() for future in dependents]

        assert main() == [2] * 300
        assert most <= 6

    def test_a_long_chain(self, home: Path, database: Database) -> None:
        @task
        def add(value: int) -> int:
            return value + 1

        @flow
        def main() -> int:
            future: Any = 0
            for _ in range(1500):
                future = add.submit(future)
            return future.result()

        assert main() == 1500

    def test_five_thousand_mapped_tasks_need_few_threads(self, home: Path, database: Database) -> None:
        most = 0

        @task
        def double(value: int) -> int:
            nonlocal most
            most = max(most, threading.active_count())
            return 2 * value

        @flow
        def main() -> int:
            return sum(double.map(range(5000)).result())

        before = threading.active_count()
        assert main() == 2 * sum(range(5000))
        assert most - before <= 60
        assert database.one("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'") == 5000

    @pytest.mark.parametrize("way", ["result", "wait", "as_completed", "argument", "wait_for"])
    def test_a_task_may_wait_for_its_children_with_one_worker(self, home: Path, way: str) -> None:
        @task
        def child(number: int) -> int:
            return number

        @task
        def total(numbers: list[int]) -> int:
            return sum(numbers)

        @task
        def parent() -> int:
            children = child.map(range(5))
            if way == "wait":
                wait(children)
            elif way == "as_completed":
                return sum(future.result() for future in as_completed(children))
            elif way == "argument":
                return total(children)  # type: ignore[arg-type]
            elif way == "wait_for":
                return total.submit([0, 10], wait_for=children).result()
            return sum(children.result())

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
        def main() -> int:
            return parent.submit().result(timeout=DEADLINE)

        assert main() == 10

    @pytest.mark.parametrize("way", ["result_async", "wait_async", "argument"])
    def test_so_may_an_async_one(self, home: Path, way: str) -> None:
        @task
        def child(number: int) -> int:
            return number

        @task
        async def total(numbers: list[int]) -> int:
            return sum(numbers)

        @task
        async def parent() -> int:
            children = [child.submit(number) for number in range(5)]
            if way == "argument":
                return await total(children)  # type: ignore[arg-type]
            if way == "wait_async":
                for future in children:
                    await future.wait_async()  # type: ignore[attr-defined]
            return sum([await future.result_async() for future in children])  # type: ignore[attr-defined]

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
        def main() -> int:
            return parent.submit().result(timeout=DEADLINE)

        assert main() == 10

    def test_a_flow_that_fails_does_not_begin_what_waits(self, home: Path, database: Database) -> None:
        go, began = threading.Event(), threading.Event()
        ran: list[str] = []
        held: list[Any] = []

        @task
        def first() -> None:
            began.set()
            go.wait(DEADLINE)

        @task
        def later(value: Any) -> None:
            ran.append("later")

        @flow
        def main() -> None:
            root = first.submit()
            began.wait(DEADLINE)
            future: Any = root
            for _ in range(1200):
                future = later.submit(future)
                held.append(future)
            threading.Timer(0.05, go.set).start()
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            main()
        assert ran == []
        assert {future.state.type.value for future in held} == {"CANCELLED"}
        assert database.unfinished() == []

    def test_a_flow_waits_for_tasks_whose_input_is_made_elsewhere(self, home: Path, database: Database) -> None:
        """The upstream belongs to another flow run's runner and finishes when this flow's own tasks are done."""
        go = threading.Event()

        @task
        def slow() -> int:
            go.wait(DEADLINE)
            return 1

        @task
        def use(value: int) -> int:
            return value + 1

        @flow
        def child(held: list[Any]) -> None:
            threading.Timer(0.05, go.set).start()
            held.append(use.submit(outer[0]))

        outer: list[Any] = []
        held: list[Any] = []

        @flow
        def main() -> int:
            outer.append(slow.submit())
            child(opaque_list(held))
            return held[0].result(timeout=DEADLINE)

        def opaque_list(value: list[Any]) -> Any:
            from prefect.utilities.annotations import quote

            return quote(value)

        child = child.with_options(validate_parameters=False)
        assert main() == 2
        assert database.unfinished() == []

    def test_callbacks_come_once_whenever_they_are_added(self, home: Path) -> None:
        called: list[str] = []

        @task
        def one() -> int:
            return 1

        @flow
        def main() -> None:
            future = one.submit()
            future.add_done_callback(lambda f: called.append("early"))
            future.wait()
            future.add_done_callback(lambda f: called.append("late"))

        main()
        assert sorted(called) == ["early", "late"]

    def test_a_callback_that_raises_harms_nobody(self, home: Path, database: Database) -> None:
        called: list[str] = []

        def bad(_: Any) -> None:
            raise ValueError("in the callback")

        @task
        def one() -> int:
            return 1

        @flow
        def main() -> int:
            future = one.submit()
            future.add_done_callback(bad)
            future.add_done_callback(lambda f: called.append("good"))
            return future.result(timeout=DEADLINE)

        assert main() == 1
        assert called == ["good"]
        assert database.unfinished() == []

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_child_forked_while_a_future_is_being_finished_can_finish_its_own(self, home: Path) -> None:
        @task
        def one() -> int:
            return 1

        @flow
        def main() -> int:
            return one.submit().result(timeout=DEADLINE)

        main()
        with futures._done_lock:  # as if another thread were at it
            pid = os.fork()
            if pid == 0:
                import signal

                signal.alarm(10)
                try:
                    os._exit(0 if main() == 1 else 1)
                finally:
                    os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0
