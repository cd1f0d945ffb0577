"""Finding the flows in a folder, by their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module
from prefect._scripts import syntax_tree

if TYPE_CHECKING:
    from prefect.utilities import filesystem
else:
    filesystem = lazy_module("prefect.utilities.filesystem")

_ELSEWHERE = ["__pycache__/", "node_modules/", ".*/", "venv/", "build/", "dist/"]
_MOST = 200
_LARGEST = 1_000_000  # bytes; larger files are not written by hand


def find_flows(folder: Path) -> list[str]:
    """The entrypoints of the flows in a folder and those below it; nothing is run.

    Files that `.prefectignore` names are left out.
    """
    ignored = folder / ".prefectignore"
    patterns = ignored.read_text(encoding="utf-8").splitlines() if ignored.exists() else []
    names = filesystem.filter_files(folder, [*patterns, *_ELSEWHERE], include_dirs=False)
    found: list[str] = []
    for name in sorted(names):
        if name.endswith(".py") and (folder / name).stat().st_size < _LARGEST:
            found += [f"{Path(name).as_posix()}:{function}" for function in _flows_in(folder / name)]
    return found[:_MOST]


def _flows_in(file: Path) -> Iterator[str]:
    try:
        tree = syntax_tree(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(map(_is_flow, node.decorator_list)):
            yield node.name


def _is_flow(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(target, "id", getattr(target, "attr", None)) == "flow"
