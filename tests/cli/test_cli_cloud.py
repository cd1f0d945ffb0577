"""`prefect cloud`, against something that answers as a cloud does; `prefect plugins`, `prefect dashboard`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest

from .conftest import Cli


def workspace(number: int, name: str) -> dict[str, str]:
    return {
        "account_id": str(UUID(int=1)), "account_name": "Mine", "account_handle": "mine",
        "workspace_id": str(UUID(int=number)), "workspace_name": name, "workspace_description": "",
        "workspace_handle": name,
    }  # fmt: skip


class Cloud(BaseHTTPRequestHandler):
    workspaces: tuple[dict[str, str], ...] = ()

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer pnu_right"
        body = json.dumps(self.workspaces if allowed else {"detail": "no"}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def cloud(local_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("PREFECT_CLOUD_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    Cloud.workspaces = (workspace(2, "main"), workspace(3, "other"))
    yield local_cli
    server.shutdown()
    server.server_close()


def test_in_and_out(cloud: Cli, clean_home: Path) -> None:
    cloud.ok("profile", "create", "mine")
    cloud.ok("profile", "use", "mine")
    assert "mine/main" in cloud.ok("cloud", "login", "--key", "pnu_right", "--workspace", "mine/main")
    kept = (clean_home / "profiles.toml").read_text()
    assert "pnu_right" in kept and f"workspaces/{UUID(int=2)}" in kept
    listed = cloud.ok("cloud", "workspace", "ls").splitlines()
    assert listed[2].startswith("*") and "mine/main" in listed[2] and not listed[3].startswith("*")
    assert [one["workspace_handle"] for one in cloud.json("cloud", "workspaces", "ls")] == ["main", "other"]
    cloud.ok("cloud", "workspace", "set", "-w", "other")
    assert f"workspaces/{UUID(int=3)}" in (clean_home / "profiles.toml").read_text()
    assert "Did you mean 'mine/main'?" in cloud.fails("cloud", "workspace", "set", "--workspace", "mine/man")
    assert "Logged out" in cloud.ok("cloud", "logout")
    assert "pnu_right" not in (clean_home / "profiles.toml").read_text()
    assert "no API key" in cloud.fails("cloud", "logout")
    assert "prefect cloud login" in cloud.fails("cloud", "workspace", "ls")


def test_the_only_workspace_needs_no_name(cloud: Cli) -> None:
    assert "--workspace" in cloud.run("cloud", "login", "-k", "pnu_right")[2]
    Cloud.workspaces = (workspace(2, "main"),)
    assert "mine/main" in cloud.ok("cloud", "login", "-k", "pnu_right")
    assert "does not accept" in cloud.fails("cloud", "login", "-k", "pnu_wrong")
    assert "--key" in cloud.fails("cloud", "login", status=2)


def test_plugins(local_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No plugins" in local_cli.ok("plugins", "diagnose") or "Name" in local_cli.ok("plugins", "diagnose")
    for name, source in (("good", "def setup_environment(*, ctx): ..."), ("bad", "1 / 0")):
        (tmp_path / f"{name}_plugin.py").write_text(source)
        folder = tmp_path / f"{name}_plugin-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[prefect.plugins]\n{name} = {name}_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    status, out, err = local_cli.run("plugins", "diagnose", "-o", "json")
    found = {one["name"]: one for one in json.loads(out)["plugins"]}
    assert (status, err.startswith("Cannot be loaded: bad.")) == (1, True)
    assert (found["good"]["hooks"], found["good"]["error"]) == (["setup_environment"], None)
    assert found["bad"]["error"].startswith("ZeroDivisionError")
    assert found["good"]["allowed"] is False, "start-up plugins are off unless a setting says otherwise"
    monkeypatch.setenv("PREFECT_PLUGINS_ENABLED", "true")
    found = {one["name"]: one for one in json.loads(local_cli.run("plugins", "diagnose", "-o", "json")[1])["plugins"]}
    assert found["good"]["allowed"] is True
    assert "good-plugin 1.0" in local_cli.run("experimental", "plugins", "diagnose")[1]


def test_the_pages_of_a_server(local_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing says where a server is" in local_cli.fails("dashboard", "open")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open_new_tab", lambda url: bool(opened.append(url)) or True)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert local_cli.ok("dashboard", "open") == "Opened http://127.0.0.1:4200\n"
    assert opened == ["http://127.0.0.1:4200"]
