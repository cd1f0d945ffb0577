"""Task workers: what they do with runs, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest

from prefect import flow, tags
from prefect.exceptions import MissingResult
from prefect.futures import as_completed, wait
from prefect.task_runners import PrefectTaskRunner
from prefect.task_runs import TaskRunWaiter
from prefect.task_worker import (
    TaskWorker,
    create_status_server,
    read_parameters,
    serve,
    should_try_to_read_parameters,
    store_parameters,
)

from .conftest import DEADLINE, Workers, eventually


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_results_come_back(jobs, workers, history, home):
    workers.start("add", "add_async", "count", "count_async")
    futures = [jobs.add.delay(1), jobs.add_async.delay(2), jobs.count.delay(3), jobs.count_async.delay(4)]
    assert [future.result(timeout=DEADLINE) for future in futures] == [3, 4, [0, 1, 2], [0, 1, 2, 3]]
    assert history(futures[0]) == ["Scheduled", "Pending", "Running", "Completed"]
    assert futures[0].state.is_completed()
    assert list((home / "storage" / "parameters").iterdir()) == []


def test_exceptions_come_back(jobs, workers, query):
    workers.start("fail", "leave")
    with pytest.raises(ValueError, match="as told"):
        jobs.fail.delay("as told").result(timeout=DEADLINE)
    left = jobs.leave.delay()
    left.wait(timeout=DEADLINE)
    assert left.state.is_crashed()
    assert isinstance(jobs.fail.delay("x").result(timeout=DEADLINE, raise_on_failure=False), ValueError)
    assert query("SELECT * FROM deferred_run") == []


def test_a_result_that_is_not_to_be_kept_is_missing(jobs, workers):
    workers.start("not_kept")
    with pytest.raises(MissingResult):
        jobs.not_kept.delay().result(timeout=DEADLINE)


def test_futures_tell_when_runs_have_ended(jobs, workers):
    told, ready = [], threading.Event()
    future = jobs.add.delay(1)
    future.add_done_callback(lambda f: (told.append(f.state.name), ready.set()))
    ended = threading.Event()
    TaskRunWaiter.add_done_callback(future.task_run_id, ended.set)
    workers.start("add")
    assert ready.wait(DEADLINE)
    assert ended.wait(DEADLINE)
    assert told == ["Completed"]
    futures = jobs.add.map(range(5), deferred=True)
    assert {f.result() for f in as_completed(futures, timeout=DEADLINE)} == {2, 3, 4, 5, 6}
    assert wait(futures, timeout=DEADLINE).not_done == set()


async def test_asynchronous_code_waits_without_blocking(jobs, workers):
    workers.start("add")
    futures = [jobs.add.delay(n) for n in range(5)]
    assert await asyncio.gather(*(future.result_async(timeout=DEADLINE) for future in futures)) == [2, 3, 4, 5, 6]
    late = jobs.add.delay(1)
    await TaskRunWaiter.wait_for_task_run(late.task_run_id, timeout=DEADLINE)
    assert late.state.is_completed()


def test_runs_wait_for_those_they_depend_on(jobs, workers, history):
    first = jobs.add.delay(1)
    second = jobs.add.delay(first, b=first)
    third = jobs.add.apply_async((1,), wait_for=[second])
    workers.start("add", limit=1)
    assert second.result(timeout=DEADLINE) == 6
    assert third.result(timeout=DEADLINE) == 3


def test_a_run_that_depends_on_a_failed_one_does_not_run_and_nobody_waits_for_it(jobs, workers, history):
    workers.start("add", "fail")
    future = jobs.add.delay(jobs.fail.delay("no"))
    future.wait(timeout=DEADLINE)
    assert future.state.name == "NotReady"
    assert "Running" not in history(future)


def test_runs_that_wait_for_others_leave_their_places_to_them(jobs, workers):
    workers.start("add", "parent", "parent_async", limit=1)
    parents = [jobs.parent.delay(n) for n in range(3)] + [jobs.parent_async.delay(n) for n in range(3)]
    assert [future.result(timeout=DEADLINE) for future in parents] == [2, 3, 4, 2, 3, 4]


def test_a_wait_for_a_retry_keeps_no_place(jobs, workers, tmp_path, history):
    workers.start("flaky", "add", limit=1)
    flaky = jobs.flaky.delay(tmp_path / "attempts")
    eventually(lambda: "AwaitingRetry" in history(flaky))
    assert jobs.add.delay(1).result(timeout=DEADLINE) == 3
    assert flaky.result(timeout=DEADLINE) == 3
    states = ["Scheduled", "Pending", "Running", "AwaitingRetry", "Pending", "Retrying", "AwaitingRetry", "Pending",
              "Retrying", "Completed"]  # fmt: skip
    assert history(flaky) == states


def test_the_limit_holds(jobs, workers, tmp_path, query):
    workers.start("block", limit=2)
    until = tmp_path / "until"
    futures = [jobs.block.delay(tmp_path / "began", until) for _ in range(5)]
    eventually(lambda: len(lines(tmp_path / "began")) == 2)
    assert query("SELECT count(*) FROM deferred_run WHERE owner IS NOT NULL") == [(2,)]
    until.touch()
    assert [future.result(timeout=DEADLINE) for future in futures] == ["went on"] * 5


def test_many_workers_run_each_run_once(jobs, workers, tmp_path, query):
    runs = 150
    for _ in range(3):
        workers.start("write", limit=5)
    futures = jobs.write.map(tmp_path / "ran", list(range(runs)), deferred=True)
    futures.wait(timeout=DEADLINE)
    assert sorted(map(int, lines(tmp_path / "ran"))) == list(range(runs))
    assert query("SELECT state_name, run_count, count(*) FROM task_run GROUP BY 1, 2") == [("Completed", 1, runs)]
    assert query("SELECT * FROM deferred_run") == []


def test_parameters_that_cannot_be_read_fail_their_run_only(jobs, workers, query):
    workers.start("add")
    bad = jobs.add.delay(jobs.Unreadable())
    assert jobs.add.delay(1).result(timeout=DEADLINE) == 3
    with pytest.raises(RuntimeError, match=r"cannot be read by the task worker.*no such type here"):
        bad.result(timeout=DEADLINE)
    assert bad.state.is_failed()
    assert "no such type here" in bad.state.message


def test_a_run_knows_its_flow_run_and_tags(jobs, workers):
    workers.start("where")

    @flow
    def outer():
        with tags("blue"):
            return jobs.where.delay()

    state = outer(return_state=True)
    flow_run_id = str(state.state_details.flow_run_id)
    assert state.result().result() == (["blue"], flow_run_id, True)


def test_a_flow_that_cannot_be_unpickled_keeps_no_run_from_being_carried_out(jobs, workers):
    workers.start("where")

    @flow
    def outer(odd):
        with tags("blue"):
            return jobs.where.delay().result(timeout=DEADLINE)

    assert outer(jobs.Unreadable()) == (["blue"], None, False)


def test_a_flow_uses_task_workers(jobs, workers):
    workers.start("add")

    @flow(task_runner=PrefectTaskRunner())
    def outer():
        first = jobs.add.submit(1)
        return jobs.add.map([first.result(), 2], b=first).result()

    assert outer() == [6, 5]


def test_a_task_is_found_whether_its_file_is_run_imported_or_named(jobs, workers, tmp_path):
    script = tmp_path / "project" / "app.py"
    script.write_text(
        "import sys\nfrom prefect import task\n@task\ndef double(n):\n    return 2 * n\n"
        "if __name__ == '__main__':\n"
        "    double.serve() if sys.argv[1:] else print(double.delay(21).result(timeout=30))\n"
    )
    worker = workers.run("app.py", "serve")
    assert _load(script).double.delay(1).result(timeout=DEADLINE) == 2
    worker.terminate()
    assert worker.wait(DEADLINE) == 0
    workers.run("-m", "prefect", "task", "serve", "app.py:double")
    assert workers.run("app.py").wait(DEADLINE) == 0
    assert workers.log.read_text().splitlines()[-1:] == ["42"] or "42" in workers.log.read_text().split()


def _load(path: Path) -> ModuleType:
    from prefect._scripts import load_script_as_module

    return load_script_as_module(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py:add"], "There is no file"),
        (["jobs.py:nobody"], "There is no task 'nobody'"),
        (["jobs.py:note"], "is not a task"),
        ([], "Name a task"),
        (["jobs.py:add", "--limit", "-1"], "--limit"),
    ],
)
def test_the_command_says_what_is_wrong(jobs, workers: Workers, arguments, message):
    assert workers.run("-m", "prefect", "task", "serve", *arguments).wait(DEADLINE) == 1
    assert message in workers.log.read_text()


def test_the_command_serves_all_tasks_of_a_file_or_module(jobs, workers: Workers):
    for arguments in (["jobs.py"], ["--module", "jobs"]):
        process = workers.run("-m", "prefect", "task", "serve", *arguments)
        assert jobs.add.delay(1).result(timeout=DEADLINE) == 3
        assert jobs.count.delay(2).result(timeout=DEADLINE) == [0, 1]
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130


async def test_one_run_can_be_carried_out_by_hand(jobs, query):
    run = await jobs.add.create_run(parameters={"a": 1}, deferred=True)
    other = await jobs.fail.create_run(parameters={"text": "x"}, deferred=True)
    assert should_try_to_read_parameters(jobs.add, run)
    worker = TaskWorker(jobs.add, limit=3)
    with pytest.raises(RuntimeError, match="async with"):
        await worker.execute_task_run(run)
    async with worker:
        await worker.execute_task_run(run)
        assert (worker.limit, worker.current_tasks, worker.available_tasks) == (3, 0, 3)
        with pytest.raises(ValueError, match="cannot be claimed"):
            await worker.execute_task_run(run)
        with pytest.raises(ValueError, match="not served here"):
            await worker.execute_task_run(other)
    assert query("SELECT state_name FROM task_run WHERE id = ?", str(run.id)) == [("Completed",)]


async def test_a_worker_in_this_process_runs_until_it_is_stopped(jobs):
    worker = TaskWorker(jobs.add, jobs.add_async)
    with pytest.raises(RuntimeError, match="not been started"):
        await worker.astop()
    running = asyncio.ensure_future(worker.astart())
    assert await jobs.add.delay(1).result_async(timeout=DEADLINE) == 3
    assert await jobs.add_async.delay(1).result_async(timeout=DEADLINE) == 3
    assert worker.started
    assert worker.started_at is not None
    await worker.astop()
    await running
    assert not worker.started


def test_a_worker_ends_after_its_time(jobs):
    serve(jobs.add, timeout=0.05)


def test_only_tasks_are_served(jobs):
    with pytest.raises(TypeError, match="tasks, not int"):
        serve(1)
    with pytest.raises(ValueError, match="at least one task"):
        serve()
    with pytest.raises(ValueError, match="limit"):
        TaskWorker(jobs.add, limit=-1)
    assert TaskWorker(jobs.add, limit=0).limit is None


def test_the_status_can_be_asked_for(jobs):
    from prefect._background.status import StatusServer

    server = StatusServer(lambda: {"current_tasks": 0}, 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/status", timeout=DEADLINE) as answer:
            assert json.load(answer) == {"current_tasks": 0}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/other", timeout=DEADLINE)
    finally:
        server.close()


async def test_the_status_is_an_asgi_application(jobs):
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {"type": "http.request"}

    worker = TaskWorker(jobs.add)
    await create_status_server(worker)({"type": "http", "path": "/status"}, receive, send)
    assert sent[0]["status"] == 200
    told = json.loads(sent[1]["body"])
    assert told["client_id"] == worker.client_id
    assert told["tasks"] == ["add"]


async def test_parameters_are_kept_in_a_result_store(home):
    from uuid import uuid4

    from prefect.results import ResultStore

    store, identifier = ResultStore(), uuid4()
    await store_parameters(store, identifier, {"a": 1})
    assert await read_parameters(store, identifier) == {"a": 1}
