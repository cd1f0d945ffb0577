"""A name with an underscore is used in the package that it belongs to, and nowhere else."""

from __future__ import annotations

import ast
import importlib
import types
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import prefect

ROOT = Path(prefect.__file__).parent
OF_NAMEDTUPLES = frozenset({"_asdict", "_fields", "_field_defaults", "_make", "_replace"})
"""Documented, with underscores so that fields can have any name."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}


def home(module: str) -> str:
    """The package that a module belongs to: `prefect._engine` of `prefect._engine.frames`."""
    return ".".join(module.split(".")[:2])


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def members(tree: ast.Module) -> Iterator[str]:
    """What classes define: methods, attributes of the class, slots, attributes that their methods set on themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in [*node.body, *(inner for part in node.body if isinstance(part, ast.If) for inner in part.body)]:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield each.name
                elif isinstance(each, ast.Assign | ast.AnnAssign):
                    targets = each.targets if isinstance(each, ast.Assign) else [each.target]
                    yield from (target.id for target in targets if isinstance(target, ast.Name))
                    if each.value is not None and any(getattr(target, "id", "") == "__slots__" for target in targets):
                        yield from (item.value for item in ast.walk(each.value) if isinstance(item, ast.Constant))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            yield node.attr


def is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def imports(tree: ast.Module) -> dict[str, str]:
    """The modules and names that a module knows, by what it calls them; lazily imported ones too."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update((each.asname or each.name.partition(".")[0], each.name) for each in node.names if each.asname)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            target, called = node.targets[0], node.value
            if isinstance(target, ast.Name) and getattr(called.func, "id", "") == "lazy_module":
                found[target.id] = str(getattr(called.args[0], "value", ""))
    return found


@cache
def of_others(module: str) -> frozenset[str]:
    """What the classes of a module of another distribution define, and what their methods set."""
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return frozenset()
    classes = [value for value in vars(loaded).values() if isinstance(value, type)]
    functions = [each for made in classes for each in vars(made).values() if isinstance(each, types.FunctionType)]
    return frozenset().union(*map(vars, classes), *(function.__code__.co_names for function in functions))


HOMES: dict[str, set[str]] = defaultdict(set)
for _module, _tree in TREES.items():
    for _name in members(_tree):
        HOMES[_name].add(home(_module))


def borrowed(module: str, tree: ast.Module) -> Iterator[str]:
    """Where a module uses a private name of another package."""
    known, here = imports(tree), home(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("prefect.") and not node.level:
            for each in node.names:
                place = f"{node.module}.{each.name}"
                if home(place) != here and any(map(is_private, place.split(".")[2:])):
                    yield f"{module}:{node.lineno} imports {place}"
        elif isinstance(node, ast.Constant) and node.value in TREES:
            if home(node.value) != here and any(map(is_private, node.value.split(".")[2:])):
                yield f"{module}:{node.lineno} names {node.value}"
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            named = known.get(node.value.id, "") if isinstance(node.value, ast.Name) else ""
            if named in TREES:
                if home(named) != here and f"{named}.{node.attr}" not in TREES:
                    yield f"{module}:{node.lineno} uses {named}.{node.attr}"
            elif node.attr in HOMES and here not in HOMES[node.attr] and node.attr not in OF_NAMEDTUPLES:
                others = {place for place in known.values() if not place.startswith("prefect")}
                others |= {place.rpartition(".")[0] for place in others if "." in place}
                if not any(node.attr in of_others(place) for place in others):
                    yield f"{module}:{node.lineno} uses .{node.attr} of {', '.join(sorted(HOMES[node.attr]))}"


def test_private_names_stay_in_their_packages() -> None:
    assert [use for module, tree in sorted(TREES.items()) for use in borrowed(module, tree)] == []


def test_what_is_borrowed_is_noticed() -> None:
    source = """
from prefect._lazy import lazy_module
from prefect.settings import context
from prefect._store._hidden import name
from prefect.logging.configuration import _ready
clients = lazy_module("prefect.client._methods.base")

class Own:
    _mine = 1

def use(other, client):
    other._mine, context._process, client._call, other._replace
"""
    found = list(borrowed("prefect._events.sample", ast.parse(source)))
    assert [use.partition(" ")[2].partition(" of ")[0] for use in found] == [
        "imports prefect._store._hidden.name",
        "imports prefect.logging.configuration._ready",
        "names prefect.client._methods.base",
        "uses prefect.settings.context._process",
        "uses ._call",
    ]
