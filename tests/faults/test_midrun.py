"""A server that is killed again and again while flows run: they finish, and everything of them is there once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from served.servers import Server, until
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

pytestmark = pytest.mark.faults

PROGRAM = """
import pathlib, sys, time
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

go_on = pathlib.Path(sys.argv[1])

@task
def work(n):
    get_run_logger().info("line %s", n)
    return n

@task
def tells(n):
    create_markdown_artifact(f"# {n}", key=f"about-{n}")

@flow
def child(n):
    work(100 * n)
    work.map(range(100 * n + 1, 100 * n + 10)).wait()
    tells(n)

@flow
def main():
    print("begun", flush=True)
    n = 0
    while not go_on.exists():
        n += 1
        child(n)
        time.sleep(0.02)  # the server is killed at any point of this
    print(n, flush=True)

main()
"""


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_flow_survives_the_kills_of_its_server(
    kind: str, tmp_path: Path, soak: bool, request: pytest.FixtureRequest
) -> None:
    more = {}
    if kind == "postgresql":
        database: PostgreSQL = request.getfixturevalue("postgresql")
        more["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.database("midrun")
    server = Server(tmp_path / "server", **more).start()
    dice = random.Random(None if soak else 11)
    (tmp_path / "program.py").write_text(PROGRAM)
    end, output = tmp_path / "end", tmp_path / "output"
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "home"), "PREFECT_API_URL": server.url}
    environment["PREFECT_CLIENT_MAX_RETRIES"] = "30"  # on a busy machine a server takes its time to start
    with output.open("w") as out:
        program = subprocess.Popen(
            [sys.executable, str(tmp_path / "program.py"), str(end)], env=environment, stdout=out, stderr=out
        )
    try:
        until(lambda: "begun" in output.read_text(), "the beginning of the flow")
        for _ in range(20 if soak else 2):
            time.sleep(dice.random() * 0.4)  # the moment is the thing under test
            server.kill()
            server.start()
        end.touch()
        assert program.wait(120) == 0, output.read_text()
        check(server, _number(output))
    finally:
        program.kill()
        program.wait()
        server.stop()


def _number(output: Path) -> int:
    """How many sub-flows there were, as the program has printed it among its log."""
    return next(int(line) for line in reversed(output.read_text().splitlines()) if line.isdigit())


def check(server: Server, count: int) -> None:
    """Everything of `count` sub-flow runs is there, once."""
    flows = {flow["id"]: flow["name"] for flow in server._pages("/flows/filter", {})}
    runs = server._pages("/flow_runs/filter", {"sort": "START_TIME_ASC"})
    assert Counter((flows[run["flow_id"]], run["state_name"]) for run in runs) == {
        ("main", "Completed"): 1, ("child", "Completed"): count,
    }  # fmt: skip
    for run in runs:
        assert server.states(run["id"]) == ["Pending", "Running", "Completed"]
    tasks = server.task_runs()
    kinds = Counter((each["task_key"].rpartition("-")[0] or "child", each["state_name"]) for each in tasks)
    assert kinds == {("work", "Completed"): 10 * count, ("tells", "Completed"): count, ("child", "Completed"): count}
    for each in tasks:
        assert server.task_states(each["id"]) == ["Pending", "Running", "Completed"]
    lines = [line["message"] for line in server._pages("/logs/filter", {"sort": "TIMESTAMP_ASC"})]
    expected = {f"line {100 * n + number}" for n in range(1, count + 1) for number in range(10)}
    assert Counter(line for line in lines if line.startswith("line ")) == dict.fromkeys(expected, 1)
    keys = Counter(each["key"] for each in server._pages("/artifacts/filter", {}))
    assert keys == {f"about-{n}": 1 for n in range(1, count + 1)}
