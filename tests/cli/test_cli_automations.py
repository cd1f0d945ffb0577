"""`prefect automation`: from YAML and JSON, by name and id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli

YAML = """
automations:
  - name: one
    trigger: {type: event, posture: Reactive, expect: [order.placed], threshold: 1, within: 0}
    actions: [{type: do-nothing}]
  - name: two
    description: the second
    trigger: {type: event, posture: Reactive, expect: [order.paid], threshold: 1, within: 0}
    actions: [{type: do-nothing}]
"""


@pytest.fixture
def automations(cli: Cli, tmp_path: Path) -> Cli:
    (tmp_path / "automations.yaml").write_text(YAML)
    return cli


def test_from_yaml_to_yaml(automations: Cli, tmp_path: Path) -> None:
    cli = automations
    assert cli.ok("automation", "ls") == "No automations found.\n"
    made = cli.json("automation", "create", "--from-file", "automations.yaml")
    assert [one["name"] for one in made] == ["one", "two"]
    assert "order.placed" in cli.ok("automations", "ls")
    (tmp_path / "copy.yaml").write_text(cli.ok("automation", "inspect", "two", "--yaml"))
    cli.ok("automation", "delete", "two")
    copy = cli.json("automation", "create", "-f", "copy.yaml")[0]
    assert (copy["name"], copy["description"]) == ("two", "the second")
    assert json.loads(cli.ok("automation", "inspect", "--id", copy["id"], "--json")) == copy
    assert "the second" in cli.ok("automation", "inspect", "--id", copy["id"][:23])


def test_switched_changed_deleted(automations: Cli) -> None:
    cli = automations
    one, two = cli.json("automation", "create", "-f", "automations.yaml")
    for command, enabled in (("disable", False), ("enable", True), ("pause", False), ("resume", True)):
        cli.ok("automation", command, "one")
        assert cli.json("automation", "inspect", "--id", one["id"])["enabled"] is enabled
    changed = cli.json("automation", "update", "--id", two["id"], "-j", '{"description": "new"}')
    assert (changed["name"], changed["description"]) == ("two", "new"), "what is not given stays"
    cli.ok("automation", "create", "-f", "automations.yaml")
    assert "More than one" in cli.fails("automation", "delete", "one")
    assert "Did you mean" in cli.fails("automation", "inspect", "onne")
    assert cli.ok("automation", "delete", "--all", "-y") == "Deleted 4 automations.\n"


def test_what_cannot_be_made_is_told_and_the_rest_is(automations: Cli) -> None:
    wanted = [{"name": "bad", "trigger": {"type": "wat"}, "actions": []}]
    status, out, err = automations.run("automation", "create", "-j", json.dumps(wanted))
    assert (status, out, err.startswith("bad: ")) == (1, "", True)


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["create"], 2, "--from-file, --from-json"),
        (["create", "-j", "{"], 2, "not JSON"),
        (["create", "-j", "[]"], 1, "mapping"),
        (["create", "-f", "nowhere.yaml"], 1, "cannot be read"),
        (["inspect"], 2, "NAME, --id"),
        (["delete", "--all", "x"], 2, "NAME and --all"),
    ],
)
def test_bad_usage(local_cli: Cli, argv: list[str], status: int, words: str) -> None:
    assert words in local_cli.fails("automation", *argv, status=status)
