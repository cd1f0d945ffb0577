"""`prefect api`: requests as they are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from .conftest import Cli


def test_bodies_from_the_command_line_a_file_and_standard_input(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = '{"name": "x", "value": 1}'
    assert json.loads(cli.ok("api", "post", "variables/", "--data", body))["name"] == "x"
    (tmp_path / "body.json").write_text(body.replace("x", "y"))
    assert json.loads(cli.ok("api", "POST", "/variables/", "--data", "@body.json"))["name"] == "y"
    monkeypatch.setattr("sys.stdin", io.StringIO(body.replace("x", "z")))
    assert json.loads(cli.ok("api", "POST", "/variables/", "--data", "-"))["name"] == "z"
    assert len(json.loads(cli.ok("api", "POST", "/variables/filter"))) == 3
    assert cli.ok("api", "DELETE", "/variables/name/x") == ""


def test_exit_status_says_what_kind_of_answer(cli: Cli) -> None:
    status, out, err = cli.run("api", "GET", "/variables/name/nope")
    assert (status, json.loads(out)["detail"], err) == (4, "Variable 'nope' not found.", "Error: 404 Not Found\n")
    assert cli.run("api", "POST", "/variables/", "--data", "{}")[0] == 4
    assert cli.run("api", "GET", "/nowhere/at/all")[0] == 4


def test_what_is_sent_is_shown_on_demand(cli: Cli) -> None:
    status, out, err = cli.run("api", "-v", "GET", "/health", "-H", "X-Mine: 1", "-H", "Authorization: Basic secret")
    assert (status, out) == (0, "true\n")
    assert "> x-mine: 1" in err.lower() and "< 200 OK" in err and "secret" not in err


def test_no_answer(local_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    assert "http://127.0.0.1:9" in local_cli.fails("api", "GET", "/health", status=7)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["FETCH", "/flows"], "no method 'FETCH'"),
        (["POST", "/flows/", "--data", "{nope"], "not JSON"),
        (["GET", "/flows/", "-H", "nonsense"], "Name: value"),
        (["GET", "/me", "--account"], "--account"),
        (["GET", "/me", "--account", "--root"], "not both"),
    ],
)
def test_bad_usage(local_cli: Cli, argv: list[str], words: str) -> None:
    assert words in local_cli.fails("api", *argv, status=2)


def test_a_file_that_is_not_there(local_cli: Cli) -> None:
    assert "nowhere.json" in local_cli.fails("api", "POST", "/flows/", "--data", "@nowhere.json")
