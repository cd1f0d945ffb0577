"""Building and pushing images: with an engine that speaks Docker's API over a socket of its own."""

from __future__ import annotations

import io
import json
import socketserver
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from prefect.docker import DockerImage
from prefect.settings import temporary_settings
from prefect.utilities.dockerutils import (
    BuildError,
    ImageBuilder,
    PushError,
    build_image,
    docker_client,
    generate_default_dockerfile,
    get_prefect_image_name,
    parse_image_tag,
    push_image,
    split_repository_path,
    to_run_command,
)


class Engine(socketserver.ThreadingUnixStreamServer):
    """As much of an engine as building and pushing needs."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self.context: dict[str, bytes] = {}
        self.fails_with: str | None = None
        self.environment = {"DOCKER_HOST": f"unix://{path}"}


class Handler(BaseHTTPRequestHandler):
    server: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def do_GET(self) -> None:
        self.reply({"ApiVersion": "1.43", "Version": "24.0", "MinAPIVersion": "1.24"})

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path.partition("/v1.")[2].partition("/")[2] or parts.path
        self.server.requests.append((path, parse_qs(parts.query)))
        body = self.body()
        if self.server.fails_with is not None:
            self.stream({"errorDetail": {"message": self.server.fails_with}, "error": self.server.fails_with})
        elif path == "build":
            with tarfile.open(fileobj=io.BytesIO(body)) as context:
                for member in context.getmembers():
                    file = context.extractfile(member)
                    if file is not None:
                        self.server.context[member.name] = file.read()
            self.stream({"stream": "Step 1/1 : FROM x\n"}, {"aux": {"ID": "sha256:abc"}})
        elif path.endswith("/push"):
            self.stream({"status": "Pushed", "id": "layer"}, {"status": "x", "progressDetail": {"current": 1}})
        else:
            self.reply(status=201)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def stream(self, *events: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\r\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def reply(self, body: dict[str, Any] | None = None, status: int = 200) -> None:
        text = json.dumps(body).encode() if body else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with Engine(tmp_path / "engine.sock") as engine:
        thread = threading.Thread(target=engine.serve_forever, daemon=True)
        thread.start()
        for name, value in engine.environment.items():
            monkeypatch.setenv(name, value)
        yield engine
        engine.shutdown()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "flow.py").write_text("X = 1\n")
    monkeypatch.chdir(folder)
    return folder


def test_an_image_is_built_of_the_working_directory(engine: Engine, project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "requirements.txt").write_text("pandas\n")
    DockerImage("registry.example.com/team/app", tag="v1").build()
    path, query = engine.requests[-1]
    assert path == "build" and query["t"] == ["registry.example.com/team/app:v1"] and query["pull"] == ["True"]
    assert engine.context["flow.py"] == b"X = 1\n"
    dockerfile = engine.context["Dockerfile"].decode().splitlines()
    assert dockerfile[0] == f"FROM {get_prefect_image_name()}"
    assert "RUN pip install -r /opt/prefect/project/requirements.txt" in dockerfile
    assert dockerfile[-2:] == ["COPY . /opt/prefect/project/", "WORKDIR /opt/prefect/project/"]
    assert not (project / "Dockerfile").exists()
    assert capsys.readouterr().out == "Step 1/1 : FROM x\n"


def test_a_dockerfile_of_ones_own_in_another_folder(engine: Engine, project: Path):
    (project / "sub").mkdir()
    (project / "sub" / "My.Dockerfile").write_text("FROM scratch\n")
    DockerImage("app", dockerfile="My.Dockerfile", stream_progress_to=None, context="sub", buildargs={"A": "b"}).build()
    _, query = engine.requests[-1]
    assert query["dockerfile"] == ["My.Dockerfile"] and json.loads(query["buildargs"][0]) == {"A": "b"}
    assert list(engine.context) == ["My.Dockerfile"]


def test_an_image_is_pushed(engine: Engine, capsys: pytest.CaptureFixture[str]):
    DockerImage("registry.example.com:5000/team/app:v1").push()
    path, query = engine.requests[-1]
    assert path == "images/registry.example.com:5000/team/app/push" and query["tag"] == ["v1"]
    assert capsys.readouterr().out == "layer: Pushed\n"
    assert push_image("sha256:abc", "https://registry.example.com", "app", "v2") == "registry.example.com/app:v2"


def test_what_the_engine_refuses_is_told(engine: Engine, project: Path):
    engine.fails_with = "The command '/bin/sh -c false' returned a non-zero code: 1"
    with pytest.raises(BuildError, match="returned a non-zero code"):
        DockerImage("app").build()
    assert not (project / "Dockerfile").exists()
    with pytest.raises(PushError, match="returned a non-zero code"):
        DockerImage("app").push()


def test_no_engine_answers(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(RuntimeError, match=r"Please ensure that Docker .* is running"), docker_client():
        pass


def test_what_is_not_there_to_build_from(project: Path):
    with pytest.raises(ValueError, match="There is no Dockerfile nope"):
        build_image(Path("."), dockerfile="nope")
    with pytest.raises(ValueError, match="There is no folder"):
        build_image(project / "nope")
    (project / "Dockerfile").write_text("FROM x")
    with pytest.raises(RuntimeError, match="exists already"), generate_default_dockerfile():
        pass
    assert (project / "Dockerfile").read_text() == "FROM x"


@pytest.mark.parametrize(
    "name, parsed, split",
    [
        ("app", ("app", None), (None, "app")),
        ("app:v1", ("app", "v1"), (None, "app")),
        ("team/app:v1", ("team/app", "v1"), ("team", "app")),
        ("host:5000/team/app", ("host:5000/team/app", None), ("host:5000/team", "app")),
        ("host:5000/app@sha256:abc", ("host:5000/app", "sha256:abc"), ("host:5000", "app")),
    ],
)
def test_names_of_images(name: str, parsed: tuple[str, str | None], split: tuple[str | None, str]):
    assert parse_image_tag(name) == parsed
    assert split_repository_path(parsed[0]) == split


def test_references(monkeypatch: pytest.MonkeyPatch):

    assert DockerImage("app", tag="v1").reference == "app:v1"
    assert DockerImage("app@sha256:abc").reference == "app@sha256:abc"
    assert DockerImage("app").tag
    with pytest.raises(ValueError, match="Only one tag"):
        DockerImage("app:v1", tag="v2")
    with pytest.raises(ValueError, match="build_backend"):
        DockerImage("app", build_backend="x")  # type: ignore[arg-type]
    with temporary_settings({"PREFECT_DEPLOYMENTS_DEFAULT_DOCKER_BUILD_NAMESPACE": "registry.example.com/team"}):
        assert DockerImage("app", tag="v1").reference == "registry.example.com/team/app:v1"
        assert DockerImage("mine/app", tag="v1").reference == "mine/app:v1"
    assert get_prefect_image_name("3.1.0", "3.10", "conda") == "prefecthq/prefect:3.1.0-python3.10-conda"
    assert "pluperfect" not in get_prefect_image_name()


def test_a_dockerfile_written_line_by_line(engine: Engine, project: Path):
    assert to_run_command(["echo", "a b"]) == "RUN echo 'a b'"
    with ImageBuilder("busybox", base_directory=project) as image:
        image.add_line("RUN one")
        image.copy("flow.py", "/opt/flow.py")
        image.write_text("hello", "/opt/hello.txt")
        image.assert_line_before("FROM busybox", "RUN one")
        image.assert_has_file(project / "flow.py", "/opt/flow.py")  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            image.copy("../engine.sock", "/x")
        with pytest.raises(AssertionError):
            image.assert_has_line("RUN two")
        assert image.build() == "sha256:abc"
    assert b"hello" in engine.context.values() and engine.context["flow.py"] == b"X = 1\n"
