"""What the tests of the engine look at: the rows of the run database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import waiting
from prefect._engine.recorder import database_path, get_recorder
from prefect._store.sqlite import connect
from prefect.settings import get_current_settings

NAME = Path(database_path(get_current_settings())).name
"""What the file in a home is called."""


class Database:
    """The run database of a home, read with plain SQL."""

    def __init__(self, home: Path) -> None:
        self.path = home / NAME

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection = connect(str(self.path), read_only=True)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def one(self, sql: str, *parameters: Any) -> Any:
        """The only value of the only row."""
        ((value,),) = self.query(sql, *parameters)
        return value

    def flow_states(self, name: str | None = None) -> list[str]:
        """The names of the states of all flow runs (of one flow), in order."""
        return [
            state
            for (state,) in self.query(
                "SELECT s.name FROM flow_run_state s JOIN flow_run r ON r.id = s.flow_run_id JOIN flow f ON f.id = r.flow_id"
                " WHERE ? IS NULL OR f.name = ? ORDER BY s.timestamp, s.id",
                name,
                name,
            )
        ]

    def task_states(self, run_name: str = "%") -> dict[str, list[str]]:
        """The names of the states of task runs, in order, by the run's id."""
        found: dict[str, list[str]] = {}
        for run, state in self.query(
            "SELECT r.id, s.name FROM task_run_state s JOIN task_run r ON r.id = s.task_run_id WHERE r.name LIKE ?"
            " ORDER BY s.timestamp, s.id",
            run_name,
        ):
            found.setdefault(run, []).append(state)
        return found

    def messages(self) -> list[str]:
        return [message for (message,) in self.query("SELECT message FROM log ORDER BY timestamp, id")]

    def inputs(self, task_name: str) -> dict[str, Any]:
        return json.loads(self.one("SELECT task_inputs FROM task_run WHERE name LIKE ?", f"{task_name}-%"))

    def unfinished(self) -> list[tuple[Any, ...]]:
        """Runs that are in no final state."""
        return [
            row
            for table in ("flow_run", "task_run")
            for row in self.query(
                f"SELECT '{table}', name, state_name FROM {table}"
                " WHERE state_type NOT IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')"
            )
        ]


@pytest.fixture
def database(home: Path) -> Database:
    return Database(home)


@pytest.fixture
def flushed(home: Path) -> Callable[[], None]:
    """Has everything recorded on disk."""
    return lambda: get_recorder().flush()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition, with a deadline."""
    return waiting.until


@pytest.fixture
def no_room(home: Path) -> Iterator[Callable[[bool], None]]:
    """Let the database be full, or not: `no_room(True)`."""

    def switch(full: bool) -> None:
        def work(connection: sqlite3.Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages if full else 1_000_000}").fetchone()

        get_recorder().writer.read(work)

    yield switch
    switch(False)
