"""The fixtures that are shipped, used as others use them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import anyio
import pytest
import websockets

from prefect import get_client
from prefect._schemas.events import Event
from prefect.settings import get_current_settings
from prefect.testing.fixtures import *  # noqa: F403
from prefect.testing.fixtures import Puppeteer, Recorder, add_prefect_loggers_to_caplog, is_port_in_use
from prefect.variables import Variable


def event(name: str) -> Event:
    return Event(event=name, resource={"prefect.resource.id": "r"})  # type: ignore[arg-type]


def test_a_hosted_server(home: Any, use_hosted_api_server: str) -> None:
    Variable.set("mine", 1, overwrite=True)
    with get_client(sync_client=True) as client:
        assert str(client.api_url).startswith(use_hosted_api_server) and Variable.get("mine") == 1
    assert is_port_in_use(int(use_hosted_api_server.split(":")[2].partition("/")[0]))


def test_no_server(use_hosted_api_server: str, enable_ephemeral_server: None) -> None:
    assert get_current_settings().api.url is None


async def test_sleeping(mock_anyio_sleep: Any) -> None:
    began = time.monotonic()
    with mock_anyio_sleep.assert_sleeps_for(100):
        await anyio.sleep(60)
        await asyncio.sleep(40)
    assert time.monotonic() - began < 30
    with pytest.raises(AssertionError, match="slept"), mock_anyio_sleep.assert_sleeps_for(1):
        await anyio.sleep(2)


def test_logs(caplog: pytest.LogCaptureFixture) -> None:
    with add_prefect_loggers_to_caplog(caplog):
        logging.getLogger("prefect.x").warning("seen")
    assert "seen" in caplog.text


async def test_events(events_api_url: str, recorder: Recorder, puppeteer: Puppeteer) -> None:
    url = events_api_url.replace("http", "ws")
    async with websockets.connect(f"{url}/events/in") as connection:
        await connection.send(event("a").model_dump_json())
    puppeteer.token, puppeteer.outgoing_events = "t", [event("b")]
    async with websockets.connect(f"{url}/events/out") as connection:
        await connection.send(json.dumps({"type": "auth", "token": "t"}))
        assert json.loads(await connection.recv())["type"] == "auth_success"
        await connection.send(json.dumps({"type": "filter", "filter": {}}))
        assert json.loads(await connection.recv())["event"]["event"] == "b"
    assert [one.event for one in recorder.events] == ["a"] and recorder.token == "t"
