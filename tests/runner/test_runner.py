"""A runner carries out the runs of deployments, each in a process of its own, and sees to their end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from prefect._clock import now
from prefect._dispatch.children import is_alive
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.runner import Runner, _runs
from prefect.states import Cancelling, Scheduled

from .conftest import SECONDS, Deployments, places, wait_for

SIMPLE = """
from prefect import flow, task

@task
def double(x): return 2 * x

@flow(log_prints=True, persist_result=True)
def f(x: int = 1):
    import os
    print(f"in process {os.getpid()}")
    return double(x)
"""


def test_a_run_is_carried_out_in_a_process_of_its_own(deployments: Deployments, serve: Callable[..., Any]) -> None:
    id = deployments.deploy(SIMPLE)
    serve(id)
    run = deployments.ended(deployments.run(id, x=4))
    assert run.state is not None and run.state.is_completed(), run.state
    assert run.state.result() == 8
    assert run.run_count == 1 and run.parameters == {"x": 4}
    pid = int((run.infrastructure_pid or "").rpartition(":")[2])
    assert pid != os.getpid()
    lines = wait_for(lambda: [log.message for log in deployments.api.read_logs()], "Lines are logged")
    assert f"in process {pid}" in lines
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    tasks = wait_for(lambda: deployments.api.read_task_runs(flow_run_filter=of_run), "Task runs are recorded")
    assert [task.name.partition("-")[0] for task in tasks] == ["double"]


def test_a_run_begins_when_it_is_due(deployments: Deployments, serve: Callable[..., Any]) -> None:
    id = deployments.deploy(SIMPLE)
    serve(id)
    due = now() + timedelta(seconds=1.5)
    run = deployments.ended(deployments.run(id, Scheduled(scheduled_time=due)))
    assert run.start_time is not None and run.start_time >= due


@places("local")
def test_asynchronous_flows_and_generators(deployments: Deployments, serve: Callable[..., Any]) -> None:
    source = """
    from prefect import flow

    @flow
    async def f(): return 1

    @flow
    def parts():
        yield 1
        yield 2

    @flow
    async def slow_parts():
        yield 1
        raise ValueError("no more")
    """
    ids = [deployments.deploy(source, name) for name in ("f", "parts", "slow_parts")]
    serve(*ids)
    ended = [deployments.ended(run) for run in [deployments.run(id) for id in ids]]
    assert [run.state_name for run in ended] == ["Completed", "Completed", "Failed"]


@places("served")
def test_failures_say_what_failed(deployments: Deployments, serve: Callable[..., Any], code: Path) -> None:
    source = """
    from prefect import flow

    @flow
    def f(x: int = 1, fails: bool = False):
        if fails:
            raise ValueError("it fails")
    """
    id = deployments.deploy(source)
    broken = deployments.deploy(source, file="broken.py", name="broken")
    (code / "broken.py").write_text("import a_package_that_nobody_has\n")
    gone = deployments.deploy(source, file="gone.py", name="gone")
    (code / "gone.py").unlink()
    nowhere = deployments.deploy(source, name="nowhere", path=str(code / "nowhere"))
    step = {"prefect.deployments.steps.run_shell_script": {"script": "exit 7"}}
    unpulled = deployments.deploy(source, name="unpulled", pull_steps=[step])
    serve(id, broken, gone, nowhere, unpulled, limit=10)
    failing = deployments.run(id, fails=True)
    runs = [deployments.run(one) for one in (broken, gone, nowhere, unpulled)]
    failed = deployments.ended(failing)
    assert failed.state_name == "Failed" and "it fails" in str(failed.state and failed.state.message)
    ended = [deployments.ended(run) for run in runs]
    assert [run.state_name for run in ended] == ["Crashed"] * 4
    messages = [str(run.state and run.state.message) for run in ended]
    assert "a_package_that_nobody_has" in messages[0] and "Install" in messages[0]
    assert "gone.py" in messages[1] and "Deploy" in messages[1]
    assert "nowhere" in messages[2]
    assert "pulled" in messages[3]


def test_a_process_that_dies_is_a_crash(deployments: Deployments, serve: Callable[..., Any], code: Path) -> None:
    source = f"""
    import os, signal
    from prefect import flow

    @flow
    def f(how: int): os.kill(os.getpid(), how) if how else os._exit(3)

    @f.on_crashed
    def note(flow, run, state):
        with open({str(code / "hooks")!r}, "a") as file:
            print(run.name, state.name, file=file)
    """
    id = deployments.deploy(source)
    serve(id)
    runs = [deployments.run(id, how=how) for how in (0, int(signal.SIGKILL))]
    ended = [deployments.ended(run) for run in runs]
    assert [run.state_name for run in ended] == ["Crashed", "Crashed"]
    assert "exit status 3" in str(ended[0].state and ended[0].state.message)
    assert "SIGKILL" in str(ended[1].state and ended[1].state.message)
    told = {f"{run.name} Crashed" for run in ended}
    hooks = code / "hooks"
    wait_for(lambda: hooks.exists() and len(hooks.read_text().splitlines()) == 2, "The hooks are called")
    assert set(hooks.read_text().splitlines()) == told


def test_cancelling_stops_the_run_its_sub_flows_and_its_processes(
    deployments: Deployments, serve: Callable[..., Any], code: Path
) -> None:
    source = f"""
    import subprocess, time
    from prefect import flow

    def note(flow, run, state):
        with open({str(code / "hooks")!r}, "a") as file:
            print(flow.name, state.name, file=file)

    @flow
    def inner():
        process = subprocess.Popen(["sleep", "300"])
        open({str(code / "pid")!r}, "w").write(str(process.pid))
        time.sleep(300)

    @flow(on_cancellation=[note])
    def f(): inner()
    """
    id = deployments.deploy(source)
    serve(id)
    run = deployments.running(deployments.run(id))
    file = code / "pid"
    pid = int(wait_for(lambda: file.exists() and file.read_text(), "The process starts"))
    deployments.api.set_flow_run_state(run.id, Cancelling())
    ended = deployments.ended(run)
    assert ended.state_name == "Cancelled"
    wait_for(lambda: not is_alive(pid), "The process ends")
    assert (code / "hooks").read_text() == "f Cancelled\n"
    every = deployments.api.read_flow_runs(limit=2)
    assert [one.state_name for one in every] == ["Cancelled", "Cancelled"]


@places("served")
def test_a_run_that_does_not_stop_is_killed(
    deployments: Deployments, serve: Callable[..., Any], code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_runs, "GRACE_SECONDS", 0.5)
    source = f"""
    import signal, time
    from prefect import flow

    @flow
    def f():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open({str(code / "deaf")!r}, "w").close()
        while True:
            time.sleep(1)

    @f.on_cancellation
    def note(flow, run, state): open({str(code / "hooks")!r}, "a").write(state.name)
    """
    id = deployments.deploy(source)
    serve(id)
    run = deployments.running(deployments.run(id))
    wait_for((code / "deaf").exists, "The flow is deaf")
    deployments.api.set_flow_run_state(run.id, Cancelling())
    assert deployments.ended(run).state_name == "Cancelled"
    wait_for((code / "hooks").exists, "The runner calls the hook")
    assert (code / "hooks").read_text() == "Cancelled"


@places("local")
def test_no_more_runs_at_a_time_than_the_limit(deployments: Deployments, serve: Callable[..., Any]) -> None:
    source = """
    import time
    from prefect import flow

    @flow
    def f(): time.sleep(0.3)
    """
    id = deployments.deploy(source)
    serve(id, limit=2)
    ended = [deployments.ended(run) for run in [deployments.run(id) for _ in range(6)]]
    assert {run.state_name for run in ended} == {"Completed"}
    moments = [(run.start_time, 1) for run in ended] + [(run.end_time, -1) for run in ended]
    at_once = most = 0
    for _, change in sorted(moments, key=lambda one: (one[0], one[1])):
        at_once += change
        most = max(most, at_once)
    assert most <= 2


@places("local")
def test_a_fork_server_that_dies_is_replaced(deployments: Deployments, serve: Callable[..., Any]) -> None:
    source = """
    import time
    from prefect import flow

    @flow
    def f(seconds: float = 0): time.sleep(seconds)
    """
    id = deployments.deploy(source)
    runner = serve(id)
    first = deployments.running(deployments.run(id, seconds=1.5))
    fork_server = runner._starter._server
    os.kill(fork_server._process.pid, signal.SIGKILL)
    assert deployments.ended(deployments.run(id)).state_name == "Completed"
    assert deployments.ended(first).state_name == "Completed"  # what it had started goes on
    assert runner._starter._server is not fork_server


@places("served")
def test_schedules_are_paused_when_a_runner_ends(deployments: Deployments, serve: Callable[..., Any]) -> None:
    id = deployments.deploy(SIMPLE)
    runner = serve(id, pause_on_shutdown=True)
    assert not deployments.api.read_deployment(id).paused
    runner.stop()
    wait_for(lambda: not runner.started, "The runner ends")
    assert deployments.api.read_deployment(id).paused


@places("served")
def test_runs_end_with_their_runner(deployments: Deployments, serve: Callable[..., Any]) -> None:
    source = """
    import time
    from prefect import flow

    @flow
    def f(): time.sleep(300)
    """
    id = deployments.deploy(source)
    runner = serve(id)
    run = deployments.running(deployments.run(id))
    began = time.monotonic()
    runner.stop()
    ended = deployments.ended(run)
    assert ended.state_name == "Crashed" and "termination signal" in str(ended.state and ended.state.message)
    assert time.monotonic() - began < SECONDS


@places("local")
async def test_once(deployments: Deployments) -> None:
    id = deployments.deploy(SIMPLE)
    runs = [deployments.run(id, x=x) for x in range(3)]
    runner = Runner(pause_on_shutdown=False, limit=2)
    runner._deployments[id] = None  # type: ignore[assignment]
    await runner.start(run_once=True)
    assert {deployments.api.read_flow_run(run.id).state_name for run in runs} == {"Completed"}


async def test_one_run_by_its_id(deployments: Deployments, code: Path) -> None:
    id = deployments.deploy(SIMPLE)
    run = deployments.run(id)
    async with Runner(pause_on_shutdown=False) as runner:
        process = await runner.execute_flow_run(run.id)
        assert process.returncode == 0
        other = deployments.run(id)
        entrypoint = f"{code / 'flows.py'}:f"
        await runner.execute_flow_run(other.id, entrypoint=entrypoint, env={"SOME": "thing", "HOME": None})
        third = deployments.run(id)
        command = await runner.execute_flow_run(third.id, command="sh -c 'exit 9'")
        assert command.returncode == 9
    ended = [deployments.api.read_flow_run(one.id) for one in (run, other, third)]
    assert [one.state_name for one in ended] == ["Completed", "Completed", "Crashed"]


@places("local")
def test_names(place: str) -> None:
    assert Runner(name="etl.py").name == "etl"
    with pytest.raises(ValueError, match="must not"):
        Runner(name="a/b")
    with pytest.raises(RuntimeError, match="not yet started"):
        Runner().stop()


def test_a_run_knows_its_deployment_and_who_called_it(deployments: Deployments, serve: Callable[..., Any]) -> None:
    source = """
    from prefect import flow, runtime
    from prefect.deployments import run_deployment

    def known():
        run, of = runtime.flow_run, runtime.deployment
        return [
            run.id, run.parent_flow_run_id, run.root_flow_run_id, run.parent_deployment_id, of.id, of.name, of.version
        ]

    @flow
    def within(): return known()

    @flow(persist_result=True)
    def f(name: str, depth: int = 0):
        mine = [known(), within()]
        if depth:
            mine += run_deployment(name, parameters={"name": name, "depth": depth - 1}).state.result()
        return mine
    """
    id = deployments.deploy(source, version="v8")
    serve(id)
    state = deployments.ended(deployments.run(id, name=f"f/{deployments.label}-f", depth=2)).state
    assert state is not None and state.is_completed(), state
    outer, outer_within, middle, _, inner, inner_within = state.result()
    of = [str(id), f"{deployments.label}-f", "v8"]
    assert outer == [outer[0], None, outer[0], None, *of]
    assert middle == [middle[0], outer[0], outer[0], str(id), *of]
    assert inner == [inner[0], middle[0], outer[0], str(id), *of]
    assert outer_within == [outer_within[0], outer[0], outer[0], str(id), None, None, None]
    assert inner_within == [inner_within[0], inner[0], outer[0], str(id), None, None, None]
