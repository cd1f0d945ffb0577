"""The published client of Prefect 3.8 does what it always does, with our server.

The variable PLUPERFECT_PEER names its interpreter, or its executable `prefect`; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served.servers import Server, until

PEER = os.environ.get("PLUPERFECT_PEER", "")
PROGRAMS = Path(__file__).parent / "programs"
DEADLINE_SECONDS = 240
"""For a program: importing the published client takes long on a busy machine."""

pytestmark = pytest.mark.skipif(not PEER, reason="PLUPERFECT_PEER names no interpreter that has Prefect 3.8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server")).start()
    yield running
    running.stop()


class Client:
    """Programs in the environment of the published client, which speak to a server of ours."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.python = str(Path(PEER).with_name("python")) if Path(PEER).name == "prefect" else PEER
        self._folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
        self._environment = {
            **kept, "PREFECT_HOME": str(folder / "home"), "PREFECT_API_URL": server.url,
            "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5", "DO_NOT_TRACK": "1",
        }  # fmt: skip
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self._folder / "said", "ab") as said:
            process = subprocess.Popen(
                [self.python, *arguments], env=self._environment, cwd=self._folder, stdout=said, stderr=said,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> str:
        """What a program says that ends well."""
        process = self.start(*arguments)
        code = process.wait(DEADLINE_SECONDS)
        said = self.said()
        assert code == 0, said[-5000:]
        return said

    def said(self) -> str:
        return (self._folder / "said").read_text(errors="replace")

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    made = Client(server, tmp_path)
    yield made
    made.end()


def long(condition: Callable[[], Any], what: str, client: Client) -> Any:
    """Wait for something that others do, who are slow to start."""
    for attempt in range(4):
        try:
            return until(condition, what)
        except AssertionError as late:
            if attempt == 3:
                raise AssertionError(f"{late}\n{client.said()[-5000:]}") from None
    raise AssertionError


def test_flows_and_all_that_is_around_them(server: Server, client: Client) -> None:
    said = client.run(str(PROGRAMS / "runs.py"))
    out = json.loads(said.rpartition("OUT")[2].splitlines()[0])
    assert out["children"] == [2, 3]
    assert out["map"] == sum(range(1, 201))
    assert (out["flaky"], out["cached"]) == ("good", [8, 8])
    assert out["calls"] == {"flaky": 3, "cached": 1}
    assert out["error"] == "on purpose"
    assert out["state"] == ["COMPLETED", "well done", 1]
    assert out["states"] == ["Pending", "Running", "Completed"]
    assert out["variables"] == [{"a": [1]}, 7]
    assert (out["secret"], out["artifact"]) == ("hidden", "# report")

    # what the server knows of it
    tasks = until(lambda: len(found := server.task_runs(out["parent"])) == 205 and found, "the recording of task runs")
    until(lambda: all(run["state_type"] == "COMPLETED" for run in server.task_runs(out["parent"])), "their completion")
    tasks = server.task_runs(out["parent"])
    assert Counter(run["name"].partition("-")[0] for run in tasks) == {"add": 200, "child": 2, "cached": 2, "flaky": 1}
    assert {run["run_count"] for run in tasks if run["name"].startswith("flaky")} == {3}
    assert sorted(run["state_name"] for run in tasks if run["name"].startswith("cached")) == ["Cached", "Completed"]
    assert len([run for run in server.flow_runs() if run["parent_task_run_id"]]) == 2
    failed = server.ask("GET", f"/flow_runs/{out['fails']}")
    assert (failed["state_type"], failed["run_count"]) == ("FAILED", 2)
    until(lambda: "hello from the parent" in server.logs(out["parent"]), "the log")
    events = {"filter": {"event": {"name": ["colour.changed"]}}}
    until(lambda: [each["id"] for each in server.ask("POST", "/events/filter", events)["events"]] == [out["event"]],
          "the event")  # fmt: skip


def ends(server: Server, run: dict[str, Any], client: Client) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found = server.ask("GET", f"/flow_runs/{run['id']}")
        return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    return long(ended, "the end of the run", client)


def deployment(server: Server, name: str, client: Client) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        wanted = {"deployments": {"name": {"any_": [name.partition("/")[2]]}}}
        found = server.ask("POST", "/deployments/filter", wanted)
        return server.ask("GET", f"/deployments/name/{name}") if found else None

    return long(there, f"deployment {name}", client)


def test_serving_flows_and_pausing_one(server: Server, client: Client) -> None:
    client.start(str(PROGRAMS / "deployed.py"), "serve")
    made = deployment(server, "doubles/served", client)
    run = server.ask("POST", f"/deployments/{made['id']}/create_flow_run", {"parameters": {"x": 21}})
    paused = deployment(server, "pauses/pausing", client)
    other = server.ask("POST", f"/deployments/{paused['id']}/create_flow_run", {})
    run = ends(server, run, client)
    assert (run["state_type"], run["tags"]) == ("COMPLETED", ["a"]), client.said()[-5000:]
    until(lambda: "doubled: 42" in server.logs(run["id"]), "the log")

    def state() -> str:
        return server.ask("GET", f"/flow_runs/{other['id']}")["state_type"]

    long(lambda: state() == "PAUSED", "the pause", client)
    assert server.ask("POST", f"/flow_runs/{other['id']}/resume", {})["status"] == "ACCEPT"
    assert ends(server, other, client)["state_type"] == "COMPLETED"


def test_a_process_worker(server: Server, client: Client) -> None:
    client.run("-m", "prefect", "work-pool", "create", "pool", "--type", "process")
    client.run(str(PROGRAMS / "deployed.py"), "deploy", "pool")
    made = deployment(server, "doubles/pooled", client)
    run = server.ask("POST", f"/deployments/{made['id']}/create_flow_run", {"parameters": {"x": 4}})
    client.start("-m", "prefect", "worker", "start", "--pool", "pool", "--name", "one")
    run = ends(server, run, client)
    assert (run["state_type"], run["work_pool_name"]) == ("COMPLETED", "pool"), client.said()[-5000:]
    assert server.states(run["id"])[0] == "Scheduled"
    until(lambda: "doubled: 8" in server.logs(run["id"]), "the log")
    workers = server.ask("POST", "/work_pools/pool/workers/filter", {})
    assert [(worker["name"], worker["status"]) for worker in workers] == [("one", "ONLINE")]
