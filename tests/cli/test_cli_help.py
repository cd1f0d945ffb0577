"""What the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect.cli import _app, _reference

from .conftest import Cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_every_command_is_under_a_heading() -> None:
    titles = [title for title, _ in _app.grouped()]
    assert "More" not in titles, "give the new command its place in GROUPS"
    listed = [command.name for _, commands in _app.grouped() for command in commands]
    assert sorted(listed) == sorted({command.name for command in _app.COMMANDS})


def test_the_page_lists_all_commands() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert _reference.in_page(page) == page, "run: python -m prefect.cli._reference --write docs/cli.md"


@pytest.mark.parametrize("command", _app.COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(local_cli: Cli, command: _app.Command) -> None:
    found = _reference.leaves(command)
    assert found
    for leaf in found:
        assert leaf.help, f"prefect {leaf.path} does not say what it does"
        assert leaf.path.split()[-1] in local_cli.ok(*leaf.path.split(), "--help")
    for alias in command.aliases:
        assert local_cli.ok(alias, "--help")


@pytest.mark.parametrize("command", _app.COMMANDS, ids=lambda command: command.name)
def test_only_prefect_itself_has_a_version_to_show(local_cli: Cli, command: _app.Command) -> None:
    parents = {leaf.path.rpartition(" ")[0] for leaf in _reference.leaves(command)} - {""}
    for path in {command.name, *parents}:
        status, out, err = local_cli.run(*path.split(), "--version")
        assert (status, out) == (2, ""), f"prefect {path} --version says {out!r}"
        assert "explains it" in err


def test_help_imports_no_command() -> None:
    source = (
        "import sys; from prefect.cli._app import run; run(['--help']); "
        "print([name for name in ('cyclopts', 'rich', 'pydantic', 'sqlalchemy', 'httpx', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout


def test_commands_run_as_programs(clean_home: Path) -> None:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "prefect", *argv], capture_output=True, text=True)

    assert run("variable", "set", "a", "1").returncode == 0
    assert run("variable", "get", "a").stdout == "1\n"
    missing = run("variable", "get", "b")
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "Variable 'b' not found. There are: a.\n")
    assert run("variable", "get").returncode == 2


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_overview_fits_the_terminal(columns: int) -> None:
    whole, fitted = _app.help_text(), _app.help_text(columns)
    assert max(map(len, fitted.splitlines())) <= columns
    assert fitted.split() == whole.split()
    for command in _app.COMMANDS:
        assert any(line.startswith(f"  {command.name}") for line in fitted.splitlines())


def test_the_overview_in_a_terminal_that_is_too_narrow() -> None:
    assert _app.help_text(10).split() == _app.help_text().split()


def test_the_overview_in_a_pipe_is_one_line_for_each_command(local_cli: Cli) -> None:
    assert local_cli.ok("--help").rstrip("\n") == _app.help_text()
