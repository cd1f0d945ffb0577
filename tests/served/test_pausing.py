"""Pauses of runs that a server records: resumed by others, with what they were asked for."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any
from uuid import UUID

import pytest

from prefect import flow, pause_flow_run, resume_flow_run, runtime, suspend_flow_run
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout, FlowRunWaitTimeout, NotPausedError, Pause
from prefect.flow_engine import run_flow
from prefect.flow_runs import wait_for_flow_run
from prefect.input import RunInput

from .servers import Server, until


def in_background(fn: Any) -> threading.Thread:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(fn,))
    thread.start()
    return thread


def resume_when_paused(server: Server, ids: list[str], given: dict[str, Any] | None = None) -> threading.Thread:
    def resume() -> None:
        until(lambda: ids and server.states(ids[0])[-1:] == ["Paused"], "the pause")
        resume_flow_run(UUID(ids[0]), given)

    return in_background(resume)


def test_a_paused_run_goes_on_when_it_is_resumed(server: Server) -> None:
    ids: list[str] = []

    @flow
    def waits() -> str:
        ids.append(str(runtime.flow_run.id))
        pause_flow_run(timeout=50)
        return "resumed"

    thread = resume_when_paused(server, ids)
    assert waits() == "resumed"
    thread.join()
    assert server.states(ids[0]) == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert server.ask("GET", f"/flow_runs/{ids[0]}")["run_count"] >= 1


def test_a_pause_of_an_asynchronous_run_that_asks_for_something(server: Server) -> None:
    ids: list[str] = []

    class Choice(RunInput):
        name: str
        number: int = 3

    @flow
    async def asks() -> tuple[str, int]:
        ids.append(str(runtime.flow_run.id))
        choice = await pause_flow_run(wait_for_input=Choice, timeout=50)
        return choice.name, choice.number

    thread = resume_when_paused(server, ids, {"name": "x"})
    assert asyncio.run(asks()) == ("x", 3)
    thread.join()


def test_a_value_of_any_type(server: Server) -> None:
    ids: list[str] = []

    @flow
    def asks() -> int:
        ids.append(str(runtime.flow_run.id))
        return pause_flow_run(wait_for_input=int, timeout=50)

    thread = resume_when_paused(server, ids, {"value": 7})
    assert asks() == 7
    thread.join()


def test_what_does_not_fit_does_not_end_the_pause(server: Server) -> None:
    ids: list[str] = []

    @flow
    def asks() -> int:
        ids.append(str(runtime.flow_run.id))
        return pause_flow_run(wait_for_input=int, timeout=50)

    def answer() -> None:
        until(lambda: ids and server.states(ids[0])[-1:] == ["Paused"], "the pause")
        with pytest.raises(NotPausedError):
            resume_flow_run(UUID(ids[0]), {"value": "not a number"})
        resume_flow_run(UUID(ids[0]), {"value": 8})

    thread = in_background(answer)
    assert asks() == 8
    thread.join()


def test_a_pause_that_nobody_ends(server: Server) -> None:
    @flow
    def waits() -> None:
        pause_flow_run(timeout=0.2)  # type: ignore[arg-type]

    with pytest.raises(FlowPauseTimeout):
        waits()


def test_a_suspended_run_is_carried_out_again_when_it_is_resumed(server: Server) -> None:
    attempts = []

    @flow
    def suspends() -> int:
        attempts.append(1)
        return suspend_flow_run(wait_for_input=int)

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(suspends)
        deployment = client.create_deployment(flow_id, name="d")
        made = client.create_flow_run_from_deployment(deployment)
        with pytest.raises(Pause):
            run_flow(suspends, flow_run=made)
        assert client.read_flow_run(made.id).state_name == "Suspended"
        resume_flow_run(made.id, {"value": 9})
        again = client.read_flow_run(made.id)
        assert again.state is not None
        assert again.state.is_scheduled()
        assert run_flow(suspends, flow_run=again) == 9
        assert client.read_flow_run(made.id).state_name == "Completed"
    assert len(attempts) == 2


def test_without_a_deployment_nothing_would_start_it_again(server: Server) -> None:
    @flow
    def suspends() -> None:
        suspend_flow_run()

    with pytest.raises(RuntimeError, match="deployment"):
        suspends()


def test_waiting_for_a_run(server: Server) -> None:
    ids: list[str] = []
    go = threading.Event()

    @flow
    def waits() -> None:
        ids.append(str(runtime.flow_run.id))
        assert go.wait(50)

    thread = in_background(waits)
    until(lambda: ids, "the beginning of the run")
    with pytest.raises(FlowRunWaitTimeout):
        asyncio.run(wait_for_flow_run(UUID(ids[0]), timeout=0))
    go.set()
    run = asyncio.run(wait_for_flow_run(UUID(ids[0]), timeout=50))
    thread.join()
    assert run.state is not None
    assert run.state.is_completed()
