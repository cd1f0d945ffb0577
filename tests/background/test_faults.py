"""Workers that are killed or told to end: no run is lost, none is carried out twice, nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from prefect._background import bells
from prefect._engine.recorder import get_recorder
from prefect._store.sqlite import DatabaseUnavailable
from prefect.exceptions import CrashedRun
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings
from prefect.task_worker import TaskWorker

from .conftest import DEADLINE, eventually, kill

pytestmark = pytest.mark.faults


def lines(path):
    return path.read_text().split() if path.exists() else []


def test_a_run_whose_worker_was_killed_is_crashed_without_anyone_else_at_work(jobs, workers, tmp_path, history, home):
    worker = workers.start("block")
    future = jobs.block.delay(tmp_path / "began", tmp_path / "never")
    eventually(lambda: lines(tmp_path / "began"))
    kill(worker)
    with pytest.raises(CrashedRun, match=f"process {worker.pid}"):
        future.result(timeout=DEADLINE)
    assert history(future) == ["Scheduled", "Pending", "Running", "Crashed"]
    assert list((home / "storage" / "parameters").iterdir()) == []


def look(tmp_path):
    """What somebody sees who only looks, when no worker and nobody who waits is there."""
    listed = subprocess.run(
        [sys.executable, "-m", "prefect", "task-run", "ls"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return listed.stdout


def test_a_look_finds_the_run_of_a_killed_worker(jobs, workers, tmp_path, history, query, home):
    worker = workers.start("block")
    future = jobs.block.delay(tmp_path / "began", tmp_path / "never")
    eventually(lambda: lines(tmp_path / "began"))
    kill(worker)
    for _ in range(2):
        assert "Crashed" in look(tmp_path)
    assert history(future) == ["Scheduled", "Pending", "Running", "Crashed"]
    with pytest.raises(CrashedRun, match=f"process {worker.pid}"):
        future.result(timeout=DEADLINE)
    eventually(lambda: query("SELECT * FROM deferred_run") == [])
    eventually(lambda: list((home / "storage" / "parameters").iterdir()) == [])


def test_a_look_lets_the_run_of_a_killed_worker_be_tried_again(jobs, workers, tmp_path, history, query):
    worker = workers.start("block_and_retry")
    future = jobs.block_and_retry.delay(tmp_path / "began", tmp_path / "until")
    eventually(lambda: len(lines(tmp_path / "began")) == 1)
    kill(worker)
    assert "AwaitingRetry" in look(tmp_path)
    assert query("SELECT owner FROM deferred_run") == [(None,)]
    (tmp_path / "until").touch()
    workers.start("block_and_retry")
    assert future.result(timeout=DEADLINE) == 2
    assert history(future) == ["Scheduled", "Pending", "Running", "AwaitingRetry", "Pending", "Retrying", "Completed"]


def test_a_run_with_retries_left_is_carried_out_again(jobs, workers, tmp_path, history):
    until = tmp_path / "until"
    worker = workers.start("block_and_retry")
    future = jobs.block_and_retry.delay(tmp_path / "began", until)
    eventually(lambda: len(lines(tmp_path / "began")) == 1)
    kill(worker)
    worker = workers.start("block_and_retry")
    eventually(lambda: len(lines(tmp_path / "began")) == 2)
    kill(worker)
    until.touch()
    workers.start("block_and_retry")
    assert future.result(timeout=DEADLINE) == 3
    again = ["AwaitingRetry", "Pending", "Retrying"]
    assert history(future) == ["Scheduled", "Pending", "Running", *again, *again, "Completed"]


def test_retries_are_counted_across_workers(jobs, workers, tmp_path, history):
    future = jobs.block_and_retry.delay(tmp_path / "began", tmp_path / "never")
    for attempt in range(3):
        worker = workers.start("block_and_retry")
        eventually(lambda attempt=attempt: len(lines(tmp_path / "began")) == attempt + 1)
        kill(worker)
    future.wait(timeout=DEADLINE)
    assert future.state.is_crashed()
    assert len(lines(tmp_path / "began")) == 3


def test_a_run_that_had_not_begun_goes_back(jobs, workers, tmp_path, query, history):
    future = jobs.add.delay(1)
    claim = (
        "import os, jobs\nfrom prefect._background.worker import Worker\n"
        f"assert Worker([jobs.add], 1).claim_one({str(future.task_run_id)!r})\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", claim], cwd=tmp_path / "project", check=False)
    assert done.returncode == -signal.SIGKILL
    assert future.state.is_pending()
    workers.start("add")
    assert future.result(timeout=DEADLINE) == 3
    assert history(future) == ["Scheduled", "Pending", "Scheduled", "Pending", "Running", "Completed"]


def test_a_run_that_kills_its_workers_is_given_up(jobs, workers, history):
    future = jobs.add.delay(jobs.Deadly())
    for _ in range(3):
        workers.start("add").wait(DEADLINE)
    future.wait(timeout=DEADLINE)
    assert future.state.is_crashed()
    assert "3 task workers ended" in future.state.message
    workers.start("add")
    assert jobs.add.delay(1).result(timeout=DEADLINE) == 3


def test_many_runs_survive_workers_that_are_killed_again_and_again(jobs, workers, tmp_path, query):
    """Each run begins at most once, as the task has no retries; those that did not begin are carried out."""
    futures = jobs.write.map(tmp_path / "ran", list(range(300)), deferred=True)
    for _ in range(4):
        worker = workers.start("write", limit=3)
        before = len(lines(tmp_path / "ran"))
        eventually(lambda before=before: len(lines(tmp_path / "ran")) > before + 5 or futures[-1].state.is_final())
        kill(worker)
    workers.start("write", limit=3)
    futures.wait(timeout=DEADLINE)
    ran = list(map(int, lines(tmp_path / "ran")))
    assert len(ran) == len(set(ran))
    ended = dict(query("SELECT state_name, count(*) FROM task_run GROUP BY 1"))
    assert set(ended) <= {"Completed", "Crashed"}
    assert ended["Completed"] <= len(ran) <= 300
    assert ended["Completed"] >= 300 - 4 * 3
    assert query("SELECT * FROM deferred_run") == []
    assert query("SELECT max(run_count) FROM task_run") == [(1,)]


def test_sigterm_lets_runs_end_and_takes_no_more(jobs, workers, tmp_path):
    until = tmp_path / "until"
    worker = workers.start("block", "add")
    future = jobs.block.delay(tmp_path / "began", until)
    eventually(lambda: lines(tmp_path / "began"))
    worker.terminate()
    eventually(lambda: "was told to end" in workers.log.read_text())
    late = jobs.add.delay(1)
    until.touch()
    assert worker.wait(DEADLINE) == 0
    assert future.result(timeout=DEADLINE) == "went on"
    assert late.state.is_scheduled()


def test_sigterm_gives_a_run_that_waits_for_a_retry_back(jobs, workers, tmp_path, history, query):
    worker = workers.start("flaky")
    future = jobs.flaky.delay(tmp_path / "attempts")
    eventually(lambda: "AwaitingRetry" in history(future))
    worker.terminate()
    assert worker.wait(DEADLINE) == 0
    workers.start("flaky")
    assert future.result(timeout=DEADLINE) == 3
    assert len(lines(tmp_path / "attempts")) == 3


def test_a_worker_told_twice_ends_at_once(jobs, workers, tmp_path, history):
    worker = workers.start("block", "block_and_retry")
    crashed = jobs.block.delay(tmp_path / "began", tmp_path / "never")
    again = jobs.block_and_retry.delay(tmp_path / "began", tmp_path / "never")
    eventually(lambda: len(lines(tmp_path / "began")) == 2)
    worker.terminate()
    eventually(lambda: "was told to end" in workers.log.read_text())
    worker.terminate()
    assert worker.wait(DEADLINE) == 1
    assert "2 task runs are left unfinished" in workers.log.read_text()
    assert crashed.state.is_crashed()
    assert again.state.name == "AwaitingRetry"


def test_ctrl_c_lets_runs_end(jobs, workers, tmp_path):
    until = tmp_path / "until"
    worker = workers.start("block")
    future = jobs.block.delay(tmp_path / "began", until)
    eventually(lambda: lines(tmp_path / "began"))
    worker.send_signal(signal.SIGINT)
    until.touch()
    assert worker.wait(DEADLINE) == 130
    assert future.result(timeout=DEADLINE) == "went on"


async def test_what_a_run_came_to_is_written_when_there_is_space_again(jobs, caplog):
    worker = TaskWorker(jobs.fill_the_disk, jobs.add)
    running = asyncio.ensure_future(worker.astart())
    future = jobs.fill_the_disk.delay()
    await asyncio.to_thread(eventually, lambda: "its state is written when that is possible" in caplog.text)
    assert future.state.is_running()
    get_recorder().writer.read(lambda connection: connection.execute("PRAGMA max_page_count = 1000000"))
    with pytest.raises(ValueError, match="xxx"):
        await future.result_async(timeout=DEADLINE)
    await worker.astop()
    await running


def test_a_database_that_cannot_be_used_refuses_the_run(jobs, home, tmp_path):
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/pluperfect.db"
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: url}), pytest.raises(DatabaseUnavailable):
        jobs.add.delay(1)
    assert list((home / "storage" / "parameters").iterdir()) == []


def test_a_run_deferred_by_a_flow_that_was_killed_is_carried_out(jobs, workers, tmp_path):
    script = (
        "import os, jobs\nfrom prefect import flow\n@flow\ndef outer():\n"
        "    print(jobs.add.delay(1).task_run_id, flush=True)\n    os.kill(os.getpid(), 9)\nouter()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path / "project", capture_output=True, text=True, check=False
    )
    from prefect.futures import PrefectDistributedFuture

    subprocess.run(
        [sys.executable, "-m", "prefect", "flow-run", "ls"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL
    )
    workers.start("add")
    assert PrefectDistributedFuture(done.stdout.strip()).result(timeout=DEADLINE) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_wait_too(jobs, workers):
    workers.start("add")
    assert jobs.add.delay(1).result(timeout=DEADLINE) == 3
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(jobs.add.delay(2).result(timeout=DEADLINE)).encode())
        finally:
            os._exit(0)
    os.close(write)
    assert os.read(read, 10) == b"4"
    os.close(read)
    os.waitpid(pid, 0)


def test_bells_of_dead_processes_are_removed(jobs, home):
    path = str(home / "pluperfect.db")
    bell = bells.Bell(path, bells.WORK)
    dead = home / "pluperfect.db.bells" / "work-dead"
    os.mkfifo(dead)
    bells.ring(path, bells.WORK, "hello")
    bells.ring(path, bells.DONE, "not for this one")
    assert bell.wait(DEADLINE) == ["hello"]
    assert not dead.exists()
    bell.close()
    assert list((home / "pluperfect.db.bells").iterdir()) == []


def test_a_bell_that_rings_too_often_still_rings(jobs, home):
    path = str(home / "pluperfect.db")
    bell = bells.Bell(path, bells.DONE)
    for _ in range(2000):
        bells.ring(path, bells.DONE, "x" * 36)
    assert bell.wait(0)
    bell.close()


def test_without_pipes_everything_works_by_looking(jobs, workers, monkeypatch):
    def refuse(*_):
        raise OSError("no pipes here")

    monkeypatch.setattr(os, "mkfifo", refuse)
    workers.start("add")
    assert jobs.add.delay(1).result(timeout=DEADLINE) == 3


def test_nobody_follows_runs_of_a_database_that_was_deleted(jobs, home):
    before = set(threading.enumerate())
    jobs.add.delay(1).add_done_callback(print)
    (waiter,) = set(threading.enumerate()) - before
    shutil.rmtree(home)
    waiter.join(DEADLINE)
    assert not waiter.is_alive()
    assert not home.exists()
