"""Servers on both databases, one of each for all tests, and a home that speaks to one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect._engine import recorder
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, get_current_settings, temporary_settings
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

from .servers import Server


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL) -> Iterator[Server]:
    url = postgresql.database("served")
    server = Server(tmp_path_factory.mktemp("server"), PREFECT_API_DATABASE_CONNECTION_URL=url).start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server to which this process speaks, with a home of its own."""
    running: Server = request.getfixturevalue(f"{request.param}_server")
    with speaking_to(running, tmp_path / "home", monkeypatch):
        yield running


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of this test alone, which it may kill."""
    running = Server(tmp_path / "server").start()
    with speaking_to(running, tmp_path / "home", monkeypatch):
        yield running
    running.stop()


class speaking_to:
    """Let this process, and those it starts, record with a server while the block lasts."""

    def __init__(self, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self._home, self._monkeypatch = server, home, monkeypatch

    def __enter__(self) -> None:
        self._home.mkdir()
        get_current_settings()  # those of this process are read once, and must not be read from what follows
        self._monkeypatch.setenv("PREFECT_HOME", str(self._home))
        self._monkeypatch.setenv("PREFECT_API_URL", self._server.url)
        self._settings = temporary_settings({PREFECT_HOME: self._home, PREFECT_API_URL: self._server.url})
        self._key = recorder.served_key(self._settings.__enter__())

    def __exit__(self, *exc_info: object) -> None:
        recorder.forget_recorder(self._key)
        self._settings.__exit__(None, None, None)
