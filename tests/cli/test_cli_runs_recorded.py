"""The commands on what the engine recorded, from processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import os, sys
from prefect import flow, task, get_run_logger

@task(tags=["db"], retries=1, retry_delay_seconds=[0.5])
def double(x):
    get_run_logger().warning("doubling %s", x)
    return 2 * x

@flow
def inner(y: int):
    return double(y)

@flow(retries=1, retry_delay_seconds=0.5)
def outer(day="monday"):
    inner(1)
    if "die" in sys.argv:
        print("started", flush=True)
        sys.stdin.read()
    return sum(double.map([1, 2]).result())

outer()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    (tmp_path / "script.py").write_text(SCRIPT)
    return {**kept, "PREFECT_HOME": str(tmp_path / "home")}


def ask(environment: dict[str, str], tmp_path: Path, *argv: str) -> Any:
    command = [sys.executable, "-m", "prefect", *argv, "-o", "json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_finished_run(tmp_path: Path, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "script.py"], env=environment, cwd=tmp_path, check=True, capture_output=True)
    runs = {run["parameters"].get("day"): run for run in ask(environment, tmp_path, "flow-run", "ls")}
    outer, inner = runs["monday"], runs[None]
    assert [run["state_type"] for run in (outer, inner)] == ["COMPLETED", "COMPLETED"]
    assert inner["parent_task_run_id"] is not None
    tasks = ask(environment, tmp_path, "task-run", "ls")
    assert len(tasks) == 4
    parent = next(run for run in tasks if run["id"] == inner["parent_task_run_id"])
    assert parent["flow_run_id"] == outer["id"]
    lines = ask(environment, tmp_path, "flow-run", "logs", outer["name"])
    assert sum(line["task_run_id"] is not None and "doubling" in line["message"] for line in lines) == 2
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    assert {flow["name"] for flow in ask(environment, tmp_path, "flow", "ls")} == {"outer", "inner"}


@pytest.mark.skipif(sys.platform == "win32", reason="whether a process lives is not known there")
def test_a_killed_run_is_shown_as_crashed(tmp_path: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "script.py", "die"], env=environment, cwd=tmp_path, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"started\n"
        states = {run["state_type"] for run in ask(environment, tmp_path, "flow-run", "ls")}
        assert states == {"RUNNING", "COMPLETED"}
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
    for _ in range(2):
        found = ask(environment, tmp_path, "flow-run", "ls", "--state-type", "CRASHED")
        assert [run["state_name"] for run in found] == ["Crashed"]
