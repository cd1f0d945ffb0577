"""Servers that are killed, that stay away, that never were there: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from prefect import flow, get_run_logger, runtime, task
from prefect._clock import now
from prefect._engine import recorder as registry
from prefect._engine.frames import current_flow
from prefect._engine.recorder import get_recorder
from prefect._engine.recording import holding
from prefect._engine.recording.spool import folder_of
from prefect._services import lease_expiry
from prefect._transport.direct import ServerUnreachable
from prefect.artifacts import (
    Artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
    create_markdown_artifact,
)
from prefect.exceptions import ObjectNotFound
from prefect.server.database import make_database
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

from .servers import Server, free_port, until


@task
def tells(number: int) -> int:
    get_run_logger().info("number %d", number)
    return number


def spools(server: Server) -> list[Path]:
    return sorted(folder_of(get_current_settings().home, server.url).glob("*.spool"))


def check_whole(server: Server, id: str, numbers: int) -> None:
    """Everything of a run of `numbers` tasks is there, once."""
    run = server.ask("GET", f"/flow_runs/{id}")
    assert run["state_name"] == "Completed"
    assert server.states(id) == ["Pending", "Running", "Completed"]
    tasks = server.task_runs(id)
    assert Counter(each["state_name"] for each in tasks) == {"Completed": numbers}
    for each in tasks:
        assert server.task_states(each["id"]) == ["Pending", "Running", "Completed"]
    told = [line for line in server.logs(id) if line.startswith("number")]
    assert told == [f"number {number}" for number in range(numbers)]
    assert max(each["end_time"] for each in tasks) <= run["end_time"]


def forget() -> None:
    """End what this process has of a recorder, as if the process ended."""
    registry.forget_recorder(registry.served_key(get_current_settings()))


def test_a_server_that_is_killed_and_started_again(own_server: Server) -> None:
    starting = threading.Thread(target=own_server.start)

    @flow
    def survives() -> str:
        for number in range(60):
            if number == 20:
                get_recorder().flush()
                own_server.kill()
            if number == 40:
                starting.start()
            tells(number)
            time.sleep(0.005)  # so that some of it is sent while the server is away
        return str(runtime.flow_run.id)

    id = survives()
    starting.join()  # on a busy machine the flow has ended before the server is there
    until(lambda: own_server.ask("GET", f"/flow_runs/{id}")["state_type"] == "COMPLETED", "the end of the run")
    check_whole(own_server, id, 60)
    assert spools(own_server) == []


def test_a_server_that_stays_away_changes_nothing_for_the_flow(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def survives() -> str:
        tells(0)
        own_server.kill()
        tells(1)
        return str(runtime.flow_run.id)

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
        id = survives()
        forget()
    (kept,) = spools(own_server)
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len([each for each in warnings if "Runs go on" in each and str(kept) in each]) == 1
    own_server.start()
    assert own_server.ask("GET", f"/flow_runs/{id}")["state_type"] == "RUNNING"

    @flow
    def next_one() -> None: ...

    next_one()
    until(lambda: spools(own_server) == [], "the sending of what was kept")
    check_whole(own_server, id, 2)


def test_a_home_that_is_removed_while_the_server_is_away(own_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """What was kept is sent by its descriptor; that it would be lost is told, once."""

    @flow
    def survives() -> str:
        own_server.kill()
        tells(0)
        get_recorder().flush()
        shutil.rmtree(get_current_settings().home)
        for _ in range(3):
            get_recorder().flush()
        tells(1)
        return str(runtime.flow_run.id)

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        id = survives()
    told = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.getMessage() for each in told if "has been removed" in each.getMessage()] == [told[-1].getMessage()]
    assert [each.exc_info for each in told if each.exc_info] == []
    own_server.start()
    get_recorder().flush()
    check_whole(own_server, id, 2)
    assert not get_current_settings().home.exists()


def test_a_home_that_is_removed_while_the_server_stays_away(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def survives() -> None:
        own_server.kill()
        tells(0)

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        survives()
        shutil.rmtree(get_current_settings().home)
        forget()
    (told,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert "will not be" in told
    assert "(task runs: 1, log lines: 4, states of flow runs: 1)" in told


def test_a_killed_process_leaves_what_it_kept(
    own_server: Server, run_script: Callable[..., Any], tmp_path: Path
) -> None:
    done = run_script(
        """
        import os, signal, sys
        from prefect import flow, task
        from prefect._engine.recorder import get_recorder

        @task
        def one(number):
            return number

        @flow
        def main():
            one(0)
            get_recorder().flush()
            os.kill(int(sys.argv[1]), signal.SIGKILL)
            for number in range(10):
                one(number)
            get_recorder().flush()
            os.kill(os.getpid(), signal.SIGKILL)

        main()
        """,
        str(own_server.process.pid),  # type: ignore[union-attr]
        PREFECT_API_URL=own_server.url,
        PREFECT_HOME=str(get_current_settings().home),
        PREFECT_CLIENT_MAX_RETRIES="0",
    )
    assert done.code == -9
    own_server.kill()
    (kept,) = spools(own_server)
    with kept.open("ab") as file:
        file.write(b'{"task_runs": [{"id": "01')  # as if it had died in the middle of a line
    own_server.start()
    tells(0)
    until(lambda: spools(own_server) == [], "the sending of what was kept")
    run = own_server.only_run(state_type="RUNNING")
    assert Counter(each["state_name"] for each in own_server.task_runs(run["id"])) == {"Completed": 11}


def read_artifacts(server: Server, id: str) -> list[Any]:
    wanted = {"flow_runs": {"id": {"any_": [id]}}, "sort": "ID_DESC"}
    return [(each["key"], each["data"]) for each in reversed(server.ask("POST", "/artifacts/filter", wanted))]


@pytest.mark.parametrize("ends", [False, True], ids=["comes back while it runs", "comes back later"])
def test_artifacts_that_are_left_while_the_server_is_away(own_server: Server, ends: bool) -> None:
    @task
    def leaves(number: int) -> UUID:
        return create_markdown_artifact(f"# {number}", key="pages")

    @flow
    async def reports() -> str:
        before = await acreate_progress_artifact(0)
        own_server.kill()
        for number in range(3):
            leaves(number)
        await acreate_markdown_artifact("# 3", key="pages")
        during = await acreate_progress_artifact(10, "percent")
        await aupdate_progress_artifact(during, 50)
        await aupdate_progress_artifact(during, 100)
        if not ends:
            own_server.start()
            get_recorder().flush()
            await aupdate_progress_artifact(before, 100)
            with pytest.raises(ObjectNotFound):  # now somebody can tell
                await aupdate_progress_artifact(uuid4(), 1)
        return str(runtime.flow_run.id)

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        id = asyncio.run(reports())
        if ends:
            forget()
            own_server.start()

            @flow
            def next_one() -> None: ...

            next_one()
            until(lambda: spools(own_server) == [], "the sending of what was kept")
    pages = [("pages", f"# {number}") for number in range(4)]
    assert read_artifacts(own_server, id) == [(None, 0.0 if ends else 100.0), *pages, ("percent", 100.0)]
    assert own_server.ask("GET", "/artifacts/pages/latest")["data"] == "# 3"
    forget()


def test_an_artifact_that_is_refused_is_told_to_who_leaves_it(own_server: Server) -> None:
    @flow
    def reports() -> None:
        with pytest.raises(ValidationError, match="dashes"):
            create_markdown_artifact("x", key="Not A Key")
        id = create_markdown_artifact("y", key="a-key")
        assert Artifact.get("a-key").id == id  # at once

    reports()


def test_an_artifact_of_no_run_needs_a_server(own_server: Server) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ServerUnreachable, match="prefect server start"):
        try:
            create_markdown_artifact("x")
        finally:
            forget()


def test_no_server_at_the_start_is_told_at_once(own_server: Server) -> None:
    calls = []

    @flow
    def never() -> None:
        calls.append(1)

    url = f"http://127.0.0.1:{free_port()}/api"
    began = time.monotonic()
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ServerUnreachable) as raised:
        try:
            never()
        finally:
            forget()
    assert not calls
    assert url in str(raised.value)
    assert "prefect server start" in str(raised.value)
    assert time.monotonic() - began < 20  # a wait that nobody could explain


def test_sub_flows_are_decided_here_while_the_server_is_away(own_server: Server) -> None:
    @flow
    def child() -> str:
        tells(0)
        return str(runtime.flow_run.id)

    @flow
    def parent() -> tuple[str, str]:
        own_server.kill()
        return str(runtime.flow_run.id), child()

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
        outer, inner = parent()
        own_server.start()
        get_recorder().flush()
        assert own_server.states(outer) == ["Pending", "Running", "Completed"]
        check_whole(own_server, inner, 1)
        forget()


@pytest.mark.parametrize(
    ("meanwhile", "in_the_end"),
    [
        ({"type": "CRASHED", "name": "Crashed", "message": "Nobody has heard of it."}, "Completed"),
        ({"type": "CANCELLED"}, "Cancelled"),
    ],
    ids=["taken for dead", "cancelled"],
)
def test_a_run_that_others_ended_meanwhile(own_server: Server, meanwhile: dict[str, str], in_the_end: str) -> None:
    """Who was taken for dead has ended as it did; who was cancelled is cancelled."""

    @flow
    def survives() -> str:
        id = str(runtime.flow_run.id)
        own_server.ask("POST", f"/flow_runs/{id}/set_state", {"state": meanwhile, "force": True})
        own_server.kill()
        return id

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        id = survives()
        own_server.start()
        get_recorder().flush()
        assert own_server.ask("GET", f"/flow_runs/{id}")["state_name"] == in_the_end
        forget()


def test_a_run_that_began_while_nobody_could_be_asked_is_missed_when_its_process_dies(
    own_server: Server, run_script: Callable[..., Any]
) -> None:
    done = run_script(
        """
        import os, signal, sys
        from prefect import flow
        from prefect._engine.recorder import get_recorder

        @flow
        def child():
            get_recorder().flush()
            os.kill(os.getpid(), signal.SIGKILL)

        @flow
        def parent():
            os.kill(int(sys.argv[1]), signal.SIGKILL)
            child()

        parent()
        """,
        str(own_server.process.pid),  # type: ignore[union-attr]
        PREFECT_API_URL=own_server.url,
        PREFECT_HOME=str(get_current_settings().home),
        PREFECT_CLIENT_MAX_RETRIES="0",
    )
    assert done.code == -9
    own_server.kill()
    database = make_database(f"sqlite:///{own_server.folder}/pluperfect.db")
    database.open()
    lease_expiry.run_once(database, now() + timedelta(seconds=61))  # before anybody has told of the sub-flow
    own_server.start()
    tells(0)
    until(lambda: spools(own_server) == [], "the sending of what was kept")
    [child] = own_server.flow_runs(state_type="RUNNING")
    lease_expiry.run_once(database, now() + timedelta(seconds=122))
    database.close()
    assert own_server.states(child["id"])[-2:] == ["Running", "Crashed"]
    assert {run["state_name"] for run in own_server.flow_runs()} == {"Crashed"}


def test_a_run_that_began_while_nobody_could_be_asked_is_held_later(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "EVERY_SECONDS", 0.1)

    @flow
    def child() -> Any:
        frame = current_flow.get()
        assert frame is not None
        assert frame.lease_token is None
        own_server.start()
        get_recorder().flush()
        until(lambda: frame.lease_token is not None, "the lease")
        held = {"flow_run_id": frame.id, "token": frame.lease_token}
        return frame.id, own_server.ask("POST", "/flow_runs/leases/renew", {"leases": [held]})["renewed"]

    @flow
    def parent() -> Any:
        own_server.kill()
        return child()

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        id, renewed = parent()
        assert renewed == [id]
        get_recorder().flush()
        assert own_server.states(id) == ["Pending", "Running", "Completed"]
        forget()


@pytest.mark.faults
def test_a_server_that_is_killed_again_and_again_while_flows_run(own_server: Server, soak: bool) -> None:
    kills = 10 if soak else 2
    over = threading.Event()

    def crowd() -> None:
        generator = random.Random(7)
        for _ in range(kills):
            over.wait(generator.uniform(0.1, 0.4))
            own_server.kill()
            own_server.start()
        over.set()

    @flow
    def child(first: int) -> str:
        for number in range(first, first + 10):
            tells(number)
        return str(runtime.flow_run.id)

    killer = threading.Thread(target=crowd)

    @flow
    def busy() -> tuple[str, list[str]]:
        killer.start()  # (a flow that finds no server at its very beginning does not run)
        children = []
        while not over.is_set() or len(children) < 3:
            children.append(child(0))
        return str(runtime.flow_run.id), children

    outer, children = busy()
    killer.join()
    get_recorder().flush()
    until(lambda: spools(own_server) == [], "the sending of what was kept")
    assert own_server.states(outer)[-1] == "Completed"
    assert len(own_server.task_runs(outer)) == len(children)
    for id in children:
        check_whole(own_server, id, 10)
