"""Runs are held while they run: who is cancelled stops, who lost a run is not listened to any more."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from prefect import flow, runtime, task
from prefect._engine.frames import current_flow
from prefect._engine.recorder import get_recorder
from prefect._engine.recording import holding
from prefect.client.orchestration import get_client
from prefect.exceptions import Abort, CancelledRun
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from .servers import Server, until


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "EVERY_SECONDS", 0.1)


def cancel(server: Server, id: str) -> None:
    answer = server.ask("POST", f"/flow_runs/{id}/set_state", {"state": {"type": "CANCELLING"}})
    assert answer["status"] == "ACCEPT"


def for_ever() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.01)  # until it is told to stop
    raise AssertionError("nobody told it to stop")


def test_a_running_flow_is_held(server: Server) -> None:
    @flow
    def looks() -> Any:
        frame = current_flow.get()
        assert frame is not None
        assert frame.lease_token is not None
        held = {"flow_run_id": frame.id, "token": frame.lease_token}
        return server.ask("POST", "/flow_runs/leases/renew", {"leases": [held]}), frame.id

    answer, id = looks()
    assert answer == {"renewed": [id], "lost": [], "cancelling": []}


def test_a_run_that_is_cancelled_stops(server: Server) -> None:
    told = []

    @flow(on_cancellation=[lambda flow, run, state: told.append(state.name)])
    def endless() -> None:
        cancel(server, str(runtime.flow_run.id))
        time.sleep(60)
        raise AssertionError("nobody told it to stop")

    with pytest.raises(CancelledRun):
        endless()
    assert told == ["Cancelled"]
    run = server.flow_runs(state_type="CANCELLED")[-1]
    assert server.states(run["id"]) == ["Pending", "Running", "Cancelling", "Cancelled"]


def test_an_asynchronous_run_that_is_cancelled_stops(server: Server) -> None:
    ids = []

    @flow
    async def endless() -> None:
        ids.append(str(runtime.flow_run.id))
        await asyncio.to_thread(cancel, server, ids[0])
        await asyncio.sleep(60)
        raise AssertionError("nobody told it to stop")

    async def main() -> str:
        with pytest.raises(CancelledRun):
            await endless()
        await asyncio.sleep(0)
        return "goes on"

    assert asyncio.run(main()) == "goes on"
    assert server.states(ids[0])[-1] == "Cancelled"


def test_a_run_on_another_thread_stops(server: Server) -> None:
    outcome: list[Any] = []
    ids = []

    @flow
    def endless() -> None:
        ids.append(str(runtime.flow_run.id))
        cancel(server, ids[0])
        for_ever()

    def call() -> None:
        try:
            endless()
        except BaseException as exc:
            outcome.append(exc)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(call,))
    thread.start()
    thread.join(60)
    assert isinstance(outcome[0], CancelledRun)
    assert server.states(ids[0])[-1] == "Cancelled"


def test_sub_flows_stop_with_the_run_that_called_them(server: Server) -> None:
    ids = []

    @flow
    def child() -> None:
        ids.append(str(runtime.flow_run.id))
        cancel(server, str(runtime.flow_run.parent_flow_run_id))
        for_ever()

    @flow
    def parent() -> None:
        ids.append(str(runtime.flow_run.id))
        try:
            child()
        except Exception as exc:
            raise AssertionError("a run that is cancelled does not handle that") from exc

    with pytest.raises(CancelledRun):
        parent()
    assert [server.states(id)[-1] for id in ids] == ["Cancelled", "Cancelled"]


def test_who_lost_a_run_stops_and_is_not_listened_to(server: Server) -> None:
    @task
    def ends(id: str) -> None: ...

    @flow
    def loses() -> None:
        id = str(runtime.flow_run.id)
        lease = server.ask("POST", "/flow_runs/leases/renew", {"leases": []})
        assert lease["renewed"] == []
        other = {"kind": "process", "id": "0190a0a0-0000-7000-8000-000000000000", "name": "another"}
        frame = current_flow.get()
        assert frame is not None
        server.ask("POST", f"/flow_runs/{id}/release", {"token": frame.lease_token})
        server.ask("POST", f"/flow_runs/{id}/lease", {"holder": other})
        for_ever()

    with pytest.raises(Abort):
        loses()
    run = server.flow_runs(state_type="RUNNING")[-1]
    assert server.states(run["id"]) == ["Pending", "Running"]


def test_the_process_that_a_worker_started_takes_its_claim_over(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @flow
    def claimed() -> Any:
        frame = current_flow.get()
        assert frame is not None
        return frame.lease_token

    with get_client(sync_client=True) as client:
        made = client.create_flow_run(claimed, state=Scheduled())
    worker = {"kind": "worker", "id": "0190a0a0-0000-7000-8000-000000000001", "name": "a worker"}
    token = server.ask("POST", f"/flow_runs/{made.id}/lease", {"holder": worker})["token"]
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(made.id))
    monkeypatch.setenv("PREFECT__FLOW_RUN_LEASE_TOKEN", str(token))
    assert run_flow(claimed, flow_run=made) == token


def test_a_run_that_somebody_else_holds_does_not_begin(server: Server) -> None:
    @flow
    def held() -> None:
        raise AssertionError("it is another process's")

    with get_client(sync_client=True) as client:
        made = client.create_flow_run(held, state=Scheduled())
    worker = {"kind": "worker", "id": "0190a0a0-0000-7000-8000-000000000001", "name": "a worker"}
    server.ask("POST", f"/flow_runs/{made.id}/lease", {"holder": worker})
    with pytest.raises(Abort, match="a worker"):
        run_flow(held, flow_run=made)


def test_a_run_that_ends_while_it_is_cancelled_is_cancelled(server: Server) -> None:
    ids = []

    @flow
    def ends() -> None:
        ids.append(str(runtime.flow_run.id))
        cancel(server, ids[0])

    with pytest.raises(CancelledRun):
        ends()
    assert server.states(ids[0])[-2:] == ["Cancelling", "Cancelled"]


def test_nobody_renews_when_nothing_runs(server: Server) -> None:
    @flow
    def one() -> None: ...

    one()
    recorder: Any = get_recorder()
    until(lambda: recorder.held._thread is None, "the end of the renewing thread")
