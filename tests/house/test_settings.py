"""Every setting is read somewhere, or says that it changes nothing, and why."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import prefect
from prefect._services.framework import all_services
from prefect.settings.fields import fields_by_path
from prefect.settings.table import Settings

ROOT = Path(__file__).parents[2]
SOURCE = Path(prefect.__file__).parent

READ_OTHERWISE = {
    "debug_mode": "settings/table.py",  # root.debug_mode: other settings have their defaults from it
    "silence_api_url_misconfiguration": "settings/_root.py",
    "server.database.timeout": "server/database.py",  # an argument named `settings` is the group
    "server.database.connection_timeout": "server/database.py",
    "server.database.echo": "server/database.py",
    "server.services.db_vacuum.log_retention_period": "settings/_services_table.py",
    "server.services.db_vacuum.flow_run_retention_period": "settings/_services_table.py",
    "worker.debug_mode": "settings/table.py",
} | {f"server.database.sqlalchemy.connect_args.tls.{name}": "server/database.py" for name in (
    "enabled", "ca_file", "cert_file", "key_file", "check_hostname",
)}  # fmt: skip
"""Settings that are read in a way which `used` does not see, with the file that reads them."""


def chain(node: ast.AST) -> list[str]:
    """`a.b.c` as its names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [*([node.id] if isinstance(node, ast.Name) else [""]), *reversed(names)]


def assignments(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names in a file, each with the last name of the attribute that it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = (
                zip(target.elts, value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            for one, meaning in pairs:
                if isinstance(one, ast.Name | ast.Attribute) and isinstance(meaning, ast.Attribute):
                    yield chain(one)[-1], meaning.attr


def used() -> set[str]:
    """The paths of the settings that the package reads.

    A setting is read where its name follows that of its group (`server.api.port`, or `api.port` where `api` stands for
    the group), or where its path or its variable is a text of its own; the services' common ones by what all have.
    """
    pairs: set[tuple[str, str]] = set()
    texts: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        stands_for = defaultdict(set)
        for name, meaning in assignments(tree):
            stands_for[name].add(meaning)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                *_, group, name = chain(node)
                pairs |= {(each, name) for each in (group, *stands_for[group])}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    services = {service.name for service in all_services()}
    found: set[str] = set()
    for path, field in fields_by_path(Settings).items():
        *_, group, name = ("settings", *path.split("."))
        by_all = group in services and path.startswith("server.services.") and name in ("enabled", "loop_seconds")
        if (group, name) in pairs or {path, field.env_name} & texts or by_all:
            found.add(path)
    return found


def test_every_setting_is_read_or_says_why_it_is_not() -> None:
    fields = fields_by_path(Settings)
    for path, file in READ_OTHERWISE.items():
        name = path.rpartition(".")[2]
        assert re.search(rf"\.{name}\b", (SOURCE / file).read_text(encoding="utf-8")), f"{file} does not read {path}"
    read = used() | READ_OTHERWISE.keys()
    silent = sorted(path for path, field in fields.items() if path not in read and not field.unused)
    assert silent == [], "Nothing reads these settings. Give them an effect, or say with `unused` why they have none."
    wrong = sorted(path for path, field in fields.items() if path in read and field.unused)
    assert wrong == [], "These settings are said to have no effect, and are read."
    assert sorted(READ_OTHERWISE.keys() & used()) == [], "These are seen to be read."


def test_the_documentation_lists_the_settings_without_effect() -> None:
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    section = page.partition("## Settings that change nothing")[2].partition("\n## ")[0]
    said = dict(re.findall(r"^\| `(PREFECT_\w+)` \| (.+) \|$", section, re.MULTILINE))
    expected = {field.env_name: field.unused for field in fields_by_path(Settings).values() if field.unused}
    assert said == expected
