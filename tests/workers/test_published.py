"""Our worker for a server of Prefect's own package, and the worker of that package for our server.

Its executable is what the variable PLUPERFECT_PEER names; without it these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.published import COMMAND, environment
from prefect.client.orchestration import get_client
from served.conftest import speaking_to
from served.servers import Server, until

from .conftest import Deployments

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]

SOURCE = """
from prefect import flow, task

@task
def double(x): return 2 * x

@flow
def f(x: int = 1): double(x)
"""


class Peer(Server):
    command = COMMAND
    start_seconds = 240  # it takes long to start on a busy machine


@contextmanager
def worker(program: list[str], server: Server, home: Path) -> Iterator[None]:
    folder = os.path.dirname(program[0])
    env = environment(home, server.url) | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    env |= {"PATH": f"{folder}:{os.environ['PATH']}"}
    process = subprocess.Popen([*program, "worker", "start", "--pool", "p", "--type", "process"], env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("ours", ["worker", "server"])
def test_one_of_each(ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Path) -> None:
    kind, program = (Peer, [sys.executable, "-m", "prefect"]) if ours == "worker" else (Server, [*COMMAND])
    server = kind(tmp_path / "server", PREFECT_SERVER_ANALYTICS_ENABLED="false").start()
    try:
        with (
            speaking_to(server, tmp_path / "home", monkeypatch),
            get_client(sync_client=True) as api,
            worker(program, server, tmp_path / "worker"),
        ):
            until(lambda: [pool for pool in api.read_work_pools() if pool.name == "p"], "the worker's pool")
            deployments = Deployments(api, code, "d")
            deployments.pool = "p"
            step = {"prefect.deployments.steps.set_working_directory": {"directory": str(code)}}
            id = deployments.deploy(SOURCE, path=None, pull_steps=[step])
            run = deployments.ended(deployments.run(id, x=2), 100)
            assert run.state_name == "Completed"
            until(lambda: [task.state_name for task in api.read_task_runs()] == ["Completed"], "its task run")
    finally:
        server.stop()
