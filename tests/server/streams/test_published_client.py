"""The client that Prefect publishes, against our server: everything it tells by websocket is there.

Its executable is what the variable PLUPERFECT_PEER names; without it these tests are skipped.
"""

from __future__ import annotations

import subprocess
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conformance.published import PYTHON, environment

from .conftest import Server

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

FLOWS = """
from prefect import flow, task, get_run_logger, tags
from prefect.events import emit_event

attempts = []

@task(tags=["numbers"])
def double(x):
    get_run_logger().info(f"doubling {x}")
    return 2 * x

@task(retries=1)
def flaky():
    attempts.append(1)
    if len(attempts) == 1:
        raise ValueError("the first time")

@task
def fails():
    raise RuntimeError("always")

@flow
def child():
    return 1

@flow
def parent():
    double.map(range(40)).result()
    flaky()
    child()
    fails(return_state=True)
    emit_event("something.happened", resource={"prefect.resource.id": "my.thing"})
    return 7

with tags("published"):
    assert parent() == 7
"""

BACKGROUND = """
import asyncio
from prefect import task
from prefect.task_worker import TaskWorker

done = []

@task
def work(x):
    done.append(x)

async def main():
    for x in range(5):
        work.delay(x)
    worker = asyncio.create_task(TaskWorker(work).start())
    while len(done) < 6:
        if len(done) == 5 and 99 not in done:
            work.delay(99)
            done.append(-1)
        await asyncio.sleep(0.1)
    while 99 not in done:
        await asyncio.sleep(0.1)
    assert sorted(done) == [-1, 0, 1, 2, 3, 4, 99], done
    worker.cancel()

asyncio.run(asyncio.wait_for(main(), 180))
"""

FOLLOW = """
import asyncio, uuid
from prefect import flow, get_run_logger
from prefect.events import Event
from prefect.events.clients import get_events_client, get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.events.subscribers import FlowRunSubscriber
from prefect.client.orchestration import get_client

@flow
async def followed():
    get_run_logger().info("said")
    await asyncio.sleep(3)

async def main():
    wanted = EventFilter(event=EventNameFilter(prefix=["mine."]))
    async with get_events_subscriber(filter=wanted) as subscriber, get_events_client() as client:
        for number in range(20):
            await client.emit(Event(event=f"mine.{number}", resource={"prefect.resource.id": "r"}))
        got = [(await subscriber.__anext__()).event for _ in range(20)]
        assert got == [f"mine.{number}" for number in range(20)], got
    async with get_client() as api:
        run = await api.create_flow_run(followed)
        task = asyncio.create_task(followed())
        runs = []
        while not runs:
            await asyncio.sleep(0.1)
            runs = [run for run in await api.read_flow_runs() if run.state and run.state.is_running()]
    seen = []
    async with FlowRunSubscriber(runs[0].id, straggler_timeout=2) as items:
        async for item in items:
            seen.append(getattr(item, "event", None) or item.message)
    await task
    assert "prefect.flow-run.Completed" in seen and "said" in seen, seen

asyncio.run(asyncio.wait_for(main(), 180))
"""


def run(server: Server, tmp_path: Path, source: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(source))
    env = environment(tmp_path / "peer", server.url)
    done = subprocess.run([PYTHON, script], env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_its_runs_logs_and_events_are_there(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, FLOWS)
    runs = {one["name"]: one for one in server.post("/flows/filter", {})}
    assert set(runs) == {"parent", "child"}
    flow_runs = server.post("/flow_runs/filter", {})
    assert {one["state_type"] for one in flow_runs} == {"COMPLETED"} and len(flow_runs) == 2
    parent = next(one for one in flow_runs if one["parent_task_run_id"] is None)
    task_runs = server.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [parent["id"]]}}})
    by_task = Counter((one["task_key"].rsplit("-", 1)[0], one["state_type"]) for one in task_runs)
    assert by_task == {
        ("double", "COMPLETED"): 40, ("flaky", "COMPLETED"): 1, ("child", "COMPLETED"): 1, ("fails", "FAILED"): 1
    }  # fmt: skip
    assert next(one for one in task_runs if one["task_key"].startswith("flaky"))["run_count"] == 2
    messages = eventually(lambda: lines(server), lambda found: len(found) >= 40)
    assert sum(line.startswith("doubling") for line in messages) == 40
    names = Counter()
    page = server.post("/events/filter", {"limit": 200})
    names.update(one["event"] for one in page["events"])
    assert names["something.happened"] == 1 and names["prefect.flow-run.Completed"] == 2
    assert names["prefect.task-run.Completed"] == 41 and names["prefect.task-run.Failed"] == 1
    assert names["prefect.task-run.Retrying"] == 1


def test_its_background_tasks_are_run_once_each(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, BACKGROUND)
    found = eventually(
        lambda: server.post("/task_runs/filter", {}),
        lambda runs: len(runs) == 6 and all(one["state_type"] == "COMPLETED" for one in runs),
    )
    assert [one["run_count"] for one in found] == [1] * 6


def test_it_follows_events_and_logs(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, FOLLOW)


def lines(server: Server) -> list[str]:
    return [one["message"] for one in server.post("/logs/filter", {"limit": 200})]


def eventually(look: Any, enough: Any) -> Any:
    end = time.monotonic() + 20
    while not enough(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found
