"""Databases of both kinds, opened as a server opens them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect.server.database import Database, make_database
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

_numbers = itertools.count()


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> str:
    """An empty PostgreSQL database."""
    name = f"streams_{next(_numbers)}"
    postgresql.run(name, "SELECT 1")
    return f"postgresql://test@/{name}?host={postgresql.folder}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    return (
        request.getfixturevalue("postgresql_url")
        if request.param == "postgresql"
        else f"sqlite:///{tmp_path}/pluperfect.db"
    )


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Open a database as another server would; closed at the end."""
    opened: list[Database] = []

    def open_(url: str) -> Database:
        database = make_database(url)
        database.open()
        opened.append(database)
        return database

    yield open_
    for database in reversed(opened):
        database.close()


@pytest.fixture
def database(url: str, open_database: Callable[[str], Database]) -> Database:
    return open_database(url)
