"""The server's database on PostgreSQL: connections that are lost, and those that are no longer needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import waiting
from prefect._store.announcements import announce
from prefect._store.prepared import fetched, rows_changed, sent_ahead
from prefect._store.types import Json
from prefect.server import postgresql as server_postgresql
from prefect.server.database import make_database
from prefect.server.postgresql import PostgreSQLDatabase
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

_PID = "SELECT pg_backend_pid()"
_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    return postgresql.database("lost", "CREATE TABLE note (text text);")


@pytest.fixture
def database(url: str) -> Iterator[PostgreSQLDatabase]:
    pool = {"pool_size": 2, "max_overflow": 6}
    database = make_database(url, migrate_on_start=False, pool=pool)
    assert isinstance(database, PostgreSQLDatabase)
    database.open()
    yield database
    database.close()


def notes(tx: sa.Connection) -> list[str]:
    return list(tx.exec_driver_sql("SELECT text FROM note ORDER BY text").scalars())


def together(database: PostgreSQLDatabase, count: int) -> set[int]:
    """Use so many connections at the same time; gives the processes at their other ends."""
    barrier, found = threading.Barrier(count), set[int]()

    def work(tx: sa.Connection) -> None:
        found.add(tx.exec_driver_sql(_PID).scalar_one())
        barrier.wait(30)

    threads = [threading.Thread(target=database.read, args=(work,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def end_connections(url: str) -> None:
    other = make_database(url, migrate_on_start=False)
    other.read(lambda tx: tx.exec_driver_sql(_OTHERS).all())
    other.close()


def test_connections_that_were_lost_meanwhile_are_no_matter(database: PostgreSQLDatabase, url: str) -> None:
    before = together(database, 4)
    end_connections(url)
    after = {database.read(lambda tx: tx.exec_driver_sql(_PID).scalar_one()) for _ in range(4)}
    assert not before & after
    end_connections(url)
    database.write(lambda tx: tx.exec_driver_sql("INSERT INTO note VALUES ('a')"))
    assert database.read(notes) == ["a"]


def test_what_was_begun_when_the_connection_was_lost_is_done_again(database: PostgreSQLDatabase) -> None:
    attempts: list[str] = []

    def work(tx: sa.Connection) -> list[str]:
        tx.exec_driver_sql("INSERT INTO note VALUES ('once')")
        attempts.append("write")
        if len(attempts) == 1:
            tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return notes(tx)

    assert database.write(work) == ["once"]
    assert len(attempts) == 2

    def read(tx: sa.Connection) -> list[str]:
        attempts.append("read")
        if len(attempts) == 3:
            tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return notes(tx)

    assert database.read(read) == ["once"]
    assert len(attempts) == 4


def test_a_database_that_always_hangs_up_is_told(database: PostgreSQLDatabase) -> None:
    def work(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    for run in (database.read, database.write):
        with pytest.raises(sa.exc.OperationalError, match="terminating connection"):
            run(work)


def test_what_may_have_been_committed_is_not_done_again(database: PostgreSQLDatabase, url: str) -> None:
    calls: list[int] = []

    def work(tx: sa.Connection) -> None:
        tx.exec_driver_sql("INSERT INTO note VALUES ('maybe')")
        calls.append(1)
        end_connections(url)  # so that it is the commit that fails

    with pytest.raises(sa.exc.OperationalError):
        database.write(work)
    assert len(calls) == 1


def test_a_value_is_what_it_was(database: PostgreSQLDatabase) -> None:
    table = sa.Table("document", sa.MetaData(), sa.Column("value", Json))
    values: list[Any] = [
        {"a": [1, 2.5, None, "x"]},
        [],
        "text",
        5,
        10**30 + 1,
        1e300,
        True,
        {"b": "1234567890123456789012"},
    ]

    def work(tx: sa.Connection) -> list[Any]:
        table.create(tx)
        for value in values:
            tx.execute(table.insert().values(value=value))
        return list(tx.execute(sa.select(table.c.value)).scalars())

    assert database.write(work) == values


def test_connections_of_a_busy_time_are_closed_when_it_is_over(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = together(database, 8)
    assert together(database, 8) == many  # all are kept for now
    database.read(notes)
    assert together(database, 8) == many
    monkeypatch.setattr(server_postgresql, "_SURPLUS_SECONDS", 0.0)
    database.read(notes)  # more than two were needed in the time that ends here
    database.read(notes)
    database.read(notes)
    assert not together(database, 2) & many


_ANALYSED = "SELECT relname FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL"


def test_new_tables_that_grow_are_analysed_before_autovacuum_comes(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_postgresql, "_WRITES_BETWEEN_LOOKS", 20)
    for statement in (
        'CREATE TABLE "Grows, too" (text text) WITH (autovacuum_enabled = off)',
        "CREATE TABLE small (text text) WITH (autovacuum_enabled = off)",
        "ALTER TABLE note SET (autovacuum_enabled = off)",
    ):
        database.write(lambda tx, statement=statement: tx.exec_driver_sql(statement))

    def analysed() -> list[str]:
        return sorted(database.read(lambda tx: tx.exec_driver_sql(_ANALYSED).scalars().all()))

    def grows(tx: sa.Connection) -> None:
        for table in ("note", '"Grows, too"'):
            tx.exec_driver_sql(f"INSERT INTO {table} VALUES ('x')")

    database.write(lambda tx: tx.exec_driver_sql("INSERT INTO small VALUES ('x')"))

    def written() -> bool:
        database.write(grows)
        return len(analysed()) == 2

    waiting.until(written, 60, what="the statistics")
    assert analysed() == ["Grows, too", "note"]


def test_a_schema_that_is_current_is_seen_without_what_migrates_it(
    postgresql: PostgreSQL, run_script: Callable[..., Any]
) -> None:
    url = postgresql.database("current")
    source = f"""
import sys
from prefect.server.database import make_database
database = make_database({url!r})
database.open()
print(database.read(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM flow").scalar_one()))
database.close()
print([name for name in ("alembic", "mako") if name in sys.modules])
"""
    for _ in range(2):  # made, and opened again
        assert run_script(source).ok().stdout.split("\n")[:2] == ["0", "[]"]


def test_statements_that_are_sent_ahead(database: PostgreSQLDatabase) -> None:
    def work(tx: sa.Connection) -> list[Any]:
        with sent_ahead(tx):
            for text in "abc":
                rows_changed(tx, "INSERT INTO note VALUES (%s)", (text,))
            seen = fetched(tx, "SELECT text FROM note WHERE text > %s ORDER BY text", ("a",))
            rows_changed(tx, "DELETE FROM note WHERE text = 'a'", ())
        return [*seen, *fetched(tx, "SELECT count(*) FROM note", ()), *notes(tx)]

    assert database.write(work) == [("b",), ("c",), (2,), "b", "c"]
    assert database.read(notes) == ["b", "c"]


@pytest.mark.parametrize("is_asked", [True, False])
def test_one_of_several_statements_sent_ahead_that_fails(database: PostgreSQLDatabase, is_asked: bool) -> None:
    def work(tx: sa.Connection) -> None:
        rows_changed(tx, "INSERT INTO note VALUES ('before')", ())
        with sent_ahead(tx):
            rows_changed(tx, "INSERT INTO note VALUES ('one')", ())
            rows_changed(tx, "INSERT INTO notes VALUES ('two')", ())
            rows_changed(tx, "INSERT INTO note VALUES ('three')", ())
            if is_asked:
                fetched(tx, "SELECT 1", ())

    with pytest.raises(sa.exc.ProgrammingError, match='"notes" does not exist'):
        database.write(work)
    assert database.read(notes) == []
    database.write(lambda tx: tx.exec_driver_sql("INSERT INTO note VALUES ('after')"))
    assert database.read(notes) == ["after"]


def test_a_connection_that_is_lost_under_statements_sent_ahead(database: PostgreSQLDatabase, url: str) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> None:
        attempts.append(tx.exec_driver_sql(_PID).scalar_one())
        with sent_ahead(tx):
            rows_changed(tx, "INSERT INTO note VALUES ('one')", ())
            if len(attempts) == 1:
                end_connections(url)
            rows_changed(tx, "INSERT INTO note VALUES ('two')", ())

    database.write(work)
    assert len(set(attempts)) == 2
    assert database.read(notes) == ["one", "two"]


def test_who_listens_sees_statements_that_could_be_sent_ahead(database: PostgreSQLDatabase) -> None:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    def work(tx: sa.Connection) -> None:
        sa.event.listen(tx.engine, "before_cursor_execute", note)
        with sent_ahead(tx):
            rows_changed(tx, "INSERT INTO note VALUES ('one')", ())
        sa.event.remove(tx.engine, "before_cursor_execute", note)

    database.write(work)
    assert seen == ["INSERT INTO note VALUES ('one')"]
    assert database.read(notes) == ["one"]


def test_a_statement_alone_is_a_transaction(database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(database.bus, "publish", told.extend)

    def work(tx: sa.Connection) -> str:
        rows_changed(tx, "INSERT INTO note VALUES ('one')", ())
        announce(tx, "notes")
        return "done"

    def fails(tx: sa.Connection) -> None:
        announce(tx, "notes")
        rows_changed(tx, "INSERT INTO note SELECT (1 / n)::text FROM generate_series(1, -1, -1) AS n", ())

    assert database.write(work, alone=True) == "done"
    assert told == ["notes"]
    with pytest.raises(sa.exc.DataError, match="division by zero"):
        database.write(fails, alone=True)
    for _ in range(8):  # on the same connection, too
        database.write(lambda tx: None, alone=True)
    assert told == ["notes"], "what failed is not told of, then or later"
    assert database.read(notes) == ["one"]


def test_a_statement_alone_whose_connection_is_lost_is_not_done_twice(database: PostgreSQLDatabase, url: str) -> None:
    attempts: list[int] = []

    def work(tx: sa.Connection) -> None:
        attempts.append(1)
        rows_changed(tx, "INSERT INTO note VALUES ('one')", ())
        end_connections(url)
        rows_changed(tx, "SELECT 1", ())  # as if the answer of the first had not come

    with pytest.raises(sa.exc.OperationalError) as caught:
        database.write(work, alone=True)
    assert caught.value.connection_invalidated
    assert attempts == [1]
    assert database.read(notes) == ["one"]


@pytest.mark.parametrize("ask", [fetched, rows_changed])
def test_when_one_connection_is_lost_the_others_are_not_tried(
    database: PostgreSQLDatabase, url: str, ask: Callable[..., Any]
) -> None:
    together(database, 6)
    end_connections(url)
    assert database.read(lambda tx: ask(tx, "SELECT 1", ())) in (1, [(1,)])


def test_a_statement_alone_finds_a_connection_that_lives(database: PostgreSQLDatabase, url: str) -> None:
    ended = together(database, 6)
    end_connections(url)
    other = make_database(url, migrate_on_start=False)
    alive = "SELECT pid FROM pg_stat_activity"
    # they are told to end, and say so to their clients when they do
    waiting.until(lambda: ended.isdisjoint(other.read(lambda tx: tx.exec_driver_sql(alive).scalars().all())), 30)
    other.close()
    for _ in range(8):
        database.write(lambda tx: rows_changed(tx, "INSERT INTO note VALUES ('one')", ()), alone=True)
    assert database.read(notes) == ["one"] * 8
