"""What a run knows while it lasts: where its inputs came from, what is current; and what it lets go of."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from prefect import allow_failure, flow, tags, task
from prefect._engine.frames import FlowFrame, _Provenance, current_flow, current_tags, current_task
from prefect._engine.memory import FlowMemory
from prefect._engine.recorder import get_recorder

from .conftest import Database


class Big:
    """A large object that can be referred to weakly."""


@task
def make() -> Any:
    return Big()


@task
def make_list() -> list[int]:
    return [1, 2, 3]


@task
def use(value: Any, other: Any = None) -> Any:
    return None


def run_ids(database: Database, name: str) -> list[str]:
    return [id_ for (id_,) in database.query("SELECT id FROM task_run WHERE name LIKE ? ORDER BY id", f"{name}-%")]


class TestProvenance:
    def test_of_futures_values_and_nested_ones(self, database: Database) -> None:
        @flow
        def main() -> None:
            future = make.submit()
            value = make()
            use({"a": [future, {"b": value}]}, other=value)

        main()
        first, second = run_ids(database, "make")
        inputs = database.inputs("use")
        assert {entry["id"] for entry in inputs["value"]} == {first, second}
        assert inputs["other"] == [{"input_type": "task_run", "id": second}]

    def test_of_lists_states_and_waiting(self, database: Database) -> None:
        @flow
        def main() -> None:
            numbers = make_list()
            state = make(return_state=True)
            waited = make_list.submit()
            use(numbers, other=state, wait_for=[waited])

        main()
        numbers, waited = run_ids(database, "make_list")
        (made,) = [i for i in run_ids(database, "make") if i not in (numbers, waited)]
        inputs = database.inputs("use")
        assert inputs["value"] == [{"input_type": "task_run", "id": numbers}]
        assert inputs["other"] == [{"input_type": "task_run", "id": made}]
        assert inputs["wait_for"] == [{"input_type": "task_run", "id": waited}]

    def test_of_results_of_subflows(self, database: Database) -> None:
        @flow
        def child() -> list[int]:
            return [1]

        @flow
        def main() -> None:
            use(child())

        main()
        child_id = database.one("SELECT r.id FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'child'")
        assert database.inputs("use")["value"] == [{"input_type": "flow_run", "id": child_id}]

    def test_of_the_parent_task(self, database: Database) -> None:
        @task
        def outer() -> None:
            use(1)

        @flow
        def main() -> None:
            outer()

        main()
        (outer_id,) = run_ids(database, "outer")
        assert database.inputs("use")["__parents__"] == [{"input_type": "task_run", "id": outer_id}]

    def test_plain_values_come_from_nowhere(self, database: Database) -> None:
        @task
        def one() -> int:
            return 1

        @flow
        def main() -> None:
            use(one(), other=True)

        main()
        assert database.inputs("use") == {}

    def test_of_a_failure_that_is_allowed(self, database: Database) -> None:
        @task
        def bad() -> None:
            raise ValueError

        @flow
        def main() -> None:
            use(allow_failure(bad.submit()))

        main()
        (bad_id,) = run_ids(database, "bad")
        assert database.inputs("use")["value"] == [{"input_type": "task_run", "id": bad_id}]

    def test_a_new_object_at_an_old_address_is_not_mistaken(self) -> None:
        provenance = _Provenance()
        for number in range(3000):
            value = Big() if number % 2 else [number]
            assert provenance.find(value) is None
            if number % 3 == 0:
                provenance.add(value, f"run-{number}", "task_run")
                assert provenance.find(value) == ("task_run", f"run-{number}")
        gc.collect()
        assert len(provenance._weak) <= 1
        assert len(provenance._strong) <= 128

    def test_threads_may_add_at_the_same_time(self) -> None:
        provenance = _Provenance()
        errors: list[BaseException] = []

        def work() -> None:
            try:
                for number in range(2000):
                    provenance.add([number], "run", "task_run")
            except BaseException as exc:
                errors.append(exc)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


class TestLettingGo:
    @pytest.mark.parametrize("submitted", [False, True])
    def test_a_large_result_that_nobody_holds_is_freed(self, home: Path, submitted: bool) -> None:
        @flow
        def main() -> None:
            value = make.submit().result() if submitted else make()
            use(value)
            reference = weakref.ref(value)
            del value
            get_recorder().flush()
            gc.collect()
            assert reference() is None

        main()

    def test_arguments_are_freed_when_their_task_has_run(self, home: Path) -> None:
        @flow
        def main() -> None:
            value = Big()
            reference = weakref.ref(value)
            future = use.submit(value)
            future.wait()
            del value
            get_recorder().flush()
            gc.collect()
            assert reference() is None
            assert future.result() is None

        main()

    def test_an_event_loop_keeps_no_frames(self, home: Path) -> None:
        @task
        async def amake() -> Any:
            return Big()

        @flow
        async def main() -> None:
            value = await amake()
            reference = weakref.ref(value)
            del value
            await asyncio.sleep(0)
            get_recorder().flush()
            gc.collect()
            assert reference() is None

        asyncio.run(main())

    def test_a_finished_flow_is_freed(self, home: Path) -> None:
        frames: list[Any] = []

        @flow
        def main() -> None:
            frames.append(weakref.ref(current_flow.get()))
            make.map_ = None  # type: ignore[attr-defined]
            use.map([1, 2, 3]).wait()

        main()
        get_recorder().flush()
        gc.collect()
        assert [frame() for frame in frames] == [None]


class TestRetriedFlows:
    def test_what_finished_is_not_done_again(self, database: Database) -> None:
        calls: list[Any] = []
        attempts: list[int] = []

        @task
        def work(value: Any) -> Any:
            calls.append(value)
            return value

        @task
        def bad() -> None:
            calls.append("bad")
            if len(attempts) < 2:
                raise ValueError("first attempt")

        @flow(retries=1)
        def main() -> list[Any]:
            attempts.append(1)
            results = [work(1), work(1), work.submit(2).result()]
            bad()
            return results

        assert main() == [1, 1, 2]
        assert calls == [1, 1, 2, "bad", "bad"], "twice the same call is two runs; a failed one is run again"
        assert sum("Cached" in states for states in database.task_states("work-%").values()) == 3

    def test_the_memory_tells_calls_apart_by_inputs_and_order(self, home: Path) -> None:
        memory = FlowMemory()

        @task
        def one(x: Any) -> Any:
            return x

        def ticket(x: Any, value: Any = None) -> Any:
            from prefect._engine.frames import TaskFrame
            from prefect._rules.states import RunState

            frame = TaskFrame(get_recorder(), one, {"x": x})
            frame.recalled = memory.ticket(one)
            found = memory.recall(frame)
            frame.value, frame.state = value, RunState("COMPLETED")
            if found is not None and not found.found:
                memory.keep(frame)
            return found

        assert [ticket(1, "a").found, ticket(1, "b").found, ticket(2, "c").found] == [False] * 3
        memory.new_attempt()
        assert [ticket(1).value, ticket(2).value, ticket(1).value, ticket(1).found] == ["a", "c", "b", False]
        assert ticket(threading.Lock()) is None, "inputs that cannot be compared are run again"


class TestContexts:
    def test_nothing_is_current_after_a_run_however_it_ended(self, home: Path) -> None:
        @task
        def bad(exc: BaseException) -> None:
            raise exc

        @flow
        def main(exc: Any) -> None:
            bad(exc)

        for exc in (ValueError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()):
            with pytest.raises(type(exc)):
                main(exc)
            assert current_flow.get() is None
            assert current_task.get() is None

    def test_variables_of_the_caller_reach_submitted_tasks_and_theirs_do_not_come_back(self, home: Path) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")

        @task
        def read_and_set() -> str:
            before = variable.get()
            variable.set("of the task")
            return before

        @flow
        def main() -> list[str]:
            variable.set("of the flow")
            futures = [read_and_set.submit() for _ in range(5)]
            results = [future.result() for future in futures]
            assert variable.get() == "of the flow"
            return results

        assert contextvars.copy_context().run(main) == ["of the flow"] * 5

    def test_tags_reach_where_they_should(self, home: Path, database: Database) -> None:
        @flow
        def main() -> None:
            with tags("a"):
                use.submit(1).wait()
                with tags("b"):
                    use(2)
            assert current_tags.get() == frozenset()

        main()
        rows = [row for (row,) in database.query("SELECT tags FROM task_run ORDER BY id")]
        assert rows == ['["a"]', '["a","b"]']

    async def test_concurrent_flows_keep_apart(self, home: Path) -> None:
        @task
        async def who() -> str:
            await asyncio.sleep(0)
            frame = current_task.get()
            assert frame is not None
            assert frame.flow_frame is current_flow.get()
            return frame.flow_run_id or ""

        @flow
        async def main() -> set[str]:
            frame = current_flow.get()
            assert isinstance(frame, FlowFrame)
            seen = {await who() for _ in range(3)}
            seen |= set(await asyncio.gather(*(who() for _ in range(3))))
            assert current_flow.get() is frame
            assert seen == {frame.id}
            return seen

        assert len(set.union(*await asyncio.gather(*(main() for _ in range(5))))) == 5
