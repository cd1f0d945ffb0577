"""The ready schema is what the tables say and what all migrations add up to, on both databases."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from prefect._store import migrate
from prefect._store.schema import POSTGRESQL_SCRIPT, SCHEMA_REVISION, SQLITE_SCRIPT, read_script, statements
from prefect._store.sqlite import DatabaseUnavailable, WriteLock, open_database
from prefect._store.tables import metadata

from .conftest import PostgreSQL


def sqlite_objects(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    return {name: re.sub(r"\s+", " ", sql or "").strip() for name, sql in rows}


def test_the_scripts_are_generated_from_the_tables() -> None:
    subprocess.run([sys.executable, "-m", "prefect._store.schema", "--check"], check=True)


def test_the_scripts_stand_for_the_newest_migration() -> None:
    assert migrate.head() == SCHEMA_REVISION
    for path in (SQLITE_SCRIPT, POSTGRESQL_SCRIPT):
        assert f"VALUES ('{SCHEMA_REVISION}')" in statements(read_script(path))[-1]


def test_sqlite_migrations_give_the_ready_schema(tmp_path: Path) -> None:
    open_database(str(tmp_path / "ready.db"), WriteLock(str(tmp_path / "lock"))).close()
    migrate.upgrade(f"sqlite:///{tmp_path}/migrated.db")
    assert sqlite_objects(tmp_path / "migrated.db") == sqlite_objects(tmp_path / "ready.db")
    assert migrate.current(f"sqlite:///{tmp_path}/ready.db") == SCHEMA_REVISION


def test_downgrade_to_base_leaves_no_table_of_ours(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    migrate.upgrade(url)
    migrate.downgrade(url, "base")
    assert not metadata.tables.keys() & sqlite_objects(tmp_path / "a.db").keys()
    assert migrate.current(url) is None
    migrate.upgrade(url)
    assert migrate.current(url) == SCHEMA_REVISION


def test_reset_empties_the_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    migrate.upgrade(url)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("INSERT INTO flow VALUES ('a', 1, 1, 'f', '[]', '{}')")
    migrate.reset(url)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT count(*) FROM flow").fetchone() == (0,)
    assert migrate.current(url) == SCHEMA_REVISION


def test_stamp_records_a_revision(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    migrate.stamp(url, "head")
    assert migrate.current(url) == SCHEMA_REVISION


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE flow (id TEXT)")
    with pytest.raises(migrate.UnknownSchema, match="has tables but no schema revision"):
        migrate.upgrade(f"sqlite:///{tmp_path}/a.db")
    assert sqlite_objects(tmp_path / "a.db") == {"flow": "CREATE TABLE flow (id TEXT)"}


def test_the_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('f00d')")
    with pytest.raises(migrate.UnknownSchema, match="'f00d'"):
        migrate.upgrade(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(DatabaseUnavailable, match="set PREFECT_HOME"):
        open_database(str(tmp_path / "a.db"), WriteLock(str(tmp_path / "lock")))


def test_the_revision_of_a_missing_file_is_an_error_that_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        migrate.current(f"sqlite:///{tmp_path}/missing.db")
    assert not list(tmp_path.iterdir())


def test_postgresql_migrations_give_the_ready_schema(postgresql: PostgreSQL) -> None:
    ready = postgresql.database("ready", read_script(POSTGRESQL_SCRIPT))
    migrated = postgresql.database("migrated", migrate.offline_sql("postgresql"))
    assert postgresql.dump(migrated) == postgresql.dump(ready)
