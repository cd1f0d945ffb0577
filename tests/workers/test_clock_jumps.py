"""A clock that jumps, in the processes of a server and of a worker: every instant of a schedule is run once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from clocks import Clock
from prefect._clock import now
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.workers.process import ProcessWorker
from served.conftest import speaking_to
from served.servers import Server

from .conftest import Deployments, wait_for

SOURCE = "from prefect import flow\n@flow\ndef f(): pass\n"
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(tmp_path / "clock")
    monkeypatch.setenv("PYTHONPATH", clock.in_path(os.environ))
    return clock


@pytest.fixture
def api(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    server = Server(tmp_path / "server", PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="0.5").start()
    worker: subprocess.Popen[bytes] | None = None
    try:
        with speaking_to(server, tmp_path / "home", monkeypatch), get_client(sync_client=True) as api:
            template = ProcessWorker.get_default_base_job_template()
            api.create_work_pool(WorkPoolCreate(name="p", type="process", base_job_template=template))
            worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", "p"],
                env={**os.environ, "PREFECT_API_URL": server.url, "PREFECT_HOME": str(tmp_path / "worker")},
            )
            yield api
    finally:
        if worker is not None:
            worker.terminate()
            worker.wait(60)
        server.stop()


def test_every_instant_once(api: SyncPrefectClient, clock: Clock, code: Path) -> None:
    deployments = Deployments(api, code, "clock")
    deployments.pool = "p"
    first = now().replace(microsecond=0) + timedelta(seconds=5)
    every_hour = {"schedule": IntervalSchedule(interval=HOUR, anchor_date=first), "active": True, "catch_up": "all"}
    deployments.deploy(SOURCE, schedules=[every_hour])

    def completed() -> list[datetime]:
        runs: list[FlowRun] = [run for run in api.read_flow_runs() if run.state_name == "Completed"]
        return sorted(run.expected_start_time for run in runs if run.expected_start_time is not None)

    def instants(count: int) -> list[datetime]:
        return [first + number * HOUR for number in range(count)]

    wait_for(lambda: completed() == instants(1), "the first instant")
    clock.jump_to(3 * HOUR)
    wait_for(lambda: completed() == instants(4), "those that were jumped over, once each")
    clock.jump_to(1 * HOUR)
    clock.jump_to(4 * HOUR)  # what was there in between is not run again
    wait_for(lambda: len(completed()) >= 5, "the next one, after the clock was set back and right again")
    clock.jump_to(timedelta())
    extra = deployments.ended(deployments.run(api.read_deployments()[0].id))
    assert extra.state_name == "Completed"  # nothing is stuck while the clock is behind
    of_schedule = [run for run in api.read_flow_runs() if run.auto_scheduled and run.state_name != "Scheduled"]
    assert sorted(run.expected_start_time for run in of_schedule if run.expected_start_time) == instants(5)
    assert {run.state_name for run in of_schedule} == {"Completed"}
    assert {run.run_count for run in of_schedule} == {1}
