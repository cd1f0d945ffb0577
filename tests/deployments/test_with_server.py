"""Deployments by way of a server, on both databases."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prefect import flow, get_client
from prefect.deployments import run_deployment
from prefect.deployments.runner import DeploymentApplyError
from prefect.states import Completed, Running
from served.conftest import (  # noqa: F401 - fixtures
    postgresql,
    postgresql_server,
    server,
    sqlite_server,
)
from served.servers import Server

FLOWS = """
from prefect import flow


@flow(log_prints=True)
def greet(name: str = "you"):
    print("hello", name)


if __name__ == "__main__":
    greet.serve("{name}")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "flows.py").write_text(FLOWS.replace("{name}", f"served-{tmp_path.name}"))
    return folder


def test_a_run_is_made_and_its_end_is_told(server: Server, folder: Path):  # noqa: F811
    loaded = flow.from_source(str(folder), entrypoint="flows.py:greet")
    loaded.to_deployment("mine").apply()
    with pytest.raises(DeploymentApplyError, match="Could not find work pool 'nope'"):
        loaded.to_deployment("mine", work_pool_name="nope").apply()
    made = run_deployment("greet/mine", idempotency_key="k", timeout=0)

    def end() -> None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(made.id, Running(), force=True)
            client.set_flow_run_state(made.id, Completed(), force=True)

    thread = threading.Timer(0.3, contextvars.copy_context().run, args=(end,))
    thread.start()
    ended = run_deployment("greet/mine", idempotency_key="k", timeout=60)
    assert ended.id == made.id and ended.state is not None and ended.state.is_completed()
    thread.join()


def test_a_flow_that_is_served_is_run_as_a_subflow(server: Server, folder: Path, tmp_path: Path):  # noqa: F811
    name = f"greet/served-{tmp_path.name}"
    environment = {**os.environ, "PREFECT_API_URL": server.url, "PREFECT_HOME": str(tmp_path / "served-home")}
    with subprocess.Popen(
        [sys.executable, "flows.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "prefect deployment run" in line:
                break

        @flow
        def parent():
            return run_deployment(name, parameters={"name": "sub"}, timeout=60)

        try:
            ended = parent()
            assert ended.state is not None and ended.state.is_completed(), ended.state
            with get_client(sync_client=True) as client:
                assert ended.parent_task_run_id is not None
                stand = client.read_task_run(ended.parent_task_run_id)
                assert stand.state is not None and stand.state.is_completed()
        finally:
            process.send_signal(signal.SIGINT)
            try:
                output, _ = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert "hello sub" in output


@flow
def measured():
    pass


def test_service_levels_are_refused_in_words(server: Server, folder: Path):  # noqa: F811
    deployment = measured.to_deployment("d", _sla={"name": "quick", "duration": 5})
    with pytest.raises(
        DeploymentApplyError, match="is made, but without its service levels, which Prefect Cloud keeps"
    ):
        deployment.apply()
