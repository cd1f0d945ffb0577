"""The two ways in which a program reaches its API: the local database, and a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect._engine import recorder
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.testing._hosting import hosted


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this test process."""
    folder = tmp_path_factory.mktemp("server")
    with hosted({"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite:///{folder}/pluperfect.db"}) as url:
        yield url


@pytest.fixture
def served(home: Path, server_url: str) -> Iterator[str]:
    with temporary_settings({PREFECT_API_URL: server_url}):
        yield server_url
        recorder.flush_all()


@pytest.fixture
def embedded(home: Path) -> str:
    return "embedded"


@pytest.fixture(params=["embedded", "served"])
def api(request: pytest.FixtureRequest) -> str:
    """Each test runs on the local database, and on a server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def runs(api: str) -> str:
    """For tests that run flows."""
    return api
