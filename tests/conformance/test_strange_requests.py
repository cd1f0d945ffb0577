"""Requests that nobody thought of: whatever is sent, it is never the server that fails.

They are generated from the server's own description. The gate sends a few of each operation; `--soak` many.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from starlette.testclient import TestClient

from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

_BEYOND_REACH = ("/admin/database",)  # they clear the database on which the others are tried


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    url = f"sqlite:///{tmp_path_factory.mktemp('strange')}/pluperfect.db"
    if request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        postgresql.run("strange", "")
        url = f"postgresql://test@/strange?host={postgresql.folder}"
    settings = get_current_settings().copy_with_update({"PREFECT_SERVER_DATABASE_CONNECTION_URL": url})
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        yield made


def _asks_to_wait(case: schemathesis.Case) -> bool:
    body = case.body if isinstance(case.body, dict) else {}
    return bool((case.query or {}).get("wait_seconds") or body.get("wait_seconds"))


def test_generated_requests(client: TestClient, soak: bool) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
    failures: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if any(part in operation.path for part in _BEYOND_REACH):
            continue

        @seed(20260)
        @settings(
            max_examples=200 if soak else 2, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy())
        def send(case: schemathesis.Case) -> None:
            if _asks_to_wait(case):
                return
            prepared = case.as_transport_kwargs(base_url="http://testserver")
            answer = client.request(
                prepared["method"], prepared["url"], params=prepared.get("params"), json=prepared.get("json"),
            )  # fmt: skip
            if answer.status_code >= 500:
                failures.append(
                    f"{case.method} {case.formatted_path} {case.query} {case.body!r:.400}: {answer.text:.300}"
                )

        send()
    assert not failures, "\n".join(failures)


DEEP = "[" * 100_000 + "]" * 100_000
STRANGE = [
    b"", b"null", b"[]", b"7", b'"text"', b"{", b"\xff\xfe", b'{"limit": null}', b'{"limit": 1e400}', b'{"limit": -1}',
    b'{"limit": 99999999999999999999999}', b'{"offset": 99999999999999999999999}', b'{"offset": -1}', b'{"limit": NaN}',
    b'{"sort": "\\u0000"}', b'{"sort": "\\ud800"}', b'{"\\ud800": 1}', b'{"name": "\\u0000"}', b'{"name": "\\ud800"}',
    b'{"name": "a\\u0000b", "key": "a\\u0000b"}', b'{"name": "a\\ud800b", "key": "a\\ud800b"}',
    b'{"flow_runs": {"id": {"any_": ["x"]}}}', b'{"flow_runs": {"none": 1}}', b'{"flows": {"name": {"like_": "\\u0000%"}}}',
    b'{"flows": {"name": {"any_": ["\\ud800"]}}}', b'{"flow_runs": {"tags": {"all_": ["\\u0000"]}}}',
    b'{"name": "a", "tags": ["\\u0000", "\\ud800"]}', b'{"name": "a", "labels": {"\\u0000": "\\ud800"}}',
    b'{"flow_runs": {"start_time": {"after_": "9999-12-31T23:59:59Z", "before_": "0001-01-01T00:00:00Z"}}}',
    DEEP.encode(), b'{"parameters": ' + DEEP.encode() + b"}", b'{"name": "' + b"a" * 5_000_000 + b'"}',
]  # fmt: skip


def test_requests_that_are_made_to_hurt(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    failures: list[str] = []
    for path, methods in paths.items():
        if "{" in path or any(part in path for part in _BEYOND_REACH):
            continue
        for method, operation in methods.items():
            if "requestBody" not in operation:
                continue
            for body in STRANGE:
                answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
                if answer.status_code >= 500:
                    failures.append(f"{method} {path} {body[:80]!r}: {answer.status_code} {answer.text[:300]}")
                elif answer.status_code == 422:
                    json.loads(answer.text)
    assert not failures, "\n".join(failures)
