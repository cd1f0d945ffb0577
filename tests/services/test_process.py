"""Services in processes of their own, beside servers that run none; processes that are killed."""

from __future__ import annotations

import json
import os
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
from prefect._ids import new_uuid
from server.test_process import DEADLINE_SECONDS, ask, free_port

HOLDER = {"kind": "worker", "id": str(new_uuid()), "name": "w"}


class Site:
    """Processes around one database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[subprocess.Popen[str]] = []

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        env |= {"PREFECT_HOME": str(self.folder), "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "0"}
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", *arguments],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.command(*arguments)
        said = process.communicate(timeout=DEADLINE_SECONDS)[0]
        return process.returncode, said

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = self.command("start", "--port", str(self.port), *arguments)
        self.until(lambda: self._answers(process))
        return process

    def _answers(self, process: subprocess.Popen[str]) -> bool:
        assert process.poll() is None, process.communicate()[0]
        try:
            return ask(self.port, "GET", "/health")[0] == 200
        except OSError:
            return False

    def until(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not happened():
            assert time.monotonic() < end
            time.sleep(0.05)  # between two looks, until the deadline

    def api(self, path: str, body: Any = None) -> Any:
        status, answer = ask(self.port, "GET" if body is None else "POST", path, body)
        assert status < 300, answer
        return answer

    def schedule(self) -> str:
        """A run that is due, in the pool `p`."""
        flow = self.api("/flows/", {"name": "f"})["id"]
        ask(self.port, "POST", "/work_pools/", {"name": "p", "type": "process"})
        due = (now() - timedelta(seconds=1)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        return self.api("/flow_runs/", {"flow_id": flow, "state": state, "work_pool_name": "p"})["id"]

    def state(self, run: str) -> str:
        return self.api(f"/flow_runs/{run}")["state"]["name"]

    def claim(self, seconds: float = 60) -> list[Any]:
        body = {"holder": HOLDER, "work_pool_name": "p", "lease_seconds": seconds, "wait_seconds": 20}
        return self.api("/flow_runs/claim", body)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for process in site.processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_server_without_services_does_nothing_by_itself(site: Site) -> None:
    site.start("--no-services")
    run = site.schedule()
    alone = site.command("services", "start")
    site.until(lambda: site.state(run) == "Late")
    alone.send_signal(signal.SIGTERM)
    assert "have ended" in alone.communicate(timeout=DEADLINE_SECONDS)[0]
    assert alone.returncode == 0


def test_services_in_the_background(site: Site) -> None:
    assert site.run("services", "stop")[0] == 1
    assert site.run("services", "start", "--background")[0] == 0
    try:
        assert site.run("services", "enable", "-b")[0] == 1
    finally:
        assert site.run("services", "stop") == (0, "Services stopped.\n")


def test_the_list_says_what_the_settings_want(site: Site) -> None:
    code, said = site.run("services", "ls", "--output", "json")
    assert code == 0
    listed = {one["name"]: one for one in json.loads(said)}
    assert listed["late_runs"]["enabled"] is True
    assert listed["late_runs"]["environment_variable"] == "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED"
    assert "late_runs" in site.run("services", "list")[1]


@pytest.mark.faults
def test_killed_services_leave_the_others_going(site: Site) -> None:
    site.start("--no-services")
    killed, other = site.command("services", "start"), site.command("services", "start")
    for process in (killed, other):
        assert process.stdout is not None
        assert "services run" in process.stdout.readline()
    first = site.schedule()
    site.until(lambda: site.state(first) == "Late")
    killed.kill()
    second = site.schedule()
    site.until(lambda: site.state(second) == "Late")
    states = site.api(f"/flow_run_states/?flow_run_id={second}")
    assert [state["name"] for state in states] == ["Scheduled", "Late"]


@pytest.mark.faults
def test_a_claim_whose_worker_is_dead_is_there_for_others(site: Site) -> None:
    """What a worker that is killed between claim and start leaves behind, on a server that is killed too."""
    server = site.start()
    run = site.schedule()
    [claimed] = site.claim(2)
    assert claimed["flow_run"]["id"] == run
    server.kill()
    server.wait()
    site.start()
    # the server gives everybody a minute to come back; the run is not lost, and nobody else starts it meanwhile
    assert site.state(run) == "Pending"
    renewal = {"leases": [{"flow_run_id": run, "token": claimed["token"]}], "lease_seconds": 2}
    assert site.api("/flow_runs/leases/renew", renewal)["renewed"] == [run]
    [again] = site.claim()  # the worker is not heard of any more
    assert again["flow_run"]["id"] == run
    assert again["token"] > claimed["token"]
    assert site.api("/flow_runs/leases/renew", renewal)["lost"] == [run]
    body = {"state": {"type": "RUNNING"}, "lease_token": claimed["token"]}
    assert site.api(f"/flow_runs/{run}/set_state", body)["status"] == "ABORT"
