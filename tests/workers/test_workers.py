"""Workers carry out the runs of a work pool, on the local database and with a server."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.settings import PREFECT_WORKER_WEBSERVER_HOST, PREFECT_WORKER_WEBSERVER_PORT, temporary_settings
from prefect.states import Cancelling
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from .conftest import Deployments, Work, places, starting, wait_for

SIMPLE = """
import os
from prefect import flow

@flow(persist_result=True)
def f(name: str = "HOME"): return os.environ.get(name), os.getcwd()
"""

SLOW = """
import time
from prefect import flow

@flow
def f(seconds: float = 300): time.sleep(seconds)
"""


@pytest.fixture
def pool(deployments: Deployments) -> str:
    deployments.pool = f"pool-{uuid4().hex[:8]}"
    return deployments.pool


@pytest.fixture
def work(place: str) -> Iterator[Work]:
    """Start a worker; it is stopped at the end of the test."""
    yield from starting()


def test_a_run_is_carried_out(deployments: Deployments, pool: str, work: Work, api: SyncPrefectClient) -> None:
    worker = work(ProcessWorker(pool, name=f"w-{pool}"))
    assert api.read_work_pool(pool).type == "process"  # the worker has made it
    id = deployments.deploy(SIMPLE, job_variables={"env": {"FROM_JOB": "variables"}})
    run = deployments.ended(deployments.run(id, name="FROM_JOB"))
    assert run.state is not None and run.state.is_completed(), run.state
    value, cwd = run.state.result()
    assert value == "variables"
    assert Path(cwd) == deployments.code
    assert (run.infrastructure_pid or "").startswith(f"{socket.gethostname()}:")
    [known] = api.read_workers_for_work_pool(pool)
    assert known.name == worker.name and known.status.value == "ONLINE"


def asked_of(worker: Any) -> list[str]:
    """What a worker asks the API about the runs that it has claimed, from now on."""
    asked: list[str] = []

    def listen(name: str) -> None:
        method = getattr(worker.client, name)
        setattr(worker.client, name, lambda *args, **more: asked.append(name) or method(*args, **more))

    for name in ("read_flow_run", "update_flow_run", "set_flow_run_state"):
        listen(name)
    return asked


@places("served")
def test_a_run_that_tells_of_itself_costs_its_worker_no_request(
    deployments: Deployments, pool: str, work: Work
) -> None:
    worker = work(ProcessWorker(pool))
    asked = asked_of(worker)
    id = deployments.deploy(SIMPLE)
    good, bad = (deployments.ended(deployments.run(id, name=name)) for name in ("HOME", ["no name"]))
    assert (good.state_name, bad.state_name) == ("Completed", "Failed")
    assert (good.infrastructure_pid or "").startswith(f"{socket.gethostname()}:")
    wait_for(lambda: not worker._runs, "The worker lets go of them")
    assert asked == []


@places("served")
def test_a_process_that_takes_long_to_begin_is_known(deployments: Deployments, pool: str, work: Work) -> None:
    worker = work(ProcessWorker(pool))
    asked = asked_of(worker)
    id = deployments.deploy(SIMPLE)
    (deployments.code / "flows.py").write_text("import time\ntime.sleep(300)\n")
    run = deployments.until(deployments.run(id), lambda run: run.infrastructure_pid is not None)
    assert run.state_name == "Pending" and asked == []  # by a renewal
    (deployments.code / "flows.py").write_text(SIMPLE)
    os.kill(int(str(run.infrastructure_pid).partition(":")[2]), signal.SIGKILL)
    assert deployments.ended(run).state_name == "Crashed"


def test_command_and_directory_of_the_job(deployments: Deployments, pool: str, work: Work, tmp_path: Path) -> None:
    work(ProcessWorker(pool))
    place = tmp_path / "somewhere"
    place.mkdir()
    code = (
        "import os,sys; from prefect.engine import main; print(os.getcwd(), file=open('ran', 'w')); sys.exit(main([]))"
    )
    variables = {"command": f'{sys.executable} -c "{code}"', "working_dir": str(place), "stream_output": False}
    id = deployments.deploy(SIMPLE, job_variables=variables)
    assert deployments.ended(deployments.run(id)).state_name == "Completed"
    assert (place / "ran").read_text().strip() == str(place)
    id = deployments.deploy(SIMPLE, name="no-program", job_variables={"command": "there-is-no-such-program"})
    run = deployments.ended(deployments.run(id))
    assert run.state_name == "Crashed" and "there-is-no-such-program" in str(run.state and run.state.message)


@places("local")
def test_a_template_that_lacks_a_variable(
    deployments: Deployments, pool: str, work: Work, api: SyncPrefectClient
) -> None:
    worker = work(ProcessWorker(pool))
    id = deployments.deploy(SIMPLE)
    broken = {"job_configuration": {"command": "{{ comand }}"}, "variables": {"properties": {}}}
    worker._work_pool = worker.work_pool.model_copy(update={"base_job_template": broken})
    run = deployments.ended(deployments.run(id))
    assert run.state_name == "Crashed" and "does not declare: comand" in str(run.state and run.state.message)


def test_queues_limits_and_pauses(deployments: Deployments, pool: str, work: Work, api: SyncPrefectClient) -> None:
    work(ProcessWorker(pool, work_queues=["fast"], limit=1))
    assert api.read_work_queue_by_name("fast", pool).name == "fast"  # made by the worker
    fast = deployments.deploy(SLOW, name="of-fast", work_queue_name="fast")
    slow = deployments.deploy(SLOW, name="of-default")
    left = deployments.run(slow, seconds=0)
    runs = [deployments.run(fast, seconds=0.2) for _ in range(3)]
    ended = sorted((deployments.ended(run) for run in runs), key=lambda run: run.start_time)  # type: ignore[arg-type,return-value]
    for one, next_one in itertools.pairwise(ended):
        assert one.end_time <= next_one.start_time  # type: ignore[operator]
    assert api.read_flow_run(left.id).state_name == "Scheduled"
    api.update_work_pool(pool, WorkPoolUpdate(is_paused=True))
    waits = deployments.run(fast, seconds=0)
    api.update_work_pool(pool, WorkPoolUpdate(is_paused=False))
    assert deployments.ended(waits).state_name == "Completed"


def test_cancelling(deployments: Deployments, pool: str, work: Work, api: SyncPrefectClient) -> None:
    work(ProcessWorker(pool))
    run = deployments.running(deployments.run(deployments.deploy(SLOW)))
    api.set_flow_run_state(run.id, Cancelling())
    assert deployments.ended(run).state_name == "Cancelled"


@places("local")
def test_what_a_dead_process_cannot_say(deployments: Deployments, pool: str, work: Work, code: Path) -> None:
    source = f"""
    import os
    from prefect import flow

    @flow
    def f(): os.kill(os.getpid(), 9)

    @f.on_crashed
    def note(flow, run, state): open({str(code / "hook")!r}, "a").write(state.name)
    """
    work(ProcessWorker(pool))
    run = deployments.ended(deployments.run(deployments.deploy(source)))
    assert run.state_name == "Crashed" and "SIGKILL" in str(run.state and run.state.message)
    wait_for((code / "hook").exists, "The hook is called")
    assert (code / "hook").read_text() == "Crashed"


@places("local")
def test_cancelled_runs_that_nobody_holds(deployments: Deployments, pool: str, work: Work) -> None:
    """As after a restart: the process is still there, and the worker that had started it is not."""
    worker = work(ProcessWorker(pool))
    run = deployments.run(deployments.deploy(SIMPLE), name="x")
    deployments.ended(run)
    left = subprocess.Popen(["sleep", "300"], start_new_session=True)
    other = deployments.api.create_flow_run_from_deployment(run.deployment_id, parameters={})  # type: ignore[arg-type]
    deployments.ended(other)
    identifier = f"{socket.gethostname()}:{left.pid}"
    configuration = ProcessJobConfiguration()
    asyncio.run(worker.kill_infrastructure(identifier, configuration, 5))
    assert left.wait(10) != 0
    with pytest.raises(InfrastructureNotFound):
        asyncio.run(worker.kill_infrastructure(identifier, configuration))
    with pytest.raises(InfrastructureNotAvailable, match="elsewhere"):
        asyncio.run(worker.kill_infrastructure("elsewhere:1", configuration))


@places("served")
async def test_rounds_by_hand(deployments: Deployments, pool: str) -> None:
    async with ProcessWorker(pool, limit=2) as worker:
        id = deployments.deploy(SIMPLE)
        runs = [deployments.run(id) for _ in range(3)]
        assert len(await worker.get_and_submit_flow_runs()) == 2
        assert await worker.get_and_submit_flow_runs() == []  # no room
        assert worker.limiter.total_tokens == 2
    first = [deployments.api.read_flow_run(run.id).state_name for run in runs]
    assert sorted(first) == ["Completed", "Completed", "Scheduled"]
    await ProcessWorker(pool).start(run_once=True, printer=lambda *_: None)
    assert {deployments.api.read_flow_run(run.id).state_name for run in runs} == {"Completed"}


def test_a_pool_that_is_deleted_is_not_made_again(
    deployments: Deployments, pool: str, work: Work, api: SyncPrefectClient, caplog: pytest.LogCaptureFixture
) -> None:
    worker = work(ProcessWorker(pool, work_queues=["fast"]))
    assert api.read_work_queue_by_name("fast", pool).name == "fast"
    api.delete_work_pool(pool)
    wait_for(lambda: "has been deleted" in caplog.text, "The worker notices")
    wait_for(lambda: worker._pool._channel is None or not worker._pool._channel.healthy, "The channel ends")
    for _ in range(2):
        asyncio.run_coroutine_threadsafe(worker.sync_with_backend(), worker._loop).result(30)
    with pytest.raises(ObjectNotFound):
        api.read_work_pool(pool)
    assert caplog.text.count("has been deleted") == 1
    assert "Traceback" not in caplog.text

    api.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template={}))
    wait_for(lambda: "is there again" in caplog.text, "The worker finds the new one")
    id = deployments.deploy(SIMPLE, work_queue_name="fast")
    assert deployments.ended(deployments.run(id)).state_name == "Completed"


@places("local")
async def test_a_pool_that_is_not_there(place: str) -> None:
    with pytest.raises(ObjectNotFound):
        async with ProcessWorker("nobody-made-this", create_pool_if_not_found=False):
            pass


@places("local")
def test_health(pool: str, work: Work, place: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with temporary_settings({PREFECT_WORKER_WEBSERVER_HOST: "127.0.0.1", PREFECT_WORKER_WEBSERVER_PORT: port}):
        worker = work(ProcessWorker(pool), with_healthcheck=True)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        assert answer.status == 200
    worker.is_worker_still_polling = lambda query: False
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health")


# -- a worker by others, who know the public contract only -----------------------------------------------------------


class ShellConfiguration(BaseJobConfiguration):
    shell: str = "sh"


class ShellVariables(BaseVariables):
    shell: str = "sh"


class ShellWorker(BaseWorker[ShellConfiguration, ShellVariables, BaseWorkerResult]):
    """Starts a program and goes away; nothing tells it of its end."""

    type = "test-shell"
    job_configuration = ShellConfiguration
    job_configuration_variables = ShellVariables
    started: list[str] = []

    async def run(self, flow_run: Any, configuration: ShellConfiguration, task_status: Any = None) -> BaseWorkerResult:
        command = (configuration.command or "").replace("prefect ", f"{sys.executable} -m prefect ")
        env = {**os.environ, **{name: value for name, value in configuration.env.items() if value is not None}}
        self.get_flow_run_logger(flow_run).info("Starting %s", command)
        arguments = [configuration.shell, "-c", f"exec {command}"]
        process = await asyncio.to_thread(subprocess.Popen, arguments, env=env, start_new_session=True)
        self.started.append(str(process.pid))
        if task_status is not None:
            task_status.started(str(process.pid))
        return BaseWorkerResult(identifier=str(process.pid), status_code=0)

    async def kill_infrastructure(self, infrastructure_pid: str, configuration: Any, grace_seconds: int = 30) -> None:
        os.kill(int(infrastructure_pid), 15)


@places("served")
def test_a_worker_that_hands_over(deployments: Deployments, pool: str, work: Work, api: SyncPrefectClient) -> None:
    work(ShellWorker(pool))
    assert api.read_work_pool(pool).type == "test-shell"
    id = deployments.deploy(SIMPLE)
    run = deployments.ended(deployments.run(id))
    assert run.state_name == "Completed" and run.infrastructure_pid in ShellWorker.started


class Failing(ShellWorker):
    type = "test-failing"

    async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> BaseWorkerResult:
        if (flow_run.parameters or {}).get("name") == "raise":
            raise RuntimeError("no machine is free")
        return BaseWorkerResult(identifier="machine-1", status_code=137)


@places("local")
def test_infrastructure_that_fails(deployments: Deployments, pool: str, work: Work) -> None:
    work(Failing(pool))
    id = deployments.deploy(SIMPLE)
    killed, refused = deployments.run(id), deployments.run(id, name="raise")
    run = deployments.ended(killed)
    assert run.state_name == "Crashed" and "out of memory" in str(run.state and run.state.message)
    run = deployments.ended(refused)
    assert run.state_name == "Crashed" and "no machine is free" in str(run.state and run.state.message)
