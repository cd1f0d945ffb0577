"""Who goes away while he waits is not waited for; over a real socket, as only that can be closed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect._store.dialects import make_engine
from prefect._store.tables import concurrency_waiter

from .test_process import DEADLINE_SECONDS, ask, free_port, start


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    server = start(tmp_path, port)
    yield port
    server.kill()
    server.communicate()


def in_line(folder: Path) -> int:
    with make_engine(f"sqlite:///{folder}/pluperfect.db").connect() as tx:
        return tx.execute(sa.select(sa.func.count()).select_from(concurrency_waiter)).scalar_one()


def until(folder: Path, count: int) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while in_line(folder) != count:
        assert time.monotonic() < end
        time.sleep(0.05)  # between two looks, until the deadline


def test_who_hangs_up_leaves_the_line(tmp_path: Path, port: int) -> None:
    assert ask(port, "POST", "/v2/concurrency_limits/", {"name": "x", "limit": 1})[0] == 201
    wish = {"names": ["x"], "slots": 1}
    assert ask(port, "POST", "/v2/concurrency_limits/increment-with-lease", wish)[0] == 200
    body = json.dumps({**wish, "wait_seconds": 40}).encode()
    head = (
        "POST /api/v2/concurrency_limits/increment-with-lease HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        until(tmp_path, 1)
    until(tmp_path, 0)


def test_a_server_that_ends_answers_who_waits(tmp_path: Path) -> None:
    port = free_port()
    server = start(tmp_path, port)
    try:
        ask(port, "POST", "/v2/concurrency_limits/", {"name": "x", "limit": 1})
        ask(port, "POST", "/v2/concurrency_limits/increment-with-lease", {"names": ["x"], "slots": 1})
        body = json.dumps({"names": ["x"], "slots": 1, "wait_seconds": 40}).encode()
        head = f"POST /api/v2/concurrency_limits/increment-with-lease HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body)
            until(tmp_path, 1)
            server.terminate()
            assert b"423" in connection.recv(65536).splitlines()[0]
        assert server.wait(DEADLINE_SECONDS) in (0, -15)
    finally:
        server.kill()
        server.communicate()
