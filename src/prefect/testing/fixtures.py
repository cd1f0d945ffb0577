"""Fixtures for pytest, for tests of what integrates with this package.

```python
# conftest.py
from prefect.testing.fixtures import *
```
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import anyio
import pytest
import websockets
import websockets.asyncio.server

from prefect._events import emitting
from prefect._schemas.events import Event
from prefect.events import worker as events_worker
from prefect.events.clients import AssertingEventsClient, AssertingPassthroughEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging import sink
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings
from prefect.testing._hosting import hosted
from prefect.utilities.asyncutils import sync_compatible

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection

__all__ = [
    "Puppeteer",
    "Recorder",
    "add_prefect_loggers_to_caplog",
    "asserting_and_emitting_events_worker",
    "asserting_events_worker",
    "disable_hosted_api_server",
    "emitting_events_pipeline",
    "enable_ephemeral_server",
    "events_api_url",
    "events_cloud_api_url",
    "events_pipeline",
    "events_server",
    "hosted_api_server",
    "is_port_in_use",
    "mock_anyio_sleep",
    "mock_should_emit_events",
    "puppeteer",
    "recorder",
    "reset_worker_events",
    "test_database_connection_url",
    "use_hosted_api_server",
]


def is_port_in_use(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ── servers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def test_database_connection_url(tmp_path_factory: pytest.TempPathFactory) -> str | None:
    """The database of `hosted_api_server`; define a fixture of this name to choose another."""
    return f"sqlite:///{tmp_path_factory.mktemp('hosted-api-server')}/pluperfect.db"


@pytest.fixture(scope="session")
def hosted_api_server(
    unused_tcp_port_factory: Callable[[], int], test_database_connection_url: str | None
) -> Iterator[str]:
    """A server of this test process, with a database of its own; the address of its API."""
    settings = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": test_database_connection_url}
    with hosted(settings, unused_tcp_port_factory()) as url:
        yield url


@pytest.fixture
def use_hosted_api_server(hosted_api_server: str) -> Iterator[str]:
    """Have the test use the server of `hosted_api_server`."""
    with temporary_settings({PREFECT_API_URL: hosted_api_server}):
        yield hosted_api_server


@pytest.fixture
def disable_hosted_api_server() -> Iterator[None]:
    """Have the test use no server, whatever the settings say."""
    with temporary_settings({PREFECT_API_URL: None}):
        yield


@pytest.fixture
def enable_ephemeral_server(disable_hosted_api_server: None) -> Iterator[None]:
    """Have the test use the local database. There is no server to start for that."""
    with temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True}):
        yield


# ── time and logs ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mock_anyio_sleep(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Let `anyio.sleep` and `asyncio.sleep` return at once; gives a function that asserts how long a block slept.

    ```python
    with mock_anyio_sleep.assert_sleeps_for(10):
        await code_that_sleeps_for_ten_seconds()
    ```
    """
    slept = 0.0
    real = asyncio.sleep

    async def sleep(seconds: float, *args: Any, **kwargs: Any) -> Any:
        nonlocal slept
        slept += seconds
        return await real(0, *args, **kwargs)

    @contextmanager
    def assert_sleeps_for(seconds: float, extra_tolerance: float = 0.0) -> Iterator[None]:
        before = slept
        yield
        took = slept - before
        assert seconds - 1e-6 <= took <= seconds + extra_tolerance + 1e-6, f"It slept {took} seconds, not {seconds}."

    monkeypatch.setattr(anyio, "sleep", sleep)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    sleep.assert_sleeps_for = assert_sleeps_for  # type: ignore[attr-defined]
    yield sleep


@contextmanager
def add_prefect_loggers_to_caplog(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In the block, `caplog` also gets what goes to Prefect's loggers, which pass nothing on to the root logger."""
    logger = logging.getLogger("prefect")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Recorder:
    """What a test's event server was sent.

    Attributes:
        connections: the connections that were made to it.
        path: of the last of them.
        events: what it was sent, in order.
        token: the credentials of the last subscriber.
        filter: what the last subscriber asked for.
    """

    connections: list[Any]
    path: str | None
    events: list[Event]
    token: str | None
    filter: Any

    def __init__(self) -> None:
        self.connections = []
        self.path = None
        self.events = []
        self.token = None
        self.filter = None


class Puppeteer:
    """What a test's event server is to do.

    Attributes:
        token: the credentials that subscribers are to have; any when None.
        outgoing_events: what subscribers are sent.
        hard_auth_failure: end the connection without a word when credentials are wrong.
        refuse_any_further_connections: take no more connections.
        hard_disconnect_after: the id of an event after which the connection breaks, once.
    """

    token: str | None
    hard_auth_failure: bool
    refuse_any_further_connections: bool
    hard_disconnect_after: Any
    outgoing_events: list[Event]

    def __init__(self) -> None:
        self.token = None
        self.hard_auth_failure = False
        self.refuse_any_further_connections = False
        self.hard_disconnect_after = None
        self.outgoing_events = []


@pytest.fixture
def recorder() -> Recorder:
    """What the event server of `events_server` was sent."""
    return Recorder()


@pytest.fixture
def puppeteer() -> Puppeteer:
    """What the event server of `events_server` is to do."""
    return Puppeteer()


@pytest.fixture
async def events_server(unused_tcp_port: int, recorder: Recorder, puppeteer: Puppeteer) -> AsyncIterator[Server]:
    """A server of events over websockets, which records what it is sent and sends what it is told to."""

    async def serve(connection: ServerConnection) -> None:
        path = connection.request.path if connection.request is not None else ""
        recorder.connections.append(connection)
        recorder.path = path
        if puppeteer.refuse_any_further_connections:
            await connection.close(1013)
            return
        if path.endswith("/events/in"):
            async for message in connection:
                event = Event.model_validate_json(message)
                recorder.events.append(event)
                if puppeteer.hard_disconnect_after == event.id:
                    puppeteer.hard_disconnect_after = None
                    raise ValueError("the connection breaks, as it was told to")
        elif path.endswith("/events/out"):
            await _send_events(connection, recorder, puppeteer)

    async with websockets.asyncio.server.serve(serve, "127.0.0.1", unused_tcp_port) as server:
        yield server


async def _send_events(connection: ServerConnection, recorder: Recorder, puppeteer: Puppeteer) -> None:
    credentials = json.loads(await connection.recv())
    assert credentials["type"] == "auth"
    recorder.token = credentials.get("token")
    if puppeteer.token is not None and puppeteer.token != recorder.token:
        if not puppeteer.hard_auth_failure:
            await connection.send(json.dumps({"type": "auth_failure", "reason": "wrong credentials"}))
        await connection.close(1008)
        return
    await connection.send(json.dumps({"type": "auth_success"}))
    wanted = json.loads(await connection.recv())
    assert wanted["type"] == "filter"
    recorder.filter = wanted["filter"]
    for event in puppeteer.outgoing_events:
        await connection.send(json.dumps({"type": "event", "event": event.model_dump(mode="json")}))
        if puppeteer.hard_disconnect_after == event.id:
            puppeteer.hard_disconnect_after = None
            raise ValueError("the connection breaks, as it was told to")


@pytest.fixture
def events_api_url(events_server: Server, unused_tcp_port: int) -> str:
    """The address of an API whose events are those of `events_server`."""
    return f"http://localhost:{unused_tcp_port}"


@pytest.fixture
def events_cloud_api_url(events_server: Server, unused_tcp_port: int) -> str:
    """The same, as the address of a workspace of a cloud."""
    ids = "00000000-0000-0000-0000-000000000000"
    return f"http://localhost:{unused_tcp_port}/accounts/{ids}/workspaces/{ids}"


@contextmanager
def _diverted(
    monkeypatch: pytest.MonkeyPatch,
    client_type: type[AssertingEventsClient] | type[AssertingPassthroughEventsClient],
) -> Iterator[EventsWorker]:
    with monkeypatch.context() as before:  # what diverted events before does so again afterwards
        before.setattr(EventsWorker, "_override", None)
        before.setattr(emitting, "divert", None)
        EventsWorker.set_client_override(client_type)
        worker = EventsWorker.instance()
        try:
            yield worker
        finally:
            worker.drain()
            client_type.reset()


@pytest.fixture
def mock_should_emit_events(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """What is asked whether an event is to be emitted: a mock that says yes, unless the test has it say no.

    ```python
    def test_quietly(mock_should_emit_events):
        mock_should_emit_events.return_value = False
        assert emit_event("order.placed", {"prefect.resource.id": "order.17"}) is None
    ```
    """
    asked = mock.Mock(return_value=True)
    monkeypatch.setattr(emitting, "wanted", asked)
    monkeypatch.setattr(events_worker, "should_emit_events", asked)
    return asked


@pytest.fixture
def asserting_events_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsWorker]:
    """Have what the test emits kept in `AssertingEventsClient.last.events`, and not recorded."""
    with _diverted(monkeypatch, AssertingEventsClient) as worker:
        yield worker


@pytest.fixture
def asserting_and_emitting_events_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsWorker]:
    """Have what the test emits kept in `AssertingPassthroughEventsClient.last.events`, and sent as well."""
    with _diverted(monkeypatch, AssertingPassthroughEventsClient) as worker:
        yield worker


@pytest.fixture
def reset_worker_events(asserting_events_worker: EventsWorker) -> Iterator[None]:
    """Forget what was emitted before the test, and what the test emits."""
    _forget_events(asserting_events_worker)
    yield
    _forget_events(asserting_events_worker)


def _forget_events(worker: EventsWorker) -> None:
    worker.wait_until_empty()
    for client in AssertingEventsClient.all:
        client.pop_events()


class EventsPipeline:
    """Waits for what runs emit and record.

    Args:
        worker: what the events go through.
    """

    def __init__(self, worker: EventsWorker) -> None:
        self._worker = worker

    @sync_compatible
    async def process_events(self) -> None:
        """Return when all events that were emitted are where they go, and all runs that ended are recorded."""
        await asyncio.to_thread(self._worker.wait_until_empty)
        await asyncio.to_thread(sink.flush)


@pytest.fixture
def events_pipeline(asserting_events_worker: EventsWorker) -> EventsPipeline:
    """Waits for what the test emits and records."""
    return EventsPipeline(asserting_events_worker)


@pytest.fixture
def emitting_events_pipeline(asserting_and_emitting_events_worker: EventsWorker) -> EventsPipeline:
    """The same, where events are sent as well."""
    return EventsPipeline(asserting_and_emitting_events_worker)
