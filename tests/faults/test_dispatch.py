"""Kill worker, fork server, flow processes and server at random: every run ends, and none runs twice at the same time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from prefect._clock import now
from prefect._dispatch.children import is_alive
from prefect._operations.local import LocalDatabase
from prefect._services import lease_expiry
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from served.servers import Server, until

pytestmark = pytest.mark.faults

SHORT, LONG = 8.0, 180.0
_END_SECONDS = 240.0

FLOW = """
import os, pathlib, time
from prefect import flow, runtime

LOG = pathlib.Path({log!r})

def lines(): return [line.split() for line in LOG.read_text().splitlines()] if LOG.exists() else []

def note(what, id):
    with LOG.open("a") as file: file.write(f"{{what}} {{id}} {{os.getpid()}}\\n")

def alive(pid):
    try: os.kill(int(pid), 0)
    except ProcessLookupError: return False
    return True

@flow
def f(seconds: float):
    id = str(runtime.flow_run.id)
    seen = lines()
    over = {{pid for what, other, pid in seen if what == "end" and other == id}}
    if any(what == "begin" and other == id and pid not in over and alive(pid) for what, other, pid in seen):
        note("twice", id)
    note("begin", id)
    time.sleep(seconds)
    note("end", id)
"""


class Scene:
    """A server, a worker, and runs."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.code = folder / "code"
        self.code.mkdir()
        (self.code / "flows.py").write_text(textwrap.dedent(FLOW.format(log=str(self.log))))
        self.server = Server(folder / "server").start()
        self.home = folder / "home"
        self.home.mkdir()
        self.worker = self.start_worker()
        self.errors = folder / "worker.err"

    def start_worker(self) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PREFECT_HOME": str(self.home), "PREFECT_API_URL": self.server.url}
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "faults", "--limit", "8"]
        with (self.home.parent / "worker.err").open("ab") as errors:
            return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=errors)

    def noted(self, what: str) -> list[tuple[str, int]]:
        """What the flows wrote down: (id of the run, id of the process)."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(id, int(pid)) for kind, id, pid in (line.split() for line in lines) if kind == what]

    def living(self) -> list[int]:
        over = set(self.noted("end"))
        return [pid for id, pid in self.noted("begin") if (id, pid) not in over and is_alive(pid)]

    def fork_servers(self) -> list[int]:
        listed = subprocess.run(
            ["pgrep", "-P", str(self.worker.pid), "-f", "forkserver"], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]

    # -- what happens to them ----------------------------------------------------------------------------------------

    def kill_worker(self) -> None:
        self.worker.kill()
        self.worker.wait()
        self.worker = self.start_worker()

    def kill_fork_server(self) -> None:
        for pid in self.fork_servers():
            _kill(pid)

    def kill_flow(self) -> None:
        for pid in self.living()[:1]:
            _kill(pid)

    def kill_server(self) -> None:
        self.server.kill()
        self.server.start()

    def stop(self) -> None:
        self.worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.worker.wait(20)
        self.worker.kill()
        self.server.stop()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _deploy(api: SyncPrefectClient, scene: Scene) -> Any:
    until(lambda: [pool for pool in api.read_work_pools() if pool.name == "faults"], "the start of the worker")
    flow = api.create_flow(load_flow_from_entrypoint(f"{scene.code / 'flows.py'}:f"))
    return api.create_deployment(
        flow_id=flow, name="faults", path=str(scene.code), entrypoint="flows.py:f", work_pool_name="faults"
    )


def _expire_leases(scene: Scene) -> None:
    """What happens when nobody is heard of for a long time: nothing that lives is left to be heard of."""
    path = scene.server.folder / "pluperfect.db"
    with LocalDatabase(str(path)) as database:

        class Times:
            def read(self, work: Any) -> Any:
                with database.read() as tx:
                    return work(tx)

            def write(self, work: Any) -> Any:
                with database.write() as tx:
                    return work(tx)

        while lease_expiry.run_once(Times(), now() + timedelta(hours=1)).more:  # type: ignore[arg-type]
            pass


def _see_to_the_end(api: SyncPrefectClient, scene: Scene, runs: list[UUID]) -> list[FlowRun]:
    """Wait for the end of runs, as somebody would who has hours."""
    deadline, expire_at = time.monotonic() + _END_SECONDS, 0.0
    ended: dict[UUID, FlowRun] = {}
    while len(ended) < len(runs):
        open_runs = [run for run in runs if run not in ended]
        some = FlowRunFilter.model_validate({"id": {"any_": open_runs[:200]}})
        found = api.read_flow_runs(flow_run_filter=some)
        ended |= {run.id: run for run in found if run.state is not None and run.state.is_final()}
        if not scene.living() and time.monotonic() > expire_at:
            # (not again at once: what is claimed after this has to have time to begin)
            _expire_leases(scene)
            expire_at = time.monotonic() + 8
        assert time.monotonic() < deadline, [(run.name, run.state_name) for run in found if run.id not in ended]
        time.sleep(0.1)
    return list(ended.values())


@pytest.mark.timeout(900)
def test_whatever_is_killed_every_run_ends_and_none_runs_twice(tmp_path: Path, soak: bool) -> None:
    chance = random.Random(7 if not soak else None)
    scene = Scene(tmp_path)
    with temporary_settings({PREFECT_API_URL: scene.server.url, PREFECT_HOME: scene.home}):
        try:
            with get_client(sync_client=True) as api:
                id = _deploy(api, scene)
                runs = []
                faults = [
                    scene.kill_worker,
                    scene.kill_flow,
                    scene.kill_fork_server,
                    scene.kill_server,
                    scene.kill_flow,
                ]
                end = time.monotonic() + (LONG if soak else SHORT)
                while time.monotonic() < end:
                    for _ in range(chance.randint(1, 4)):
                        seconds = {"seconds": chance.choice([0, 0.2, 1])}
                        runs.append(api.create_flow_run_from_deployment(id, parameters=seconds).id)
                    chance.choice(faults)()

                ended = _see_to_the_end(api, scene, runs)
        finally:
            scene.stop()
    assert scene.noted("twice") == []
    names = [str(run.state_name) for run in ended]
    assert set(names) <= {"Completed", "Crashed"}, names
    begun = {id for id, _ in scene.noted("begin")}
    assert {str(run.id) for run in ended if run.state_name == "Completed"} <= begun
    assert names.count("Completed") >= len(names) // 3
