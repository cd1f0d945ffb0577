"""A worker that was killed, and is started again: what it had started, and what became of it meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from prefect._clock import now
from prefect._dispatch import identity
from prefect._dispatch.children import is_alive
from prefect._dispatch.starting import Job, Starter
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotFound
from prefect.states import Cancelled, Cancelling
from prefect.workers import process as process_module
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from .conftest import Deployments, Work, places, starting, wait_for

DEAF = """
import time
from prefect import flow
from prefect._engine.recording import holding

holding.EVERY_SECONDS = 3600  # it does not hear of anything by itself

@flow
def f(): time.sleep(300)
"""


@pytest.fixture
def work(place: str) -> Iterator[Work]:
    yield from starting()


@pytest.fixture
def left(deployments: Deployments, api: SyncPrefectClient) -> Iterator[tuple[str, FlowRun, int]]:
    """A pool, a run of it, and its process, the worker of which was killed."""
    pool = deployments.pool = f"pool-{uuid4().hex[:8]}"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: pool in {found.name for found in api.read_work_pools()}, "The worker starts")
    run = deployments.running(deployments.run(deployments.deploy(DEAF)))
    run = deployments.until(run, lambda found: found.infrastructure_pid is not None)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    pid = int(str(run.infrastructure_pid).rpartition(":")[2])
    assert is_alive(pid)
    yield pool, run, pid
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)


def has_ended(pid: int) -> bool:
    return not is_alive(pid) or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]


@places("served")
def test_a_run_that_is_to_be_cancelled(
    left: tuple[str, FlowRun, int], work: Work, deployments: Deployments, api: SyncPrefectClient
) -> None:
    pool, run, pid = left
    api.set_flow_run_state(run.id, Cancelling())
    work(ProcessWorker(pool))
    assert deployments.ended(run).state_name == "Cancelled"
    wait_for(lambda: has_ended(pid), "Its process ends")


@places("served")
def test_a_run_that_was_cancelled(
    left: tuple[str, FlowRun, int], work: Work, api: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, run, pid = left
    api.set_flow_run_state(run.id, Cancelled(), force=True)
    other = api.create_flow_run_from_deployment(run.deployment_id, state=Cancelling())  # type: ignore[arg-type]
    monkeypatch.setattr(process_module, "_TIME_TO_LEAVE", timedelta(0))
    with sleeping(PREFECT__FLOW_RUN_ID=str(uuid4())) as stranger:  # has the number that the other's process had
        api.update_flow_run(other.id, infrastructure_pid=f"{socket.gethostname()}:{stranger}")
        api.set_flow_run_state(other.id, Cancelled(), force=True)
        worker = work(ProcessWorker(pool))
        wait_for(lambda: has_ended(pid), "Its process ends")
        wait_for(lambda: worker._has_looked_back, "The worker has looked back")
        assert not has_ended(stranger)


# -- whose process it is -----------------------------------------------------------------------------------------------


@contextmanager
def sleeping(**env: str) -> Iterator[int]:
    process = subprocess.Popen(["sleep", "300"], start_new_session=True, env={**os.environ, **env})
    try:
        wait_for(lambda: b"sleep" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), "The program is there")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def configuration_of(run: Any) -> ProcessJobConfiguration:
    made = ProcessJobConfiguration()
    made._related_objects["flow-run"] = run
    return made


def test_a_command_is_known_by_its_environment() -> None:
    id, other = uuid4(), uuid4()
    with sleeping(PREFECT__FLOW_RUN_ID=str(id)) as pid:
        assert identity.carries_out(pid, id, now() - timedelta(days=1))
        assert not identity.carries_out(pid, other, now())


def test_what_says_nothing_of_itself_is_known_by_its_age() -> None:
    with sleeping() as pid:
        assert identity.carries_out(pid, uuid4(), now())
        assert not identity.carries_out(pid, uuid4(), now() - timedelta(minutes=5))
        assert identity._began_before(pid, now())
        assert not identity._began_before(pid, now() - timedelta(minutes=5))
    assert not identity.carries_out(pid, uuid4(), now())
    assert not identity._began_before(pid, now())


def test_who_leads_no_group_is_none_of_ours() -> None:
    process = subprocess.Popen(["sleep", "300"])
    try:
        assert not identity.carries_out(process.pid, uuid4(), now())
        assert not identity._began_before(process.pid, now())
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("text", "seconds"), [("00:05", 5), ("01:00:05", 3605), ("2-00:00:01", 172801)])
def test_ages_as_they_are_written(text: str, seconds: int) -> None:
    assert identity._elapsed(text) == timedelta(seconds=seconds)


async def test_a_fork_bears_the_name_of_its_run(tmp_path: Path) -> None:
    id = uuid4()
    starter = Starter()
    env = {**os.environ, "PREFECT__FLOW_RUN_ID": str(id)}
    try:
        child = await starter.start(Job(env, str(tmp_path), call="time:sleep", args=[300]))
        deadline = now() + timedelta(seconds=20)
        while not identity.carries_out(child.pid, id, now() - timedelta(days=1)):
            assert now() < deadline, "it does not bear the name"
            await asyncio.sleep(0.01)
        assert not identity.carries_out(child.pid, uuid4(), now())
        await child.end(5)
        assert not identity.carries_out(child.pid, id, now())
    finally:
        await starter.close()


@places("local")
async def test_only_the_process_of_the_run_is_ended(place: str, api: SyncPrefectClient) -> None:
    class Run:
        id, state = uuid4(), None

    async with ProcessWorker("p") as worker:
        with sleeping(PREFECT__FLOW_RUN_ID=str(uuid4())) as pid:
            with pytest.raises(InfrastructureNotFound):
                await worker.kill_infrastructure(f"{socket.gethostname()}:{pid}", configuration_of(Run))
            assert is_alive(pid)
        own = UUID(int=1)
        with sleeping(PREFECT__FLOW_RUN_ID=str(own)) as pid:
            # a number that was used again by a process of this worker
            worker._processes[pid] = (own, None)  # type: ignore[assignment]
            with pytest.raises(InfrastructureNotFound):
                await worker.kill_infrastructure(f"{socket.gethostname()}:{pid}", configuration_of(Run))
            worker._processes.clear()
            Run.id = own
            await worker.kill_infrastructure(f"{socket.gethostname()}:{pid}", configuration_of(Run), 5)
            assert has_ended(pid)
