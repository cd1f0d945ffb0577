"""A Prefect server has only the published operations, and is told of runs by these.

Its executable is what the variable PLUPERFECT_PEER names; without it these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from conformance.published import COMMAND
from prefect import flow, get_run_logger, runtime, task
from prefect._engine.recorder import get_recorder
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import CancelledRun, ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from .conftest import speaking_to
from .servers import Server, until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]


class Peer(Server):
    command = COMMAND
    start_seconds = 240  # it takes long to start on a busy machine


@pytest.fixture(scope="module")
def peer_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Peer(tmp_path_factory.mktemp("peer"), PREFECT_SERVER_ANALYTICS_ENABLED="false").start()
    yield server
    server.stop()


@pytest.fixture
def peer(peer_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with speaking_to(peer_server, tmp_path / "home", monkeypatch):
        yield peer_server


@task
def tells(number: int) -> int:
    get_run_logger().info("number %d", number)
    return number


def test_runs_task_runs_and_logs(peer: Server) -> None:
    @flow
    def child() -> str:
        tells(3)
        return str(runtime.flow_run.id)

    @flow
    def parent(times: int) -> tuple[str, str]:
        for number in range(times):
            tells(number)
        return str(runtime.flow_run.id), child()

    outer, inner = parent(3)
    run = peer.ask("GET", f"/flow_runs/{outer}")
    assert (run["state_type"], run["run_count"], run["parameters"]) == ("COMPLETED", 1, {"times": 3})
    assert peer.states(outer) == ["Pending", "Running", "Completed"]
    tasks = until(lambda: len(found := peer.task_runs(outer)) == 4 and found, "the recording of task runs")
    until(lambda: {each["state_name"] for each in peer.task_runs(outer)} == {"Completed"}, "their completion")
    stand = next(each for each in tasks if each["name"].startswith("child"))
    assert peer.ask("GET", f"/flow_runs/{inner}")["parent_task_run_id"] == stand["id"]
    simple = next(each for each in tasks if each["name"].startswith("tells"))
    assert peer.task_states(simple["id"]) == ["Pending", "Running", "Completed"]
    assert [line for line in peer.logs(outer) if line.startswith("number")] == [f"number {n}" for n in range(3)]


def test_retries_and_failures(peer: Server) -> None:
    ids = []

    @flow(retries=1)
    def fails() -> None:
        ids.append(str(runtime.flow_run.id))
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fails()
    run = peer.ask("GET", f"/flow_runs/{ids[0]}")
    assert (run["state_type"], run["run_count"]) == ("FAILED", 2)


def test_a_run_that_is_cancelled_while_it_ends(peer: Server) -> None:
    ids = []

    @flow
    def ends() -> None:
        ids.append(str(runtime.flow_run.id))
        peer.ask("POST", f"/flow_runs/{ids[0]}/set_state", {"state": {"type": "CANCELLING"}})

    with pytest.raises(CancelledRun):
        ends()
    assert peer.ask("GET", f"/flow_runs/{ids[0]}")["state_type"] == "CANCELLED"


def test_artifacts(peer: Server) -> None:
    @flow
    def reports() -> tuple[str, list[UUID]]:
        first = create_progress_artifact(1, "progress")
        update_progress_artifact(first, 50)
        with pytest.raises(ObjectNotFound):
            update_progress_artifact(uuid4(), 50)
        peer.kill()
        later = create_progress_artifact(2, "later")
        update_progress_artifact(later, 100)
        return str(runtime.flow_run.id), [first, later]

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        id, made = reports()
        peer.start()
        get_recorder().flush()
        wanted = {"flow_runs": {"id": {"any_": [id]}}}
        found = until(
            lambda: len(all := peer.ask("POST", "/artifacts/filter", wanted)) == 2 and all, "the recording of artifacts"
        )
    assert {each["key"]: each["data"] for each in found} == {"progress": 50.0, "later": 100.0}
    assert str(made[0]) in {each["id"] for each in found}


def test_an_outage(peer: Server) -> None:
    @flow
    def child() -> int:
        return tells(1)

    @flow
    def survives() -> str:
        id = str(runtime.flow_run.id)
        peer.kill()
        child()
        return id

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        id = survives()
        peer.start()

        @flow
        def next_one() -> None: ...

        next_one()
        until(lambda: peer.ask("GET", f"/flow_runs/{id}")["state_type"] == "COMPLETED", "the end of the run")
        inner = peer.only_run(name=next(r["name"] for r in peer.flow_runs() if r["parent_task_run_id"]))
        assert inner["id"] != id
