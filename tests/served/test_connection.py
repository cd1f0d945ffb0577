"""The connection that runs are recorded over: what it says of itself, and what it does about answers that are none."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from client.scripted import Answer, ScriptedServer, handler
from prefect._engine.recording.served import ServedRecorder
from prefect._transport.direct import Address, Connection, ServerUnreachable
from prefect.exceptions import ConfigurationError
from prefect.settings import get_current_settings


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    script = ScriptedServer()
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler(script))
    script.url = f"http://127.0.0.1:{running.server_port}/api"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield script
    running.shutdown()
    running.server_close()
    thread.join()


def settings(url: str, **changes: Any) -> Any:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return get_current_settings().copy_with_update(updates={"api.url": url, **named})


def connection(url: str, **changes: Any) -> Connection:
    return Connection(Address(settings(url, **changes), "agent/1"))


def test_one_connection_serves_many_requests(scripted: ScriptedServer) -> None:
    link = connection(scripted.url)
    for _ in range(3):
        assert link.send("POST", "/x", b"[1]").status == 200
    assert scripted.connections == 1
    assert [(each.method, each.path, each.body) for each in scripted.seen] == [("POST", "/api/x", [1])] * 3
    assert scripted.seen[0].headers["user-agent"] == "agent/1"
    assert "x-prefect-api-version" in scripted.seen[0].headers


def test_who_sends_is_told_as_the_settings_say(scripted: ScriptedServer) -> None:
    login = base64.b64encode(b"ada:pass").decode()
    for changes, expected in (
        ({"api__key": "k"}, "Bearer k"),
        ({"api__auth_string": "ada:pass"}, f"Basic {login}"),
    ):
        connection(scripted.url, **changes).send("GET", "/x")
        assert scripted.seen[-1].headers["authorization"] == expected
    connection(scripted.url.replace("127", "ada:pass@127")).send("GET", "/x")
    assert scripted.seen[-1].headers["authorization"] == f"Basic {login}"
    custom = {"X-Team": "blue", "User-Agent": "not this"}
    connection(scripted.url, client__custom_headers=custom).send("GET", "/x")
    assert (scripted.seen[-1].headers["x-team"], scripted.seen[-1].headers["user-agent"]) == ("blue", "agent/1")


def test_a_password_in_the_address_is_not_shown() -> None:
    assert "pass" not in Address(settings("http://ada:pass@127.0.0.1:1/api"), "a").shown


def test_a_token_is_fetched_when_the_server_asks_for_one(scripted: ScriptedServer) -> None:
    scripted.script(
        Answer(403, {"detail": "Missing CSRF token."}), Answer(200, {"token": "t"}), Answer(200), Answer(200)
    )
    link = connection(scripted.url, client__csrf_support_enabled=True)
    assert link.send("POST", "/x", b"{}").status == 200
    link.send("POST", "/x", b"{}")
    assert [each.headers.get("prefect-csrf-token") for each in scripted.seen] == [None, None, "t", "t"]
    assert scripted.seen[1].path.startswith("/api/csrf-token?client=")


def test_a_connection_that_was_closed_meanwhile_is_made_again(scripted: ScriptedServer) -> None:
    link = connection(scripted.url)
    link.send("GET", "/x")
    scripted.script(Answer(hang_up=True), Answer(200, "fine"))
    assert link.send("GET", "/x").content == b'"fine"'
    scripted.script(Answer(hang_up=True))
    with pytest.raises(ServerUnreachable):
        link.send("GET", "/x")


def test_a_server_that_has_moved_is_not_followed(scripted: ScriptedServer) -> None:
    scripted.script(Answer(307, headers={"Location": "http://elsewhere.example/api/x"}))
    with pytest.raises(ConfigurationError, match=r"elsewhere\.example"):
        connection(scripted.url, api__key="secret").send("GET", "/x")


def test_what_is_no_address(scripted: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match="http"):
        connection("ftp://127.0.0.1/api")


def test_a_proxy_is_asked(scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", scripted.url.removesuffix("/api").replace("127", "ada:pass@127"))
    monkeypatch.delenv("no_proxy", raising=False)
    connection("http://server.example/api").send("GET", "/x")
    assert scripted.seen[0].path == "http://server.example:80/api/x"
    assert scripted.seen[0].headers["host"].startswith("server.example")
    assert scripted.seen[0].headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    connection(scripted.url).send("GET", "/y")
    assert scripted.seen[1].path == "/api/y"


def test_a_pause_that_the_server_asks_for_is_made(scripted: ScriptedServer) -> None:
    scripted.script(Answer(503, headers={"Retry-After": "0.2"}), Answer(200, {"id": 1}))
    recorder = ServedRecorder(settings(scripted.url, client__max_retries=2))
    assert recorder.ask("GET", "/x") == {"id": 1}
    assert len(scripted.seen) == 2
