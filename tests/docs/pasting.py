"""What somebody does who reads a page: pastes its lines into a shell, and its programs into files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from served.servers import DEADLINE_SECONDS, Server, until


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

    def run_of(self, deployment: str, *options: str) -> dict[str, Any]:
        """Run a deployment, and wait until the run has ended."""
        return self.ended(self.json(" ".join(["prefect deployment run", deployment, *options]))["id"])

    def ended(self, id: str) -> dict[str, Any]:
        """A run, once it has ended."""

        def look() -> dict[str, Any] | None:
            run = self.json(f"prefect flow-run inspect {id}")
            return run if run["end_time"] else None

        return until(look, f"The end of run {id}")
