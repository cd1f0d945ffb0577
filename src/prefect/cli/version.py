"""`prefect version`."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Annotated, Any

import cyclopts

import prefect
from prefect.cli import _console
from prefect.settings import Settings, get_current_settings
from prefect.settings.profiles import load_current_profile

API_VERSION = "0.8.4"

app = cyclopts.App(name="version", help="Show the version and what it runs on.")


@app.default
def version(
    *,
    omit_integrations: bool = False,
    output: Annotated[_console.OutputFormat | None, cyclopts.Parameter(alias="-o")] = None,
) -> None:
    """Show the version and what it runs on.

    Parameters
    ----------
    omit_integrations
        Leave out the installed integrations.
    output
        `json` for a JSON object.
    """
    facts = describe(omit_integrations)
    if output == "json":
        _console.say_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            _console.say(f"{name}:", *(f"  {inner + ':':22}{text}" for inner, text in value.items()))
        else:
            _console.say(f"{name + ':':24}{value}")


def describe(omit_integrations: bool = False) -> dict[str, Any]:
    """The facts, in the order in which they are shown."""
    settings = get_current_settings()
    facts: dict[str, Any] = {
        "Version": prefect.__version__,
        "Implementation": "Pluperfect",
        "API version": API_VERSION,
        "Python version": platform.python_version(),
        "OS/Arch": f"{sys.platform}/{platform.machine()}",
        "Profile": load_current_profile().name,
        "Server type": server_type(settings),
        "Pydantic version": importlib.metadata.version("pydantic"),
    }
    if settings.api.url:
        facts["API URL"] = settings.api.url
    else:
        facts["Database"] = database(settings)
    if not omit_integrations and (found := integrations()):
        facts["Integrations"] = found
    return facts


def server_type(settings: Settings) -> str:
    """`cloud`, `server`, or `embedded` when runs are recorded in a database without a server."""
    if settings.connected_to_cloud:
        return "cloud"
    return "server" if settings.api.url else "embedded"


def database(settings: Settings) -> dict[str, str]:
    """What kind of database runs are recorded in; not its address, which may hold a password."""
    url: str = settings.reveal("server.database.connection_url")
    dialect = url.partition(":")[0].partition("+")[0]
    if dialect != "sqlite":
        return {"Kind": dialect}
    import sqlite3  # only here: it says which library Python was built with

    return {"Kind": dialect, "SQLite version": sqlite3.sqlite_version, "File": url.partition(":///")[2] or ":memory:"}


def integrations() -> dict[str, str]:
    """Installed packages `prefect-*` and their versions."""
    found = {
        name: distribution.version
        for distribution in importlib.metadata.distributions()
        if (name := distribution.metadata["Name"] or "").startswith("prefect-")
    }
    return dict(sorted(found.items()))
