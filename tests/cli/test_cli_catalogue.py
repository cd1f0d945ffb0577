"""Variables, artifacts, limits, blocks: what one can keep, on the local database and on a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli


def test_variables(cli: Cli) -> None:
    assert cli.ok("variable", "ls") == "No variables found.\n"
    assert cli.ok("variable", "set", "size", "500", "--tag", "a", "--tag", "b") == "Set variable 'size'.\n"
    cli.ok("variable", "set", "name", "some text")
    cli.ok("variable", "set", "below", "-5")
    assert cli.ok("variable", "get", "size") == "500\n"
    assert cli.ok("variable", "get", "name") == "some text\n"
    assert cli.json("variable", "inspect", "size")["tags"] == ["a", "b"]
    assert [one["name"] for one in cli.json("variables", "ls")] == ["below", "name", "size"]
    assert "--overwrite" in cli.fails("variable", "set", "size", "1")
    cli.ok("variable", "set", "size", '{"a": [1]}', "--overwrite")
    assert cli.ok("variable", "get", "size") == '{"a":[1]}\n'
    assert cli.json("variable", "inspect", "size")["tags"] == ["a", "b"], "what is not given stays"
    cli.ok("variable", "unset", "size")
    cli.ok("variable", "delete", "below")
    assert "Did you mean 'name'?" in cli.fails("variable", "get", "nane")
    assert "lowercase" in cli.fails("variable", "set", "Not Allowed", "1")


def test_all_pages_are_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.cli._api.PAGE", 2)
    for i in range(5):
        cli.ok("variable", "set", f"v{i}", str(i))
    assert len(cli.json("variable", "ls")) == 5
    assert len(cli.json("variable", "ls", "--limit", "3")) == 3
    assert "--limit is 0" in cli.fails("variable", "ls", "--limit", "0")


def test_a_pipe_gets_everything_whatever_its_length(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    cli.ok("variable", "set", "long", "x" * 300)
    assert "x" * 300 in cli.ok("variable", "ls")
    monkeypatch.setenv("COLUMNS", "40")
    lines = cli.ok("variable", "ls").splitlines()
    assert max(map(len, lines)) <= 40 and lines[2].startswith("long  xxx")


def test_artifacts(cli: Cli) -> None:
    assert cli.ok("artifact", "ls") == "No artifacts found.\n"
    ids = []
    for number in range(3):
        body = {"key": "report", "type": "markdown", "data": f"# {number}", "description": f"the {number}th"}
        ids.append(json.loads(cli.ok("api", "POST", "/artifacts/", "--data", json.dumps(body)))["id"])
    cli.ok("api", "POST", "/artifacts/", "--data", '{"key": "table", "type": "table", "data": [{"a": 1}]}')
    assert [one["key"] for one in cli.json("artifact", "ls")].count("report") == 1
    assert len(cli.json("artifact", "ls", "--all")) == 4
    assert ids[2] in cli.ok("artifact", "ls")
    assert [one["id"] for one in cli.json("artifact", "inspect", "report")] == ids[::-1]
    assert [one["id"] for one in cli.json("artifact", "inspect", "report", "--limit", "1")] == ids[2:]
    assert "# 2" in cli.ok("artifact", "inspect", "report")
    cli.ok("artifact", "delete", "--id", ids[1])
    assert len(cli.json("artifact", "inspect", "report")) == 2
    assert "2 versions" in cli.ok("artifact", "delete", "report")
    assert "not found" in cli.fails("artifact", "inspect", "report")
    assert "KEY, --id" in cli.fails("artifact", "delete", status=2)


def test_limits_of_tags(cli: Cli) -> None:
    assert cli.ok("concurrency-limit", "ls") == "No concurrency limits found.\n"
    cli.ok("concurrency-limit", "create", "db", "3")
    assert cli.json("concurrency-limit", "inspect", "db")["concurrency_limit"] == 3
    assert [one["tag"] for one in cli.json("concurrency-limits", "ls")] == ["db"]
    cli.ok("concurrency-limit", "reset", "db")
    cli.ok("concurrency-limit", "delete", "db")
    assert "'db' not found" in cli.fails("concurrency-limit", "inspect", "db")
    assert "-1" in cli.fails("concurrency-limit", "create", "db", "--concurrency-limit=-1", status=2)


def test_global_limits(cli: Cli, tmp_path: Path) -> None:
    made = cli.json("gcl", "create", "license", "--limit", "3", "--slot-decay-per-second", "0.5")
    assert (made["limit"], made["slot_decay_per_second"]) == (3, 0.5)
    assert "already" in cli.fails("gcl", "create", "license", "-l", "3")
    cli.ok("global-concurrency-limit", "disable", "license")
    assert cli.json("gcl", "inspect", made["id"][:12])["active"] is False, "the beginning of an id will do"
    cli.ok("gcl", "enable", "license")
    cli.ok("gcl", "update", "license", "-l", "9", "--disable")
    assert "license" in cli.ok("gcl", "ls")
    cli.ok("gcl", "inspect", "license", "--file", str(tmp_path / "limit.json"))
    kept = json.loads((tmp_path / "limit.json").read_text())
    assert (kept["limit"], kept["active"]) == (9, False)
    assert "not both" in cli.fails("gcl", "update", "license", "--enable", "--disable", status=2)
    assert "what to change" in cli.fails("gcl", "update", "license", status=2)
    assert "limit" in cli.fails("gcl", "update", "license", "--limit", "-3")
    cli.ok("gcl", "delete", "license")
    assert cli.json("gcl", "ls") == []


BLOCKS = """
from pydantic import Field, SecretStr
from prefect.blocks.core import Block

class Warehouse(Block):
    "Where the goods are."
    address: str = Field(description="where it is")
    key: SecretStr
    port: int = 5432
"""


def test_blocks(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "warehouse_blocks.py"
    file.write_text(BLOCKS)
    assert "warehouse" in cli.ok("block", "register", "--file", str(file))
    assert "warehouse" in [one["slug"] for one in cli.json("block", "type", "ls")]
    described = cli.ok("blocks", "types", "inspect", "warehouse")
    assert "string (secret)" in described and "where it is" in described
    given = ["-f", "address=north", "-f", "key=s3cret"]
    made = cli.json("block", "create", "warehouse", "--name", "main", *given)
    assert made["data"]["address"] == "north"
    assert "--overwrite" in cli.fails("block", "create", "warehouse", "--name", "main", *given)
    cli.ok("block", "create", "warehouse", "--name", "main", *given, "-f", "port=1", "--overwrite")
    shown = cli.ok("block", "inspect", "warehouse/main")
    assert "north" in shown and "s3cret" not in shown
    assert cli.json("block", "inspect", "--id", made["id"])["data"]["port"] == 1
    assert [one["name"] for one in cli.json("block", "ls")] == ["main"]
    assert "Did you mean 'address'?" in cli.fails("block", "create", "warehouse", "--name", "x", "-f", "adress=1")
    assert "needs key" in cli.fails("block", "create", "warehouse", "--name", "x", "-f", "address=1")
    assert "--name" in cli.fails("block", "create", "warehouse", status=2)
    assert "Did you mean" in cli.fails("block", "inspect", "warehouse/mian")
    assert "type/name" in cli.fails("block", "inspect", "main", status=2)
    cli.ok("block", "delete", "warehouse/main")
    cli.ok("block", "type", "delete", "warehouse")
    assert "'warehouse' not found" in cli.fails("block", "type", "inspect", "warehouse")


def test_files_without_blocks_are_refused(local_cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1")
    assert "no block classes" in local_cli.fails("block", "register", "-f", str(empty))
    assert "no file" in local_cli.fails("block", "register", "-f", "nowhere.py")
    assert "no module 'nowhere_at_all'" in local_cli.fails("block", "register", "-m", "nowhere_at_all")
    assert "--module, --file" in local_cli.fails("block", "register", status=2)
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    assert "broken.py" in local_cli.fails("block", "register", "-f", str(broken))


def test_the_default_result_storage(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "warehouse_blocks.py"
    file.write_text(BLOCKS)
    cli.ok("block", "register", "--file", str(file))
    cli.ok("block", "create", "warehouse", "--name", "main", "-f", "address=x", "-f", "key=y")
    assert cli.ok("experimental", "result-storage", "inspect") == "There is no default result storage.\n"
    assert "not found" in cli.fails("experimental", "result-storage", "set", "--block", "warehouse/nope")


def test_events(cli: Cli) -> None:
    made = cli.json("event", "emit", "order.placed", "--resource-id", "order.1", "-p", '{"n": 3}', "-r", "shop=north")
    assert made["resource"] == {"prefect.resource.id": "order.1", "shop": "north"}
    page = json.loads(
        cli.ok("api", "POST", "/events/filter", "--data", '{"filter": {"event": {"name": ["order.placed"]}}}')
    )
    assert [(one["id"], one["payload"]) for one in page["events"]] == [(made["id"], {"n": 3})]
    assert "--resource-id" in cli.fails("event", "emit", "order.placed", status=2)
    assert "JSON object" in cli.fails("event", "emit", "x", "--resource-id", "y", "-p", "[1]", status=2)
    assert "prefect.resource.role" in cli.fails(
        "event", "emit", "x", "--resource-id", "y", "--related", '{"prefect.resource.id": "z"}'
    )


def test_in_a_narrow_terminal_names_stay_whole(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a-limit-with-a-name-that-is-rather-long"
    cli.ok("gcl", "create", name, "-l", "3")
    monkeypatch.setenv("COLUMNS", "60")
    said = cli.ok("gcl", "ls")
    assert name in said and cli.json("gcl", "ls")[0]["id"] in said
    assert "Changed" not in said
