"""The clock is set back while a run lasts: its states stay in order, and the last one counts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clocks import Clock
from served.servers import Server

# what has been recorded is on disk, or with the server, before the clock is set
PROGRAM = """
import json, pathlib, sys
from prefect import flow, task
from prefect._engine.recorder import flush_all
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Completed

OFFSET = pathlib.Path(sys.argv[1])
OLD = Completed(message="made before the run", data=1)

@task
def interrupted():
    flush_all()
    OFFSET.write_text("-3600")
    return 1

@task
def with_an_old_state():
    flush_all()
    return OLD

@flow
def main():
    return [with_an_old_state(return_state=True), interrupted(return_state=True)]

state = main(return_state=True)
flush_all()
with get_client(sync_client=True) as client:
    [run] = client.read_flow_runs()
    histories = {"main": client.read_flow_run_states(run.id)}
    final = {"main": run}
    for each in client.read_task_runs():
        histories[each.task_key.split("-")[0]] = client.read_task_run_states(each.id)
        final[each.task_key.split("-")[0]] = each
print(json.dumps({
    "names": {name: [state.name for state in states] for name, states in histories.items()},
    "final": {name: run.state_name for name, run in final.items()},
    "seconds": {name: run.total_run_time.total_seconds() for name, run in final.items()},
}))
"""


@pytest.fixture(params=["embedded", "served"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "embedded":
        yield {}
        return
    server = Server(tmp_path / "server").start()
    try:
        yield {"PREFECT_API_URL": server.url}
    finally:
        server.stop()


def test_a_run_ends_as_it_ended(environment: dict[str, str], tmp_path: Path, run_script: Callable[..., Any]) -> None:
    clock = Clock(tmp_path / "clock")
    done = run_script(PROGRAM, str(clock.folder / "offset"), PYTHONPATH=clock.in_path(os.environ), **environment).ok()
    found = json.loads(done.stdout)
    in_order = ["Pending", "Running", "Completed"]
    assert found["final"] == {"main": "Completed", "interrupted": "Completed", "with_an_old_state": "Completed"}
    assert found["names"] == {"main": in_order, "interrupted": in_order, "with_an_old_state": in_order}
    assert all(0 <= seconds < 60 for seconds in found["seconds"].values()), found["seconds"]
