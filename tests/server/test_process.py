"""The server as a process: it starts, it is killed, it loses nothing that it acknowledged."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from served.servers import free_port

DEADLINE_SECONDS = 60


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", *arguments],
        env={**env, "PREFECT_HOME": str(folder), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    try:
        connection.request(method, f"/api{path}", None if body is None else json.dumps(body))
        response = connection.getresponse()
        raw = response.read()
        return response.status, json.loads(raw) if raw else None
    finally:
        connection.close()


def start(folder: Path, port: int, *more: str) -> subprocess.Popen[str]:
    """A server that answers."""
    server = command(folder, "start", "--port", str(port), *more)
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            pytest.fail(f"The server ended: {server.communicate()[0]}")
        try:
            if ask(port, "GET", "/health") == (200, True):
                return server
        except OSError:
            time.sleep(0.02)  # between two looks, until the deadline
    server.kill()
    pytest.fail("The server did not answer.")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def servers() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for server in started:
        server.kill()
        server.communicate()


def test_it_ends_when_it_is_asked_to(tmp_path: Path, port: int, servers: list[subprocess.Popen[str]]) -> None:
    servers.append(start(tmp_path, port))
    assert ask(port, "POST", "/flows/", {"name": "a"})[0] == 201
    servers[0].send_signal(signal.SIGINT)
    assert servers[0].wait(DEADLINE_SECONDS) in (0, 130, -signal.SIGINT)


@pytest.mark.faults
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, port: int, servers: list[subprocess.Popen[str]]) -> None:
    servers.append(start(tmp_path, port))
    acknowledged: list[str] = []
    enough = threading.Event()

    def write(writer: int) -> None:
        for number in range(10_000):
            try:
                status, made = ask(port, "POST", "/flows/", {"name": f"{writer}-{number}"})
            except (OSError, http.client.HTTPException, ValueError):
                return  # the server is gone
            assert status == 201, made
            acknowledged.append(made["id"])
            if len(acknowledged) >= 100:
                enough.set()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    assert enough.wait(DEADLINE_SECONDS)
    servers[0].kill()
    for thread in threads:
        thread.join()
    servers.append(start(tmp_path, port))
    found: set[str] = set()
    for offset in range(0, 10_000, 200):
        page = ask(port, "POST", "/flows/filter", {"offset": offset})[1]
        found.update(flow["id"] for flow in page)
        if len(page) < 200:
            break
    assert set(acknowledged) <= found
    assert len(found) - len(acknowledged) <= len(threads), "at most the requests that were under way"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_it_is_not_reachable_from_elsewhere_without_authentication(tmp_path: Path, host: str) -> None:
    refused = command(tmp_path, "start", "--host", host)
    said = refused.communicate(timeout=DEADLINE_SECONDS)[0]
    assert refused.returncode == 1
    assert "PREFECT_SERVER_API_AUTH_STRING" in said


def test_in_the_background(tmp_path: Path, port: int) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = command(tmp_path, *arguments, PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        said = done.communicate(timeout=DEADLINE_SECONDS)[0]
        return done.returncode, said

    assert run("status")[0] == 1
    assert run("stop")[0] == 1
    try:
        assert run("start", "--background", "--port", str(port))[0] == 0
        assert run("status", "--output", "json") == (0, json.dumps(
            {"status": "available", "api_url": f"http://127.0.0.1:{port}/api"}, indent=2
        ) + "\n")  # fmt: skip
        assert run("start", "--background", "--port", str(port))[0] == 1
    finally:
        assert run("stop")[0] == 0


def test_options_of_others_do_what_they_say(tmp_path: Path, port: int, servers: list[subprocess.Popen[str]]) -> None:
    servers.append(start(tmp_path, port, "--no-ui", "--analytics-on"))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=DEADLINE_SECONDS)
    assert ask(port, "GET", "/admin/settings")[1]["server"]["ui"]["enabled"] is False
    servers[0].send_signal(signal.SIGTERM)
    assert "sends no usage statistics" in servers[0].communicate(timeout=DEADLINE_SECONDS)[0]


def test_it_answers_who_waits_before_it_ends(tmp_path: Path, port: int, servers: list[subprocess.Popen[str]]) -> None:
    servers.append(start(tmp_path, port))
    answers: list[tuple[int, Any]] = []
    body = {
        "holder": {"kind": "runner", "id": str(uuid.uuid4()), "name": "a"},
        "limit": 1,
        "wait_seconds": 50,
        "deployment_ids": [str(uuid.uuid4())],
    }
    waiting = threading.Thread(target=lambda: answers.append(ask(port, "POST", "/flow_runs/claim", body)))
    waiting.start()
    assert ask(port, "GET", "/ready")[0] == 200
    time.sleep(0.5)  # until the server has the request: nothing tells of it
    servers[0].send_signal(signal.SIGTERM)
    waiting.join(DEADLINE_SECONDS)
    assert answers == [(200, [])]
    assert servers[0].wait(DEADLINE_SECONDS) in (0, -signal.SIGTERM)


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def workers_of(server: subprocess.Popen[str]) -> list[int]:
    """The processes of a server that answer requests."""
    found = []
    for pid in children(server.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:  # it has ended meanwhile: none that answers
            continue
        if b"resource_tracker" not in command:
            found.append(pid)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs to look at processes")
def test_several_processes_answer(tmp_path: Path, port: int, servers: list[subprocess.Popen[str]]) -> None:
    servers.append(start(tmp_path, port, "--workers", "2"))
    workers = workers_of(servers[0])
    assert len(workers) == 2
    made = {ask(port, "POST", "/flows/", {"name": str(number % 5)})[1]["id"] for number in range(20)}
    assert len(made) == 5
    os.kill(workers[0], signal.SIGKILL)
    end = time.monotonic() + DEADLINE_SECONDS
    while len(now := workers_of(servers[0])) < 2 or workers[0] in now:
        assert time.monotonic() < end
        time.sleep(0.05)  # between two looks, until the deadline
    servers[0].send_signal(signal.SIGTERM)
    assert servers[0].wait(DEADLINE_SECONDS) == 0
    with pytest.raises(OSError):
        ask(port, "GET", "/health")


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs to look at processes")
def test_processes_end_with_the_one_that_started_them(
    tmp_path: Path, port: int, servers: list[subprocess.Popen[str]]
) -> None:
    servers.append(start(tmp_path, port, "--workers", "2"))
    servers[0].kill()
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            ask(port, "GET", "/health")
        except OSError:
            return
        assert time.monotonic() < end
        time.sleep(0.05)  # between two looks, until the deadline
