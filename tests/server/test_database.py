"""The server's database: many threads write at once, each for itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from prefect._store.sqlite import DatabaseUnavailable
from prefect._store.tables import flow
from prefect.server.database import _connections, database_of, make_database
from prefect.server.sqlite import SQLiteDatabase
from prefect.settings import get_current_settings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLiteDatabase]:
    database = SQLiteDatabase(str(tmp_path / "pluperfect.db"))
    database.open()
    yield database
    database.close()


def names(database: SQLiteDatabase) -> list[str]:
    return database.read(lambda tx: list(tx.execute(sa.select(flow.c.name).order_by(flow.c.name)).scalars()))


def insert(tx: sa.Connection, name: str) -> None:
    tx.execute(flow.insert().values(name=name))


def test_what_was_written_can_be_read(database: SQLiteDatabase) -> None:
    database.write(lambda tx: insert(tx, "a"))
    assert names(database) == ["a"]


def test_a_failed_work_leaves_nothing_and_harms_nobody(database: SQLiteDatabase) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        def unit(tx: sa.Connection) -> None:
            insert(tx, f"{number:02}")
            if number % 3 == 0:
                raise ValueError(number)
            if number % 3 == 1:
                insert(tx, f"{number:02}")  # the name is taken

        try:
            database.write(unit)
        except (ValueError, sa_exc.IntegrityError) as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 20
    assert names(database) == [f"{number:02}" for number in range(2, 30, 3)]


def test_a_savepoint_inside_a_work_is_its_own(database: SQLiteDatabase) -> None:
    def unit(tx: sa.Connection) -> None:
        insert(tx, "kept")
        with pytest.raises(sa_exc.IntegrityError), tx.begin_nested():
            insert(tx, "undone")
            insert(tx, "kept")
        insert(tx, "after")

    database.write(unit)
    assert names(database) == ["after", "kept"]


def test_a_wrong_statement_is_its_own_fault(database: SQLiteDatabase) -> None:
    with pytest.raises(sa_exc.OperationalError):
        database.write(lambda tx: tx.exec_driver_sql("SELECT nonsense FROM nowhere"))
    database.write(lambda tx: insert(tx, "a"))


def test_readers_cannot_write(database: SQLiteDatabase) -> None:
    with pytest.raises(sa_exc.OperationalError, match="readonly"):
        database.read(lambda tx: insert(tx, "a"))
    assert names(database) == []


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailable, match=r"file/pluperfect\.db"):
        SQLiteDatabase(str(tmp_path / "file" / "pluperfect.db")).open()


def test_in_memory_means_until_the_server_ends() -> None:
    database = make_database("sqlite+aiosqlite:///:memory:")
    assert isinstance(database, SQLiteDatabase)
    database.open()
    database.write(lambda tx: insert(tx, "a"))
    assert names(database) == ["a"]
    path = Path(database.path)
    database.close()
    assert not path.exists()


def test_statements_are_logged_where_that_is_wanted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    changes = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite:///{tmp_path}/pluperfect.db",
        "PREFECT_SERVER_DATABASE_ECHO": "true",
    }
    database = database_of(get_current_settings().copy_with_update(changes))
    database.open()
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
        database.write(lambda tx: insert(tx, "logged"))
        assert names(database) == ["logged"]  # type: ignore[arg-type]
    database.close()
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "INSERT INTO flow" in told
    assert "SELECT flow.name" in told


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({}, {}),
        ({"CA_FILE": "/a", "CERT_FILE": "/b"}, {}),
        ({"ENABLED": "true"}, {"sslmode": "verify-full", "sslrootcert": "system"}),
        ({"ENABLED": "true", "CA_FILE": "/ca"}, {"sslmode": "verify-full", "sslrootcert": "/ca"}),
        (
            {"ENABLED": "true", "CHECK_HOSTNAME": "false", "CA_FILE": "/ca"},
            {"sslmode": "verify-ca", "sslrootcert": "/ca"},
        ),
        (
            {"ENABLED": "true", "CHECK_HOSTNAME": "false", "CERT_FILE": "/c", "KEY_FILE": "/k"},
            {"sslmode": "require", "sslcert": "/c", "sslkey": "/k"},
        ),
    ],
)
def test_what_the_settings_say_about_tls(tls: dict[str, str], expected: dict[str, str]) -> None:
    group = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS"
    changes = {f"{group}_TLS_{name}": value for name, value in tls.items()}
    settings = get_current_settings().copy_with_update(changes).server.database
    given = _connections(settings, "postgresql://x")["connect_args"]
    assert {name: value for name, value in given.items() if name.startswith("ssl")} == expected
    said = _connections(settings, "postgresql://x?sslmode=disable")["connect_args"]
    assert not [name for name in said if name.startswith("ssl")], "the URL comes first"
    assert "prepare_threshold" not in given
    changes[f"{group}_STATEMENT_CACHE_SIZE"] = "0"
    settings = get_current_settings().copy_with_update(changes).server.database
    assert _connections(settings, "postgresql://x")["connect_args"]["prepare_threshold"] is None


def test_who_reads_for_long_keeps_nobody_waiting(tmp_path: Path) -> None:
    database = make_database(f"sqlite:///{tmp_path / 'a.db'}")
    database.open()
    reads, ended = threading.Event(), threading.Event()

    def long(tx: sa.Connection) -> bool:
        reads.set()
        return ended.wait(60)

    with ThreadPoolExecutor(8) as threads:
        slow = threads.submit(database.read, long)
        assert reads.wait(60)
        quick = [threads.submit(database.read, lambda tx: tx.execute(sa.text("SELECT 1")).scalar()) for _ in range(20)]
        assert [one.result(60) for one in quick] == [1] * 20
        assert not slow.done()
        ended.set()
        assert slow.result(60)
        with pytest.raises(sa_exc.OperationalError):
            database.read(lambda tx: tx.execute(sa.text("SELECT nothing")))
        assert database.read(lambda tx: tx.execute(sa.text("SELECT 2")).scalar()) == 2  # who failed gave his turn back
    database.close()


def test_what_is_written_once_a_file_is_open_is_noticed(tmp_path: Path) -> None:
    """Whoever looks right after that, and then waits to be told, misses nothing."""
    database, other = (make_database(f"sqlite:///{tmp_path / 'a.db'}") for _ in range(2))
    other.open()
    database.open()
    with database.bus.subscribe("flows") as told:
        other.write(lambda tx: tx.execute(sa.insert(flow).values(name="f")))
        assert told.wait(30)
    database.close()
    other.close()
