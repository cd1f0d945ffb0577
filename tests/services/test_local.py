"""Services on the local database: in one process at a time, and in another one when that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect import flow
from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations.errors import NotLocal
from prefect._operations.local import LocalDatabase, open_local
from prefect._schemas.leases import LeaseHolder
from prefect._services import db_vacuum, lease_expiry
from prefect._services.local import LocalServices, LocalWork, start_local_services
from prefect._store.tables import owner
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled
from waiting import until

DEADLINE = 30.0
PROGRAM = """
import sys, time
from prefect._services.local import start_local_services
services = start_local_services()
services.running.wait()
print("running", flush=True)
time.sleep(1000)
"""


@flow
def nothing() -> None: ...


def due_run() -> Any:
    with get_client(sync_client=True) as client:
        if not client.read_work_pools():
            client.create_work_pool(WorkPoolCreate(name="p", type="process"))
        state = Scheduled(scheduled_time=now() - timedelta(minutes=1))
        return client.create_flow_run(nothing, state=state, work_pool_name="p").id


def state(run: Any) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state_name or ""


def test_services_run_while_flows_are_served(home: Path) -> None:
    with LocalServices():
        run = due_run()
        until(lambda: state(run) == "Late")


def test_a_lease_that_is_not_renewed_ends(home: Path) -> None:
    run = due_run()
    holder = LeaseHolder(kind="runner", id=new_uuid(), name="r")
    services = start_local_services()
    try:
        assert services.running.wait(DEADLINE)
        with get_client(sync_client=True) as client:
            [claimed] = client.claim_flow_runs(holder, work_pool_name="p", lease_seconds=1)
            assert claimed.flow_run.id == run
        # on a machine that stood still for a moment, everybody has a minute to be heard of
        until(lambda: state(run) in ("Scheduled", "Late"), 120)
    finally:
        services.stop()
    assert not services.running.is_set()


def test_a_process_that_lives_is_not_taken_for_dead(home: Path) -> None:
    """The lease has ended, but its process holds the lock by which the operating system tells that it lives."""
    holder = LeaseHolder(kind="process", id=new_uuid(), name="p")

    @flow
    def watched() -> int:
        run = flow_run.get_id()
        with get_client(sync_client=True) as client:
            client.lease_flow_run(UUID(run), holder, lease_seconds=1)
        with LocalDatabase(open_local().path) as database:
            later = now() + timedelta(seconds=30)
            assert lease_expiry.run_once(LocalWork(database), later).done == 0
        return 1

    assert watched() == 1


def test_processes_that_have_ended_are_forgotten(home: Path) -> None:
    nothing()
    with LocalDatabase(open_local().path) as database:
        work = LocalWork(database)

        def known() -> list[Any]:
            return work.read(lambda tx: list(tx.execute(sa.select(owner.c.id)).scalars()))

        [mine] = known()
        gone = new_uuid()
        row = {"id": gone, "host": "h", "boot_id": "b", "pid": 1, "created": now()}
        work.write(lambda tx: tx.execute(sa.insert(owner).values(**row)))
        db_vacuum.run_once(work, now())
        assert set(known()) == {mine, gone}
        db_vacuum.run_once(work, now() + timedelta(days=2))
        assert known() == [mine]


def test_one_process_at_a_time(home: Path) -> None:
    with LocalServices() as first:
        assert first.running.wait(DEADLINE)
        with LocalServices() as second:
            first.stop()
            assert second.running.wait(DEADLINE)


@pytest.mark.faults
def test_another_process_takes_over(home: Path) -> None:
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    with LocalServices() as services:
        try:
            assert not services.running.wait(1.5)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        assert services.running.wait(DEADLINE)
        run = due_run()
        until(lambda: state(run) == "Late")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_child_does_not_keep_the_lock(home: Path) -> None:
    with LocalServices() as services:
        assert services.running.wait(DEADLINE)
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        with LocalServices() as again:
            assert again.running.wait(DEADLINE)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_server_has_services_of_its_own(home: Path) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}), pytest.raises(NotLocal):
        start_local_services()
