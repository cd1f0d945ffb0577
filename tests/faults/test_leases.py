"""Processes of flow runs that are killed, or stopped for a while, under a server whose clock we set."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from prefect._clock import now
from prefect._services import lease_expiry
from prefect.server.database import make_database
from server.test_process import DEADLINE_SECONDS, ask, free_port, start

pytestmark = pytest.mark.faults

PROGRAM = """
import sys
from prefect import flow, task

@task
def wait():
    print("begun", flush=True)
    sys.stdin.readline()

@flow
def child():
    wait()

@flow(name="main")
def main():
    child()

main()
"""


class Site:
    """A server, and a flow that waits until it is told to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.server = start(folder, self.port)
        script = folder / "flow.py"
        script.write_text(PROGRAM)
        environment = {"PREFECT_HOME": str(folder / "other"), "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api"}
        self.flow = subprocess.Popen(
            [sys.executable, str(script)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.flow.stdout is not None
        assert self.flow.stdout.readline() == "begun\n"
        self.until(lambda: set(self.states().values()) == {"Running"})

    def end(self) -> None:
        for process in (self.flow, self.server):
            process.kill()
            process.communicate()

    def runs(self, kind: str) -> list[Any]:
        return ask(self.port, "POST", f"/{kind}_runs/filter", {})[1]

    def states(self) -> dict[str, str]:
        """The states of the runs by the name of the flow or task."""
        flows = {flow["id"]: flow["name"] for flow in ask(self.port, "POST", "/flows/filter", {})[1]}
        found = {flows[run["flow_id"]]: run["state"]["name"] for run in self.runs("flow")}
        return found | {run["name"].rpartition("-")[0]: run["state"]["name"] for run in self.runs("task")}

    def main(self) -> Any:
        [run] = [run for run in self.runs("flow") if run["parent_task_run_id"] is None]
        return run

    def until(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not happened():
            assert time.monotonic() < end, self.states()
            time.sleep(0.05)  # between two looks, until the deadline

    def pass_a_minute(self) -> int:
        """Do what the service does when a minute has passed; returns how many runs it ended."""
        database = make_database(f"sqlite:///{self.folder}/pluperfect.db")
        database.open()
        try:
            return lease_expiry.run_once(database, now() + timedelta(seconds=62)).done
        finally:
            database.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.end()


def test_a_killed_process_is_missed_once(site: Site) -> None:
    site.flow.kill()
    site.flow.wait()
    assert site.pass_a_minute() > 0
    assert set(site.states().values()) == {"Crashed"}
    assert "last heard of" in site.main()["state"]["message"]
    assert site.pass_a_minute() == 0
    history = ask(site.port, "GET", f"/flow_run_states/?flow_run_id={site.main()['id']}")[1]
    assert [state["name"] for state in history].count("Crashed") == 1


def test_a_process_that_was_stopped_for_a_while_goes_on(site: Site) -> None:
    site.flow.send_signal(signal.SIGSTOP)
    assert site.pass_a_minute() > 0
    assert site.main()["state"]["name"] == "Crashed"
    site.flow.send_signal(signal.SIGCONT)
    assert site.flow.stdin is not None
    site.flow.stdin.write("\n")
    site.flow.stdin.flush()
    assert site.flow.wait(DEADLINE_SECONDS) == 0
    assert set(site.states().values()) == {"Completed"}


def test_a_process_that_is_killed_before_its_run_begins(site: Site, run_script: Callable[..., Any]) -> None:
    program = """
        import os, signal
        from prefect import flow

        @flow(flow_run_name=lambda: os.kill(os.getpid(), signal.SIGKILL))
        def early(): ...

        early()
    """
    home = str(site.folder / "other")
    done = run_script(program, PREFECT_HOME=home, PREFECT_API_URL=f"http://127.0.0.1:{site.port}/api")
    assert done.code == -signal.SIGKILL
    assert site.states()["early"] == "Pending"
    assert site.pass_a_minute() > 0
    assert site.states()["early"] == "Crashed"
