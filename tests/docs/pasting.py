"""What somebody does who reads a page: pastes its lines into a shell, and its programs into files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import waiting
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import temporary_settings
from served.servers import DEADLINE_SECONDS, Server


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true that costs something to look at, and return its value."""
    return waiting.until(condition, DEADLINE_SECONDS, what=what, pause=0.15)


class User:
    """Somebody who has just come, and pastes what he reads into a shell.

    Args:
        folder: of the test.
        files: what is in the git repository in which he works, by name.

    Attributes:
        server: the one that he may start; its port stands for 4200, which may be taken.
        folder: where he works.
        origin: where his work is pushed to.
    """

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.home, self.folder, self.origin = folder / "home", folder / "project", folder / "origin.git"
        self.home.mkdir()
        self.folder.mkdir()
        self.server = Server(self.home / ".prefect")
        self._begun: list[subprocess.Popen[bytes]] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.env = {
            **kept, "HOME": str(self.home), "PREFECT_SERVER_API_PORT": str(self.server.port), "COLUMNS": "200",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
            "GIT_AUTHOR_NAME": "u", "GIT_AUTHOR_EMAIL": "u@x", "GIT_COMMITTER_NAME": "u", "GIT_COMMITTER_EMAIL": "u@x",
        }  # fmt: skip
        for name, source in files.items():
            self.write(name, source)
        self.ok("git init -qb main . && git add . && git commit -qm flows && git clone -q --bare . ../origin.git")

    def write(self, name: str, source: str) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")

    def placed(self, text: str) -> str:
        return text.replace("4200", str(self.server.port))

    def run(self, text: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Paste lines."""
        return subprocess.run(
            ["bash", "-euc", self.placed(text)], cwd=self.folder, env={**self.env, **more}, capture_output=True, text=True,
            timeout=DEADLINE_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def ok(self, text: str, **more: str) -> str:
        done = self.run(text, **more)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin(self, text: str) -> subprocess.Popen[bytes]:
        """Paste a line that goes on until it is interrupted."""
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                ["bash", "-euc", f"exec {self.placed(text)}"],
                cwd=self.folder,
                env=self.env,
                stdout=output,
                stderr=output,
            )
        self._begun.append(process)
        return process

    def python(self, source: str) -> str:
        """Run a program of his."""
        self.write("program.py", source)
        return self.ok("python program.py")

    def use_the_server(self) -> None:
        self.env["PREFECT_API_URL"] = self.placed("http://localhost:4200/api")

    def json(self, command: str) -> Any:
        """What a command says in JSON."""
        return json.loads(self.ok(f"{command} --output json"))

    @contextlib.contextmanager
    def api(self) -> Iterator[SyncPrefectClient]:
        """What he sees, without the time that a command takes to start."""
        changes = {"PREFECT_HOME": self.home / ".prefect", "PREFECT_API_URL": self.env.get("PREFECT_API_URL")}
        with temporary_settings(changes), get_client(sync_client=True) as client:
            yield client

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Interrupt what goes on, as Ctrl-C does."""
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end(self) -> None:
        for process in reversed(self._begun):
            if process.poll() is None:
                self.stop(process)

    def run_of(self, deployment: str, **parameters: Any) -> FlowRun:
        """A run of a deployment, once it has ended."""
        with self.api() as api:
            id = api.read_deployment_by_name(deployment).id
            made = api.create_flow_run_from_deployment(id, parameters=parameters)
        return self.ended(made.id)

    def ended(self, id: UUID | str) -> FlowRun:
        """A run, once it has ended."""

        def look() -> FlowRun | None:
            with self.api() as api:
                run = api.read_flow_run(UUID(str(id)))
            return run if run.end_time is not None else None

        return until(look, f"The end of run {id}")
