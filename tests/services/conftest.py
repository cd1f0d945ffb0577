"""Both databases as a server has them, and a world of runs in each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from operations.conftest import World
from prefect._services.catalogue import Work
from prefect._services.framework import Round, all_services
from prefect._store.tables import deployment, event, flow_run, flow_run_state, task_run, work_pool, work_queue
from prefect.server.database import Database, make_database
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Town:
    """A database with a flow, a pool, a queue and a deployment."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.make(self._found)

    def _found(self, world: World) -> None:
        self.flow = world.flow()
        self.pool = world._insert(work_pool, name="pool", type="process")
        self.queue = world._insert(work_queue, name="default", work_pool_id=self.pool, description="", priority=1)
        self.deployment = world._insert(deployment, name="d", flow_id=self.flow, work_queue_id=self.queue)

    def make(self, make: Callable[[World], Any]) -> Any:
        return self.database.write(lambda tx: make(World(tx)))

    def run(self, state: str = "RUNNING", **values: Any) -> UUID:
        return self.make(lambda world: world.flow_run(self.flow, state=state, **values))

    def scheduled(self, due: float, **values: Any) -> UUID:
        details = {"scheduled_time": round(at(due).timestamp() * 1e6)}
        return self.run(
            "SCHEDULED", expected_start_time=at(due), next_scheduled_start_time=at(due), state_details=details,
            work_queue_id=self.queue, deployment_id=self.deployment, **values,
        )  # fmt: skip

    def task(self, run: UUID, state: str = "RUNNING", **values: Any) -> UUID:
        return self.make(lambda world: world.task_run(run, state=state, **values))

    def execute(self, statement: Any) -> Any:
        return self.database.write(lambda tx: tx.execute(statement) and None)

    def rows(self, statement: sa.Select[Any]) -> list[Any]:
        return self.database.read(lambda tx: list(tx.execute(statement).mappings()))

    def state(self, run: UUID) -> Any:
        current = sa.and_(flow_run_state.c.flow_run_id == flow_run.c.id, flow_run_state.c.id == flow_run.c.state_id)
        statement = sa.select(flow_run_state).select_from(flow_run.join(flow_run_state, current))
        return self.rows(statement.where(flow_run.c.id == run))[0]

    def task_state(self, task: UUID) -> str:
        return self.rows(sa.select(task_run.c.state_name).where(task_run.c.id == task))[0]["state_name"]

    def events(self, prefix: str = "prefect.") -> list[str]:
        statement = (
            sa.select(event.c.event).where(event.c.event.startswith(prefix)).order_by(event.c.received, event.c.id)
        )
        return [row["event"] for row in self.rows(statement)]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/pluperfect.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.database("services")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = make_database(url)
    database.open()
    yield database
    database.close()


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a service does in a test, the catalogue would have said that it is needed: nothing waits for its import."""
    for service in all_services():
        work = service.run_once
        assert isinstance(work, Work)
        module = importlib.import_module(f"prefect._services.{service.name}")
        monkeypatch.setattr(module, "run_once", _watched(work, module.run_once))


def _watched(work: Work, run_once: Callable[[Database, datetime], Round]) -> Callable[[Database, datetime], Round]:
    def watched(database: Database, now: datetime) -> Round:
        is_needed = work.is_needed(database)
        found = run_once(database, now)
        assert is_needed or found == Round(
            found.more, found.next_at if run_once.__module__.endswith("db_vacuum") else None
        )
        return found

    return watched
