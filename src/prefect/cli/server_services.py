"""`prefect server services`: what the server does in the background, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import logging

    from rich import table as rich_table

    from prefect._services import framework
    from prefect.server import services
else:
    logging = lazy_module("logging")
    rich_table = lazy_module("rich.table")
    framework = lazy_module("prefect._services.framework")
    services = lazy_module("prefect.server.services")

app = App(name="services", help="Run the server's services apart from it (`prefect server start --no-services`).")

_STOP_SECONDS = 10.0


@app.command(name=["ls", "list"])
def ls(
    *, output: Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")] = None
) -> None:
    """Show the services, and whether the settings want them."""
    settings = get_current_settings()
    found: list[dict[str, Any]] = [
        {
            "name": service.name,
            "enabled": service.enabled(settings),
            "environment_variable": f"PREFECT_SERVER_SERVICES_{service.name.upper()}_ENABLED",
            "description": service.description,
        }
        for service in framework.all_services()
    ]
    if output == "json":
        _console.say_json(found)
        return
    table = rich_table.Table("Name", "Enabled", "Description", "Setting")
    for one in found:
        table.add_row(one["name"], "yes" if one["enabled"] else "no", one["description"], one["environment_variable"])
    _console.console().print(table)


@app.command(name=["start", "enable"])
def start(
    *,
    background: Annotated[bool, Parameter(name=["--background", "-b"], help="Return; the services go on.")] = False,
) -> None:
    """Run the services that the settings want, until interrupted. Any number of processes may, on one database."""
    if background:
        _start_in_background()
        return
    _console.say("The services run. Interrupt (Ctrl-C) to end them.")
    sys.stdout.flush()
    manager()
    _console.say("The services have ended.")


@app.command(name=["stop", "disable"])
def stop() -> None:
    """End the services that were started with --background."""
    file = _pid_file()
    try:
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        file.unlink(missing_ok=True)
        _console.fail("No services run in the background; `prefect server services start --background` starts them.")
    end = time.monotonic() + _STOP_SECONDS
    while _is_running(file) and time.monotonic() < end:
        time.sleep(0.05)
    file.unlink(missing_ok=True)
    _console.say("Services stopped.")


@app.command(show=False)
def manager() -> None:
    """Run the services, and say nothing: the process that `start --background` leaves behind."""
    settings = get_current_settings()
    logging.basicConfig(level=settings.server.logging_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    services.run_alone(settings)


def _pid_file() -> Path:
    return get_current_settings().home / "services.pid"


def _start_in_background() -> None:
    file = _pid_file()
    if _is_running(file):
        _console.fail("Services run in the background already; `prefect server services stop` ends them.")
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "prefect", "server", "services", "manager"]
    with open(file.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    file.write_text(str(process.pid))
    _console.say(
        f"The services run in the background (process {process.pid}); {file.with_suffix('.log')} has their log."
    )


def _is_running(file: Path) -> bool:
    try:
        os.kill(int(file.read_text()), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    return True
