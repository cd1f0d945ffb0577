"""Runs whose process is killed: tried again as often as their flow says, each attempt by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from runner.conftest import Deployments, places, wait_for

_SOURCE = """
import os, time
from prefect import flow, task

@task
def step(): return 1

@flow(retries={retries})
def f():
    step()
    with open({file!r}, "a") as file:
        print("began", file=file)
    if {dies}:
        os.kill(os.getpid(), 9)
    return 5

@f.on_crashed
def note(flow, run, state):
    with open({file!r}, "a") as file:
        print(state.name, file=file)
"""

_DIES_ONCE = "open({file!r}).read().count('began') == 1"


def _source(file: Path, retries: int, dies: str) -> str:
    return _SOURCE.format(file=str(file), retries=retries, dies=dies.format(file=str(file)))


def test_a_killed_run_is_tried_again(
    deployments: Deployments, serve: Callable[..., Any], code: Path, api: SyncPrefectClient
) -> None:
    file = code / "lines"
    id = deployments.deploy(_source(file, 1, _DIES_ONCE))
    serve(id)
    ended = deployments.ended(deployments.run(id))
    assert ended.state_name == "Completed" and ended.run_count == 2
    assert file.read_text().split() == ["began", "began"]
    names = [state.name for state in api.read_flow_run_states(ended.id)]
    assert "AwaitingRetry" in names and "Crashed" not in names
    assert ended.empirical_policy is not None and ended.empirical_policy.retries == 1
    waiting = next(state for state in api.read_flow_run_states(ended.id) if state.name == "AwaitingRetry")
    assert "SIGKILL" in str(waiting.message) and "tried again" in str(waiting.message)


def test_when_none_is_left_it_has_crashed(deployments: Deployments, serve: Callable[..., Any], code: Path) -> None:
    file = code / "lines"
    id = deployments.deploy(_source(file, 1, "True"))
    serve(id)
    ended = deployments.ended(deployments.run(id))
    assert ended.state_name == "Crashed" and ended.run_count == 2
    wait_for(lambda: "Crashed" in file.read_text(), "The hook is called")
    assert file.read_text().split() == ["began", "began", "Crashed"]


@places("local")
def test_a_dead_process_that_nobody_watched(deployments: Deployments, serve: Callable[..., Any], code: Path) -> None:
    """The runner died with it: whoever looks at the database next finds out, and the next runner has the run."""
    file = code / "lines"
    id = deployments.deploy(_source(file, 1, _DIES_ONCE))
    run = deployments.run(id)
    alone = f"from prefect._dispatch.execution import carry_out; carry_out({str(run.id)!r})"
    assert subprocess.run([sys.executable, "-c", alone], check=False).returncode == -9
    look = (
        "from prefect.client.orchestration import get_client\n"
        f"print(get_client(sync_client=True).read_flow_run({str(run.id)!r}).state_name)"
    )
    found = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["AwaitingRetry"]
    serve(id)
    ended = deployments.ended(run)
    assert ended.state_name == "Completed" and ended.run_count == 2
    assert file.read_text().split() == ["began", "began"]
