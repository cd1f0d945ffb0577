"""A database of an older version comes along with what is in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from prefect._store import migrate
from prefect._store.schema import SCHEMA_REVISION
from prefect._store.sqlite import WriteLock, open_database


def test_a_database_with_runs_only_gets_the_catalogue_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate.upgrade(f"sqlite:///{path}", "0001")
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO flow VALUES ('a', 1, 1, 'f', '[]', '{}')")
    opened = open_database(str(path), WriteLock(f"{path}.lock"))
    assert opened.execute("SELECT name FROM flow").fetchall() == [("f",)]
    assert opened.execute("SELECT count(*) FROM variable").fetchone() == (0,)
    opened.close()
    assert migrate.current(f"sqlite:///{path}") == SCHEMA_REVISION
    migrate.downgrade(f"sqlite:///{path}", "0001")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM flow").fetchall() == [("f",)]
