"""A server in a process of its own threads, and what talks to it: the real application, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prefect.server.api.server import create_app
from prefect.settings import get_current_settings


class Api:
    """Sends requests and compares the status with the expected one."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, *, status: int | tuple[int, ...] = (200, 201)) -> Any:
        kwargs = {} if body is None else {"json": body}
        response = self.client.request(method, f"/api{path}", **kwargs)
        expected = (status,) if isinstance(status, int) else status
        assert response.status_code in expected, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return response.json() if response.content else None

    def status(self, method: str, path: str, body: Any = None) -> int:
        kwargs = {} if body is None else {"json": body}
        return self.client.request(method, f"/api{path}", **kwargs).status_code


def serve(folder: Path, **settings: Any) -> TestClient:
    changes = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite:///{folder}/pluperfect.db", **settings}
    return TestClient(create_app(get_current_settings().copy_with_update(changes)), raise_server_exceptions=False)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(tmp_path) as client:
        yield Api(client)
