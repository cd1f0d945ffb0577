"""A small world of runs in a real database, and a way to make more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._operations.local import LocalDatabase
from prefect._store.dialects import make_engine
from prefect._store.schema import POSTGRESQL_SCRIPT, SQLITE_SCRIPT, read_script, statements
from prefect._store.sqlite import WriteLock, open_database
from prefect._store.tables import flow, flow_run, flow_run_state, log, task_run, task_run_state
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


class World:
    """Inserts rows through one transaction."""

    def __init__(self, tx: sa.Connection) -> None:
        self.tx = tx

    def flow(self, name: str = "etl", **values: Any) -> UUID:
        return self._insert(flow, name=name, **values)

    def flow_run(self, flow_id: UUID, name: str = "run", state: str | None = "COMPLETED", **values: Any) -> UUID:
        return self._run(flow_run, flow_run_state, "flow_run_id", state, flow_id=flow_id, name=name, **values)

    def task_run(
        self, flow_run_id: UUID | None, name: str = "task", state: str | None = "COMPLETED", **values: Any
    ) -> UUID:
        values = {"task_key": name, "dynamic_key": "0", **values}
        return self._run(task_run, task_run_state, "task_run_id", state, flow_run_id=flow_run_id, name=name, **values)

    def log(self, message: str, **values: Any) -> UUID:
        values = {"name": "prefect.flow_runs", "level": 20, "timestamp": NOON, **values}
        return self._insert(log, message=message, **values)

    def state(self, run_id: UUID, states: sa.Table, column: str, type: str, at: datetime, **values: Any) -> UUID:
        values = {"name": type.capitalize(), **values}
        return self._insert(states, **{column: run_id}, type=type, timestamp=at, **values)

    def _run(self, table: sa.Table, states: sa.Table, column: str, state: str | None, **values: Any) -> UUID:
        run_id = values.setdefault("id", new_uuid())
        if state is None:
            return self._insert(table, **values)
        at = values.pop("state_timestamp", NOON)
        name = values.pop("state_name", state.capitalize())
        details = {key: values.pop(key) for key in ("message", "state_details", "data") if key in values}
        state_id = new_uuid()
        current = {"state_id": state_id, "state_type": state, "state_name": name, "state_timestamp": at}
        self._insert(table, **values, **current)
        self.state(run_id, states, column, state, at, id=state_id, name=name, **details)
        return run_id

    def _insert(self, table: sa.Table, **values: Any) -> UUID:
        values.setdefault("id", new_uuid())
        self.tx.execute(table.insert().values(**values))
        return values["id"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    path = str(tmp_path / "pluperfect.db")
    open_database(path, WriteLock(f"{path}.lock")).close()
    with LocalDatabase(path) as database:
        yield database


@pytest.fixture
def world(database: LocalDatabase) -> Iterator[World]:
    with database.write() as tx:
        yield World(tx)


@pytest.fixture(scope="session")
def sqlite_engine() -> Iterator[sa.Engine]:
    engine = make_engine("sqlite:///:memory:")
    with engine.connect() as connection:
        for statement in statements(read_script(SQLITE_SCRIPT)):
            connection.exec_driver_sql(statement)
        connection.commit()
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_engine(postgresql: PostgreSQL) -> Iterator[sa.Engine]:
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    engine = make_engine(postgresql.database("operations", read_script(POSTGRESQL_SCRIPT)))
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest) -> Iterator[sa.Connection]:
    """A transaction in an empty database, of each kind in turn; nothing of it stays."""
    engine: sa.Engine = request.getfixturevalue(f"{request.param}_engine")
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)
