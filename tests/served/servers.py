"""Servers as processes, which tests start, kill and ask."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import waiting
from prefect._engine.recorder import flush_all

DEADLINE_SECONDS = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true, and return its value."""
    return waiting.until(condition, DEADLINE_SECONDS, what=what)


class Server:
    """A server process on a port of its own, which it keeps when it is started again.

    Args:
        folder: its home.
        environment: more variables.
    """

    command = (sys.executable, "-m", "prefect")
    start_seconds: float = DEADLINE_SECONDS

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.process = subprocess.Popen(
            [*self.command, "server", "start", "--port", str(self.port)],
            env={**env, "PREFECT_HOME": str(self.folder), **self._environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        waiting.until(self._answers, self.start_seconds, what="the start of the server")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server ended"
        try:
            return self.ask("GET", "/health") is True
        except OSError:
            return False

    def kill(self) -> None:
        """As a power failure does: without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, f"/api{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
            assert response.status < 400, f"{method} {path}: {response.status} {raw[:500]!r}"
            return json.loads(raw) if raw else None
        finally:
            connection.close()

    # -- what it knows -----------------------------------------------------------------------------------------------

    def flow_runs(self, **fields: Any) -> list[dict[str, Any]]:
        """Flow runs, oldest first; those whose fields are as given."""
        newest = self.ask("POST", "/flow_runs/filter", {"sort": "ID_DESC"})  # a page of them: the server is shared
        return [run for run in reversed(newest) if all(run[name] == value for name, value in fields.items())]

    def only_run(self, **fields: Any) -> dict[str, Any]:
        (run,) = self.flow_runs(**fields)
        return run

    def states(self, flow_run_id: str) -> list[str]:
        """The names of the states that a flow run went through."""
        return [state["name"] for state in self.ask("GET", f"/flow_run_states/?flow_run_id={flow_run_id}")]

    def task_states(self, task_run_id: str) -> list[str]:
        return [state["name"] for state in self.ask("GET", f"/task_run_states/?task_run_id={task_run_id}")]

    def task_runs(self, flow_run_id: str | None = None) -> list[dict[str, Any]]:
        """The task runs of a flow run, in order of their expected start; all of them, a page at a time."""
        wanted = {} if flow_run_id is None else {"flow_runs": {"id": {"any_": [flow_run_id]}}}
        return self._pages("/task_runs/filter", {**wanted, "sort": "EXPECTED_START_TIME_ASC"})

    def logs(self, flow_run_id: str) -> list[str]:
        """The messages of a flow run's log, in order."""
        flush_all()  # the last line comes after the run has ended
        wanted = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC"}
        return [line["message"] for line in self._pages("/logs/filter", wanted)]

    def _pages(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.ask("POST", path, {**body, "offset": len(found), "limit": 200}):
            found += page
        return found
