"""Requests over HTTP, against a server on this machine that answers what the test says."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import pickle
import threading
from uuid import uuid4

import httpx
import pytest

from prefect import exceptions
from prefect._transport import http as transport
from prefect.client import _versions
from prefect.client.base import PrefectHttpxSyncClient, PrefectResponse, ServerType, determine_server_type
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_CLIENT_CUSTOM_HEADERS,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from .scripted import Answer, ScriptedServer

FLOW = {"id": str(uuid4()), "name": "wash", "tags": [], "labels": {}}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients wanted to wait; they do not."""
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(transport, "_sleep", note)
    return waited


@pytest.mark.parametrize("status", [429, 502, 503])
def test_tries_again_when_the_server_is_busy(server: ScriptedServer, waits: list[float], status: int) -> None:
    server.script(Answer(status), Answer(status, headers={"Retry-After": "7"}), Answer(200, FLOW))
    with get_client(sync_client=True) as client:
        assert client.read_flow(uuid4()).name == "wash"
    assert len(server.seen) == 3
    assert waits[1] >= 7


def test_gives_up_with_the_servers_words(server: ScriptedServer, waits: list[float]) -> None:
    server.script(Answer(503, {"detail": "The database is restarting."}))
    with get_client(sync_client=True) as client, pytest.raises(exceptions.PrefectHTTPStatusError) as raised:
        client.read_flow(uuid4())
    assert len(server.seen) == 4
    assert len(waits) == 3
    assert "The database is restarting." in str(raised.value)
    assert "GET /flows/" in str(raised.value)
    assert raised.value.response.status_code == 503


async def test_asynchronous_clients_try_again_too(server: ScriptedServer) -> None:
    server.script(Answer(503, headers={"Retry-After": "0"}), Answer(200, FLOW))
    async with get_client() as client:
        assert (await client.read_flow(uuid4())).name == "wash"
    assert len(server.seen) == 2


def test_a_lost_answer_to_a_question_is_asked_for_again(server: ScriptedServer) -> None:
    server.script(Answer(hang_up=True), Answer(200, [FLOW]))
    with get_client(sync_client=True) as client:
        assert [flow.name for flow in client.read_flows()] == ["wash"]
    assert len(server.seen) == 2


def test_what_must_not_be_done_twice_is_not_sent_again_when_the_answer_is_lost(server: ScriptedServer) -> None:
    server.script(Answer(hang_up=True))
    with get_client(sync_client=True) as client, pytest.raises(httpx.RemoteProtocolError):
        client.create_flow_run_from_deployment(uuid4())
    assert len(server.seen) == 1


def test_a_key_makes_the_same_request_safe_to_send_again(server: ScriptedServer) -> None:
    run = {"id": str(uuid4()), "name": "r", "flow_id": str(uuid4())}
    server.script(Answer(hang_up=True), Answer(200, run))
    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(uuid4(), idempotency_key="once")
    assert len(server.seen) == 2
    assert server.seen[1].body["idempotency_key"] == "once"


def test_connects_again_when_there_is_no_server(waits: list[float]) -> None:
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 2}),
        pytest.raises(RuntimeError, match=r"Failed to reach API at http://127\.0\.0\.1:9/api"),
        SyncPrefectClient("http://127.0.0.1:9/api") as client,
    ):
        client.hello()
    assert len(waits) == 2


def test_a_server_that_is_away_is_named(waits: list[float]) -> None:
    client = SyncPrefectClient("http://127.0.0.1:9/api")
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
        pytest.raises(httpx.ConnectError, match=r"POST /api/flows/filter was tried 2 times.*http://127\.0\.0\.1:9: "),
    ):
        client.read_flows()


def test_not_found(server: ScriptedServer) -> None:
    server.script(Answer(404, {"detail": "Flow not found"}))
    client = SyncPrefectClient(server.url)
    with pytest.raises(exceptions.ObjectNotFound, match="Flow not found") as raised:
        client.read_flow(uuid4())
    error = raised.value
    assert isinstance(error, exceptions.PrefectHTTPStatusError), "programs that look for the status see it too"
    assert error.response.status_code == 404
    assert isinstance(error.http_exc, httpx.HTTPStatusError)
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, exceptions.ObjectNotFound)
    assert str(copy) == str(error)


def test_a_password_in_the_address_is_used_and_not_shown(server: ScriptedServer) -> None:
    server.script(Answer(404, {"detail": "Flow not found"}))
    client = SyncPrefectClient(server.url.replace("://", "://ada:lovelace@"))
    with pytest.raises(exceptions.ObjectNotFound) as raised:
        client.read_flow(uuid4())
    assert "lovelace" not in str(raised.value)
    assert "lovelace" not in str(client.api_url)
    assert server.seen[0].headers["authorization"].startswith("Basic ")


def test_exists_already(server: ScriptedServer) -> None:
    server.script(Answer(409, {"detail": "A variable of this name exists."}))
    from prefect.client.schemas.actions import VariableCreate

    with pytest.raises(exceptions.ObjectAlreadyExists, match="A variable of this name exists"):
        SyncPrefectClient(server.url).create_variable(VariableCreate(name="x", value=1))


def test_a_request_that_does_not_fit_says_which_field(server: ScriptedServer) -> None:
    faults = [{"loc": ["body", "limit"], "msg": "Input should be greater than or equal to 0", "type": "x"}]
    server.script(Answer(422, {"exception_message": "Invalid request received.", "exception_detail": faults}))
    with pytest.raises(exceptions.PrefectHTTPStatusError, match=r"body\.limit: Input should be greater"):
        SyncPrefectClient(server.url).read_flows(limit=-1)


def test_a_page_of_a_proxy_is_not_shown(server: ScriptedServer) -> None:
    server.script(Answer(500, b"<html>long</html>", {"Content-Type": "text/html"}))
    with pytest.raises(exceptions.PrefectHTTPStatusError) as raised:
        SyncPrefectClient(server.url).read_flows()
    assert "html" not in str(raised.value)


def test_protected_blocks(server: ScriptedServer) -> None:
    server.script(Answer(403, {"detail": "protected block types cannot be deleted."}))
    with pytest.raises(exceptions.ProtectedBlockError):
        SyncPrefectClient(server.url).delete_block_type(uuid4())


def test_paths_and_queries_are_quoted(server: ScriptedServer) -> None:
    server.script(Answer(200, FLOW))
    client = SyncPrefectClient(server.url)
    client.read_flow_by_name("a b/ü?#")
    assert server.seen[-1].path == "/api/flows/name/a%20b%2F%C3%BC%3F%23"
    client.request("GET", "/flows/{id}", params={"q": ["a", "b c"], "flag": True, "none": None}, path_params={"id": 1})
    assert server.seen[-1].path == "/api/flows/1?q=a&q=b+c&flag=true"


def test_headers(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    server.script(Answer(200, FLOW))
    custom = {"X-Team": "data", "User-Agent": "forged"}
    with temporary_settings({PREFECT_CLIENT_CUSTOM_HEADERS: custom, PREFECT_API_KEY: "secret"}):
        SyncPrefectClient(server.url, httpx_settings={"headers": {"X-More": "1"}}).read_flow(uuid4())
    headers = server.seen[-1].headers
    assert headers["authorization"] == "Bearer secret"
    assert headers["x-team"] == "data"
    assert headers["x-more"] == "1"
    assert headers["user-agent"].startswith("prefect/3")
    assert headers["x-prefect-api-version"] == "0.8.4"
    assert "User-Agent" in caplog.text


def test_basic_authentication(server: ScriptedServer) -> None:
    server.script(Answer(200, FLOW))
    with temporary_settings({PREFECT_API_AUTH_STRING: "user:pass:word"}):
        SyncPrefectClient(server.url).read_flow(uuid4())
    assert server.seen[-1].headers["authorization"] == "Basic dXNlcjpwYXNzOndvcmQ="


def test_a_file_of_certificates_that_is_none(server: ScriptedServer) -> None:
    with (
        temporary_settings({PREFECT_API_SSL_CERT_FILE: "/nowhere.pem"}),
        pytest.raises(exceptions.ConfigurationError, match=r"/nowhere\.pem"),
    ):
        SyncPrefectClient(server.url).hello()


def test_connections_are_used_again(server: ScriptedServer) -> None:
    server.script(Answer(200, FLOW))
    with get_client(sync_client=True) as client:
        for _ in range(5):
            client.read_flow(uuid4())
    assert len(server.seen) == 5
    assert server.connections == 1


def test_tokens_are_fetched_when_the_server_asks_for_them(server: ScriptedServer) -> None:
    token = {"token": "t0", "client": "c", "expiration": "2030-01-01T00:00:00Z"}
    server.script(
        Answer(200, FLOW), Answer(403, {"detail": "Missing CSRF token."}), Answer(200, token), Answer(200, FLOW)
    )
    with get_client(sync_client=True) as client:
        client.read_flow(uuid4())
        client.create_flow_from_name("wash")
        client.create_flow_from_name("wash")
    assert [(one.method, one.path.partition("?")[0]) for one in server.seen] == [
        ("GET", server.seen[0].path),
        ("POST", "/api/flows/"),
        ("GET", "/api/csrf-token"),
        ("POST", "/api/flows/"),
        ("POST", "/api/flows/"),
    ]
    name = server.seen[2].path.partition("?client=")[2]
    for one in server.seen[3:]:
        assert one.headers["prefect-csrf-token"] == "t0"
        assert one.headers["prefect-csrf-client"] == name


def test_who_may_not_have_a_token_is_told_to_log_in(server: ScriptedServer) -> None:
    server.script(Answer(403, {"detail": "Missing CSRF token."}), Answer(401, {"exception_message": "Unauthorized"}))
    with get_client(sync_client=True) as client, pytest.raises(exceptions.PrefectHTTPStatusError) as raised:
        client.create_flow_from_name("wash")
    assert raised.value.response.status_code == 401
    assert "POST /flows/" in str(raised.value)
    assert "Unauthorized. Set PREFECT_API_KEY or PREFECT_API_AUTH_STRING" in str(raised.value)


def test_other_refusals_are_not_about_tokens(server: ScriptedServer) -> None:
    server.script(Answer(403, {"detail": "You may not."}))
    with get_client(sync_client=True) as client, pytest.raises(exceptions.PrefectHTTPStatusError, match="You may not"):
        client.create_flow_from_name("wash")
    assert len(server.seen) == 1


@pytest.mark.parametrize("version", ["3.8.4", "3.9.0", "3.8.4+pluperfect.0.1.0", "unknown"])
def test_versions_that_fit(server: ScriptedServer, version: str, caplog: pytest.LogCaptureFixture) -> None:
    server.script(Answer(200, version))
    SyncPrefectClient(server.url).raise_for_api_version_mismatch()
    assert "older" not in caplog.text


def test_an_older_server_is_told_of(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    server.script(Answer(200, "3.2.1"))
    SyncPrefectClient(server.url).raise_for_api_version_mismatch()
    assert "3.2.1" in caplog.text
    assert any(record.levelno == logging.WARNING for record in caplog.records)


def test_another_major_version_is_refused(server: ScriptedServer) -> None:
    _versions.CHECKED.discard(server.url)
    server.script(Answer(200, "2.20.0"))
    client = SyncPrefectClient(server.url)
    with pytest.raises(RuntimeError, match=r"incompatible versions.*2\.20\.0"):
        client.__enter__()
    with pytest.raises(RuntimeError, match="after closing"):
        client.__enter__()


def test_the_version_is_asked_for_once(server: ScriptedServer) -> None:
    _versions.CHECKED.discard(server.url)
    server.script(Answer(200, "3.8.4"))
    for _ in range(3):
        with get_client(sync_client=True):
            pass
    assert [one.path for one in server.seen] == ["/api/admin/version"]


def test_the_same_client_inside_the_block_of_another(server: ScriptedServer) -> None:
    with get_client(sync_client=True) as outer:
        with get_client(sync_client=True) as inner:
            assert inner is outer
        outer.hello()
        assert get_client(httpx_settings={"timeout": 3}, sync_client=True) is not outer
        with temporary_settings({PREFECT_API_KEY: "another"}):
            assert get_client(sync_client=True) is not outer
        assert get_client() is not outer
    assert get_client(sync_client=True) is not outer


async def test_the_same_asynchronous_client_in_one_loop_only(server: ScriptedServer) -> None:
    async with get_client() as outer:
        async with get_client() as inner:
            assert inner is outer
        assert outer.loop is asyncio.get_running_loop()
        elsewhere: list[PrefectClient] = []

        async def other_loop() -> None:
            elsewhere.append(get_client())

        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(asyncio.run, other_loop()))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert elsewhere[0] is not outer
        await outer.hello()


async def test_an_asynchronous_client_wants_an_asynchronous_block(server: ScriptedServer) -> None:
    with pytest.raises(RuntimeError, match="async with"), get_client():
        pass


def test_health(server: ScriptedServer) -> None:
    client = SyncPrefectClient(server.url)
    server.script(Answer(200, True))
    assert client.api_healthcheck() is None
    server.script(Answer(500, {"detail": "ill"}))
    assert "ill" in str(client.api_healthcheck())


def test_work_queues_are_matched_over_all_pages(server: ScriptedServer) -> None:
    queue = {"name": "q", "work_pool_id": None}
    server.script(Answer(200, [queue] * 100), Answer(200, [queue] * 3))
    assert len(SyncPrefectClient(server.url).match_work_queues(["q"])) == 103
    assert [one.body["offset"] for one in server.seen] == [0, 100]
    assert server.seen[0].body["work_queues"] == {"name": {"startswith_": ["q"]}}


def test_a_work_pool_is_changed_when_it_is_to_be_overwritten(server: ScriptedServer) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate

    pool = {"id": str(uuid4()), "name": "p", "type": "process", "default_queue_id": str(uuid4())}
    server.script(Answer(409, {"detail": "exists"}), Answer(204), Answer(200, pool))
    made = SyncPrefectClient(server.url).create_work_pool(
        WorkPoolCreate(name="p", type="process", description="d"), overwrite=True
    )
    assert made.name == "p"
    assert [(one.method, one.body) for one in server.seen][1:] == [("PATCH", {"description": "d"}), ("GET", None)]


def test_a_limit_that_another_makes_meanwhile_is_changed(server: ScriptedServer) -> None:
    server.script(Answer(404, {"detail": "none"}), Answer(409, {"detail": "exists"}), Answer(204))
    SyncPrefectClient(server.url).upsert_global_concurrency_limit_by_name("g", 3)
    assert [one.method for one in server.seen] == ["GET", "POST", "PATCH"]


def test_pages_of_events(server: ScriptedServer) -> None:
    event = {
        "id": str(uuid4()), "occurred": "2026-01-01T00:00:00Z", "received": "2026-01-01T00:00:01Z", "event": "rain",
        "resource": {"prefect.resource.id": "sky"},
    }  # fmt: skip
    elsewhere = "http://elsewhere.example/api/events/filter/next?page-token=a%2Bb"
    server.script(
        Answer(200, {"events": [event], "total": 2, "next_page": elsewhere}),
        Answer(200, {"events": [event], "total": 2, "next_page": None}),
    )
    client = SyncPrefectClient(server.url)
    first = client.read_events(limit=1)
    assert (first.events[0].event, first.total) == ("rain", 2)
    second = first.get_next_page_sync(client)
    assert second is not None
    assert second.get_next_page_sync(client) is None
    assert server.seen[1].path == "/api/events/filter/next?page-token=a%2Bb"
    with pytest.raises(ValueError, match="page-token"):
        client.read_events_page("http://elsewhere.example/")


async def test_pages_of_events_asynchronously(server: ScriptedServer) -> None:
    page = {"events": [], "total": 0, "next_page": f"{server.url}/events/filter/next?page-token=x"}
    server.script(Answer(200, page), Answer(200, {**page, "next_page": None}))
    client = PrefectClient(server.url)
    second = await (await client.read_events()).get_next_page(client)
    assert second is not None
    assert await second.get_next_page(client) is None


def test_kinds_of_servers(server: ScriptedServer) -> None:
    assert determine_server_type() is ServerType.SERVER
    assert SyncPrefectClient(server.url).server_type is ServerType.SERVER
    assert SyncPrefectClient("https://api.prefect.cloud/api/accounts/x").server_type is ServerType.CLOUD
    with pytest.raises(TypeError, match="Unexpected type 'int'"):
        SyncPrefectClient(5)  # type: ignore[arg-type]


def test_the_http_client_by_itself(server: ScriptedServer) -> None:
    server.script(Answer(404, {"detail": "gone"}))
    with PrefectHttpxSyncClient() as client, pytest.raises(exceptions.PrefectHTTPStatusError, match="gone"):
        client.get(server.url)
    with PrefectHttpxSyncClient(raise_on_all_errors=False) as client:
        response = client.get(server.url)
    assert isinstance(response, PrefectResponse)
    assert response.status_code == 404


async def test_an_application_in_this_process() -> None:
    steps: list[str] = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                steps.append(message["type"])
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        steps.append(scope["path"])
        body = b'"3.8.4"' if scope["path"].endswith("version") else b"true"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async with PrefectClient(app, server_type=ServerType.SERVER) as client:
        assert await client.api_healthcheck() is None
    _versions.CHECKED.discard("http://ephemeral-prefect/api")
    assert steps == ["lifespan.startup", "/api/admin/version", "/api/health", "lifespan.shutdown"]
