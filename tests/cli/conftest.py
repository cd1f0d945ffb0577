"""Commands as a user gives them, in this process, on the local database or on a server that listens on a port."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from prefect.cli._app import run as run_command_line
from prefect.server.api.server import create_app
from prefect.settings import context, get_current_settings

DEADLINE_SECONDS = 30


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server on a database of its own; gives the address of its API."""
    folder.mkdir(parents=True, exist_ok=True)
    changes = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite:///{folder}/served.db", "PREFECT_API_URL": None}
    app = create_app(get_current_settings().copy_with_update(changes))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + DEADLINE_SECONDS
    while not server.started:
        assert thread.is_alive() and time.monotonic() < end, "the server did not start"
        time.sleep(0.01)  # between two looks, until the deadline
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)


@pytest.fixture
def clean_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for the commands of a test, whose settings are read anew by each."""
    for name in [name for name in os.environ if name.upper().startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    before = dict(context._process)
    context._process.clear()
    yield home
    context._process.clear()
    context._process.update(before)


class Cli:
    """Runs commands and looks at what they say."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *argv: str) -> tuple[int, str, str]:
        """The exit status, what was said, and what was complained about."""
        context._process.clear()
        before = dict(os.environ)
        status = run_command_line(argv)
        os.environ.clear()  # a command's process ends with it, and what it put into its environment
        os.environ.update(before)
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def ok(self, *argv: str) -> str:
        """What a command says that must succeed."""
        status, out, err = self.run(*argv)
        assert (status, err) == (0, ""), f"{argv}: {status} {out} {err}"
        return out

    def json(self, *argv: str) -> Any:
        """What a command says with `-o json`."""
        return json.loads(self.ok(*argv, "-o", "json"))

    def fails(self, *argv: str, status: int = 1) -> str:
        """What a command complains about, in one line and nothing else."""
        code, out, err = self.run(*argv)
        assert (code, out, err.count("\n")) == (status, "", 1), f"{argv}: {code} {out} {err}"
        return err


@pytest.fixture(params=["local", "served"])
def cli(
    request: pytest.FixtureRequest,
    clean_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Cli]:
    """The command line on the local database, and on a server."""
    if request.param == "local":
        yield Cli(capsys)
        return
    with serving(clean_home) as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        yield Cli(capsys)


@pytest.fixture
def local_cli(clean_home: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line on the local database."""
    return Cli(capsys)


Make = Callable[..., str]


@pytest.fixture
def deployed(cli: Cli) -> Make:
    """Makes deployments: `deployed("etl", "nightly")` returns its id."""

    def make(flow: str, name: str, **fields: Any) -> str:
        flow_id = _made(cli, "/flows/", {"name": flow})["id"]
        schema = {
            "type": "object",
            "properties": {"day": {"type": "string"}, "n": {"type": "integer"}},
            "required": ["day"],
        }
        body = {"flow_id": flow_id, "name": name, "parameter_openapi_schema": schema, "parameters": {"day": "mon"}}
        return _made(cli, "/deployments/", {**body, **fields})["id"]

    return make


def _made(cli: Cli, route: str, body: Any) -> Any:
    return json.loads(cli.ok("api", "POST", route, "--data", json.dumps(body)))
