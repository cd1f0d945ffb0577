"""Paths that published integrations import from."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from pathlib import Path

import pytest

from prefect._internal.compatibility.async_dispatch import async_dispatch, is_in_async_context
from prefect._internal.concurrency.api import create_call, from_async, from_sync
from prefect._internal.retries import exponential_backoff_with_jitter, retry_async_fn
from prefect._internal.urls import strip_auth_from_url, strip_auth_from_urls_in_text
from prefect._internal.uuid7 import uuid7
from prefect.types import validate_set_T_from_delim_string


def test_async_dispatch() -> None:
    async def atwice(x: int) -> int:
        return 2 * x

    @async_dispatch(atwice)
    def twice(x: int) -> int:
        return 2 * x

    async def asynchronous() -> int:
        assert is_in_async_context()
        return await twice(3)

    assert twice(2) == 4 and asyncio.run(asynchronous()) == 6 and not is_in_async_context()


async def where(x: int) -> tuple[int, str]:
    await asyncio.sleep(0)
    return x, threading.current_thread().name


def test_calls_from_synchronous_code() -> None:
    assert from_sync.call_in_loop_thread(create_call(where, 1)) == (1, "prefect-loop")
    assert from_sync.call_in_new_thread(create_call(where, x=2)) == (2, "prefect-call")
    called: list[int] = []
    callback = create_call(called.append, 1)
    assert from_sync.wait_for_call_in_loop_thread(create_call(where, 3), done_callbacks=[callback])[0] == 3
    assert from_sync.wait_for_call_in_new_thread(lambda: 4) == 4
    assert called == [1]
    with pytest.raises(ZeroDivisionError):
        from_sync.call_in_new_thread(lambda: 1 // 0)  # type: ignore[arg-type]


async def test_calls_from_asynchronous_code() -> None:
    assert await from_async.wait_for_call_in_loop_thread(create_call(where, 1)) == (1, "prefect-loop")
    assert await from_async.wait_for_call_in_new_thread(create_call(where, 2)) == (2, "prefect-call")
    with pytest.raises(TimeoutError):
        await from_async.call_in_new_thread(create_call(time.sleep, 0.5), timeout=0.01)


async def test_retries() -> None:
    tries: list[int] = []

    @retry_async_fn(max_attempts=3, base_delay=0.001, retry_on_exceptions=(ValueError,))
    async def flaky(fails: int, error: type[Exception] = ValueError) -> str:
        tries.append(1)
        if len(tries) <= fails:
            raise error
        return "done"

    assert await flaky(2) == "done" and len(tries) == 3
    tries.clear()
    with pytest.raises(ValueError):
        await flaky(3)
    tries.clear()
    with pytest.raises(KeyError):
        await flaky(1, KeyError)
    assert len(tries) == 1
    assert all(0 < exponential_backoff_with_jitter(n, 1, 10) <= 10 for n in range(1, 20))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fatal: https://user:pa@ss@host.com/x.git not found", "fatal: https://host.com/x.git not found"),
        ("see https://host.com/a?b=me@there", "see https://host.com/a?b=me@there"),
        ("'git+ssh://token@host/x' and https://t@h", "'git+ssh://host/x' and https://h"),
        ("mail me@there.com", "mail me@there.com"),
    ],
)
def test_credentials_are_taken_out_of_addresses(text: str, expected: str) -> None:
    assert strip_auth_from_urls_in_text(text) == expected


def test_secrets_are_taken_out_of_text() -> None:
    assert strip_auth_from_urls_in_text("a long-secret b", ["secret", "long-secret"]) == "a **** b"
    assert strip_auth_from_url("https://u:p@h:1/x?y") == "https://h:1/x?y"
    assert strip_auth_from_url("https://h/x") == "https://h/x"


def test_small_ones() -> None:
    assert uuid7().version == 7 and uuid7() < uuid7()
    assert validate_set_T_from_delim_string("1, 2,,3", int) == {1, 2, 3}
    assert validate_set_T_from_delim_string("a;b", str, delim=";") == {"a", "b"}
    assert validate_set_T_from_delim_string(None, str) == set() and validate_set_T_from_delim_string(5, int) == {5}


def test_whatever_published_integrations_import_is_there() -> None:
    """Their names are facts about those packages: `module` or `module name`."""
    listed = Path(__file__).with_name("imported_by_integrations.txt").read_text().splitlines()
    assert len(listed) > 100
    missing = []
    for line in listed:
        module, _, name = line.partition(" ")
        try:
            found = importlib.import_module(module)
            if name and not hasattr(found, name):
                importlib.import_module(f"{module}.{name}")
        except ImportError as problem:
            missing.append(f"{line}: {problem}")
    assert missing == []
