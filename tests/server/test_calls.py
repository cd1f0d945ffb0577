"""Work on the database for code in the event loop (`prefect.server.calls`)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from prefect._store.prepared import fetched
from prefect._store.sqlite import DatabaseUnavailable
from prefect.server.calls import Calls, Pace, calls_of
from prefect.server.sqlite import SQLiteDatabase

_LONG = sa.text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT count(*) FROM n"
)
_MAKE = "CREATE TABLE IF NOT EXISTS note (text)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLiteDatabase]:
    database = SQLiteDatabase(str(tmp_path / "file.db"))
    database.open()
    database.write(lambda tx: tx.exec_driver_sql(_MAKE))
    yield database
    database.close()


@pytest.fixture
def calls(database: SQLiteDatabase) -> Iterator[Calls]:
    calls = calls_of(database)
    yield calls
    calls.close()


def note(text: str) -> Any:
    """Work that writes a text, and says in which thread."""

    def work(tx: sa.Connection) -> int:
        tx.exec_driver_sql("INSERT INTO note VALUES (?)", (text,))
        return threading.get_ident()

    return work


def notes(database: SQLiteDatabase) -> list[str]:
    return list(database.read(lambda tx: tx.exec_driver_sql("SELECT text FROM note ORDER BY text").scalars().all()))


def size(path: str) -> int:
    """Of a file, in bytes."""
    return os.path.getsize(path)


class Threads:
    """Work that notes in which threads it runs."""

    def __init__(self, statement: sa.TextClause) -> None:
        self.statement = statement
        self.idents: list[int] = []

    def __call__(self, tx: sa.Connection) -> Any:
        self.idents.append(threading.get_ident())
        return tx.execute(self.statement).scalar_one()


async def test_what_is_brief_is_read_in_the_event_loop(calls: Calls) -> None:
    work = Threads(sa.text("SELECT 5"))
    assert await calls.read(work, Pace()) == 5
    assert await calls.read(work) == 5
    first, second = work.idents
    assert first == threading.get_ident() != second


async def test_a_long_read_is_broken_off_and_made_in_a_thread(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.server.calls._REST_SECONDS", 1000.0)  # a busy machine takes its time for the rest
    work, pace, here = Threads(_LONG), Pace(), threading.get_ident()
    assert await calls.read(work, pace) == 2_000_000
    assert work.idents[0] == here
    assert work.idents[1] != here
    # the next ones of its kind are not tried in the loop, those of another kind are
    assert not pace.is_brief
    brief = Threads(sa.text("SELECT 5"))
    await calls.read(brief, pace)
    await calls.read(brief, Pace())
    assert brief.idents[0] != here
    assert brief.idents[1] == here


@pytest.mark.parametrize("how", ["by SQLAlchemy", "as the driver takes it"])
async def test_a_long_result_is_broken_off_too(how: str, calls: Calls) -> None:
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n"
    idents: list[int] = []

    def work(tx: sa.Connection) -> int:
        idents.append(threading.get_ident())
        return len(fetched(tx, sql, ()) if how == "as the driver takes it" else tx.exec_driver_sql(sql).all())

    assert await calls.read(work, Pace()) == 300_000
    assert len(idents) == 2
    assert idents[0] == threading.get_ident() != idents[1]


async def test_reads_of_the_loop_see_what_was_written_and_write_nothing(calls: Calls) -> None:
    pace = Pace()
    for number in range(3):
        await calls.write(note(str(number)), Pace())
        count = await calls.read(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM note").scalar_one(), pace)
        assert count == number + 1
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        await calls.read(note("x"), Pace())


async def test_an_error_of_a_read_is_that_of_its_work(calls: Calls) -> None:
    def fails(tx: sa.Connection) -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await calls.read(fails, Pace())
    assert await calls.read(lambda tx: 1, Pace()) == 1


async def test_what_comes_in_together_is_written_together_and_fails_alone(
    calls: Calls, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    at_once = database.write_at_once
    monkeypatch.setattr(database, "write_at_once", lambda works: (sizes.append(len(works)), at_once(works))[1])

    def failing(text: str) -> Any:
        def work(tx: sa.Connection) -> None:
            note(text)(tx)
            if text == "b":
                raise ValueError(text)

        return work

    done = await asyncio.gather(*(calls.write(failing(text), Pace()) for text in "abc"), return_exceptions=True)
    assert [type(one) for one in done] == [type(None), ValueError, type(None)]
    assert notes(database) == ["a", "c"]
    assert sizes == [3]


@pytest.mark.parametrize("kept", ["by a program that knows the lock", "by another program"])
async def test_who_would_have_to_wait_does_so_in_a_thread(kept: str, calls: Calls, database: SQLiteDatabase) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    lock = os.open(f"{database.path}.lock", os.O_RDWR)
    if kept == "by another program":
        other.execute("BEGIN IMMEDIATE")
    else:
        fcntl.flock(lock, fcntl.LOCK_EX)
    writing = asyncio.ensure_future(calls.write(note("mine"), Pace()))
    await asyncio.sleep(0)
    more = [asyncio.ensure_future(calls.write(note(f"more {number}"), Pace())) for number in range(3)]
    # the loop goes on meanwhile
    assert await calls.read(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM note").scalar_one(), Pace()) == 0
    await asyncio.sleep(0.05)
    assert not writing.done()
    if kept == "by another program":
        other.execute("COMMIT")
    else:
        fcntl.flock(lock, fcntl.LOCK_UN)
    other.close()
    os.close(lock)
    assert await writing != threading.get_ident()
    await asyncio.gather(*more)
    assert notes(database) == ["mine", "more 0", "more 1", "more 2"]
    # in the loop again, unless somebody just looks for what other programs have written
    assert threading.get_ident() in {await calls.write(note(f"later {number}"), Pace()) for number in range(10)}


async def test_the_log_of_the_database_does_not_grow(calls: Calls, database: SQLiteDatabase) -> None:
    pace = Pace()
    for number in range(600):
        await calls.write(note(f"{number} " + "x" * 50_000), pace)
    assert len(notes(database)) == 600
    assert size(f"{database.path}-wal") < 15_000_000 < size(database.path)


async def test_work_runs_in_a_copy_of_the_callers_context(calls: Calls) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="nothing")

    def work(tx: sa.Connection) -> str:
        before = variable.get()
        variable.set("changed")
        return before

    variable.set("given")
    for pace in (Pace(), None):
        assert await calls.read(work, pace) == "given"
        assert await calls.write(work, pace) == "given"
        assert variable.get() == "given"


def test_loops_of_several_threads(calls: Calls, database: SQLiteDatabase) -> None:
    async def many(name: str) -> None:
        await asyncio.gather(*(calls.write(note(f"{name} {number}"), Pace()) for number in range(50)))

    threads = [threading.Thread(target=lambda name=name: asyncio.run(many(name))) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(notes(database))) == 200


async def test_what_cannot_be_written_is_told(calls: Calls, database: SQLiteDatabase) -> None:
    await calls.write(note("before"), Pace())
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        await calls.write(lambda tx: tx.exec_driver_sql("INSERT INTO missing VALUES (1)"), Pace())
    await calls.write(note("after"), Pace())
    assert notes(database) == ["after", "before"]


async def test_nobody_waits_for_a_writer_that_fails(
    calls: Calls, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(database._writer, "_write", fails)
    for pace in (Pace(), None):
        with pytest.raises(DatabaseUnavailable):
            await calls.write(note("lost"), pace)
    monkeypatch.undo()
    database._writer.flush()  # soon after a failure it is not tried again otherwise
    await calls.write(note("kept"), Pace())
    assert notes(database) == ["kept"]
