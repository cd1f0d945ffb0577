"""Run every Python block of the README and of `docs/`: what readers paste must work.

The blocks of a page are run in order in one process, as one program whose lines have the numbers they have in the
page, in a home of its own. Marks, as comments in the line before a block:

- `<!-- skip: reason -->`  the block is not run.
- `<!-- alone -->`         the block is a program of its own.
- `<!-- run -->`           before a block of shell commands: it is run after the page's Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect import settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"^(?P<mark><!--[^\n]*-->\n)?```(?P<language>\w+)[^\n]*\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its mark, its source and the number of its first line."""

    language: str
    mark: str
    source: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            (found["mark"] or "").removeprefix("<!--").removesuffix("-->\n").strip(),
            found["source"],
            text.count("\n", 0, found.start("source")) + 1,
        )
        for found in _FENCE.finditer(text)
    ]


def program(chosen: list[Block]) -> str:
    """The blocks as one program, each on the lines it has in the page."""
    lines: list[str] = []
    for block in chosen:
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.source.splitlines()
    return "\n".join(lines) + "\n"


def run(folder: Path, command: list[str]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env["PREFECT_HOME"] = str(folder / "home")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path):
    python = [block for block in blocks(page) if block.language == "python" and not block.mark.startswith("skip:")]
    together = [block for block in python if block.mark != "alone"]
    if together:
        (tmp_path / "page.py").write_text(program(together), encoding="utf-8")
        run(tmp_path, [sys.executable, "page.py"])
    for block in python:
        if block.mark == "alone":
            script = tmp_path / f"line_{block.line}.py"
            script.write_text(program([block]), encoding="utf-8")
            run(tmp_path, [sys.executable, script.name])
    for block in blocks(page):
        if block.mark == "run":
            run(tmp_path, ["bash", "-euc", block.source])


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_the_links_of_a_page_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{names(page)} links to {target}, which is not there"


def test_the_index_has_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in index]
    assert missing == ["index.md"]


def test_the_map_has_every_module():
    """What stands in `src/prefect` has its place in the layout that `docs/architecture.md` shows."""
    layout = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    places = set(re.findall(r"\w+", layout))
    modules = {path.stem for path in (ROOT / "src" / "prefect").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules - {"__pycache__", "__main__"} <= places


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_settings_are_called_by_their_names(page: Path):
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bPREFECT_(?!_)\w+", text)) - {
        "PREFECT_PROFILE",
        "PREFECT_SERVER_ALLOW_UNAUTHENTICATED",
    }:
        assert hasattr(settings, name), f"{names(page)} speaks of {name}, which is no setting"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_marks_are_known(page: Path):
    for block in blocks(page):
        assert re.fullmatch(r"|alone|run|skip: .+", block.mark), f"{names(page)}:{block.line}: {block.mark!r}"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_the_examples_run(example: Path, tmp_path: Path):
    run(tmp_path, [sys.executable, str(example)])
