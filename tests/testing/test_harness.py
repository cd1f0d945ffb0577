"""What users test their flows with."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from prefect import flow, get_run_logger, task
from prefect._engine.recorder import _recorders
from prefect.settings import get_current_settings
from prefect.testing.utilities import (
    a_test_step,
    assert_does_not_warn,
    assert_uses_result_serializer,
    exceptions_equal,
    get_most_recent_flow_run,
    kubernetes_environments_equal,
    prefect_test_harness,
)


@task
def double(x: int) -> int:
    get_run_logger().info("doubling %s", x)
    return 2 * x


@flow
def main(x: int = 1) -> int:
    return double(x) + double.submit(x).result()


class TestHarness:
    def test_runs_in_it_leave_nothing_behind(self, home: Path) -> None:
        before = set(home.rglob("*"))
        threads = threading.active_count()
        recorders = len(_recorders)
        with prefect_test_harness():
            inside = get_current_settings().home
            assert inside != home
            assert get_current_settings().testing.test_mode
            assert main() == 4
        assert not inside.exists()
        assert set(home.rglob("*")) == before
        assert len(_recorders) == recorders
        gc.collect()
        end = time.monotonic() + 10
        while threading.active_count() > threads + 4 and time.monotonic() < end:
            time.sleep(0.01)
        assert threading.active_count() <= threads + 4, "idle threads of the pool end on their own"

    def test_each_starts_empty(self, home: Path) -> None:
        for _ in range(3):
            with prefect_test_harness():
                with pytest.raises(ValueError, match="No flow run"):
                    asyncio.run(get_most_recent_flow_run())
                main()
                assert asyncio.run(get_most_recent_flow_run(flow_name="main")).state_type == "COMPLETED"

    def test_threads_and_loops_started_in_it_are_inside(self, home: Path) -> None:
        with prefect_test_harness():
            inside = get_current_settings().home
            seen: list[Any] = []
            thread = threading.Thread(target=lambda: seen.append((main(), get_current_settings().home)))
            thread.start()
            thread.join()
            assert seen == [(4, inside)]

    def test_one_inside_another(self, home: Path) -> None:
        with prefect_test_harness():
            outer = get_current_settings().home
            main()
            with prefect_test_harness():
                assert get_current_settings().home != outer
                with pytest.raises(ValueError, match="No flow run"):
                    asyncio.run(get_most_recent_flow_run())
            assert get_current_settings().home == outer
            assert main() == 4

    def test_an_error_in_it_ends_it_too(self, home: Path) -> None:
        with pytest.raises(KeyError), prefect_test_harness():
            inside = get_current_settings().home
            main()
            raise KeyError
        assert not inside.exists()
        assert get_current_settings().home == home

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_forked_child_does_not_delete_its_parents_home(self, home: Path) -> None:
        with prefect_test_harness():
            main()
            pid = os.fork()
            if pid == 0:
                try:
                    raise SystemExit  # leaves the blocks, as a child does that ends
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            assert get_current_settings().home.exists()
            assert main() == 4


class TestFlowTest:
    def test_what_a_run_did(self, home: Path) -> None:
        with main.test(x=5) as run:
            assert run.result() == 20
            assert [state.name for state in run.states()] == ["Pending", "Running", "Completed"]
            assert [task_run.state_type for task_run in run.task_runs("double")] == ["COMPLETED"] * 2
            assert [s.name for s in run.task_run_states(run.task_runs()[0])] == ["Pending", "Running", "Completed"]
            assert run.log_text.count("doubling 5") == 2
            assert run.flow_run.parameters == {"x": 5}
            inside = get_current_settings().home
        assert not inside.exists()

    def test_a_run_that_fails(self, home: Path) -> None:
        @flow
        def bad() -> None:
            raise ValueError("mine")

        with bad.test() as run:
            assert run.state.is_failed()
            with pytest.raises(ValueError, match="mine"):
                run.result()
            assert "mine" in str(run.result(raise_on_failure=False))

    def test_it_can_be_called_again_in_the_same_isolation(self, home: Path) -> None:
        @flow
        def needs(x: int) -> int:
            return x

        with needs.test() as test:
            with pytest.raises(AttributeError, match="needs arguments"):
                test.result()
            assert test(1).result() == 1
            assert test(2).result() == 2
            assert test(2).flow_run_id != test(2).flow_run_id

    async def test_an_async_flow(self, home: Path) -> None:
        @flow
        async def amain() -> int:
            await asyncio.sleep(0)
            return 3

        async with amain.test() as run:
            assert run.result() == 3

    def test_generator_flows(self, home: Path) -> None:
        @flow
        def items() -> Generator[int]:
            yield 1
            yield 2

        @flow
        async def aitems() -> AsyncGenerator[int]:
            yield 1
            raise ValueError("mine")

        with items.test() as run:
            assert run.result() == [1, 2]
            assert run.flow_run.state_type == "COMPLETED"
        with aitems.test() as run:
            assert run.state.is_failed()
            assert run.flow_run.state_type == "FAILED"

    def test_stored_results_are_in_the_isolation(self, home: Path) -> None:
        @flow(persist_result=True)
        def kept() -> int:
            return 4

        with kept.test() as run:
            assert run.result() == 4
            asyncio.run(assert_uses_result_serializer(run.state, "pickle"))
            assert list((get_current_settings().home / "storage").iterdir())
        assert not (home / "storage").exists()


class TestUtilities:
    def test_exceptions_are_equal_by_type_and_arguments(self) -> None:
        assert exceptions_equal(ValueError("a", 1), ValueError("a", 1))
        assert not exceptions_equal(ValueError("a"), ValueError("b"))
        assert not exceptions_equal(ValueError("a"), KeyError("a"))

    def test_warnings(self) -> None:
        with assert_does_not_warn():
            pass
        with pytest.raises(AssertionError, match="old"), assert_does_not_warn():
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        with assert_does_not_warn(ignore_warnings=[DeprecationWarning]):
            warnings.warn("old", DeprecationWarning, stacklevel=1)

    def test_environments(self) -> None:
        actual = [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]
        assert kubernetes_environments_equal(actual, {"a": "1", "b": "2"})
        assert not kubernetes_environments_equal(actual, {"a": "1"})

    def test_steps(self) -> None:
        assert a_test_step(x=1) == {"x": 1, "output1": 1, "output2": ["b", 2, 3]}
