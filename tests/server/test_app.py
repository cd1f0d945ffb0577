"""The application around the operations: routes, errors, authentication, its description."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from prefect._operations.registry import OPERATIONS

from .conftest import Api, serve


def test_it_says_how_it_does(api: Api) -> None:
    assert api("GET", "/health") is True
    assert api("GET", "/ready") == {"message": "OK"}
    assert api("GET", "/hello") == "👋"
    assert api("GET", "/admin/version").startswith("3.")


def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    with serve(tmp_path, PREFECT_API_KEY="hunter2") as client:
        shown = client.get("/api/admin/settings").text
    assert "hunter2" not in shown


def test_every_operation_is_described(api: Api) -> None:
    described = api("GET", "/openapi.json")
    listed = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert listed == {(operation.method, f"/api{operation.path}") for operation in OPERATIONS.values()}
    filter_ = described["paths"]["/api/flows/filter"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert filter_["$ref"] == "#/components/schemas/FlowQuery"
    assert "FlowQuery" in described["components"]["schemas"]
    page = api.client.get("/docs")
    assert page.status_code == 200
    assert "/api/flows/filter" in page.text


def test_what_does_not_exist(api: Api) -> None:
    assert api("GET", "/no/such/route", status=404) == {"detail": "Not Found"}
    assert api("GET", "/flows/not-an-id", status=404) == {"detail": "Not Found"}
    assert "Flow" in api("GET", f"/flows/{uuid4()}", status=404)["detail"]
    assert api("DELETE", "/flows/filter", status=405) == {"detail": "Method Not Allowed"}


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/flows/filter", b"{", ["body"]),
        ("/flows/filter", b"[1]", ["body"]),
        ("/flows/filter", b"null", ["body"]),
        ("/flows/filter", b'{"limit": "many"}', ["body", "limit"]),
        ("/flows/filter", b'{"limit": -1}', ["body", "limit"]),
        ("/flows/filter", b'{"limit": 201}', ["body", "limit"]),
        ("/flows/filter", b'{"offset": 1.5}', ["body", "offset"]),
        ("/flows/filter", b'{"flows": {"id": {"any_": ["x"]}}}', ["body", "flows", "id", "any_", 0]),
        ("/flow_runs/filter", b'{"flow_runs": {"nope": {}}}', ["body", "flow_runs", "nope"]),
        ("/flows/filter", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, ["body"]),
        ("/flows/filter", b"\xff\xfe", ["body"]),
    ],
)
def test_a_bad_body_is_refused_with_the_place_of_the_fault(
    api: Api, path: str, body: bytes, where: list[str | int]
) -> None:
    response = api.client.post(f"/api{path}", content=body)
    assert response.status_code == 422
    answer = response.json()
    assert answer["exception_message"] == "Invalid request received."
    assert answer["exception_detail"][0]["loc"] == where


def test_a_missing_or_bad_query_parameter_is_named(api: Api) -> None:
    answer = api("GET", "/flow_run_states/", status=422)
    assert answer["exception_detail"][0]["loc"] == ["query", "flow_run_id"]
    answer = api("GET", "/flow_run_states/?flow_run_id=x", status=422)
    assert answer["exception_detail"][0]["loc"] == ["query", "flow_run_id"]


def test_numbers_beyond_the_database_are_refused(api: Api) -> None:
    assert api.status("POST", "/flows/filter", {"offset": 10**30}) == 422


def test_the_limit_of_lists_is_a_setting(tmp_path: Path) -> None:
    with serve(tmp_path, PREFECT_API_DEFAULT_LIMIT=2) as client:
        assert client.post("/api/flows/filter", json={"limit": 3}).status_code == 422
        assert client.post("/api/flows/filter", json={"limit": 2}).status_code == 200


def _with_auth(tmp_path: Path) -> TestClient:
    return serve(tmp_path, PREFECT_SERVER_API_AUTH_STRING="ada:lovelace")


@pytest.mark.parametrize(
    ("known", "host", "page_at"),
    [
        (None, "there:81", "http://there:81/api/events/filter/next?page-token="),
        ("http://here/api", "there:81", "http://there:81/api/events/filter/next?page-token="),
        ("https://there/api", "there", "https://there/api/events/filter/next?page-token="),
    ],
)
def test_the_next_page_is_where_the_first_one_was(tmp_path: Path, known: str | None, host: str, page_at: str) -> None:
    with serve(tmp_path, **{} if known is None else {"PREFECT_API_URL": known}) as client:
        events = [
            {"event": "e", "resource": {"prefect.resource.id": "r"}, "occurred": f"2026-01-01T00:00:0{n}Z", "id": str(uuid4())}
            for n in range(3)
        ]  # fmt: skip
        assert client.post("/api/events", json=events).status_code == 204
        wanted = {"limit": 1, "filter": {"event": {"name": ["e"]}, "occurred": {"since": "2025-12-31T00:00:00Z"}}}
        headers = {"Host": host}
        first = client.post("/api/events/filter", json=wanted, headers=headers).json()["next_page"]
        assert first.startswith(page_at)
        second = client.get(first[first.index("/api") :], headers=headers).json()["next_page"]
        assert second.startswith(page_at)


def test_with_an_auth_string_only_who_knows_it_may_ask(tmp_path: Path) -> None:
    with _with_auth(tmp_path) as client:
        for wrong in (None, ("ada", "x"), ("", "")):
            response = client.post("/api/flows/filter", json={}, auth=wrong)  # type: ignore[arg-type]
            assert response.status_code == 401
        assert client.post("/api/flows/filter", json={}, auth=("ada", "lovelace")).status_code == 200
        for header in ("Basic", "Basic !!!", "Bearer ada:lovelace", "Basic YWRhOmxvdmVsYWNl\xe4"):
            headers = {"Authorization": header.encode("latin-1")}
            assert client.post("/api/flows/filter", json={}, headers=headers).status_code == 401  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/api/health", "/api/ready"])
def test_only_exact_routes_need_no_authentication(tmp_path: Path, path: str) -> None:
    with _with_auth(tmp_path) as client:
        assert client.get(path).status_code == 200
        # what merely ends like one of them does
        assert client.get(f"/api/flows/name{path.removeprefix('/api')}").status_code == 401
        assert client.get(f"{path}/").status_code == 401
        assert client.get("/api/admin/settings").status_code == 401
        assert client.get("/docs").status_code == 401
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/api/events/in"):
            pass
        assert refused.value.code == 1008


def test_browsers_of_other_origins_are_let_in_only_when_somebody_said_so(tmp_path: Path) -> None:
    origin = {"Origin": "https://example.org"}
    with serve(tmp_path) as client:
        assert "access-control-allow-origin" not in client.get("/api/health", headers=origin).headers
    with serve(tmp_path, PREFECT_SERVER_CORS_ALLOWED_ORIGINS="https://example.org") as client:
        assert client.get("/api/health", headers=origin).headers["access-control-allow-origin"] == "https://example.org"


def test_many_clients_at_once_on_a_new_server(api: Api) -> None:
    # models are built at their first use, by whichever thread comes first
    failures: list[object] = []

    def ask() -> None:
        for path in ("/flows/filter", "/flow_runs/filter", "/task_runs/filter", "/logs/filter"):
            status = api.status("POST", path, {})
            if status != 200:
                failures.append((path, status))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
