"""kill -9 at any moment: the database opens, nothing acknowledged is lost, the dead run is marked crashed, once."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect import flow
from prefect._engine.recorder import forget_recorder, get_recorder
from prefect._store.sqlite import WriteLock

from .conftest import NAME, text_of, until

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

# prints the id of every sub-flow run that has returned: by then its end is on disk
LOAD = """
import os, sys, threading
from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run

@task
def work(n):
    get_run_logger().info("at %s", n)
    return n

@flow
def child(n):
    work(n)
    work.map(range(n % 7)).wait()
    return flow_run.id

@flow
def main():
    n = 0
    while True:
        n += 1
        for _ in range(10):
            work(n)
        os.write(1, f"{child(n)} {3 + n % 7}\\n".encode())

main()
"""


def check(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


def look(path: Path) -> None:
    """A flow run of this process: looks whether others are dead."""

    @flow
    def somebody_else() -> None: ...

    somebody_else()
    forget_recorder(str(path))


def test_killed_at_random_moments(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any, soak: bool
) -> None:
    path = home / NAME
    dice = random.Random(20240501)
    acknowledged: dict[str, int] = {}
    ended: dict[str, Any] = {}
    for round_ in range(60 if soak else 6):
        processes = [script(LOAD) for _ in range(2)]
        for process in processes:
            until(lambda: text_of(process.out))  # type: ignore[attr-defined]  # noqa: B023
        time.sleep(dice.random() * 0.5)  # the moment is the thing under test
        for process in processes:
            process.kill()
            process.wait()
            for line in text_of(process.out).splitlines():  # type: ignore[attr-defined]
                if line.count(" ") == 1 and len(line) > 37:
                    run_id, _ = line.split()
                    acknowledged[run_id] = 1
            assert "Traceback" not in text_of(process.err)  # type: ignore[attr-defined]
        check(path)
        look(path)
        unfinished = query("SELECT name, state_type FROM flow_run WHERE state_type NOT IN ('COMPLETED', 'CRASHED')")
        assert unfinished == []
        assert query("SELECT name FROM task_run WHERE state_type NOT IN ('COMPLETED', 'CRASHED')") == []
        mains = query("SELECT r.id, r.state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'main'")
        assert len(mains) == 2 * (round_ + 1)
        assert {state for _, state in mains} == {"CRASHED"}
        for id_, state in query("SELECT id, state_id FROM flow_run"):
            assert ended.setdefault(id_, state) == state, "a run that has ended is left alone"
    assert acknowledged
    states = dict(query("SELECT id, state_type FROM flow_run"))
    assert {states.get(run_id) for run_id in acknowledged} == {"COMPLETED"}, "what was acknowledged is there"
    crashes = query(
        "SELECT flow_run_id, count(*) FROM flow_run_state WHERE type = 'CRASHED' GROUP BY 1 HAVING count(*) > 1"
    )
    assert crashes == []
    # a sub-flow that completed is there with all of its task runs, their states and their log lines
    incomplete = query(
        "SELECT r.id FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'child' AND r.state_type = 'COMPLETED'"
        " AND (SELECT count(*) FROM task_run t WHERE t.flow_run_id = r.id AND t.state_type = 'COMPLETED')"
        " <> 1 + CAST(json_extract(r.parameters, '$.n') AS INTEGER) % 7"
    )
    assert incomplete == []
    unsound = query(
        "SELECT t.id FROM task_run t WHERE t.state_type = 'COMPLETED'"
        " AND (SELECT count(*) FROM task_run_state s WHERE s.task_run_id = t.id) <> 3"
        " AND t.task_key NOT LIKE '%child%'"
    )
    assert unsound == []


def test_what_ran_before_the_kill_is_there_up_to_the_last_batch(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any
) -> None:
    process = script("""
import os, time
from prefect import flow, task

@task
def work(n):
    return n

@flow
def main():
    for n in range(100000):
        work(n)
        os.write(1, f"{time.time()} {n}\\n".encode())
        time.sleep(0.001)

main()
""")
    until(lambda: len(text_of(process.out).splitlines()) > 1200)  # type: ignore[attr-defined]
    process.kill()
    process.wait()
    killed = time.time()
    look(home / NAME)
    done = {
        int(line.split()[1]): float(line.split()[0])
        for line in text_of(process.out).splitlines()  # type: ignore[attr-defined]
        if line.count(" ") == 1
    }
    (recorded,) = query("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'")[0]
    # a record waits a tenth of a second; a loaded machine is given a little more
    assert recorded >= sum(moment < killed - 0.6 for moment in done.values()) > 0


def test_a_kill_inside_a_transaction_blocks_nobody_and_leaves_nothing(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any
) -> None:
    process = script("""
import os, sys, time
from prefect import flow
from prefect._engine.recorder import get_recorder

@flow
def holder():
    def work(connection):
        connection.execute("UPDATE flow_run SET name = 'half done'")
        os.write(1, b"inside\\n")
        time.sleep(60)
    get_recorder().writer.commit(work)

holder()
""")
    until(lambda: "inside" in text_of(process.out))  # type: ignore[attr-defined]
    process.kill()
    process.wait()
    began = time.monotonic()
    look(home / NAME)
    assert time.monotonic() - began < 20
    assert query("SELECT count(*) FROM flow_run WHERE name = 'half done'") == [(0,)]
    assert query("SELECT state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'holder'") == [
        ("CRASHED",)
    ]
    check(home / NAME)


def test_a_kill_while_waiting_for_the_lock_blocks_nobody(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any
) -> None:
    look(home / NAME)
    lock = WriteLock(f"{home / NAME}.lock")
    with lock:
        process = script("import os\nfrom prefect import flow\n@flow\ndef waits(): pass\nos.write(1, b'go')\nwaits()")
        until(lambda: text_of(process.out))  # type: ignore[attr-defined]
        process.kill()
        process.wait()
    lock.close()
    look(home / NAME)


def test_a_stopped_process_is_not_taken_for_dead(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any
) -> None:
    process = script(
        """
import os, sys, time
from prefect import flow

@flow
def patient():
    os.write(1, b"in\\n")
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)

patient()
""",
        str(home / "go"),
    )
    until(lambda: text_of(process.out))  # type: ignore[attr-defined]
    process.send_signal(signal.SIGSTOP)
    try:
        look(home / NAME)
        assert query("SELECT state_name FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'patient'") == [
            ("Running",)
        ]
    finally:
        process.send_signal(signal.SIGCONT)
    (home / "go").touch()
    assert process.wait(30) == 0
    assert query("SELECT state_name FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = 'patient'") == [
        ("Completed",)
    ]


def test_two_who_look_at_once_mark_a_dead_run_once(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any
) -> None:
    dies = script("import os\nfrom prefect import flow\n@flow\ndef main():\n    if len(__import__('sys').argv) > 1: os.kill(os.getpid(), 9)\nmain()", "die")  # fmt: skip
    dies.wait(30)
    lock = WriteLock(f"{home / NAME}.lock")
    with lock:
        others = [script("") for _ in range(4)]
        time.sleep(0.5)  # as many of them as possible wait at the same place
    lock.close()
    assert [other.wait(30) for other in others] == [0] * 4
    assert query("SELECT count(*) FROM flow_run_state WHERE type = 'CRASHED'") == [(1,)]
    get_recorder()
