"""Whether a process of this machine is still the one that carries out a flow run.

The system gives the ids of processes that have ended to others, so that before a process is ended which was not started
here one looks whether it is that one. A fork of the fork server bears the run's name; what was started by a command has the
run's id in its environment. Where neither can be read, the process must have begun before the run was to end.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from prefect._clock import now

INFRASTRUCTURE = "PREFECT__FLOW_RUN_INFRASTRUCTURE"
"""Tells the process of a run how it is known across machines, where it introduces itself to the server."""

_RUN_ID = b"PREFECT__FLOW_RUN_ID="
_FORK_SERVER = b"prefect._dispatch.forkserver"
_TOLERANCE = timedelta(seconds=60)
"""By how much the clock that wrote the times of a run may differ from that of this machine."""


def across_machines(pid: int) -> str:
    """How a process of this machine is known across machines."""
    return f"{socket.gethostname()}:{pid}"


def mark(flow_run_id: str) -> None:
    """Let this process bear the name of the run that it carries out, for `carries_out` and for people (`ps -o comm`)."""
    try:
        Path("/proc/self/comm").write_text(_mark(flow_run_id))
    except OSError:  # not on this system
        pass


def _mark(flow_run_id: str) -> str:
    return f"pf-{flow_run_id[-12:]}"  # no more than 15 characters are kept


def carries_out(pid: int, flow_run_id: UUID, before: datetime) -> bool:
    """Whether a process carries out a flow run.

    Args:
        pid: of a process of this machine, which leads a group.
        flow_run_id: the run.
        before: when the run's process was certainly there.
    """
    if sys.platform == "win32":
        return True  # nothing is known of it
    if not Path("/proc/self/stat").exists():
        return _began_before(pid, before)
    try:
        name, fields = _stat(pid)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False
    if fields[0] == "Z" or int(fields[2]) != pid:
        return False
    if name == _mark(str(flow_run_id)):
        return True
    if _FORK_SERVER in command:
        return False  # it carries out another one
    ids = [variable.removeprefix(_RUN_ID) for variable in environment if variable.startswith(_RUN_ID)]
    if ids:
        return ids[0] == str(flow_run_id).encode()
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    age = float(Path("/proc/uptime").read_text().split()[0]) - ticks
    return now() - timedelta(seconds=age) <= before + _TOLERANCE


def _stat(pid: int) -> tuple[str, list[str]]:
    """The name of a process, and what proc(5) says of it from the third field on."""
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, rest.split()


def _began_before(pid: int, before: datetime) -> bool:
    command = ["ps", "-o", "pgid=,etime=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if len(said) != 2 or int(said[0]) != pid:
        return False
    return now() - _elapsed(said[1]) <= before + _TOLERANCE


def _elapsed(text: str) -> timedelta:
    """An elapsed time as `ps` writes it: [[dd-]hh:]mm:ss."""
    days, _, rest = text.rpartition("-")
    seconds = 0
    for part in rest.split(":"):
        seconds = seconds * 60 + int(part)
    return timedelta(days=int(days or 0), seconds=seconds)
