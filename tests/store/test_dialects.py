from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect._store.dialects import UnsupportedDatabase, make_engine, parse_url, sqlite_path


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite+aiosqlite:////a/b.db", "sqlite"),
        ("sqlite:///b.db", "sqlite"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+psycopg"),
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgres://u@h/d", "postgresql+psycopg"),
    ],
)
def test_the_urls_of_the_peer_mean_the_same_databases(given: str, driver: str) -> None:
    assert parse_url(given).drivername == driver


def test_another_database_is_an_error_that_says_what_to_use() -> None:
    with pytest.raises(UnsupportedDatabase, match=r"'mysql'.*sqlite:////"):
        parse_url("mysql://u@h/d")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite+aiosqlite:////tmp/p.db", "/tmp/p.db"),
        ("sqlite:///rel/p.db", "rel/p.db"),
        ("sqlite://", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite+aiosqlite:///file::memory:?cache=shared&uri=true", ":memory:"),
        ("sqlite:////tmp/p.db?timeout=5", "/tmp/p.db"),
    ],
)
def test_sqlite_paths(url: str, path: str) -> None:
    assert sqlite_path(url) == path


def test_odd_paths_are_files(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1?.db"
    with make_engine(sa.URL.create("sqlite", database=str(path))).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    assert path.exists()


def test_ddl_is_part_of_the_transaction(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/a.db")
    with engine.connect().execution_options(write=True) as connection:
        with pytest.raises(ZeroDivisionError), connection.begin():
            connection.exec_driver_sql("CREATE TABLE t (x)")
            raise ZeroDivisionError
        assert sa.inspect(connection).get_table_names() == []
