"""Statements as the driver takes them (`prefect._store.prepared`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from prefect._store.dialects import make_engine
from prefect._store.prepared import _spelled_out, fetched, rows_changed, sent_ahead


@pytest.fixture
def tx() -> Iterator[sa.Connection]:
    engine = make_engine("sqlite://")
    with engine.begin() as tx:
        tx.exec_driver_sql("CREATE TABLE note (text TEXT UNIQUE)")
        yield tx
    engine.dispose()


def test_rows_come_and_are_counted_as_by_sqlalchemy(tx: sa.Connection) -> None:
    assert rows_changed(tx, "INSERT INTO note VALUES (?)", ("a",)) == 1
    assert rows_changed(tx, "INSERT INTO note VALUES (?) ON CONFLICT DO NOTHING", [("a",), ("b",), ("c",)]) == 2
    assert rows_changed(tx, "DELETE FROM note WHERE text > ?", ("a",)) == 2
    assert fetched(tx, "SELECT text FROM note WHERE text = ?", ("a",)) == [("a",)]
    assert fetched(tx, "SELECT text FROM note WHERE text = ?", ("b",)) == []


def test_what_fails_is_told_in_the_words_of_sqlalchemy(tx: sa.Connection) -> None:
    rows_changed(tx, "INSERT INTO note VALUES (?)", ("a",))
    with pytest.raises(sa.exc.IntegrityError, match="INSERT INTO note"):
        rows_changed(tx, "INSERT INTO note VALUES (?)", ("a",))
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        fetched(tx, "SELECT * FROM missing", ())
    assert fetched(tx, "SELECT text FROM note", ()) == [("a",)]


def test_who_listens_sees_every_statement(tx: sa.Connection) -> None:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    fetched(tx, "SELECT 1", ())
    sa.event.listen(tx.engine, "before_cursor_execute", note)
    fetched(tx, "SELECT 2", ())
    rows_changed(tx, "INSERT INTO note VALUES (?)", ("x",))
    sa.event.remove(tx.engine, "before_cursor_execute", note)
    fetched(tx, "SELECT 3", ())
    assert seen == ["SELECT 2", "INSERT INTO note VALUES (?)"]


def test_only_numbers_and_plain_words_are_spelled_out() -> None:
    given = {
        "a": 5,
        "a1": 50,
        "b": "SCHEDULED",
        "c": "x'; DROP TABLE flow; --",
        "d": True,
        "e": "%(a)s",
        "f": "",
        "g": 1.5,
    }
    sql = "%(a)s %(a1)s::INTEGER %(b)s::VARCHAR %(c)s %(d)s %(e)s %(f)s %(g)s"
    assert _spelled_out(sql, given) == ("5 50::INTEGER 'SCHEDULED'::VARCHAR %(c)s %(d)s %(e)s %(f)s %(g)s", given)
    assert _spelled_out("SELECT ?", (5,)) == ("SELECT ?", (5,))


def test_sqlite_has_nothing_sent_ahead(tx: sa.Connection) -> None:
    with sent_ahead(tx):
        assert rows_changed(tx, "INSERT INTO note VALUES (?)", ("a",)) == 1
        assert fetched(tx, "SELECT text FROM note", ()) == [("a",)]
