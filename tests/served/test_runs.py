"""Runs as a server shows them: everything is there, once, when the flow returns."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from prefect import flow, get_run_logger, runtime, task
from prefect._engine.recorder import get_recorder
from prefect._engine.recording import outbox
from prefect._schemas.flow_runs import FlowRun
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.exceptions import CancelledRun
from prefect.flow_engine import run_flow
from prefect.futures import wait
from prefect.states import Cancelled, Scheduled
from prefect.task_runners import ProcessPoolTaskRunner

from .servers import Server


@task
def add(number: int) -> int:
    return number + 1


@flow
def adds(number: int, times: int = 1) -> str:
    for _ in range(times):
        number = add(number)
    return str(runtime.flow_run.id)


def test_a_run_is_there_when_the_flow_returns(server: Server) -> None:
    id = adds.with_options(name="a flow", version="7")(1, times=3)
    run = server.ask("GET", f"/flow_runs/{id}")
    assert (run["state_type"], run["run_count"], run["flow_version"]) == ("COMPLETED", 1, "7")
    assert run["parameters"] == {"number": 1, "times": 3}
    assert run["start_time"] <= run["end_time"]
    assert server.ask("GET", f"/flows/{run['flow_id']}")["name"] == "a flow"
    assert server.states(id) == ["Pending", "Running", "Completed"]
    tasks = server.task_runs(id)
    assert [each["state_name"] for each in tasks] == ["Completed"] * 3
    assert [each["run_count"] for each in tasks] == [1] * 3
    assert all(server.task_states(each["id"]) == ["Pending", "Running", "Completed"] for each in tasks)
    assert len(server.logs(id)) == 2 + 3


def test_many_task_runs_and_log_lines(server: Server) -> None:
    @task
    def tells(number: int) -> None:
        get_run_logger().info("number %d", number)

    @flow
    def many() -> str:
        wait(tells.map(range(300)))
        return str(runtime.flow_run.id)

    id = many()
    assert len(server.task_runs(id)) == 300
    told = [line for line in server.logs(id) if line.startswith("number")]
    assert sorted(told) == sorted(f"number {number}" for number in range(300))


def test_sub_flows_and_the_task_runs_that_stand_for_them(server: Server) -> None:
    @flow
    def parent() -> tuple[str, str]:
        return str(runtime.flow_run.id), adds(1)

    outer, inner = parent()
    (stand,) = server.task_runs(outer)
    assert stand["state_name"] == "Completed"
    assert stand["state"]["state_details"]["child_flow_run_id"] == inner
    assert server.ask("GET", f"/flow_runs/{inner}")["parent_task_run_id"] == stand["id"]
    # the process and the server both say what becomes of it, and it is kept once
    get_recorder().flush()
    assert server.task_states(stand["id"]) == ["Pending", "Running", "Completed"]


def test_asynchronous_flows_at_the_same_time(server: Server) -> None:
    @flow
    async def child(number: int) -> str:
        await asyncio.sleep(0)
        add(number)
        return str(runtime.flow_run.id)

    @flow
    async def parent() -> list[str]:
        return await asyncio.gather(*(child(number) for number in range(10)))

    for id in asyncio.run(parent()):
        assert server.states(id) == ["Pending", "Running", "Completed"]
        assert len(server.task_runs(id)) == 1


def test_threads_share_one_recorder(server: Server) -> None:
    contexts = [contextvars.copy_context() for _ in range(24)]  # with the settings in force here
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda context: context.run(adds, 1), contexts))
    assert len({*ids}) == 24
    for id in ids:
        assert server.states(id) == ["Pending", "Running", "Completed"]


def test_failures_and_retries(server: Server) -> None:
    calls = []

    @task(retries=1)
    def flaky() -> None:
        calls.append(1)
        if len(calls) < 2:
            raise ValueError("again")

    @flow(retries=1)
    def fails() -> None:
        flaky()
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fails.with_options(name="fails")()
    (flow_id,) = [each["id"] for each in server.ask("POST", "/flows/filter", {"flows": {"name": {"any_": ["fails"]}}})]
    run = server.flow_runs(flow_id=flow_id)[-1]
    assert (run["state_type"], run["run_count"]) == ("FAILED", 2)
    assert "on purpose" in run["state"]["message"]
    assert server.states(run["id"]) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]
    assert [task["state_name"] for task in server.task_runs(run["id"])] == ["Completed", "Cached"]


def test_tasks_without_a_flow(server: Server) -> None:
    before = {run["id"] for run in server.task_runs()}
    state = add(1, return_state=True)
    with get_client(sync_client=True) as client:
        run = client.read_task_run(state.state_details.task_run_id)  # type: ignore[arg-type]
    assert run.state_name == "Completed"
    assert str(run.id) not in before


def test_a_process_pool_records_for_itself(server: Server) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def pooled() -> tuple[str, set[int]]:
        return str(runtime.flow_run.id), {future.result() for future in where.map([1, 2, 3])}

    id, pids = pooled()
    assert os.getpid() not in pids
    assert [each["state_name"] for each in server.task_runs(id)] == ["Completed"] * 3


@task
def where(number: int) -> int:
    return os.getpid()


def test_events_have_what_they_belong_to(server: Server) -> None:
    @flow
    def emits() -> tuple[str, Any]:
        return str(runtime.flow_run.id), emit_event("something.happened", {"prefect.resource.id": "thing.1"}).id  # type: ignore[union-attr]

    run_id, event_id = emits()
    found = server.ask("POST", "/events/filter", {"filter": {"id": {"id": [str(event_id)]}}})["events"]
    assert [each["event"] for each in found] == ["something.happened"]
    assert f"prefect.flow-run.{run_id}" in {each["prefect.resource.id"] for each in found[0]["related"]}


def test_a_run_that_exists_is_carried_out(server: Server) -> None:
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(adds, parameters={"number": 1}, name="the-run", state=Scheduled())
    assert run_flow(adds, flow_run=made, parameters={"number": 1}) == str(made.id)
    assert server.states(str(made.id)) == ["Scheduled", "Running", "Completed"]
    assert server.ask("GET", f"/flow_runs/{made.id}")["name"] == "the-run"


def test_a_run_that_was_cancelled_does_not_begin(server: Server) -> None:
    with get_client(sync_client=True) as client:
        made: FlowRun = client.create_flow_run(adds, parameters={"number": 1})
        client.set_flow_run_state(made.id, Cancelled())
    with pytest.raises(CancelledRun):
        run_flow(adds, flow_run=made, parameters={"number": 1})
    assert server.task_runs(str(made.id)) == []


def test_a_run_that_is_due_later_waits(server: Server) -> None:
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(adds, parameters={"number": 1}, state=Scheduled())
    early = made.model_copy(update={"state": None})  # as one that was read before it was put off
    assert run_flow(adds, flow_run=early, parameters={"number": 1}) == str(made.id)


def test_odd_text_is_recorded_as_far_as_there_is_text_for_it(server: Server) -> None:
    @task(task_run_name="a\0b\ud800c")
    def odd() -> None:
        get_run_logger().info("half \ud800, nul \0, end")

    @flow
    def says() -> str:
        odd()
        return str(runtime.flow_run.id)

    id = says()
    (run,) = server.task_runs(id)
    assert run["name"] == "a\ufffdb?c"
    assert "half \\ud800, nul \\x00, end" in server.logs(id)


def test_a_first_flow_loads_nothing_heavy(sqlite_server: Server, run_script: Callable[..., Any]) -> None:
    done = run_script(
        """
        import sys
        from prefect import flow, task

        @task
        def add(x):
            return x + 1

        @flow
        def hello():
            return add(1)

        assert hello() == 2
        heavy = {"pydantic", "sqlalchemy", "sqlite3", "asyncio", "rich", "jinja2", "yaml", "httpx", "cloudpickle"}
        print(sorted(heavy & sys.modules.keys()))
        """,
        PREFECT_API_URL=sqlite_server.url,
    ).ok()
    assert done.stdout.strip() == "[]"


def test_a_forked_child_has_a_recorder_of_its_own(server: Server) -> None:
    first = adds(1)
    lock = threading.Lock()
    with lock:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                adds.with_options(name="of the child")(1)
                code = 0
            finally:
                os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    second = adds(1)
    for id in (first, second):
        assert server.states(id) == ["Pending", "Running", "Completed"]
    flows = server.ask("POST", "/flows/filter", {"flows": {"name": {"any_": ["of the child"]}}})
    assert {run["state_type"] for run in server.flow_runs(flow_id=flows[0]["id"])} == {"COMPLETED"}


def test_a_task_run_is_told_of_once_it_has_ended_or_waited(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 3600.0)  # what the background thread does, this test does
    monkeypatch.setattr(outbox, "_FIRST_FLUSH_SECONDS", 3600.0)
    ids: list[str] = []

    def shown() -> list[str]:
        return [each["state_name"] for each in server.task_runs(ids[0])]

    @task
    def lasts(times: int) -> list[str]:
        box = get_recorder().outbox
        for _ in range(times):
            with box._lock:
                box._drain(leave_open=True)
        return shown()

    @flow
    def waits() -> tuple[list[str], list[str], list[str]]:
        ids.append(str(runtime.flow_run.id))
        return lasts(1), lasts(1), lasts(2)

    assert waits() == ([], ["Completed"], ["Completed", "Completed", "Running"])
    assert shown() == ["Completed"] * 3
    assert [server.task_states(each["id"]) for each in server.task_runs(ids[0])] == [
        ["Pending", "Running", "Completed"]
    ] * 3
