"""Following a table: everything that is committed is read once, whatever order transactions end in."""

from __future__ import annotations

import threading
from collections.abc import Callable

import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._operations import outbox
from prefect._store import tail
from prefect._store.dialects import make_engine
from prefect._store.tables import event
from prefect.server.database import Database


def emit(database: Database, *names: str) -> None:
    def work(tx: sa.Connection) -> None:
        for name in names:
            outbox.emit(tx, name, {"prefect.resource.id": "a"})

    database.write(work)


def names(read: tail.Read) -> list[str]:
    return [row["event"] for row in read.rows]


def test_what_is_written_after_a_place_is_read_in_order(database: Database) -> None:
    emit(database, "before")
    place = database.read(lambda tx: tail.end(tx, event))
    emit(database, "a", "b")
    emit(database, "c")
    first = database.read(lambda tx: tail.read_after(tx, event, place, 2))
    assert names(first) == ["a", "b"] and first.more
    second = database.read(lambda tx: tail.read_after(tx, event, tail.Place.parse(str(first.place)), 2))
    assert names(second) == ["c"] and not second.more
    assert names(database.read(lambda tx: tail.read_after(tx, event, second.place, 2))) == []


def test_an_end_may_be_given(database: Database) -> None:
    begin = database.read(lambda tx: tail.end(tx, event))
    emit(database, "a")
    end = database.read(lambda tx: tail.end(tx, event))
    emit(database, "b")
    assert names(database.read(lambda tx: tail.read_after(tx, event, begin, 10, until=end))) == ["a"]


def test_an_empty_table_begins_anew(database: Database) -> None:
    emit(database, "a")
    place = database.read(lambda tx: tail.end(tx, event))
    database.write(lambda tx: tx.execute(sa.delete(event)))
    place = database.read(lambda tx: tail.read_after(tx, event, place, 10)).place
    emit(database, "b")
    assert names(database.read(lambda tx: tail.read_after(tx, event, place, 10))) == ["b"]


def test_nothing_appears_before_a_place_that_was_passed(
    postgresql_url: str, open_database: Callable[[str], Database]
) -> None:
    database = open_database(postgresql_url)
    place = database.read(lambda tx: tail.end(tx, event))
    engine = make_engine(postgresql_url)
    with engine.connect() as slow:
        slow.begin()
        outbox.emit(slow, "begun first", {"prefect.resource.id": "a"})
        emit(database, "begun second, committed first")
        early = database.read(lambda tx: tail.read_after(tx, event, place, 10))
        assert names(early) == [] and early.held_back
        slow.commit()
    late = database.read(lambda tx: tail.read_after(tx, event, early.place, 10))
    assert names(late) == ["begun first", "begun second, committed first"]
    engine.dispose()


def test_many_writers_and_one_reader(database: Database) -> None:
    place = database.read(lambda tx: tail.end(tx, event))
    sent = [new_uuid() for _ in range(200)]
    writers = [
        threading.Thread(
            target=lambda ids: [
                database.write(lambda tx, id=id: outbox.emit(tx, "e", {"prefect.resource.id": "a"}, id=id))
                for id in ids
            ],
            args=(sent[start::4],),
        )
        for start in range(4)
    ]
    for writer in writers:
        writer.start()
    read: list[object] = []
    while True:
        ended = not any(writer.is_alive() for writer in writers)
        found = database.read(lambda tx, place=place: tail.read_after(tx, event, place, 7))
        read += [row["id"] for row in found.rows]
        place = found.place
        if ended and not found.rows and not found.held_back:
            break
    assert len(read) == len(set(read)) == 200 and set(read) == set(sent)
