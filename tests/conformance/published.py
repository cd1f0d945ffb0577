"""The published client of Prefect 3.8: where it is, and programs that run in its environment.

The variable PLUPERFECT_PEER names its interpreter, or its executable `prefect`; tests that need it are marked `peer`,
and are skipped without it. The gate installs it into `.peer` (see `.ci/run`).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from served.servers import Server

_NAMED = os.environ.get("PLUPERFECT_PEER", "")
PYTHON = str(Path(_NAMED).with_name("python")) if Path(_NAMED).name == "prefect" else _NAMED
"""The interpreter that has the published client; empty where there is none."""

COMMAND = (PYTHON, "-m", "prefect")
DEADLINE_SECONDS = 240
"""For a program: importing the published client takes long on a busy machine."""


def environment(home: Path, url: str | None = None) -> dict[str, str]:
    """The variables of a process of the published client.

    Args:
        home: a folder of its own. It keeps results in the home of the user, whatever PREFECT_HOME says.
        url: the API it speaks to.
    """
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
    address = {} if url is None else {"PREFECT_API_URL": url}
    return {
        **kept, **address, "HOME": str(home), "PREFECT_HOME": str(home / ".prefect"), "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "COLUMNS": "250",
    }  # fmt: skip


class Client:
    """Programs in the environment of the published client, which speak to a server of ours.

    Args:
        server: the server.
        folder: their home and their working directory.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self._folder = folder
        self._environment = environment(folder / "home", server.url) | {
            "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        }  # fmt: skip
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a program; what it says is kept. More variables may be given."""
        with open(self._folder / "said", "ab") as said:
            process = subprocess.Popen(
                [PYTHON, *arguments], env=self._environment | more, cwd=self._folder, stdout=said, stderr=said,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> Any:
        """What a program that ends well says after `OUT`, if it does."""
        before = len(self.said())
        code = self.start(*arguments).wait(DEADLINE_SECONDS)
        said = self.said()
        assert code == 0, said[-5000:]
        out = said[before:].rpartition("OUT")[2]
        return json.loads(out.splitlines()[0]) if "OUT" in said[before:] else None

    def said(self) -> str:
        """What all programs have said so far."""
        said = self._folder / "said"
        return said.read_text(errors="replace") if said.exists() else ""

    def end(self) -> None:
        """End those that still run."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
