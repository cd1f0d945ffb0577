"""Who is alive, told by the kernel; what becomes of the runs of the dead."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect._clock import now_us
from prefect._ids import new_id
from prefect._store import owners, statements
from prefect._store.owners import Owner, is_alive
from prefect._store.reconciling import dead_owners, reconcile
from prefect._store.sqlite import WriteLock, open_database

pytestmark = pytest.mark.skipif(owners.fcntl is None, reason="needs flock")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "runs.db")


@pytest.fixture
def database(path: str) -> Iterator[sqlite3.Connection]:
    connection = open_database(path, WriteLock(f"{path}.lock"))
    yield connection
    connection.close()


@pytest.fixture
def owner(path: str, database: sqlite3.Connection) -> Iterator[Owner]:
    owner = Owner(path)
    owner.ensure(database)
    yield owner
    owner.release()


def folder(path: str) -> Path:
    return Path(f"{path}.owners")


HOLDER = """
    import sys
    from prefect._store.owners import Owner
    from prefect._store.sqlite import WriteLock, open_database
    path = sys.argv[1]
    connection = open_database(path, WriteLock(path + ".lock"))
    owner = Owner(path)
    print(owner.ensure(connection), flush=True)
"""


def holder(path: str, then: str) -> tuple[subprocess.Popen[str], str]:
    """A process that owns runs, and its owner's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER) + textwrap.dedent(then), path],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def insert_run(connection: sqlite3.Connection, owner_id: str | None, state: str = "RUNNING") -> str:
    """A flow run as the recorder writes one."""
    run_id, now = new_id(), now_us()
    connection.execute(statements.INSERT_FLOW, ("f", now, now, "flow", "[]"))
    connection.execute(
        statements.INSERT_FLOW_RUN,
        (run_id, now, now, "run", "f", None, "{}", "{}", "[]", "{}", None, None, new_id(), state, state.capitalize(), now, now, owner_id),
    )  # fmt: skip
    return run_id


def insert_task_run(connection: sqlite3.Connection, flow_run_id: str, state: str) -> str:
    run_id, now = new_id(), now_us()
    connection.execute(
        statements.UPSERT_TASK_RUN,
        (run_id, now, now, "t", flow_run_id, "k", run_id, None, None, None, 1, "{}", "{}", "[]", "{}", new_id(), state,
         state.capitalize(), now, 1, now, None, now, None, 0),
    )  # fmt: skip
    return run_id


def states_of(connection: sqlite3.Connection, kind: str, run_id: str) -> list[tuple[str, str]]:
    return connection.execute(
        f"SELECT type, message FROM {kind}_state WHERE {kind}_id = ? ORDER BY timestamp", (run_id,)
    ).fetchall()


class TestLiveness:
    def test_one_is_alive_in_its_own_process(self, path: str, owner: Owner) -> None:
        assert is_alive(folder(path), owner.id)

    def test_and_seen_from_another(self, path: str, owner: Owner) -> None:
        code = "import sys; from pathlib import Path; from prefect._store.owners import is_alive; sys.exit(not is_alive(Path(sys.argv[1]), sys.argv[2]))"
        assert subprocess.run([sys.executable, "-c", code, str(folder(path)), owner.id]).returncode == 0

    def test_many_may_look_at_once(self, path: str, owner: Owner) -> None:
        owner.release()
        file = folder(path) / "dead"
        file.touch()
        fd = os.open(file, os.O_RDWR)
        owners.fcntl.flock(fd, owners.fcntl.LOCK_SH)  # another one who looks at this moment
        assert not is_alive(folder(path), "dead")
        os.close(fd)

    def test_it_is_dead_after_kill_9(self, path: str, database: sqlite3.Connection) -> None:
        process, owner_id = holder(path, "sys.stdin.read()")
        assert is_alive(folder(path), owner_id)
        process.kill()
        process.communicate()
        assert not is_alive(folder(path), owner_id)

    def test_a_stopped_process_is_alive(self, path: str, database: sqlite3.Connection) -> None:
        process, owner_id = holder(path, "sys.stdin.read()")
        os.kill(process.pid, signal.SIGSTOP)
        assert is_alive(folder(path), owner_id)
        os.kill(process.pid, signal.SIGCONT)
        process.communicate()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_forked_child_does_not_keep_a_dead_parent_alive(self, path: str, database: sqlite3.Connection) -> None:
        process, owner_id = holder(
            path,
            """
            import os
            if os.fork() == 0:
                owner.after_fork_in_child()
                os.close(1)
                sys.stdin.read()
                os._exit(0)
            os.kill(os.getpid(), 9)
            """,
        )
        assert process.stdout is not None
        process.stdout.read()  # until the parent is dead and the child has let go of the pipe
        process.wait()
        assert not is_alive(folder(path), owner_id)
        assert process.stdin is not None
        process.stdin.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_forked_child_does_not_end_its_living_parent(self, path: str, owner: Owner) -> None:
        pid = os.fork()
        if pid == 0:
            owner.after_fork_in_child()
            os._exit(0)
        os.waitpid(pid, 0)
        assert is_alive(folder(path), owner.id)

    def test_release_leaves_nothing(self, path: str, owner: Owner) -> None:
        owner.release()
        owner.release()
        assert not is_alive(folder(path), owner.id)
        assert list(folder(path).iterdir()) == []

    def test_it_may_be_held_again(self, path: str, database: sqlite3.Connection, owner: Owner) -> None:
        owner.release()
        assert owner.ensure(database) == owner.id
        assert is_alive(folder(path), owner.id)

    def test_it_is_known_again_after_a_transaction_that_failed(self, path: str, database: sqlite3.Connection) -> None:
        owner = Owner(path)
        database.execute("BEGIN")
        owner.ensure(database)
        database.execute("ROLLBACK")
        owner.ensure(database)
        assert database.execute("SELECT count(*) FROM owner WHERE id = ?", (owner.id,)).fetchone() == (1,)
        owner.release()


class TestReconcile:
    @pytest.fixture
    def dead(self, path: str, database: sqlite3.Connection) -> str:
        process, owner_id = holder(path, "import os; os.kill(os.getpid(), 9)")
        process.communicate()
        return owner_id

    def test_unfinished_runs_of_the_dead_crash_once(self, path: str, database: sqlite3.Connection, dead: str) -> None:
        runs = [insert_run(database, dead, state) for state in ("RUNNING", "PENDING", "PAUSED", "CANCELLING")]
        task_run = insert_task_run(database, runs[0], "RUNNING")
        assert reconcile(database, path) == 4
        assert reconcile(database, path) == 0
        for run in runs:
            ((kind, message),) = states_of(database, "flow_run", run)
            assert kind == "CRASHED"
            assert "process" in message
            assert "without reporting" in message
            row = database.execute("SELECT state_type, state_name, end_time, owner FROM flow_run WHERE id = ?", (run,))
            state_type, name, end, owner = row.fetchone()
            assert (state_type, name, owner) == ("CRASHED", "Crashed", None)
            assert end is not None
        assert [kind for kind, _ in states_of(database, "task_run", task_run)] == ["CRASHED"]
        assert not (folder(path) / dead).exists()

    def test_finished_runs_are_kept(self, path: str, database: sqlite3.Connection, dead: str) -> None:
        finished = [insert_run(database, None, state) for state in ("COMPLETED", "FAILED", "CANCELLED")]
        running = insert_run(database, dead)
        done = insert_task_run(database, running, "COMPLETED")
        reconcile(database, path)
        for run in finished:
            assert states_of(database, "flow_run", run) == []
        assert database.execute("SELECT state_type FROM task_run WHERE id = ?", (done,)).fetchone() == ("COMPLETED",)

    def test_the_living_are_left_alone(self, path: str, database: sqlite3.Connection, owner: Owner) -> None:
        run = insert_run(database, owner.id)
        assert dead_owners(database, path) == []
        assert reconcile(database, path) == 0
        assert states_of(database, "flow_run", run) == []

    def test_so_are_runs_of_another_machine(self, path: str, database: sqlite3.Connection) -> None:
        database.execute(statements.INSERT_OWNER, ("far", "elsewhere", "other-boot", 1, now_us()))
        insert_run(database, "far")
        assert dead_owners(database, path) == []

    def test_those_from_before_a_reboot_are_dead(self, path: str, database: sqlite3.Connection) -> None:
        if not owners.this_boot():
            pytest.skip("this system does not tell its boots apart")
        folder(path).mkdir()
        (folder(path) / "old").touch()
        database.execute(statements.INSERT_OWNER, ("old", os.uname().nodename, "earlier-boot", 1, now_us()))
        insert_run(database, "old")
        assert dead_owners(database, path) == [("old", 1)]

    def test_a_file_that_cannot_be_opened_tells_nothing(
        self, path: str, database: sqlite3.Connection, dead: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        insert_run(database, dead)

        def refuse(*args: object, **kwargs: object) -> int:
            raise PermissionError("not yours")

        monkeypatch.setattr(owners.os, "open", refuse)
        assert dead_owners(database, path) == []
