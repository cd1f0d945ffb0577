"""`prefect server`: run the server."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console, server_database, server_services
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import urllib.error as urllib_error
    import urllib.request as urllib_request

    from prefect.server import serving
else:
    urllib_error = lazy_module("urllib.error")
    urllib_request = lazy_module("urllib.request")
    serving = lazy_module("prefect.server.serving")

app = App(name="server", help="Run the server, and see how it does.")
app.command(server_database.app)
app.command(server_services.app)

_STOP_SECONDS = 30
"""How long a server may take to end: it answers those who wait first."""

_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


@app.command
def start(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on; by default this machine only.")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on.")] = None,
    keep_alive_timeout: Annotated[int | None, Parameter(help="Seconds that an idle connection is kept.")] = None,
    log_level: Annotated[str, Parameter(help="How much the server says: debug, info, warning, error, critical.")] = (
        "warning"
    ),
    no_services: Annotated[
        bool, Parameter(name="--no-services", negative=(), help="Answer requests only; services run elsewhere.")
    ] = False,
    scheduler: Annotated[bool | None, Parameter(help="Create the runs of schedules.")] = None,
    late_runs: Annotated[bool | None, Parameter(help="Mark runs that did not start in time.")] = None,
    ui: Annotated[
        bool | None, Parameter(help="Serve the page for browsers, /docs, which lists what the API has.")
    ] = None,
    analytics: Annotated[
        bool | None,
        Parameter(
            name="--analytics-on",
            negative="--analytics-off",
            help="Both are taken and change nothing: this server collects and sends no usage statistics.",
        ),
    ] = None,
    workers: Annotated[int, Parameter(help="Processes that answer requests.")] = 1,
    background: Annotated[bool, Parameter(name=["--background", "-b"], help="Return; the server goes on.")] = False,
) -> None:
    """Run the server until it is interrupted."""
    changes = {
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": scheduler,
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": late_runs,
        "PREFECT_SERVER_UI_ENABLED": ui,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    api = get_current_settings().server.api
    host, port = host or api.host, api.port if port is None else port
    if log_level.lower() not in _LOG_LEVELS:
        _console.fail(f"--log-level is {log_level!r}, which is none of {', '.join(_LOG_LEVELS)}.")
    if workers < 1:
        _console.fail(f"--workers is {workers}; a server needs at least one.")
    _check_address(host)
    if analytics:
        _console.say("--analytics-on changes nothing: this server collects and sends no usage statistics.")
    if background:
        more = ["--workers", str(workers), *(["--no-services"] if no_services else [])]
        if keep_alive_timeout is not None:
            more += ["--keep-alive-timeout", str(keep_alive_timeout)]
        _start_in_background(host, port, log_level, more, given)
        return
    options = {
        "host": host,
        "port": port,
        "log_level": log_level.lower(),
        "timeout_keep_alive": api.keepalive_timeout if keep_alive_timeout is None else keep_alive_timeout,
        # compressing costs each websocket hundreds of kilobytes; no message is larger than an event with what is around it
        "ws_per_message_deflate": False,
        "ws_ping_interval": api.websocket_ping_interval,
        "ws_ping_timeout": api.websocket_ping_timeout,
        "ws_max_size": 2 * get_current_settings().server.events.maximum_size_bytes,
        "timeout_graceful_shutdown": 5,
    }
    _console.say(f"Pluperfect listens on http://{host}:{port}", f"API: http://{host}:{port}/api")
    sys.stdout.flush()
    if workers > 1:
        serving.serve_side_by_side(given, options, workers, services=not no_services)
    else:
        serving.serve(given, options, services=not no_services)


@app.command
def stop() -> None:
    """End the server that was started with --background."""
    file = _pid_file()
    try:
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        file.unlink(missing_ok=True)
        _console.fail("No server runs in the background; `prefect server start --background` starts one.")
    end = time.monotonic() + _STOP_SECONDS
    while _is_running(file):
        if time.monotonic() > end:
            _console.fail(f"The server, process {pid}, was told to end and has not after {_STOP_SECONDS} seconds.")
        time.sleep(0.05)
    file.unlink(missing_ok=True)
    _console.say("Server stopped.")


@app.command
def status(
    *,
    wait: Annotated[bool, Parameter(help="Wait until the server answers.")] = False,
    timeout: Annotated[float, Parameter(name=["--timeout", "-t"], help="Seconds to wait; 0 is for ever.")] = 0,
    output: Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")] = None,
) -> None:
    """Say whether the server of the current profile answers."""
    settings = get_current_settings()
    url = (settings.api.url or f"http://{settings.server.api.host}:{settings.server.api.port}/api").rstrip("/")
    end = time.monotonic() + timeout if timeout > 0 else None
    while not (answers := _answers(url)) and wait and (end is None or time.monotonic() < end):
        time.sleep(0.2)
    if output == "json":
        _console.say_json({"status": "available" if answers else "unavailable", "api_url": url})
    elif answers:
        _console.say(f"The server at {url} answers.")
    if not answers:
        _console.fail(f"No server answers at {url}; `prefect server start` starts one.")


def _check_address(host: str) -> None:
    """Refuse to be reachable from elsewhere by everybody."""
    api = get_current_settings().server.api
    if _is_loopback(host) or api.auth_string is not None or os.environ.get("PREFECT_SERVER_ALLOW_UNAUTHENTICATED"):
        return
    _console.fail(
        f"On {host} anybody who reaches this machine could use the server. Set PREFECT_SERVER_API_AUTH_STRING to "
        "user:password, or say that this is wanted with PREFECT_SERVER_ALLOW_UNAUTHENTICATED=1."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _pid_file() -> Path:
    return get_current_settings().home / "server.pid"


def _start_in_background(host: str, port: int, log_level: str, more: list[str], changes: dict[str, bool]) -> None:
    file = _pid_file()
    if _is_running(file):
        _console.fail("A server runs in the background already; `prefect server stop` ends it.")
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port), *more]
    environment = {**os.environ, **{name: str(value) for name, value in changes.items()}}
    with open(file.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            [*command, "--log-level", log_level], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, env=environment,
        )  # fmt: skip
    file.write_text(str(process.pid))
    url = f"http://{host}:{port}/api"
    while not _answers(url):
        if process.poll() is not None:
            file.unlink(missing_ok=True)
            _console.fail(f"The server did not start; {file.with_suffix('.log')} says why.")
        time.sleep(0.05)
    _console.say(f"The server runs in the background, at {url}. `prefect server stop` ends it.")


def _is_running(file: Path) -> bool:
    try:
        pid = int(file.read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    try:  # in a container it may be that nobody takes note of processes that have ended: they stay as zombies
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def _answers(url: str) -> bool:
    try:
        with urllib_request.urlopen(f"{url}/health", timeout=5) as response:
            return response.status == 200
    except (urllib_error.URLError, OSError, ValueError):
        return False
