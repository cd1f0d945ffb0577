"""Tasks in other processes: the process pool, and what a distributed task runner does."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Database

PREAMBLE = """
import json, os, signal, sys, threading, time
from prefect import flow, task, get_run_logger, tags, allow_failure
from prefect.context import get_run_context, serialize_context, hydrated_context
from prefect.futures import wait
from prefect.runtime import flow_run, task_run
from prefect.task_runners import ProcessPoolTaskRunner
RUNNER = ProcessPoolTaskRunner(max_workers=2)

def tell(**facts):
    print(json.dumps(facts), flush=True)
"""
RUN = """
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def run(run_script: Any) -> Callable[[str], tuple[dict[str, Any], Database]]:
    """Run a script that defines `main` and tells facts; gives the facts and the database."""

    def run(source: str, **env: str) -> tuple[dict[str, Any], Database]:
        done = run_script(PREAMBLE + textwrap.dedent(source) + RUN, timeout=60, **env).ok()
        facts: dict[str, Any] = {}
        for line in done.stdout.splitlines():
            facts |= json.loads(line)
        return facts, Database(done.home)

    return run


class TestPool:
    def test_everything_crosses_and_is_recorded(self, run: Any) -> None:
        facts, database = run("""
            @task
            def inner(x):
                return x + 1

            @task(retries=1)
            def work(x, attempts="/dev/null"):
                get_run_logger().info("worked on %s", x)
                return inner(x), os.getpid(), flow_run.id, sorted(task_run.tags)

            @task
            async def awork(x):
                return x * 10

            @flow(task_runner=RUNNER)
            def main():
                with tags("t"):
                    futures = [work.submit(n) for n in range(4)]
                results = [f.result() for f in futures]
                chained = work.submit(awork.submit(5)).result()
                tell(values=[r[0] for r in results], own=os.getpid(), pids=[r[1] for r in results],
                     runs=list({r[2] for r in results}), flow=flow_run.id, tags=results[0][3], chained=chained[0])
        """)
        assert facts["values"] == [1, 2, 3, 4]
        assert facts["own"] not in facts["pids"]
        assert facts["runs"] == [facts["flow"]]
        assert facts["tags"] == ["t"]
        assert facts["chained"] == 51
        assert database.one("SELECT count(*) FROM task_run WHERE flow_run_id = ?", facts["flow"]) == 11
        assert database.unfinished() == []
        assert all(states == ["Pending", "Running", "Completed"] for states in database.task_states().values())
        assert sum(message.startswith("worked on") for message in database.messages()) == 5
        parents = database.query("SELECT task_inputs FROM task_run WHERE name LIKE 'inner-%'")
        assert all("__parents__" in json.loads(inputs) for (inputs,) in parents)

    def test_classes_of_the_main_file_come_back_as_themselves(self, run: Any) -> None:
        facts, _ = run("""
            import dataclasses, enum

            class Ours(Exception):
                pass

            class Picky(Exception):
                def __init__(self, code, why, *, where="here"):
                    super().__init__(f"{why} ({code})")
                    self.code, self.where = code, where

            class Local(Picky):
                def __reduce__(self):
                    raise TypeError("not me")

            class Colour(enum.Enum):
                RED = 1

            @dataclasses.dataclass
            class Order:
                number: int
                colour: Colour

            @task
            def gives(order):
                return [Order(order.number + 1, Colour.RED), type(order) is Order, order.colour is Colour.RED]

            @task
            def ours():
                raise Ours("x")

            @task
            def picky():
                raise Picky(7, why="because", where="there")

            @task
            def wrapped():
                raise OSError(2, "gone", "file") from Ours("y")

            @task
            def local():
                raise Local(7, "because")

            @flow(task_runner=RUNNER)
            def main():
                order, *there = gives.submit(Order(1, Colour.RED)).result()
                tell(same=[type(order) is Order, order.colour is Colour.RED, order.number], there=there)
                futures = [each.submit() for each in (ours, picky, wrapped, local)]
                errors = [future.state.result(raise_on_failure=False) for future in futures if not future.wait()]
                tell(kinds=[type(error) in (Ours, Picky, FileNotFoundError, RuntimeError) for error in errors],
                     texts=[str(error).splitlines()[0] for error in errors], picky=vars(errors[1]),
                     states=[future.state.type.value for future in futures])
        """)
        assert facts["same"] == [True, True, 2]
        assert facts["there"] == [True, True]
        assert facts["kinds"] == [True] * 4
        assert facts["texts"] == ["x", "because (7)", "[Errno 2] gone: 'file'", "Local: because (7)"]
        assert facts["picky"] == {"code": 7, "where": "there"}
        assert facts["states"] == ["FAILED"] * 4

    @pytest.mark.parametrize("written", [True, False])
    def test_a_process_that_is_killed_makes_a_crashed_run_and_no_hang(self, run: Any, written: bool) -> None:
        flush = "from prefect._engine.recorder import flush_all; flush_all()" if written else "pass"
        facts, database = run(f"""
            @task
            def dies():
                {flush}
                os.kill(os.getpid(), signal.SIGKILL)

            @task
            def after(x):
                return x

            @flow(task_runner=RUNNER)
            def main():
                future = dies.submit()
                future.wait(timeout=30)
                dependent = after.submit(future)
                dependent.wait(timeout=30)
                later = after.submit(1)
                later.wait(timeout=30)
                tell(state=future.state.type.value, message=future.state.message, after=dependent.state.name,
                     later=later.state.type.value)
                return 1
        """)
        assert facts["state"] == "CRASHED"
        assert "process" in facts["message"]
        assert facts["after"] in ("NotReady", "Crashed")
        assert facts["later"] in ("CRASHED", "COMPLETED"), (
            "what is submitted to a broken pool says so, and does not raise"
        )
        ((name, states),) = database.task_states("dies-%").items()
        assert states == (["Pending", "Running", "Crashed"] if written else ["Pending", "Crashed"]), name
        assert [row for row in database.unfinished() if row[2] != "NotReady"] == []
        assert database.flow_states() == ["Pending", "Running", "Completed"]

    def test_an_argument_that_cannot_be_pickled_is_named(self, run: Any) -> None:
        facts, database = run("""
            @task
            def work(fine, lock):
                return 1

            @flow(task_runner=RUNNER)
            def main():
                future = work.submit(1, lock=threading.Lock())
                future.wait(timeout=30)
                try:
                    future.result(timeout=30)
                except TypeError as exc:
                    tell(error=str(exc), state=future.state.type.value)
        """)
        assert "'lock'" in facts["error"]
        assert "work" in facts["error"]
        assert facts["state"] in ("FAILED", "CRASHED")
        ((_, states),) = database.task_states("work-%").items()
        assert states[-1] in ("Failed", "Crashed")

    def test_so_is_a_result(self, run: Any) -> None:
        facts, database = run("""
            @task
            def work():
                return threading.Lock()

            @task
            def bad():
                class Odd(Exception):
                    def __init__(self, a, b):
                        super().__init__(f"{a} {b}")
                        self.lock = threading.Lock()
                raise Odd("very", "odd")

            @flow(task_runner=RUNNER)
            def main():
                first, second = work.submit(), bad.submit()
                wait([first, second])
                tell(first=first.state.message, second=str(second.result(raise_on_failure=False)),
                     kinds=[first.state.type.value, second.state.type.value])
        """)
        assert "'work'" in facts["first"]
        assert "lock" in facts["first"]
        assert "very odd" in facts["second"]
        assert facts["kinds"] == ["CRASHED", "FAILED"]
        assert database.unfinished() == []
        recorded = dict(database.query("SELECT substr(name, 1, instr(name, '-') - 1), state_type FROM task_run"))
        assert recorded == {"work": "CRASHED", "bad": "FAILED"}, "what is recorded is what the caller sees"

    def test_a_flow_that_does_not_wait_still_has_all_its_tasks_run(self, run: Any) -> None:
        _, database = run("""
            @task
            def step(x):
                time.sleep(0.05)
                return x + 1

            @flow(task_runner=RUNNER)
            def main():
                future = 0
                for _ in range(4):
                    future = step.submit(future)
        """)
        assert database.one("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'") == 4

    def test_retries_timeouts_and_failures_happen_over_there(self, run: Any, tmp_path: Path) -> None:
        facts, database = run(
            f"""
            @task(retries=2)
            def flaky(path):
                with open(path, "a") as file:
                    file.write("x")
                if os.path.getsize(path) < 3:
                    raise ValueError("again")
                return "ok"

            @task(timeout_seconds=0.1)
            def slow():
                time.sleep(20)

            @task
            def fails():
                raise KeyError("mine")

            @flow(task_runner=RUNNER)
            def main():
                futures = [flaky.submit({str(tmp_path / "attempts")!r}), slow.submit(), fails.submit()]
                wait(futures)
                tell(names=[f.state.name for f in futures], error=repr(futures[2].result(raise_on_failure=False)))
            """
        )
        assert facts["names"] == ["Completed", "TimedOut", "Failed"]
        assert facts["error"] == "KeyError('mine')"
        assert list(database.task_states("flaky-%").values()) == [
            ["Pending", "Running", "Retrying", "Retrying", "Completed"]
        ]

    def test_a_mapped_task_and_its_collection(self, run: Any) -> None:
        facts, database = run("""
            @task
            def square(x):
                return x * x

            @task
            def total(xs):
                return sum(xs)

            @flow(task_runner=RUNNER)
            def main():
                tell(total=total.submit(square.map(range(20))).result())
        """)
        assert facts["total"] == sum(n * n for n in range(20))
        assert len(json.loads(database.one("SELECT task_inputs FROM task_run WHERE name LIKE 'total-%'"))["xs"]) == 20


DISTRIBUTED = """
import concurrent.futures, multiprocessing, uuid
import cloudpickle
from prefect.futures import PrefectWrappedFuture
from prefect.states import State
from prefect.task_engine import run_task_sync
from prefect.task_runners import TaskRunner


def carry_out(blob):
    keywords = cloudpickle.loads(blob)
    return run_task_sync(**keywords)


class SpawnedFuture(PrefectWrappedFuture):
    def wait(self, timeout=None):
        try:
            result = self._wrapped_future.result(timeout)
        except TimeoutError:
            return
        if isinstance(result, State):
            self._final_state = result

    def result(self, timeout=None, raise_on_failure=True):
        self.wait(timeout)
        if self._final_state is None:
            raise TimeoutError
        return self._final_state.result(raise_on_failure=raise_on_failure)


class SpawnedTaskRunner(TaskRunner):
    \"\"\"A task runner as an integration writes one.\"\"\"

    def duplicate(self):
        return type(self)()

    def __enter__(self):
        super().__enter__()
        self._pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *exc_info):
        self._pool.shutdown()
        super().__exit__(*exc_info)

    def submit(self, task, parameters, wait_for=None, dependencies=None):
        task_run_id = uuid.uuid4()
        for value in parameters.values():
            if isinstance(value, SpawnedFuture):
                value.wait()
        parameters = {
            name: value.state if isinstance(value, SpawnedFuture) else value for name, value in parameters.items()
        }
        blob = cloudpickle.dumps(dict(
            task=task, task_run_id=task_run_id, parameters=parameters, wait_for=None, return_type="state",
            dependencies=dependencies, context=serialize_context(),
        ))
        return SpawnedFuture(task_run_id, self._pool.submit(carry_out, blob))
"""


class TestTransfer:
    def test_a_runner_as_an_integration_writes_one(self, run: Any) -> None:
        facts, database = run(
            textwrap.dedent(DISTRIBUTED)
            + textwrap.dedent("""
            @task
            def double(x):
                get_run_logger().info("doubling %s", x)
                return 2 * x, flow_run.id, task_run.id, os.getpid()

            @task
            def first(pair):
                return pair[0]

            @task
            def fails():
                raise ValueError("over there")

            @flow(task_runner=SpawnedTaskRunner())
            def main():
                futures = double.map([1, 2, 3])
                results = [future.result() for future in futures]
                chained = first.submit(futures[0]).result()
                failed = fails.submit()
                failed.wait()
                tell(values=[r[0] for r in results], flows=list({r[1] for r in results}), flow=flow_run.id,
                     ids=[r[2] for r in results], expected=[str(f.task_run_id) for f in futures], chained=chained,
                     pids=[r[3] for r in results], own=os.getpid(), failed=failed.state.message)
            """)
        )
        assert facts["values"] == [2, 4, 6]
        assert facts["flows"] == [facts["flow"]]
        assert facts["ids"] == facts["expected"]
        assert facts["own"] not in facts["pids"]
        assert facts["chained"] == 2
        assert "over there" in facts["failed"]
        rows = database.query("SELECT id FROM task_run WHERE flow_run_id = ? AND name LIKE 'double-%'", facts["flow"])
        assert {row[0] for row in rows} == set(facts["ids"])
        assert database.unfinished() == []
        assert all(len(states) == 3 for states in database.task_states().values())
        assert database.one("SELECT count(*) FROM log WHERE message LIKE 'doubling%' AND task_run_id IS NOT NULL") == 3
        inputs = database.inputs("first")
        assert inputs["pair"] == [{"input_type": "task_run", "id": facts["ids"][0]}]

    def test_the_context_in_another_process(self, run: Any) -> None:
        facts, database = run("""
            import cloudpickle, subprocess

            CHILD = (
                "import sys, json, cloudpickle; fn, packed = cloudpickle.loads(sys.stdin.buffer.read());"
                "from prefect.context import hydrated_context\\n"
                "with hydrated_context(packed): print(json.dumps(fn()))\\n"
                "from prefect.context import FlowRunContext, TaskRunContext\\n"
                "assert FlowRunContext.get() is None and TaskRunContext.get() is None"
            )

            @task
            def note(x):
                get_run_logger().info("noted")
                return x

            def look():
                from prefect.context import FlowRunContext, TaskRunContext, get_run_context
                from prefect.runtime import flow_run
                from prefect.settings import get_current_settings
                return [
                    flow_run.id, flow_run.name, type(get_run_context()).__name__, FlowRunContext.get().detached,
                    note(5), [note.submit(6).result()], str(get_current_settings().home),
                ]

            @task
            def outer():
                blob = cloudpickle.dumps((look, serialize_context()))
                env = {**os.environ, "PREFECT_HOME": "/nowhere"}
                done = subprocess.run([sys.executable, "-c", CHILD], input=blob, capture_output=True, env=env)
                assert done.returncode == 0, done.stderr.decode()
                return json.loads(done.stdout)

            @flow
            def main():
                tell(seen=outer(), flow=flow_run.id, name=flow_run.name)
        """)
        seen = facts["seen"]
        assert seen[:2] == [facts["flow"], facts["name"]]
        assert seen[2] == "TaskRunContext"
        assert seen[3:6] == [True, 5, [6]]
        assert seen[6] == str(database.path.parent), "the settings travel along"
        assert (
            database.one("SELECT count(*) FROM task_run WHERE name LIKE 'note-%' AND flow_run_id = ?", facts["flow"])
            == 2
        )
        (outer_id,) = database.query("SELECT id FROM task_run WHERE name LIKE 'outer-%'")[0]
        parents = [
            json.loads(i)["__parents__"][0]["id"]
            for (i,) in database.query("SELECT task_inputs FROM task_run WHERE name LIKE 'note-%'")
        ]
        assert parents == [outer_id] * 2
        assert "noted" in database.messages()


def is_paused(database: Database) -> bool:
    try:
        return "Paused" in database.flow_states()
    except sqlite3.OperationalError:  # it is just being made
        return False


class TestPausing:
    SCRIPT = (
        PREAMBLE
        + """
from prefect import pause_flow_run

@flow(retries=1)
def main(path):
    if not os.path.exists(path):
        print("ready", flush=True)
        pause_flow_run(timeout=30, key="once")
        open(path, "w").close()
        raise ValueError("after the pause")
    pause_flow_run(timeout=30, key="once")
    return "done"

print(main(sys.argv[1]), flush=True)
"""
    )

    def test_another_process_lets_it_go_on_and_a_retry_still_counts(
        self, home: Path, tmp_path: Path, database: Database, until: Any
    ) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(tmp_path / "mark")], stdout=subprocess.PIPE, text=True
        )
        try:
            until(lambda: is_paused(database))
            run_id = database.one("SELECT id FROM flow_run")
            resume = "import sys, uuid; from prefect.flow_runs import resume_flow_run; resume_flow_run(uuid.UUID(sys.argv[1]))"
            subprocess.run([sys.executable, "-c", resume, run_id], check=True)
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
        assert (process.returncode, out.splitlines()[-1]) == (0, "done")
        assert database.flow_states() == [
            "Pending", "Running", "Paused", "Running", "AwaitingRetry", "Retrying", "Completed",
        ]  # fmt: skip
        assert database.one("SELECT run_count FROM flow_run") == 2, "a pause is no attempt"

    def test_a_run_that_is_killed_while_it_waits_is_crashed(
        self, home: Path, tmp_path: Path, database: Database, until: Any
    ) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(tmp_path / "mark")], stdout=subprocess.PIPE, text=True
        )
        until(lambda: is_paused(database))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        look = "from prefect import flow\n@flow\ndef other(): pass\nother()"
        subprocess.run([sys.executable, "-c", look], check=True, env={**os.environ, "PREFECT_HOME": str(home)})
        assert database.flow_states("main") == ["Pending", "Running", "Paused", "Crashed"]
