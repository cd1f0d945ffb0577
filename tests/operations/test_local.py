"""Opening the local database to look at it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect._operations import flow_runs
from prefect._operations.errors import NotLocal
from prefect._operations.local import LocalDatabase, open_local
from prefect._store.owners import Owner
from prefect._store.sqlite import DatabaseUnavailable, connect
from prefect._store.tables import flow
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

from .conftest import World


def test_looking_at_nothing_makes_nothing(tmp_path: Path) -> None:
    with LocalDatabase(str(tmp_path / "home" / "pluperfect.db")) as database, database.read() as tx:
        assert flow_runs.matching_flow_runs(tx, flow_runs.FlowRunQuery()) == []
    assert list(tmp_path.iterdir()) == []


def test_the_settings_name_the_file(tmp_path: Path) -> None:
    with temporary_settings({PREFECT_HOME: tmp_path}):
        assert open_local().path == str(tmp_path / "pluperfect.db")
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{tmp_path}/other.db"}):
        assert open_local().path == str(tmp_path / "other.db")


def test_a_server_is_not_looked_at_behind_its_back() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}),
        pytest.raises(NotLocal, match="PREFECT_API_URL"),
    ):
        open_local()
    url = "postgresql+asyncpg://u@h/d"
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: url}), pytest.raises(NotLocal, match="postgresql"):
        open_local()


def test_a_write_is_kept_and_a_failed_one_is_not(database: LocalDatabase) -> None:
    with database.write() as tx:
        World(tx).flow("kept")
    with pytest.raises(ZeroDivisionError), database.write() as tx:
        World(tx).flow("lost")
        raise ZeroDivisionError
    with database.read() as tx:
        assert list(tx.execute(sa.select(flow.c.name)).scalars()) == ["kept"]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pluperfect.db"
    path.write_text("this is not a database, but long enough to be read as one: " * 20)
    with LocalDatabase(str(path)) as database, pytest.raises(DatabaseUnavailable, match=str(path)), database.read():
        pass


def test_the_database_of_another_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pluperfect.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('f00d')")
    with (
        LocalDatabase(str(path)) as database,
        pytest.raises(DatabaseUnavailable, match="set PREFECT_HOME"),
        database.read(),
    ):
        pass


def test_looking_ends_the_runs_of_dead_processes_only(database: LocalDatabase) -> None:
    connection = connect(database.path)
    dead, alive = Owner(database.path), Owner(database.path)
    dead.ensure(connection)
    alive.ensure(connection)
    with database.write() as tx:
        world = World(tx)
        flow_id = world.flow()
        for name, owner in (("dead", dead), ("alive", alive)):
            world.task_run(world.flow_run(flow_id, name, "RUNNING", owner=owner.id), f"task of {name}", "RUNNING")
    # what the kernel does when the process ends; the file stays
    os.close(dead._fd)
    for _ in range(2):
        with LocalDatabase(database.path) as fresh, fresh.read() as tx:
            found = {run.name: run for run in flow_runs.matching_flow_runs(tx, flow_runs.FlowRunQuery())}
            states = flow_runs.read_flow_run_states(tx, found["dead"].id)
        assert found["alive"].state_name == "Running"
        assert found["dead"].state_name == "Crashed"
        assert [state.type.value for state in states] == ["RUNNING", "CRASHED"]
    alive.release()
    connection.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_file_can_be_read(database: LocalDatabase) -> None:
    with database.write() as tx:
        World(tx).flow("kept")
    os.chmod(database.path, 0o444)
    with LocalDatabase(database.path) as again, again.read() as tx:
        assert list(tx.execute(sa.select(flow.c.name)).scalars()) == ["kept"]
