"""`prefect server database`, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect._store import migrate, migration_plan
from prefect._store.dialects import make_engine
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

from .conftest import Cli

NEWEST = migrate.head()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{clean_home}/pluperfect.db"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    address = server.database("cli", driver="postgresql+asyncpg")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", address)
    yield address


def tables(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_up_and_down(local_cli: Cli, url: str) -> None:
    assert "CREATE TABLE flow" in local_cli.ok("server", "database", "upgrade", "--dry-run")
    local_cli.ok("server", "database", "upgrade", "-y", "--revision", "0003")
    assert "work_pool" not in tables(url)
    sql = local_cli.ok("server", "database", "upgrade", "--dry-run")
    assert "CREATE TABLE work_pool" in sql and "CREATE TABLE flow " not in sql
    assert "work_pool" not in tables(url), "it was dry"
    local_cli.ok("server", "database", "upgrade", "-r", "+1")
    assert "work_pool" in tables(url)
    assert f"is at revision {NEWEST}" in local_cli.ok("server", "database", "upgrade")
    assert "already" in local_cli.ok("server", "database", "upgrade")
    assert migrate.current(url) == NEWEST
    assert local_cli.ok("server", "database", "downgrade", "--dry-run")
    assert migrate.current(url) == NEWEST
    assert "--yes" in local_cli.run("server", "database", "downgrade")[2]
    local_cli.ok("server", "database", "downgrade", "-y", "-r", "0004")
    assert migrate.current(url) == "0004"
    assert "not below" in local_cli.fails("server", "database", "downgrade", "-y", "-r", "0005")
    assert "newer than 0002" in local_cli.fails("server", "database", "upgrade", "-r", "0002")
    local_cli.ok("server", "database", "downgrade", "-y", "-r", "base")
    assert tables(url) <= {"alembic_version"}


def test_reset_and_stamp(local_cli: Cli, url: str) -> None:
    local_cli.ok("server", "database", "upgrade", "-y")
    engine = make_engine(url)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        connection.execute(sa.text("DELETE FROM alembic_version"))
    engine.dispose()
    assert "no schema revision" in local_cli.run("server", "database", "upgrade", "-y")[2]
    local_cli.ok("server", "database", "stamp", "head")
    assert migrate.current(url) == NEWEST
    assert "--yes" in local_cli.fails("server", "database", "reset", status=2)
    local_cli.ok("server", "database", "reset", "--yes")
    assert migrate.current(url) == NEWEST
    assert "There is no schema revision '9999'" in local_cli.fails("server", "database", "stamp", "9999")


def test_a_database_that_is_not_there(local_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgresql+asyncpg://me:s3cret@127.0.0.1:9/nope"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", address)
    said = local_cli.fails("server", "database", "upgrade")
    assert "cannot be reached" in said and "s3cret" not in said
    assert "--message" in local_cli.fails("server", "database", "revision", status=2)


def test_revisions_are_counted_from_where_the_database_is() -> None:
    known = [one.id for one in migration_plan.revisions()]
    assert known[0] == "base" and known[-1] == NEWEST
    assert migration_plan.resolve("+1", None).id == known[1]
    assert migration_plan.resolve("-1", known[2]).id == known[1]
    assert [one.id for one in migration_plan.steps(known[1], migration_plan.resolve("0003", None))] == known[2:4]
    assert [one.id for one in migration_plan.steps(known[3], migration_plan.BASE)] == known[3:0:-1]
    for wrong in ("", "nope", "-1", f"+{len(known)}"):
        with pytest.raises(migration_plan.NoSuchRevision):
            migration_plan.resolve(wrong, None)
    with pytest.raises(migration_plan.NoSuchRevision, match="'xyz'"):
        migration_plan.steps("xyz", migration_plan.BASE)
