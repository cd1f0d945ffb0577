"""Runs whose process is told to end, interrupted, forked, spawned."""

from __future__ import annotations

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

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PREAMBLE = """
import asyncio, os, signal, sys, threading, time
from prefect import flow, task, get_run_logger

def crashed(flow, run, state):
    print("hook", state.name, flush=True)

def ready():
    print("ready", flush=True)

@task
def one(n=1):
    return n
"""

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Any:
    """Start a script in a process of its own and wait until it says that it is ready."""
    processes: list[subprocess.Popen[str]] = []

    def run(source: str) -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        script.write_text(PREAMBLE + textwrap.dedent(source))
        process = subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        while (line := process.stdout.readline().strip()) != "ready":
            assert line, process.communicate()[1]
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


BODIES = {
    "asleep": """
@flow(on_crashed=[crashed])
def main():
    one()
    ready()
    time.sleep(30)
main()
""",
    "busy": """
@flow(on_crashed=[crashed])
def main():
    one()
    ready()
    while True:
        one()
main()
""",
    "in a task": """
@task
def slow():
    ready()
    time.sleep(30)

@flow(on_crashed=[crashed])
def main():
    slow()
main()
""",
    "waiting for a thread": """
stop = threading.Event()
@task
def slow():
    ready()
    stop.wait(3)

@flow(on_crashed=[crashed])
def main():
    slow.submit().result()
main()
""",
    "in a subflow": """
@flow(on_crashed=[crashed])
def child():
    ready()
    time.sleep(30)

@flow
def main():
    child()
main()
""",
    "asynchronous": """
@flow(on_crashed=[crashed])
async def main():
    one()
    ready()
    await asyncio.sleep(30)
asyncio.run(main())
""",
}


class TestTermination:
    @pytest.mark.parametrize("where", BODIES)
    def test_the_run_crashes_its_hooks_run_and_the_process_ends_by_the_signal(
        self, start: Start, database: Database, where: str
    ) -> None:
        process = start(BODIES[where])
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert process.returncode == -signal.SIGTERM, err
        assert out.count("hook Crashed") == 1
        assert database.unfinished() == []
        assert "Crashed" in database.flow_states()
        reason = database.one("SELECT message FROM flow_run_state WHERE name = 'Crashed' ORDER BY timestamp LIMIT 1")
        assert "termination signal" in reason or where == "asynchronous"

    def test_a_program_that_handles_the_signal_itself_keeps_it(self, start: Start, database: Database) -> None:
        process = start("""
            signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
            @flow
            def main():
                ready()
                end = time.monotonic() + 20
                while time.monotonic() < end and not seen:
                    time.sleep(0.01)
                return "done"
            seen = []
            signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
            print(main(), flush=True)
        """)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        assert (process.returncode, out.strip()) == (0, "done")
        assert database.flow_states()[-1] == "Completed"

    def test_after_the_flow_the_signal_ends_the_process_as_before(self, start: Start, database: Database) -> None:
        process = start("""
            @flow
            def main():
                return one()
            main()
            ready()
            time.sleep(30)
        """)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == -signal.SIGTERM
        assert database.flow_states()[-1] == "Completed"


class TestInterrupt:
    @pytest.mark.parametrize("where", ["asleep", "busy", "in a task", "waiting for a thread", "asynchronous"])
    def test_the_run_crashes_and_the_program_is_interrupted(self, start: Start, database: Database, where: str) -> None:
        process = start(BODIES[where])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert process.returncode in (-signal.SIGINT, 130, 1), err
        assert "KeyboardInterrupt" in err
        assert out.count("hook Crashed") == 1
        assert database.unfinished() == []

    def test_the_program_may_go_on(self, start: Start, database: Database) -> None:
        process = start("""
            @flow
            def main(first):
                if first:
                    ready()
                    time.sleep(30)
                return one.map([1, 2]).result()
            try:
                main(True)
            except KeyboardInterrupt:
                print(main(False), flush=True)
        """)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out.strip()) == (0, "[1, 2]"), err
        assert [s for s in database.flow_states() if s in ("Crashed", "Completed")] == ["Crashed", "Completed"]


class TestOtherEnds:
    @pytest.mark.parametrize(("how", "code"), [("sys.exit(3)", 3), ("raise SystemExit('bye')", 1)])
    def test_system_exit(self, run_script: Any, how: str, code: int) -> None:
        done = run_script(PREAMBLE + f"@flow\ndef main():\n    one()\n    {how}\nmain()")
        assert done.code == code
        database = Database(done.home)
        assert database.unfinished() == []
        assert database.flow_states()[-1] == "Crashed"

    def test_os_exit_is_found_by_the_next_who_looks(self, run_script: Any) -> None:
        run_script(PREAMBLE + "@flow\ndef main():\n    one()\n    os._exit(0)\nmain()")
        done = run_script(PREAMBLE + "@flow\ndef other():\n    pass\nother()").ok()
        database = Database(done.home)
        assert database.flow_states("main") == ["Pending", "Running", "Crashed"]
        assert database.flow_states("other") == ["Pending", "Running", "Completed"]


@pytest.mark.skipif(not hasattr(sys, "platform") or sys.platform == "win32", reason="needs fork")
class TestForkAndSpawn:
    def test_flows_in_forked_children(self, run_script: Any) -> None:
        done = run_script(
            PREAMBLE
            + """
@flow
def main(name):
    get_run_logger().info("in %s", name)
    return sum(one.map([1, 2, 3]).result())

main("parent")
pids = []
for number in range(6):
    pid = os.fork()
    if pid == 0:
        main(f"child {number}")
        sys.exit(0)
    pids.append(pid)
main("parent again")
assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
"""
        ).ok()
        database = Database(done.home)
        assert database.one("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'") == 8
        assert database.one("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'") == 24
        assert sorted(m for m in database.messages() if m.startswith("in ")) == sorted(
            ["in parent", "in parent again", *(f"in child {n}" for n in range(6))]
        )
        assert database.messages().count("Finished in state Completed()") == 32
        assert database.one("PRAGMA integrity_check") == "ok"

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_flows_in_processes_of_multiprocessing(self, run_script: Any, method: str) -> None:
        done = run_script(
            PREAMBLE
            + f"""
import multiprocessing

@flow
def main(number):
    return one(number)

def run(number):
    return main(number)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    main(0)
    with context.Pool(3) as pool:
        assert pool.map(run, range(12), chunksize=1) == list(range(12))
        pool.close()
        pool.join()
    main(0)
"""
        ).ok()
        database = Database(done.home)
        assert database.one("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'") == 14
        assert database.one("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'") == 14
        assert database.messages().count("Finished in state Completed()") == 28
        assert database.one("SELECT count(*) FROM flow_run_state WHERE type = 'CRASHED'") == 0
        assert list(Path(f"{database.path}.owners").iterdir()) == [], "who ended well leaves no lock"

    def test_a_child_forked_by_a_running_flow(self, run_script: Any) -> None:
        done = run_script(
            PREAMBLE
            + """
@flow
def child():
    return one()

@flow
def main():
    one.map(range(20))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if child() == 1 else 1)
    one.map(range(20)).wait()
    return os.waitpid(pid, 0)[1]

assert main() == 0
"""
        ).ok()
        database = Database(done.home)
        assert database.flow_states("main") == ["Pending", "Running", "Completed"]
        assert database.flow_states("child") == ["Pending", "Running", "Completed"]
        assert database.one("SELECT count(*) FROM task_run WHERE name LIKE 'one-%' AND state_type = 'COMPLETED'") == 41

    def test_many_forks_under_load(self, run_script: Any) -> None:
        """Forks at moments when other threads write."""
        done = run_script(
            PREAMBLE
            + """
@flow
def main(n):
    return one.map(range(n)).result()

import faulthandler

def load():
    while not stop.is_set():
        main(20)

main(20)  # a child that is forked while another thread imports something cannot import it, in any Python program
stop = threading.Event()
threads = [threading.Thread(target=load, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(25):
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(15, exit=True)
        os._exit(0 if main(3) == [0, 1, 2] else 1)
    assert os.waitpid(pid, 0)[1] == 0, number
stop.set()
for thread in threads:
    thread.join()
"""
        ).ok()
        database = Database(done.home)
        assert database.unfinished() == []
        connection = sqlite3.connect(database.path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
