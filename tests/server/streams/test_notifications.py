"""What one server announces reaches the others, and what other processes write is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from prefect._store.announcements import announce
from prefect._store.dialects import make_engine
from prefect.server.database import Database

Open = Callable[[str], Database]


def test_an_announcement_reaches_another_server(postgresql_url: str, open_database: Open) -> None:
    here, there = open_database(postgresql_url), open_database(postgresql_url)
    with there.bus.subscribe("events") as told, there.bus.subscribe("something else") as other:
        _settle(told)
        _settle(other)
        here.write(lambda tx: announce(tx, "events"))
        assert told.wait(10)
        assert not other.wait(0.1)


def test_what_is_rolled_back_is_not_announced(postgresql_url: str, open_database: Open) -> None:
    here, there = open_database(postgresql_url), open_database(postgresql_url)

    def fail(tx: sa.Connection) -> None:
        announce(tx, "events")
        raise LookupError

    with there.bus.subscribe("events") as told:
        _settle(told)
        try:
            here.write(fail)
        except LookupError:
            pass
        assert not told.wait(0.2)


def test_more_topics_than_fit_wake_everybody(postgresql_url: str, open_database: Open) -> None:
    here, there = open_database(postgresql_url), open_database(postgresql_url)
    with there.bus.subscribe("the last") as told:
        _settle(told)
        here.write(lambda tx: announce(tx, *(f"flow_run:{number:0100}" for number in range(500))))
        assert told.wait(10)


def test_a_listener_whose_connection_is_cut_listens_again(postgresql_url: str, open_database: Open) -> None:
    here, there = open_database(postgresql_url), open_database(postgresql_url)
    engine = make_engine(postgresql_url)
    with there.bus.subscribe("events") as told:
        _settle(told)
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prefect-announcements'"
        with engine.connect() as connection:
            connection.exec_driver_sql(cut)
        assert told.wait(10), "who waits looks again after a gap"
        _settle(told)
        here.write(lambda tx: announce(tx, "events"))
        assert told.wait(10)
    engine.dispose()


def test_what_another_process_writes_to_the_file_is_noticed(tmp_path: Path, open_database: Open) -> None:
    database = open_database(f"sqlite:///{tmp_path}/a.db")
    with database.bus.subscribe("logs") as told, database.bus.subscribe("nothing"):
        _settle(told)
        database.write(lambda tx: announce(tx, "something"))
        assert not told.wait(0.5), "its own commits wake only those who wait for them"
        with sqlite3.connect(tmp_path / "a.db") as connection:
            connection.execute("INSERT INTO flow VALUES ('a', 1, 1, 'f', '[]', '{}')")
        assert told.wait(10)


def _settle(subscription: Any) -> None:
    """Let pass what comes when a connection is made."""
    while subscription.wait(0.4):
        pass
