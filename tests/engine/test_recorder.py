"""What is written down of runs: everything, in order, once, also when it cannot be written at first."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect import flow, get_run_logger, task
from prefect._engine.recorder import get_recorder
from prefect._engine.recording import local as recorder_module
from prefect._rules.states import RunState

from .conftest import Database


class TestRuns:
    def test_all_states_of_a_task_run_once_and_in_order(self, database: Database) -> None:
        @task(retries=2, retry_delay_seconds=[0.001, 0])
        def flaky(attempts: list[int]) -> int:
            attempts.append(1)
            if len(attempts) < 3:
                raise ValueError("again")
            return 7

        @flow
        def main() -> int:
            return flaky([])

        assert main() == 7
        (states,) = database.task_states().values()
        assert states == ["Pending", "Running", "AwaitingRetry", "Retrying", "Retrying", "Completed"]
        run_count, state = database.query("SELECT run_count, state_type FROM task_run")[0]
        assert (run_count, state) == (3, "COMPLETED")
        assert database.flow_states() == ["Pending", "Running", "Completed"]

    def test_everything_is_there_when_the_flow_returns(self, database: Database) -> None:
        @task
        def one(number: int) -> int:
            return number

        @flow
        def main() -> None:
            for number in range(200):
                one(number)
            one.map(range(200)).wait()

        main()
        assert database.one("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'") == 400
        assert database.one("SELECT count(*) FROM task_run_state") == 1200

    def test_writing_a_batch_again_changes_nothing(self, database: Database, flushed: Callable[[], None]) -> None:
        seen: list[Any] = []
        recorder = get_recorder()
        stream = recorder._task_runs
        write = stream.write
        stream.write = lambda connection, batch: (seen.append(batch), write(connection, batch))  # type: ignore[method-assign, func-returns-value]

        @task
        def one() -> None: ...

        @flow
        def main() -> None:
            one()
            one()

        main()
        before = database.query("SELECT * FROM task_run"), database.query("SELECT * FROM task_run_state")
        for batch in seen:
            stream.restore(batch)
        flushed()
        assert (database.query("SELECT * FROM task_run"), database.query("SELECT * FROM task_run_state")) == before

    def test_an_older_batch_does_not_undo_a_newer_state(self, database: Database, flushed: Callable[[], None]) -> None:
        recorder = get_recorder()
        stream = recorder._task_runs
        seen: list[Any] = []
        write = stream.write

        def keep(connection: Any, batch: Any) -> None:
            seen.append(list(batch))
            write(connection, batch)

        stream.write = keep  # type: ignore[method-assign]

        @task
        def one() -> None:
            recorder.flush()

        @flow
        def main() -> None:
            one()

        main()
        assert len(seen) == 2
        stream.restore(seen[0])
        flushed()
        assert database.one("SELECT state_type FROM task_run") == "COMPLETED"

    def test_parameters_are_json(self, database: Database) -> None:
        @flow(validate_parameters=False)
        def main(number: int, text: str, items: list[Any], other: Any) -> None: ...

        main(1, "é", [1, {"a": None}], object)
        parameters = json.loads(database.one("SELECT parameters FROM flow_run"))
        assert {name: parameters[name] for name in ("number", "text", "items")} == {
            "number": 1,
            "text": "é",
            "items": [1, {"a": None}],
        }

    @pytest.mark.parametrize("value", ["\ud800 half a pair", "nul \0 inside", 2**70, float("nan"), b"\xff", {1: {2}}])
    def test_odd_values_are_recorded_somehow_and_keep_nothing_else_from_being_written(
        self, database: Database, value: Any
    ) -> None:
        @task
        def one(given: Any) -> Any:
            get_run_logger().info("given %s", given)
            return given

        @task
        def two(given: Any) -> None:
            raise ValueError(given)

        @flow
        def main(given: Any) -> None:
            one(given)
            two(given, return_state=True)

        main(value)
        get_recorder().flush()
        assert database.unfinished() == []
        assert database.one("SELECT count(*) FROM task_run") == 2
        assert any(message.startswith("given") for message in database.messages())
        json.loads(database.one("SELECT parameters FROM flow_run"))

    def test_a_flow_run_that_was_deleted_while_it_ran_is_written_again(self, database: Database) -> None:
        @task
        def one() -> None: ...

        @flow
        def main() -> int:
            one()
            get_recorder().writer.commit(lambda c: c.execute("DELETE FROM flow"))
            one()
            return 1

        assert main() == 1
        assert main() == 1
        assert database.query("SELECT state_name FROM flow_run") == [("Completed",)], "the second run deleted the first"
        assert database.unfinished() == []

    def test_a_run_keeps_no_record_waiting_that_another_thread_has_taken(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A record appended while a batch is on its way is in the next one."""
        real = recorder_module.new_id

        def while_another_thread_writes() -> str:
            writing = threading.Thread(target=get_recorder().flush)
            writing.start()
            writing.join()
            return real()

        monkeypatch.setattr(recorder_module, "new_id", while_another_thread_writes)
        recorder = get_recorder()
        for number in range(5):
            recorder.log(("test", 20, f"line {number}", number, None, None, None))
        recorder.flush()
        assert database.messages() == [f"line {number}" for number in range(5)]

    def test_records_of_many_threads_all_arrive(self, database: Database) -> None:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        recorder = get_recorder()
        try:

            def work(thread: int) -> None:
                for number in range(500):
                    recorder.log(("test", 20, f"{thread}-{number}", number, None, None, None))
                    if number % 50 == thread:
                        recorder.flush()

            threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        recorder.flush()
        assert sorted(database.messages()) == sorted(f"{t}-{n}" for t in range(6) for n in range(500))

    def test_more_records_than_may_wait_are_written_by_whoever_makes_them(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorder_module, "MAX_PENDING", 100)
        recorder = get_recorder()
        most = 0
        with recorder.writer._lock:  # the background thread does not get a turn
            for number in range(1000):
                recorder.log(("test", 20, str(number), number, None, None, None))
                most = max(most, len(recorder._logs.pending))
        assert most < 100 + 64, "at the next multiple of 64 at the latest"


class TestLogs:
    def test_lines_are_kept_with_their_run_in_order(self, database: Database) -> None:
        @task
        def inner() -> None:
            get_run_logger().warning("in the task")

        @flow
        def main() -> None:
            get_run_logger().info("one")
            inner()
            get_run_logger().info("two")

        main()
        get_recorder().flush()
        rows = database.query(
            "SELECT message, level, task_run_id IS NOT NULL, flow_run_id = (SELECT id FROM flow_run) FROM log"
            " WHERE message IN ('one', 'in the task', 'two') ORDER BY timestamp, id"
        )
        assert rows == [("one", 20, 0, 1), ("in the task", 30, 1, 1), ("two", 20, 0, 1)]
        assert database.messages()[-1] == "Finished in state Completed()"


@pytest.fixture
def errors() -> Any:
    """The messages of errors that the recorder logs."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                lines.append(record.getMessage())

    handler = Handler()
    logging.getLogger("prefect.recorder").addHandler(handler)
    yield lines
    logging.getLogger("prefect.recorder").removeHandler(handler)


@task(retries=1)
def work(number: int, fail: list[int] | None = None) -> int:
    get_run_logger().info("working on %s %s", number, "x" * 2000)
    if fail:
        fail.pop()
        raise ValueError("once")
    return number


class TestOutage:
    def test_a_full_disk_in_the_middle(
        self, database: Database, no_room: Callable[[bool], None], errors: list[str]
    ) -> None:
        @flow
        def child(number: int) -> int:
            return work(number)

        @flow(retries=1)
        def main(failures: list[int]) -> int:
            value = work(1)
            no_room(True)
            value += sum(work.map([2, 3]).result()) + work(4, fail=[1])
            value += child(5)
            if failures:
                failures.pop()
                raise ValueError("once")
            return value

        assert main([1]) == 15
        assert len([line for line in errors if "cannot be used" in line]) == 1
        assert str(database.path) in errors[0]
        assert "full" in errors[0]
        assert database.one("SELECT state_name FROM flow_run") == "Running", "nothing of the end could be written"
        no_room(False)
        get_recorder().flush()
        assert database.unfinished() == []
        assert database.flow_states("main") == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
        assert (
            database.one("SELECT run_count FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'main'") == 2
        )
        assert database.flow_states("child") == ["Pending", "Running", "Completed"] * 2
        flaky = [states for states in database.task_states("work-%").values() if "Retrying" in states]
        assert flaky == [["Pending", "Running", "Retrying", "Completed"]]
        lines = [line for line in database.messages() if line.startswith("working on")]
        assert sorted(line.split()[2] for line in lines) == ["1", "2", "3", "4", "4", "5", "5"]

    def test_a_home_that_cannot_be_made(self, home: Path, database: Database, errors: list[str]) -> None:
        shutil.rmtree(home)
        home.write_text("a file in the way")

        @flow
        def main() -> int:
            return work(1)

        assert main() == 1
        assert len(errors) == 1
        assert str(database.path) in errors[0]
        assert "PREFECT_HOME" in errors[0]
        home.unlink()
        get_recorder().flush()
        assert main() == 1
        assert len(errors) == 1
        assert database.flow_states() == ["Pending", "Running", "Completed"] * 2
        assert (
            database.query("SELECT run_count, start_time > 0, end_time >= start_time, owner FROM flow_run")
            == [(1, 1, 1, None)] * 2
        )
        assert database.unfinished() == []

    def test_a_database_that_becomes_read_only(self, home: Path, database: Database, errors: list[str]) -> None:
        @flow
        def main() -> int:
            return work(1)

        main()
        recorder = get_recorder()
        recorder.writer.read(lambda c: c.execute("PRAGMA query_only = ON"))
        assert main() == 1
        assert len(errors) == 1
        recorder.writer.read(lambda c: c.execute("PRAGMA query_only = OFF"))
        recorder.flush()
        assert database.flow_states() == ["Pending", "Running", "Completed"] * 2
        assert database.unfinished() == []

    def test_a_second_outage_is_told_again(self, home: Path, errors: list[str]) -> None:
        @flow
        def main() -> int:
            return work(1)

        main()
        recorder = get_recorder()
        for _ in range(2):
            recorder.writer.read(lambda c: c.execute("PRAGMA query_only = ON"))
            assert main() == 1
            recorder.writer.read(lambda c: c.execute("PRAGMA query_only = OFF"))
            recorder.flush()
            assert main() == 1
        assert len(errors) == 2

    def test_what_is_never_written_is_counted_at_the_end(self, home: Path, errors: list[str]) -> None:
        @flow
        def main() -> int:
            return work(1)

        main()
        recorder = get_recorder()
        recorder.writer.read(lambda c: c.execute("PRAGMA query_only = ON"))
        main()
        recorder.close()
        assert "could not be written" in errors[-1]
        recorder._late.clear()
        recorder._task_runs.pending.clear()
        recorder._logs.pending.clear()

    def test_a_dead_run_is_ended_by_the_first_commit_after_an_outage(
        self, home: Path, database: Database, no_room: Callable[[bool], None]
    ) -> None:
        kill = "import os\nfrom prefect import flow\n@flow\ndef dies():\n    os.kill(os.getpid(), 9)\ndies()"
        subprocess.run([sys.executable, "-c", kill], env={**os.environ, "PREFECT_HOME": str(home)})
        assert database.one("SELECT state_name FROM flow_run") == "Running"

        @flow
        def main() -> None: ...

        get_recorder().writer.read(lambda c: None)
        get_recorder().writer.read(lambda c: c.execute("PRAGMA query_only = ON"))
        main()
        get_recorder().writer.read(lambda c: c.execute("PRAGMA query_only = OFF"))
        get_recorder().flush()
        main()
        assert database.flow_states("dies")[-1] == "Crashed"
        assert database.one("SELECT count(*) FROM flow_run_state WHERE name = 'Crashed'") == 1


def test_an_interrupted_commit_leaves_the_run_as_it_was(database: Database) -> None:
    """A signal that comes while a state is written must not count the run twice."""
    recorder = get_recorder()
    write = recorder._write_flow_state
    armed = [True]

    def interrupted(*args: Any) -> None:
        write(*args)
        if armed:
            armed.pop()
            raise KeyboardInterrupt

    recorder._write_flow_state = interrupted  # type: ignore[method-assign]

    @flow
    def main() -> None: ...

    with pytest.raises(KeyboardInterrupt):
        main()
    main()
    assert database.one("SELECT count(*) FROM flow_run WHERE run_count > 1") == 0


def test_states_are_proposed_for_runs_of_other_processes(database: Database) -> None:
    @flow
    def main() -> str:
        run_id = database.one("SELECT id FROM flow_run")
        recorder = get_recorder()
        verdict = recorder.propose_for(run_id, RunState("CANCELLING"))
        assert verdict is not None
        assert verdict.kind == "ACCEPT"
        assert recorder.propose_for("no-such-run", RunState("CANCELLING")) is None
        return "done"

    state = main(return_state=True)
    assert state.type.value == "CANCELLED"
    assert database.flow_states() == ["Pending", "Running", "Cancelling", "Cancelled"]
