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


def test_resources_of_events_stay_when_they_no_longer_refer_to_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    migrate.upgrade(url, "0018")
    event = ("e", 1, "it.happened", "it", "{}", None, 2)
    resources = [("e", 0, "it", "", '{"a":"1"}', 1), ("e", 1, "other", "flow", "{}", 1)]
    with sqlite3.connect(tmp_path / "a.db") as connection:
        columns = "id, occurred, event, resource_id, payload, follows, received"
        connection.execute(f"INSERT INTO event ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", event)
        connection.executemany("INSERT INTO event_resource VALUES (?, ?, ?, ?, ?, ?)", resources)
    for revision, refers in (("0019", False), ("0018", True), ("head", False)):
        (migrate.downgrade if revision == "0018" else migrate.upgrade)(url, revision)
        with sqlite3.connect(tmp_path / "a.db") as connection:
            assert connection.execute("SELECT * FROM event_resource ORDER BY position").fetchall() == resources
            assert bool(connection.execute("PRAGMA foreign_key_list(event_resource)").fetchall()) is refers
