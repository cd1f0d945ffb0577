"""The package as it is installed: its parts, its version, how much it brings along."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import prefect

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_the_same_everywhere():
    assert prefect.__version__ == PROJECT["version"] == distribution("prefect").version
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_version_satisfies_what_integrations_ask_for():
    for asked in ("prefect>=3.0.0", "prefect>=3.6.4,<4", "prefect>=3.8.4", "prefect==3.8.4"):
        assert Requirement(asked).specifier.contains(prefect.__version__, prereleases=True)


def test_every_dependency_is_bounded():
    for text in PROJECT["dependencies"]:
        operators = {specifier.operator for specifier in Requirement(text).specifier}
        assert {">=", "<"} <= operators, text


def _closure(name: str) -> set[str]:
    """What is installed along with a distribution, itself included."""
    found: set[str] = set()
    todo = [name]
    while todo:
        name = canonicalize_name(todo.pop())
        if name in found:
            continue
        found.add(name)
        for text in requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return found


def test_few_packages_come_along():
    packages = _closure("prefect")
    assert len(packages) < 50, sorted(packages)


def test_it_is_typed_and_carries_its_data():
    import importlib.resources

    files = importlib.resources.files("prefect")
    for name in ("py.typed", "_store/schema/sqlite.sql", "_store/schema/postgresql.sql", "settings/profiles.toml"):
        assert (files / name).is_file(), name


@pytest.mark.parametrize("command", [["-m", "prefect"], ["-c", "from prefect.cli import main; main()"]])
def test_the_command_starts(command: list[str]):
    done = subprocess.run(
        [sys.executable, *command, "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert prefect.__version__ in done.stdout


def test_nothing_speaks_of_the_machine_it_was_written_on():
    words = re.compile(r"(?<![\w.~-])/(root|home/\w+|Users/\w+)/|\.pyenv|site-packages/")
    for folder in ("src", "docs", "examples", "benchmarks", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".toml", ".sql", ".mako", ""} and path.is_file():
                found = words.search(path.read_text(encoding="utf-8"))
                assert not found, f"{path.relative_to(ROOT)} has {found and found[0]!r}"
