"""Real git repositories, given out by file and by HTTP (with and without a login)."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest


@pytest.fixture(autouse=True)
def git_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands of git that are the same everywhere, whatever the machine's own configuration says."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.com")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


class Repository:
    """A repository to clone: a working folder to commit in, and a bare one that is given out."""

    def __init__(self, folder: Path, name: str = "flows") -> None:
        self.work = folder / f"{name}-work"
        self.bare = folder / f"{name}.git"
        self.work.mkdir(parents=True)
        git(self.work, "init", "--quiet", "--initial-branch=main")
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(self.bare, "config", "http.receivepack", "false")
        git(self.work, "remote", "add", "origin", str(self.bare))

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    def commit(self, files: dict[str, str], *, branch: str = "main", tag: str | None = None) -> str:
        """Commit files to a branch, and give it out; returns the commit's id."""
        if branch != "main":
            git(self.work, "checkout", "--quiet", "-B", branch)
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "--message", "change")
        if tag:
            git(self.work, "tag", "--force", tag)
        git(self.work, "push", "--quiet", "--force", "--tags", "origin", branch)
        commit = git(self.work, "rev-parse", "HEAD")
        if branch != "main":
            git(self.work, "checkout", "--quiet", "main")
        return commit


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "origin")
    made.commit({"flow.py": "ONE = 1\n", "README.md": "read me\n", "a/x.py": "x\n", "b/y.py": "y\n"})
    return made


@dataclass
class GitServer:
    """A web server that gives out the repositories in a folder, as git hosts do."""

    root: Path
    login: str | None = None
    seen: list[str] = field(default_factory=list)
    url: str = ""
    bad_moments: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def answer(self) -> None:
                server.seen.append(self.headers.get("Authorization", ""))
                if server.bad_moments > 0:
                    server.bad_moments -= 1
                    self.send_error(503)
                    return
                if server.login is not None:
                    wanted = "Basic " + base64.b64encode(server.login.encode()).decode()
                    if self.headers.get("Authorization") != wanted:
                        self.send_response(401)
                        self.send_header("WWW-Authenticate", 'Basic realm="git"')
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                self.give(urlsplit(self.path))

            def give(self, parts: object) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                split = urlsplit(self.path)
                env = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(server.root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": split.path,
                    "QUERY_STRING": split.query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(length),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "GIT_CONFIG_COUNT": "2",
                    "GIT_CONFIG_KEY_0": "uploadpack.allowFilter",
                    "GIT_CONFIG_VALUE_0": "true",
                    "GIT_CONFIG_KEY_1": "safe.directory",
                    "GIT_CONFIG_VALUE_1": "*",
                }
                body = self.rfile.read(length)
                done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=False)
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
                status = next((value for name, value in headers if name == "Status"), "200 OK")
                self.send_response(int(status.split()[0]))
                for name, value in headers:
                    if name != "Status":
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "origin").mkdir(exist_ok=True)
    server = GitServer(tmp_path / "origin")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), server.handler())
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield server
    listening.shutdown()
    listening.server_close()


def damage(clone: Path) -> None:
    """What a disk error or a killed process leaves of a clone."""
    shutil.rmtree(clone / ".git" / "refs")
    (clone / ".git" / "HEAD").write_text("nonsense")
