"""`prefect plugins`: packages that extend this one, and whether they can be loaded."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass
from typing import Any

from cyclopts import App

from prefect.cli import _console, _output
from prefect.cli._options import Output
from prefect.settings import get_current_settings

app = App(name="plugins", help="See which plugins there are, and whether they work.")

START_UP = "prefect.plugins"
COLLECTIONS = "prefect.collections"
HOOKS = ("setup_environment", "set_database_connection_params")


@dataclass
class Plugin:
    """An entry point of an installed package.

    Attributes:
        group: of the entry point: start-up plugins, or collections of blocks and workers.
        hooks: which of our hooks it has.
        allowed: whether the settings let it run.
        error: why it cannot be loaded.
    """

    name: str
    group: str
    module: str
    package: str
    version: str
    hooks: list[str]
    allowed: bool
    error: str | None


@app.command
def diagnose(*, output: Output = None) -> None:
    """List the plugins that are installed, load each, and say what is wrong."""
    settings = get_current_settings().plugins
    rules = {
        "enabled": settings.enabled,
        "allow": sorted(settings.allow or ()),
        "deny": sorted(settings.deny or ()),
        "setup_timeout_seconds": settings.setup_timeout_seconds,
        "strict": settings.strict,
        "safe_mode": settings.safe_mode,
    }
    found = [_look_at(one) for group in (START_UP, COLLECTIONS) for one in importlib.metadata.entry_points(group=group)]
    if output == "json":
        _output.print_plain_json({"settings": rules, "plugins": [asdict(one) for one in found]})
    else:
        _print(rules, found)
    broken = [one.name for one in found if one.error]
    if broken:
        _console.fail(f"Cannot be loaded: {', '.join(broken)}. Install a version that works, or uninstall it.")


def _look_at(entry: importlib.metadata.EntryPoint) -> Plugin:
    hooks: list[str] = []
    error = None
    try:
        loaded = entry.load()
        hooks = [name for name in HOOKS if callable(getattr(loaded, name, None))]
    except Exception as problem:  # whatever a package does when it is imported
        error = f"{type(problem).__name__}: {problem}"
    package = entry.dist
    return Plugin(
        name=entry.name,
        group=entry.group,
        module=entry.value,
        package=package.name if package else "",
        version=package.version if package else "",
        hooks=hooks,
        allowed=_is_allowed(entry.name) if entry.group == START_UP else True,
        error=error,
    )


def _is_allowed(name: str) -> bool:
    settings = get_current_settings().plugins
    return settings.enabled and (not settings.allow or name in settings.allow) and name not in (settings.deny or ())


def _print(rules: dict[str, Any], found: list[Plugin]) -> None:
    start_up = "run at start" if rules["enabled"] else "do not run; PREFECT_PLUGINS_ENABLED=true lets them"
    _output.print_fields(
        {
            "Start-up plugins": start_up,
            "Allowed": rules["allow"] or "all",
            "Denied": rules["deny"],
            "Time to start": f"{rules['setup_timeout_seconds']:g} s",
            "Strict": rules["strict"],
            "Safe mode": rules["safe_mode"],
        }
    )
    print()
    if not found:
        print("No plugins are installed.")
        return
    rows = [
        (
            one.name,
            "start-up" if one.group == START_UP else "collection",
            f"{one.package} {one.version}".strip(),
            _output.one_line(one.error) if one.error else ("works" if one.allowed else "not allowed"),
            ", ".join(one.hooks),
        )
        for one in found
    ]
    columns = ("Name", "Kind", "Package", "State", "Hooks")
    _output.print_table(columns, rows, cut=["State", "Package", "Name"], spare=["Hooks"])
