"""Runs that get an interpreter of their own, as all do where there is no fork: with a variable that interpreters read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from prefect.workers.process import ProcessWorker
from runner.conftest import serve

from .conftest import Deployments, Work, starting, wait_for

__all__ = ["serve"]

SOURCE = """
import os, pathlib, sys
from prefect import flow

def hook(flow, run, state):
    pathlib.Path(run.parameters["file"]).write_text(f"{state.name} {hash('prefect')}")

@flow(persist_result=True, on_crashed=[hook])
def f(file: str, dies: bool = False, much: str = ""):
    if dies:
        os._exit(3)
    return [os.environ["PYTHONHASHSEED"], hash("prefect"), sys.stdin.read(), len(much)]
"""
VARIABLES = {"env": {"PYTHONHASHSEED": "7"}}


@pytest.fixture
def work(place: str) -> Iterator[Work]:
    yield from starting()


@pytest.fixture(params=["worker", "runner"])
def carried_out(
    request: pytest.FixtureRequest, deployments: Deployments, place: str, tmp_path: Path
) -> Callable[..., Any]:
    """Deploys the flow for a worker or a runner, and runs it to its end."""
    if request.param == "worker":
        deployments.pool = f"pool-{uuid4().hex[:8]}"
        request.getfixturevalue("work")(ProcessWorker(deployments.pool))
    id = deployments.deploy(SOURCE, job_variables=VARIABLES)
    if request.param == "runner":
        request.getfixturevalue("serve")(id)
    return lambda **parameters: deployments.ended(deployments.run(id, file=str(tmp_path / "hook"), **parameters))


def test_it_is_carried_out_and_its_hooks_are_called(carried_out: Callable[..., Any], tmp_path: Path) -> None:
    # its parameters are more than a command line can hold
    results = [carried_out(much="x" * 200_000).state.result() for _ in range(2)]
    assert results[0] == results[1] and results[0][0] == "7" and results[0][2:] == ["", 200_000]
    run = carried_out(dies=True)
    assert run.state_name == "Crashed" and "exit status 3" in run.state.message
    hook = tmp_path / "hook"
    wait_for(lambda: hook.exists() and hook.read_text(), "The hook is called")
    assert hook.read_text() == f"Crashed {results[0][1]}"
