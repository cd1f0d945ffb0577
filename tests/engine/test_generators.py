"""Generator flows and tasks: advanced, closed, thrown into, and current only while their own code runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from prefect import flow, tags, task
from prefect._engine.frames import current_flow, current_tags, current_task
from prefect.transactions import get_transaction, transaction

from .conftest import Database


@task
def count(n: int, seen: list[Any] | None = None) -> Generator[int, Any, str]:
    try:
        for number in range(n):
            try:
                sent = yield number
            except KeyError as exc:
                sent = f"caught {exc.args[0]}"
            if seen is not None:
                seen.append(sent)
    finally:
        if seen is not None:
            frame = current_task.get()
            seen.append(("closing", frame.name if frame is not None else None))
    return "end"


@task
async def acount(n: int, seen: list[Any] | None = None) -> AsyncGenerator[int, Any]:
    try:
        for number in range(n):
            try:
                sent = yield number
            except KeyError as exc:
                sent = f"caught {exc.args[0]}"
            if seen is not None:
                seen.append(sent)
    finally:
        if seen is not None:
            frame = current_task.get()
            seen.append(("closing", frame.name if frame is not None else None))


class TestSync:
    def test_what_is_sent_and_thrown_arrives_and_what_is_returned_comes_back(self, database: Database) -> None:
        seen: list[Any] = []

        @flow
        def main() -> str:
            life = count(4, seen)
            assert next(life) == 0
            assert life.send("one") == 1
            assert life.throw(KeyError("two")) == 2
            next(life)
            with pytest.raises(StopIteration) as stop:
                next(life)
            return stop.value.value

        assert main() == "end"
        assert seen[:4] == ["one", "caught two", None, None]
        assert list(database.task_states().values()) == [["Pending", "Running", "Completed"]]

    def test_an_error_in_it_comes_out_and_is_recorded(self, database: Database) -> None:
        @task
        def bad() -> Generator[int]:
            yield 1
            raise ValueError("mine")

        @flow
        def main() -> list[int]:
            items = []
            with pytest.raises(ValueError, match="mine"):
                for item in bad():
                    items.append(item)  # noqa: PERF402
            return items

        assert main() == [1]
        assert list(database.task_states().values()) == [["Pending", "Running", "Failed"]]

    def test_closing_runs_its_finally_in_its_own_context_and_completes_it(self, database: Database) -> None:
        seen: list[Any] = []

        @flow
        def main() -> None:
            life = count(4, seen)
            next(life)
            life.close()
            assert current_task.get() is None

        main()
        ((kind, name),) = seen
        assert kind == "closing"
        assert name is not None
        assert name.startswith("count-")
        assert list(database.task_states().values()) == [["Pending", "Running", "Completed"]]

    def test_one_that_is_dropped_is_closed(self, database: Database) -> None:
        seen: list[Any] = []

        @flow
        def main() -> None:
            next(count(4, seen))
            gc.collect()

        main()
        assert seen[0][0] == "closing"
        assert database.unfinished() == []

    def test_one_that_is_never_advanced_leaves_no_run_open(self, database: Database) -> None:
        @flow
        def main() -> None:
            count(4)

        main()
        assert database.unfinished() == []

    def test_the_consumer_is_never_inside_it(self, home: Path) -> None:
        @task
        def other() -> str | None:
            frame = current_task.get()
            assert frame is not None
            return frame.parent.name if frame.parent is not None else None

        @flow
        def main() -> None:
            flow_frame = current_flow.get()
            for _ in count(2):
                assert current_task.get() is None
                assert current_flow.get() is flow_frame
                assert get_transaction() is None
                assert other() is None, "a task called between two items is no child of the generator"
            assert current_task.get() is None

        main()
        assert current_flow.get() is None

    def test_transactions_of_the_consumer_and_of_the_generator_do_not_mix(self, home: Path) -> None:
        log: list[str] = []

        @task(persist_result=True)
        def items() -> Generator[int]:
            inside = get_transaction()
            assert inside is not None
            yield 1
            assert get_transaction() is inside
            yield 2
            assert get_transaction() is inside

        @task(on_rollback=[lambda txn: log.append("rolled back")])
        def write(number: int) -> int:
            return number

        @flow
        def main() -> None:
            for number in items():
                with transaction() as txn:
                    assert get_transaction() is txn
                    assert txn.get_parent() is None
                    write(number)
                assert txn.is_committed()
                assert get_transaction() is None

        main()
        assert log == []

    def test_two_at_a_time_keep_apart(self, home: Path) -> None:
        @task
        def named(name: str) -> Generator[str]:
            frame = current_task.get()
            for _ in range(3):
                assert current_task.get() is frame
                yield name

        @flow
        def main() -> list[tuple[str, str]]:
            return list(zip(named("a"), named("b"), strict=True))

        assert main() == [("a", "b")] * 3

    def test_a_generator_flow(self, database: Database) -> None:
        @task
        def double(number: int) -> int:
            return 2 * number

        @flow
        def numbers(n: int) -> Generator[int]:
            for number in range(n):
                yield double(number)

        life = numbers(3)
        assert next(life) == 0
        assert current_flow.get() is None
        assert list(life) == [2, 4]
        assert database.flow_states() == ["Pending", "Running", "Completed"]

    def test_tags_of_the_consumer_stay_its_own(self, home: Path) -> None:
        @flow
        def main() -> None:
            with tags("outer"):
                for _ in count(2):
                    assert current_tags.get() == frozenset({"outer"})

        main()

    def test_it_may_be_advanced_from_another_thread(self, home: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor

        @flow
        def main() -> list[int]:
            life = count(3)
            first = next(life)
            with ThreadPoolExecutor(1) as pool:
                return [first, pool.submit(next, life).result(), next(life)]

        assert main() == [0, 1, 2]
        assert current_task.get() is None


class TestAsync:
    async def test_what_is_sent_and_thrown_arrives(self, database: Database) -> None:
        seen: list[Any] = []

        @flow
        async def main() -> None:
            life = acount(3, seen)
            assert await anext(life) == 0
            assert await life.asend("one") == 1
            assert await life.athrow(KeyError("two")) == 2
            with pytest.raises(StopAsyncIteration):
                await anext(life)

        await main()
        assert seen[:3] == ["one", "caught two", None]
        assert list(database.task_states().values()) == [["Pending", "Running", "Completed"]]

    async def test_closing_runs_its_finally_in_its_own_context(self, database: Database) -> None:
        seen: list[Any] = []

        @flow
        async def main() -> None:
            life = acount(3, seen)
            await anext(life)
            await life.aclose()
            assert current_task.get() is None

        await main()
        assert seen[0][1].startswith("acount-")
        assert database.unfinished() == []

    async def test_the_consumer_is_never_inside_it(self, home: Path) -> None:
        @flow
        async def main() -> None:
            async for _ in acount(3):
                assert current_task.get() is None
                assert get_transaction() is None
                await asyncio.sleep(0)
            assert current_task.get() is None

        await main()
        assert current_flow.get() is None

    async def test_an_error_in_it_is_recorded(self, database: Database) -> None:
        @task
        async def bad() -> AsyncGenerator[int]:
            yield 1
            raise ValueError("mine")

        @flow
        async def main() -> None:
            with pytest.raises(ValueError, match="mine"):
                async for _ in bad():
                    pass

        await main()
        assert list(database.task_states().values()) == [["Pending", "Running", "Failed"]]
