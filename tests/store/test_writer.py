"""The writer: units in groups, streams before them, outages, forks, many processes on one file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect._store import writer as writer_module
from prefect._store.sqlite import DatabaseUnavailable, WriteLock, connect
from prefect._store.writer import Writer
from waiting import until

DEADLINE = 10.0


class Notes:
    """A stream of texts, written to the table `note`."""

    def __init__(self) -> None:
        self.pending: list[str] = []
        self.fail: BaseException | None = None

    def take(self) -> list[str] | None:
        batch, self.pending = self.pending, []
        return batch or None

    def restore(self, batch: list[str]) -> None:
        self.pending = batch + self.pending

    def write(self, connection: sqlite3.Connection, batch: list[str]) -> None:
        if self.fail is not None:
            raise self.fail
        connection.executemany("INSERT INTO note (text) VALUES (?)", [(text,) for text in batch])


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "runs.db")


@pytest.fixture
def writer(path: str) -> Iterator[Writer]:
    writer = Writer(path)
    writer.commit(lambda c: c.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT UNIQUE)"))
    yield writer
    writer.close()


@pytest.fixture
def notes(writer: Writer) -> Notes:
    notes = Notes()
    writer.add_stream(notes)
    return notes


def rows(path: str) -> list[str]:
    connection = connect(path, read_only=True)
    try:
        return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY id")]
    finally:
        connection.close()


def insert(text: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO note (text) VALUES (?)", (text,))
        return text

    return work


class Gate:
    """A unit that holds the writer until it is opened, so that others queue up behind it."""

    def __init__(self, writer: Writer) -> None:
        self.inside, self.open = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=writer.commit, args=(self._work,))
        self.thread.start()
        assert self.inside.wait(DEADLINE)

    def _work(self, connection: sqlite3.Connection) -> None:
        self.inside.set()
        assert self.open.wait(DEADLINE)

    def release(self) -> None:
        self.open.set()
        self.thread.join(DEADLINE)


class TestUnits:
    def test_a_unit_gives_its_value_and_is_on_disk(self, writer: Writer, path: str) -> None:
        assert writer.commit(insert("a")) == "a"
        assert rows(path) == ["a"]

    def test_units_of_many_threads_share_a_transaction_and_each_gets_its_own(self, writer: Writer, path: str) -> None:
        transactions: list[str] = []
        outcomes: dict[int, Any] = {}
        gate = Gate(writer)
        writer._connection.set_trace_callback(transactions.append)  # type: ignore[union-attr]

        def work(number: int) -> None:
            def unit(connection: sqlite3.Connection) -> int:
                connection.execute("INSERT INTO note (text) VALUES (?)", (f"unit-{number}",))
                if number % 3 == 0:
                    raise KeyError(number)
                return number * 10

            try:
                outcomes[number] = writer.commit(unit)
            except KeyError as exc:
                outcomes[number] = exc.args[0]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        until(lambda: len(writer._units) == 12)
        gate.release()
        for thread in threads:
            thread.join(DEADLINE)
        assert outcomes == {number: number if number % 3 == 0 else number * 10 for number in range(12)}
        assert sorted(rows(path)) == sorted(f"unit-{number}" for number in range(12) if number % 3)
        assert sum(statement == "BEGIN IMMEDIATE" for statement in transactions) == 1

    def test_a_failing_unit_alone_leaves_nothing_and_the_next_one_works(self, writer: Writer, path: str) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            insert("a")(connection)
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            writer.commit(unit)
        assert rows(path) == []
        writer.commit(insert("b"))
        assert rows(path) == ["b"]

    def test_a_unit_that_breaks_a_constraint_is_told_so(self, writer: Writer, notes: Notes, path: str) -> None:
        writer.commit(insert("a"))
        notes.pending.append("n")
        with pytest.raises(sqlite3.IntegrityError):
            writer.commit(insert("a"))
        assert rows(path) == ["a", "n"]

    def test_a_signal_in_a_unit_undoes_the_transaction_and_keeps_the_streams(
        self, writer: Writer, notes: Notes, path: str
    ) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            insert("a")(connection)
            raise KeyboardInterrupt

        notes.pending.append("n")
        with pytest.raises(KeyboardInterrupt):
            writer.commit(unit)
        assert rows(path) == []
        writer.commit(insert("b"))
        assert rows(path) == ["n", "b"]

    def test_a_signal_while_a_batch_is_gathered_loses_nothing(self, writer: Writer, notes: Notes, path: str) -> None:
        class Interrupted(Notes):
            def take(self) -> list[str] | None:
                if self.fail is not None:
                    error, self.fail = self.fail, None
                    raise error
                return super().take()

        second = Interrupted()
        writer.add_stream(second)
        second.fail = KeyboardInterrupt()
        notes.pending.append("n")
        with pytest.raises(KeyboardInterrupt):
            writer.commit(insert("a"))
        writer.commit(insert("b"))
        assert rows(path) == ["n", "b"]

    def test_reading_sees_what_was_committed(self, writer: Writer) -> None:
        writer.commit(insert("a"))
        assert writer.read(lambda c: c.execute("SELECT text FROM note").fetchall()) == [("a",)]


class TestStreams:
    def test_they_are_written_before_the_unit_that_takes_them_along(
        self, writer: Writer, notes: Notes, path: str
    ) -> None:
        notes.pending += ["1", "2"]
        writer.commit(insert("unit"))
        assert rows(path) == ["1", "2", "unit"]

    def test_they_are_written_in_time_without_any_commit(self, writer: Writer, notes: Notes, path: str) -> None:
        for number in range(3):
            notes.pending.append(str(number))
            writer.notify()
            until(lambda: rows(path) == [str(n) for n in range(number + 1)])  # noqa: B023

    def test_flush_writes_them_now(self, writer: Writer, notes: Notes, path: str) -> None:
        notes.pending += ["1", "2"]
        writer.flush()
        assert rows(path) == ["1", "2"]

    @pytest.mark.parametrize("error", [sqlite3.OperationalError("disk full"), OSError("no space"), MemoryError()])
    def test_a_batch_that_was_not_written_comes_back_in_order(
        self, writer: Writer, notes: Notes, path: str, error: Exception
    ) -> None:
        notes.pending += ["1", "2"]
        notes.fail = error
        with pytest.raises((DatabaseUnavailable, MemoryError)):
            writer.flush()
        notes.pending.append("3")
        notes.fail = None
        writer.commit(insert("unit"), now=True)
        assert rows(path) == ["1", "2", "3", "unit"]

    def test_an_outage_is_over_when_there_is_nothing_left_to_write(self, writer: Writer, notes: Notes) -> None:
        notes.fail = sqlite3.OperationalError("disk full")
        notes.pending.append("1")
        with pytest.raises(DatabaseUnavailable, match="disk full"):
            writer.flush()
        notes.pending.clear()
        writer.flush()

    def test_what_takes_long_to_fail_is_not_tried_all_the_time(self, writer: Writer, notes: Notes) -> None:
        tried = 0

        def slow(connection: sqlite3.Connection, batch: list[str]) -> None:
            nonlocal tried
            tried += 1
            time.sleep(0.02)
            raise sqlite3.OperationalError("disk full")

        notes.write = slow  # type: ignore[method-assign]
        notes.pending.append("1")
        for _ in range(20):
            with pytest.raises(DatabaseUnavailable, match="disk full"):
                writer.commit(insert("unit"))
        assert tried < 20
        before = tried
        with pytest.raises(DatabaseUnavailable, match="disk full"):
            writer.flush()
        assert tried == before + 1, "who asks for it now has it tried now"

    def test_the_background_thread_survives_a_batch_that_cannot_be_written(
        self, writer: Writer, notes: Notes, path: str
    ) -> None:
        notes.fail = sqlite3.OperationalError("disk full")
        notes.pending.append("1")
        writer.notify()
        until(lambda: writer.failure is not None)
        notes.fail = None
        notes.pending.append("2")

        def again() -> bool:
            writer.notify()
            return rows(path) == ["1", "2"]

        until(again)


class TestLife:
    def test_close_writes_what_is_pending_and_the_writer_opens_again(
        self, writer: Writer, notes: Notes, path: str
    ) -> None:
        notes.pending.append("1")
        writer.close()
        assert rows(path) == ["1"]
        notes.pending.append("2")
        writer.notify()
        until(lambda: rows(path) == ["1", "2"])
        writer.close()
        writer.close()
        assert not Path(f"{path}-wal").exists(), "the last one to close leaves one file"

    def test_closing_ends_the_background_thread(self, path: str) -> None:
        before = threading.active_count()
        for _ in range(5):
            writer = Writer(path)
            notes = Notes()
            writer.add_stream(notes)
            writer.notify()
            writer.close()
        until(lambda: threading.active_count() <= before)

    def test_a_program_that_only_commits_has_no_background_thread(self, writer: Writer) -> None:
        writer.commit(insert("a"))
        assert writer._thread is None


class TestUnavailable:
    @pytest.mark.parametrize("kind", ["a file where the folder should be", "a folder where the file should be", "junk"])
    def test_it_names_the_file(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "home" / "runs.db"
        if kind == "junk":
            path.parent.mkdir()
            path.write_bytes(os.urandom(8192))
        elif kind.startswith("a folder"):
            path.mkdir(parents=True)
        else:
            path.parent.write_text("in the way")
        writer = Writer(str(path))
        with pytest.raises(DatabaseUnavailable) as caught:
            writer.commit(lambda connection: None)
        assert str(path) in str(caught.value)
        assert "PREFECT_HOME" in str(caught.value), "it says what to do"

    def test_it_works_as_soon_as_the_obstacle_is_gone(self, tmp_path: Path) -> None:
        obstacle = tmp_path / "home"
        obstacle.write_text("in the way")
        writer = Writer(str(obstacle / "runs.db"))
        with pytest.raises(DatabaseUnavailable):
            writer.commit(lambda connection: None)
        obstacle.unlink()
        assert writer.commit(lambda c: c.execute("SELECT count(*) FROM flow_run").fetchone(), now=True) == (0,)
        writer.close()

    def test_a_database_that_is_full_fails_the_unit_and_spares_the_next(self, writer: Writer, path: str) -> None:
        pages = writer.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        writer.read(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())
        with pytest.raises(DatabaseUnavailable, match="full"):
            writer.commit(insert("x" * 100_000))
        writer.read(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
        writer.commit(insert("a"), now=True)
        assert rows(path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestFork:
    def child(self, writer: Writer, work: Callable[[], None]) -> None:
        """Run `work` in a forked child, the writer treated as the recorder treats it; fails if it does."""
        writer.before_fork()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                writer.after_fork_in_child()
                work()
                code = 0
            finally:
                os._exit(code)
        writer.after_fork_in_parent()
        _, status = os.waitpid(pid, 0)
        assert status == 0

    def test_a_child_writes_through_a_connection_of_its_own(self, writer: Writer, notes: Notes, path: str) -> None:
        writer.commit(insert("parent"))
        notes.pending.append("pending at the fork")

        def work() -> None:
            assert writer._connection is None
            writer.commit(insert("child"))
            writer.close()

        self.child(writer, work)
        assert rows(path) == ["parent", "child"]
        writer.flush()
        assert rows(path) == ["parent", "child", "pending at the fork"]

    def test_a_fork_waits_for_the_end_of_a_commit(self, writer: Writer, path: str) -> None:
        gate = Gate(writer)
        threading.Timer(0.05, gate.open.set).start()
        self.child(writer, lambda: writer.commit(insert("child")))
        gate.release()
        assert rows(path) == ["child"]

    def test_a_fork_in_a_unit_leaves_its_transaction_alone(self, writer: Writer, path: str) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            insert("a")(connection)
            self.child(writer, lambda: None)
            insert("b")(connection)

        writer.commit(unit)
        assert rows(path) == ["a", "b"]

    def test_what_a_child_wrote_stays_when_another_process_closes_the_file(self, writer: Writer, path: str) -> None:
        """A child that believed in inherited locks would write to files that the other process has deleted."""
        writer.commit(insert("parent"))
        asked, answered = os.pipe(), os.pipe()
        writer.before_fork()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                writer.after_fork_in_child()
                writer.commit(insert("child 1"))
                os.write(answered[1], b"1")
                os.read(asked[0], 1)
                writer.commit(insert("child 2"))
                code = 0
            finally:
                os._exit(code)
        writer.after_fork_in_parent()
        os.read(answered[0], 1)
        writer.close()
        other = "import sys; from prefect._store.writer import Writer; w = Writer(sys.argv[1]); w.commit(lambda c: c.execute('INSERT INTO note (text) VALUES (1)')); w.close()"
        subprocess.run([sys.executable, "-c", other, path], check=True)
        os.write(asked[1], b"1")
        assert os.waitpid(pid, 0)[1] == 0
        assert rows(path) == ["parent", "child 1", "1", "child 2"]

    def test_a_child_does_not_keep_the_write_lock_of_its_dead_parent(self, tmp_path: Path, path: str) -> None:
        lock_file = f"{path}.lock"
        script = f"""
            import os, sys, time
            from prefect._store.sqlite import WriteLock
            from prefect._store.writer import Writer
            writer = Writer({path!r})
            lock = writer._write_lock
            lock.__enter__()
            if os.fork() == 0:
                writer.after_fork_in_child()
                os.close(1)
                sys.stdin.read()    # lives until the test lets it go
                os._exit(0)
            os.kill(os.getpid(), 9)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.read()  # ends when the parent is dead and the child has let go of the pipe
            process.wait()
            with WriteLock(lock_file):
                pass


HAMMER = """
import sqlite3, sys, threading
from prefect._store.writer import Writer

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
writer = Writer(path)

def work(thread):
    for number in range(count):
        text = f"{name}-{thread}-{number}"
        writer.commit(lambda c: c.execute("INSERT INTO note (text) VALUES (?)", (text,)))

threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
writer.close()
"""


def test_processes_with_threads_on_one_file_lose_no_row_and_see_no_lock(writer: Writer, path: str, soak: bool) -> None:
    count = 400 if soak else 40
    processes = [
        subprocess.Popen([sys.executable, "-c", HAMMER, path, name, str(count)], stderr=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    mine = [writer.commit(insert(f"c-{number}")) for number in range(count)]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert (process.returncode, errors) == (0, "")
    written = rows(path)
    assert len(written) == len(set(written)) == 2 * 8 * count + len(mine)
    for name in ("a", "b"):
        for thread in range(8):
            prefix = f"{name}-{thread}-"
            ours = [text for text in written if text.startswith(prefix)]
            assert ours == [f"{prefix}{number}" for number in range(count)], "each thread's rows are in its order"


def test_a_record_waits_no_longer_than_documented() -> None:
    assert writer_module.FLUSH_SECONDS <= 0.1
