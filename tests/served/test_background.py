"""Deferred task runs of a server, carried out by task workers that are processes of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from background.conftest import DEADLINE, Workers, eventually
from background.conftest import jobs as jobs
from background.conftest import workers as workers
from prefect.client.orchestration import get_client
from prefect.exceptions import MissingResult
from prefect.futures import as_completed
from prefect.task_worker import TaskWorker

from .servers import Server


@pytest.fixture
def home(server: Server, tmp_path: Path) -> Iterator[Path]:
    """The home of this process, which speaks to the server."""
    return tmp_path / "home"


def states(server: Server, future: object) -> list[str]:
    return server.task_states(str(future.task_run_id))  # type: ignore[attr-defined]


def test_results_and_exceptions_come_back(server: Server, jobs: ModuleType, workers: Workers, home: Path) -> None:
    workers.start("add", "add_async", "count", "fail", "not_kept")
    futures = [jobs.add.delay(1), jobs.add_async.delay(2), jobs.count.delay(3)]
    assert [future.result(timeout=DEADLINE) for future in futures] == [3, 4, [0, 1, 2]]
    assert states(server, futures[0]) == ["Scheduled", "Pending", "Running", "Completed"]
    with pytest.raises(ValueError, match="as told"):
        jobs.fail.delay("as told").result(timeout=DEADLINE)
    with pytest.raises(MissingResult):
        jobs.not_kept.delay().result(timeout=DEADLINE)
    eventually(lambda: list((home / "storage" / "parameters").iterdir()) == [])


def test_futures_tell_and_asynchronous_code_waits(server: Server, jobs: ModuleType, workers: Workers) -> None:
    told, ready = [], threading.Event()
    future = jobs.add.delay(1)
    future.add_done_callback(lambda f: (told.append(f.state.name), ready.set()))
    workers.start("add")
    assert ready.wait(DEADLINE)
    assert told == ["Completed"]
    futures = jobs.add.map(range(5), deferred=True)
    assert {f.result() for f in as_completed(futures, timeout=DEADLINE)} == {2, 3, 4, 5, 6}

    async def main() -> list[int]:
        return await asyncio.gather(*(jobs.add.delay(n).result_async(timeout=DEADLINE) for n in range(3)))

    assert asyncio.run(main()) == [2, 3, 4]


def test_what_depends_on_others_waits_for_them(server: Server, jobs: ModuleType, workers: Workers) -> None:
    first = jobs.add.delay(1)
    second = jobs.add.delay(first, b=10)
    workers.start("add", "parent", limit=1)
    assert second.result(timeout=DEADLINE) == 13
    assert jobs.parent.delay(4).result(timeout=DEADLINE) == 6


def test_a_retry_waits_in_the_queue(server: Server, jobs: ModuleType, workers: Workers, tmp_path: Path) -> None:
    workers.start("flaky")
    future = jobs.flaky.delay(str(tmp_path / "attempts"))
    assert future.result(timeout=DEADLINE) == 3
    assert states(server, future) == [
        "Scheduled", "Pending", "Running", "AwaitingRetry", "Pending", "Retrying", "AwaitingRetry", "Pending",
        "Retrying", "Completed",
    ]  # fmt: skip


def test_runs_of_a_flow_run(server: Server, jobs: ModuleType, workers: Workers) -> None:
    workers.start("where")
    id = jobs.defers()
    with get_client(sync_client=True) as client:
        eventually(lambda: client.read_task_run(id).state_name == "Completed")
        assert client.read_task_run(id).flow_run_id is not None


def test_a_worker_of_this_process_stops_when_it_is_told(server: Server, jobs: ModuleType) -> None:
    future = jobs.add.delay(1)

    async def main() -> None:
        worker = TaskWorker(jobs.add)
        serving = asyncio.ensure_future(worker.astart())
        assert await future.result_async(timeout=DEADLINE) == 3
        await worker.astop()
        await asyncio.wait_for(serving, DEADLINE)

    asyncio.run(main())
