"""Requests that nobody thought of: whatever is sent, it is never the server that fails, and who is refused is told why.

They are generated from the server's own description. The gate sends a few of each operation; `--soak` many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
import schemathesis.specs.openapi.schemas  # else while a server's threads are at work: `prefect._defaults`
from hypothesis import HealthCheck, Phase, given, seed, settings
from starlette.testclient import TestClient

from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

pytestmark = pytest.mark.timeout(600)

_BEYOND_REACH = ("/admin/database",)  # they clear the database on which the others are tried


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    url = f"sqlite:///{tmp_path_factory.mktemp('strange')}/pluperfect.db"
    if request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        url = postgresql.database("strange")
    settings = get_current_settings().copy_with_update({"PREFECT_SERVER_DATABASE_CONNECTION_URL": url})
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        yield made


def _asks_to_wait(case: schemathesis.Case) -> bool:
    body = case.body if isinstance(case.body, dict) else {}
    return bool((case.query or {}).get("wait_seconds") or body.get("wait_seconds"))


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def complaint_about(answer: httpx.Response, fields: Iterable[str] = ()) -> str | None:
    """What is wrong with an answer: that the server failed, or that a refusal does not say what is refused, and why.

    Args:
        answer: the answer.
        fields: those that the body could have had.
    """
    if answer.status_code < 400:
        return None
    if answer.status_code >= 500:
        return "The server failed."
    said = json.loads(answer.text, parse_constant=_no_number)
    if "exception_detail" not in said:
        told = said.get("detail") or said.get("error") or said.get("exception_message")
        return None if told else "Nothing is said."
    for problem in said["exception_detail"]:
        where, *place = problem["loc"]
        if where not in ("body", "query", "path") or not problem["msg"].strip():
            return f"Nothing is explained: {problem}"
        if not place and where != "body":
            return f"No parameter is named: {problem}"
        if not place and isinstance(said["request_body"], dict) and problem["type"] not in _WHOLE:
            explanation = problem["msg"].lower().replace("_", " ")
            if not any(field.replace("_", " ") in explanation for field in (*fields, *said["request_body"])):
                return f"No field is named: {problem}"
    return None if said["exception_detail"] else "Nothing is explained."


_WHOLE = ("json_invalid", "list_type", "string_type", "string_sub_type")
"""Kinds of problems that are not about a field: what was sent is no JSON, or an object where none belongs."""


def test_generated_requests(client: TestClient, soak: bool) -> None:
    description = client.get("/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description)
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
            described = description["paths"][case.path][case.method.lower()]
            if (complaint := complaint_about(answer, fields_of(description, described))) is not None:
                failures.append(
                    f"{case.method} {case.formatted_path} {case.query} {case.body!r:.400}: {complaint} {answer.text:.300}"
                )

        send()
    assert not failures, "\n".join(failures)


def fields_of(schema: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """The names of the fields of an operation's body, as the description has them."""
    found = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    while "$ref" in found:
        found = schema["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return list(found.get("properties", {}))


def problems_of(answer: httpx.Response) -> list[tuple[list[str | int], str]]:
    """What a refusal complains about: where, and why."""
    said = answer.json() if answer.status_code == 422 else {}
    return [(problem["loc"], problem["msg"]) for problem in said.get("exception_detail", [])]


NO_VALUE = {"neither": {"a": "number"}, "nor": ["a text"]}
"""Fits no field that does not take anything at all."""


def test_a_field_that_is_wrong_is_named(client: TestClient) -> None:
    schema = client.get("/api/openapi.json").json()
    failures: list[str] = []
    refused = 0
    for path, methods in schema["paths"].items():
        if any(part in path for part in _BEYOND_REACH):
            continue
        address = re.sub(r"{(\w*id|id)}", str(uuid4()), path)
        address = re.sub(r"{\w+}", "none", address)
        for method, operation in methods.items():
            without = problems_of(client.request(method, address, json={}))
            for field in fields_of(schema, operation):
                answer = client.request(method, address, json={field: NO_VALUE})
                more = [one for one in problems_of(answer) if one not in without and one[1] != "Field required"]
                refused += bool(more)
                if complaint_about(answer, fields_of(schema, operation)) or not all(
                    field in place for place, _ in more
                ):
                    failures.append(f"{method} {address} {field}: {answer.status_code} {answer.text:.300}")
            for parameter in operation.get("parameters", []):
                if parameter["in"] != "query" or parameter["schema"].get("type") not in (
                    "integer",
                    "boolean",
                    "number",
                ):
                    continue
                answer = client.request(method, address, params={parameter["name"]: "no such thing"})
                refused += answer.status_code == 422
                if answer.status_code != 422 or parameter["name"] not in answer.text:
                    failures.append(f"{method} {address}?{parameter['name']}: {answer.status_code} {answer.text:.300}")
    assert not failures, "\n".join(failures)
    assert refused > 300, "refusals are what this is about"


DEEP = "[" * 10_000 + "]" * 10_000
REFUSED = [
    b"{", b"\xff\xfe", b"[1,]", b"{'a': 1}", b'{"a": 1} {"b": 2}', DEEP.encode(),
    b'{"parameters": ' + DEEP.encode() + b"}", b'{"a": ' * 10_000 + b"1" + b"}" * 10_000, b'{"name": "\\ud800"}',
    b'{"\\ud800": 1}', b'{"name": "a\\udfffb", "key": "a\\udfffb"}', b'{"name": "a\x00b"}',
]  # fmt: skip
"""What no operation can take: it is no JSON, it has no end, it is no text."""
STRANGE = [
    *REFUSED,
    b"", b"null", b"[]", b"7", b'"text"', b'{"limit": null}', b'{"limit": 1e400}', b'{"limit": -1}',
    b'{"limit": 99999999999999999999999}', b'{"offset": 99999999999999999999999}', b'{"offset": -1}', b'{"limit": NaN}',
    b'{"sort": "\\u0000"}', b'{"sort": "\\ud800"}', b'{"name": "\\u0000"}',
    b'{"name": "a\\u0000b", "key": "a\\u0000b"}', b'{"name": "a\\ud800b", "key": "a\\ud800b"}',
    b'{"flow_runs": {"id": {"any_": ["x"]}}}', b'{"flow_runs": {"none": 1}}', b'{"flows": {"name": {"like_": "\\u0000%"}}}',
    b'{"flows": {"name": {"any_": ["\\ud800"]}}}', b'{"flow_runs": {"tags": {"all_": ["\\u0000"]}}}',
    b'{"name": "a", "tags": ["\\u0000", "\\ud800"]}', b'{"name": "a", "labels": {"\\u0000": "\\ud800"}}',
    b'{"flow_runs": {"start_time": {"after_": "9999-12-31T23:59:59Z", "before_": "0001-01-01T00:00:00Z"}}}',
    b'{"name": "' + b"a" * 5_000_000 + b'"}', b'{"limit": ' + b"9" * 5_000 + b"}",
]  # fmt: skip


def test_requests_that_are_made_to_hurt(client: TestClient) -> None:
    description = client.get("/api/openapi.json").json()
    failures: list[str] = []
    for path, methods in description["paths"].items():
        if "{" in path or any(part in path for part in _BEYOND_REACH):
            continue
        for method, operation in methods.items():
            if "requestBody" not in operation:
                continue
            for body in STRANGE:
                answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
                complaint = complaint_about(answer, fields_of(description, operation))
                if complaint is None and body in REFUSED and not 400 <= answer.status_code < 500:
                    complaint = "It is not refused."
                if complaint is not None:
                    failures.append(
                        f"{method} {path} {body[:80]!r}: {answer.status_code} {complaint} {answer.text[:300]}"
                    )
    assert not failures, "\n".join(failures)


def test_text_with_a_nul_is_refused_where_it_names_something_and_kept_where_it_is_told(client: TestClient) -> None:
    def places(path: str, body: Any) -> list[list[str | int]]:
        answer = client.post(f"/api{path}", json=body)
        assert answer.status_code == 422, answer.text
        return [problem["loc"] for problem in answer.json()["exception_detail"]]

    assert places("/flows/", {"name": "a\0b"}) == [["body", "name"]]
    assert places("/flows/", {"name": "a", "tags": ["x", "\0"]}) == [["body", "tags", 1]]
    assert places("/flows/", {"name": "a", "labels": {"\0": "x"}}) == [["body", "labels", "\0"]]
    assert places("/flows/filter", {"flows": {"name": {"like_": "\0"}}}) == [["body", "flows", "name", "like_"]]
    assert client.get("/api/variables/name/a%00b").json()["exception_detail"][0]["loc"] == ["path", "name"]

    flow = client.post("/api/flows/", json={"name": "backslash \\u0000 of text"}).json()
    assert flow["name"] == "backslash \\u0000 of text"
    made = client.post("/api/flow_runs/", json={"flow_id": flow["id"], "parameters": {"raw": "a\0"}})
    assert made.status_code == 201, made.text
    run = made.json()
    assert run["parameters"] == {"raw": "a\\x00"}
    failed = {"state": {"type": "FAILED", "message": "not \\ \\\\\0this"}}
    assert client.post(f"/api/flow_runs/{run['id']}/set_state", json=failed).json()["status"] == "ACCEPT"
    assert client.get(f"/api/flow_runs/{run['id']}").json()["state"]["message"] == "not \\ \\\\\\x00this"
    line = {"name": "n", "level": 20, "message": "a\0b", "timestamp": "2026-01-01T00:00:00Z", "flow_run_id": run["id"]}
    assert client.post("/api/logs/", json=[line]).status_code == 201
    wanted = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
    assert [one["message"] for one in client.post("/api/logs/filter", json=wanted).json()] == ["a\\x00b"]


def test_floats_of_any_size(client: TestClient) -> None:
    """PostgreSQL tells large floats as integers of many digits, and nobody may stumble over that."""
    numbers = {"1e20": 1e20, "huge": -1.5509843522543056e275, "small": 5e-324, "int": 2**62, "1.0": 1.5}
    made = client.post("/api/flows/", json={"name": f"numbers-{uuid4()}", "labels": numbers})
    assert made.status_code == 201, made.text
    run = client.post("/api/flow_runs/", json={"flow_id": made.json()["id"], "parameters": {"numbers": numbers}})
    assert run.status_code == 201, run.text
    read = client.get(f"/api/flow_runs/{run.json()['id']}")
    assert read.status_code == 200, read.text
    assert read.json()["parameters"] == {"numbers": numbers}
    assert client.get(f"/api/flows/{made.json()['id']}").json()["labels"] == numbers
