"""The fixtures that are shipped, used as others use them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import websockets

from prefect import flow, get_client
from prefect._schemas.events import Event
from prefect.events import emit_event
from prefect.events.clients import AssertingEventsClient, AssertingPassthroughEventsClient
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.events.worker import EventsWorker, should_emit_events
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


def emitted(client: type[Any]) -> list[str]:
    assert client.last is not None
    return [one.event for one in client.last.events]


@flow
def emitting() -> None:
    emit_event("of-a-flow", {"prefect.resource.id": "r"})


def test_what_is_emitted_is_kept(home: Any, asserting_events_worker: EventsWorker, events_pipeline: Any) -> None:
    emitting()
    events_pipeline.process_events()
    assert emitted(AssertingEventsClient) == ["of-a-flow"]
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs()
    assert run.state is not None and run.state.is_completed()
    assert AssertingEventsClient.last is not None
    assert any(resource.id == f"prefect.flow-run.{run.id}" for resource in AssertingEventsClient.last.events[0].related)


def test_what_was_emitted_is_forgotten(
    home: Any, asserting_events_worker: EventsWorker, reset_worker_events: None
) -> None:
    emit_event("later", {"prefect.resource.id": "r"})
    asserting_events_worker.wait_until_empty()
    assert emitted(AssertingEventsClient) == ["later"]


def test_whether_events_are_emitted(
    home: Any, mock_should_emit_events: Any, asserting_events_worker: EventsWorker
) -> None:
    resource = {"prefect.resource.id": "r"}
    assert emit_event("wanted", resource) is not None and should_emit_events()
    mock_should_emit_events.return_value = False
    assert emit_event("not wanted", resource) is None and not should_emit_events()
    asserting_events_worker.wait_until_empty()
    assert emitted(AssertingEventsClient) == ["wanted"]
    assert mock_should_emit_events.call_count == 4


class OurOwnClient(AssertingEventsClient):
    """Diverts events before the test, and again after it."""


@pytest.fixture
def diverted_before(home: Any) -> Iterator[None]:
    EventsWorker.set_client_override(OurOwnClient)
    try:
        yield
        emit_event("afterwards", {"prefect.resource.id": "r"})
        EventsWorker.instance().drain()
        assert emitted(OurOwnClient) == ["afterwards"]
    finally:
        EventsWorker.set_client_override(None)
        OurOwnClient.reset()


def test_what_diverted_events_before_does_so_again(
    diverted_before: None, asserting_events_worker: EventsWorker
) -> None:
    assert asserting_events_worker.client_type is AssertingEventsClient
    EventsWorker.set_client_override(None)  # which the fixture undoes


async def test_what_is_emitted_is_kept_and_sent(
    home: Any,
    use_hosted_api_server: str,
    asserting_and_emitting_events_worker: EventsWorker,
    emitting_events_pipeline: Any,
) -> None:
    emit_event("sent-as-well", {"prefect.resource.id": "r"})
    await emitting_events_pipeline.process_events()
    assert emitted(AssertingPassthroughEventsClient) == ["sent-as-well"]
    asserting_and_emitting_events_worker.drain()  # which asks the server whether it has them
    async with get_client() as client:
        page = await client.read_events(filter=EventFilter(event=EventNameFilter(name=["sent-as-well"])))
    assert [one.event for one in page.events] == ["sent-as-well"]
