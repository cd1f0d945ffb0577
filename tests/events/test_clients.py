"""Sending and following events and logs, as programs do: of a server, and of the local database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from prefect import flow, get_run_logger
from prefect._transport.websocket import StreamRefused
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import TaskRun
from prefect.client.subscriptions import Subscription
from prefect.events import Event, emit_event
from prefect.events.clients import (
    AssertingEventsClient,
    AssertingPassthroughEventsClient,
    NullEventsClient,
    PrefectCloudEventsClient,
    PrefectEventsClient,
    PrefectEventSubscriber,
    events_in_socket_from_api_url,
    events_out_socket_from_api_url,
    get_events_client,
    get_events_subscriber,
    http_to_ws,
)
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter
from prefect.events.subscribers import FlowRunSubscriber
from prefect.events.worker import EventsWorker
from prefect.logging.clients import PrefectLogsSubscriber, get_logs_subscriber
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from server.streams.conftest import Server, an_event
from server.streams.conftest import start_server as start_server

Start = Callable[..., Server]


def event(name: str = "e", **more: Any) -> Event:
    return Event(event=name, resource={"prefect.resource.id": "r"}, **more)  # type: ignore[arg-type]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/served.db"


@pytest.fixture
def server(start_server: Start, database_url: str) -> Iterator[Server]:
    server = start_server(database_url)
    with temporary_settings({PREFECT_API_URL: server.url}):
        yield server


def names(server: Server) -> list[str]:
    found = server.post("/events/filter", {"filter": {"order": "ASC", "event": {"exclude_prefix": ["prefect."]}}})
    return [one["event"] for one in found["events"]]


async def following(subscriber: PrefectEventSubscriber | PrefectLogsSubscriber) -> asyncio.Task[list[Any]]:
    """Collect what a subscriber gives, until cancelled or told to end; returns when it follows."""
    got: list[Any] = []

    async def collect() -> list[Any]:
        async for item in subscriber:  # type: ignore[union-attr]
            got.append(item)
            if getattr(item, "event", None) == "end" or getattr(item, "message", None) == "end":
                break
        return got

    return asyncio.create_task(collect())


def test_addresses() -> None:
    assert http_to_ws("https://a.b/api/") == "wss://a.b/api"
    assert events_in_socket_from_api_url("http://a/api") == "ws://a/api/events/in"
    assert events_out_socket_from_api_url("http://a/api") == "ws://a/api/events/out"


async def test_events_are_there_when_the_client_is_left(server: Server) -> None:
    async with get_events_client(checkpoint_every=3) as client:
        assert client.client_name == "PrefectEventsClient"
        for number in range(10):
            await client.emit(event(f"e{number}"))
    assert names(server) == [f"e{number}" for number in range(10)]
    with pytest.raises(TypeError, match="entered"):
        await client.emit(event())


async def test_events_outlive_a_restart_of_the_server(
    server: Server, start_server: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PrefectEventsClient() as client, PrefectEventSubscriber() as subscriber:
        await client.emit(event("before"))
        assert (await anext(subscriber)).event == "before"
        await asyncio.to_thread(server.stop)
        again = await asyncio.to_thread(start_server, database_url, port=server.port)
        await client.emit(event("after"))
        assert (await anext(subscriber)).event == "after"
    assert names(again) == ["before", "after"]


async def test_a_subscriber_misses_nothing_and_gets_nothing_twice(
    server: Server, start_server: Start, database_url: str
) -> None:
    wanted = EventFilter(event=EventNameFilter(exclude_name=["unwanted"]))
    async with get_events_subscriber(wanted) as subscriber:
        task = await following(subscriber)
        server.post("/events", [an_event("a"), an_event("unwanted"), an_event("b")])
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.stop)
        again = await asyncio.to_thread(start_server, database_url, port=server.port)
        again.post("/events", [an_event("c"), an_event("end")])
        assert [one.event for one in await asyncio.wait_for(task, 30)] == ["a", "b", "c", "end"]


async def test_a_filter_that_begins_earlier(server: Server) -> None:
    now = datetime.now(UTC)
    server.post("/events", [an_event("end", occurred=(now - timedelta(minutes=5)).isoformat())])
    wanted = EventFilter(occurred=EventOccurredFilter(since=now - timedelta(minutes=10)))
    async with PrefectEventSubscriber(filter=wanted) as subscriber:
        assert (await asyncio.wait_for(anext(subscriber), 20)).event == "end"


async def test_nobody_is_there() -> None:
    with pytest.raises(ConnectionError, match="cannot be reached"):
        async with PrefectEventsClient("http://127.0.0.1:9/api", reconnection_attempts=1):
            pass
    async with PrefectEventSubscriber("http://127.0.0.1:9/api", reconnection_attempts=1) as subscriber:
        with pytest.raises(OSError):
            await anext(subscriber)


async def test_wrong_credentials_are_told_at_once(start_server: Start, database_url: str) -> None:
    guarded = start_server(database_url, PREFECT_SERVER_API_AUTH_STRING="admin:s3cret")
    with temporary_settings({PREFECT_API_URL: guarded.url, PREFECT_API_AUTH_STRING: "admin:wrong"}):
        with pytest.raises(StreamRefused, match="PREFECT_API_AUTH_STRING"):
            async with PrefectEventsClient():
                pass
        async with get_logs_subscriber() as lines:
            with pytest.raises(StreamRefused):
                await anext(lines)
    with temporary_settings({PREFECT_API_URL: guarded.url, PREFECT_API_AUTH_STRING: "admin:s3cret"}):
        async with PrefectEventsClient() as client:
            await client.emit(event("let in"))


async def test_logs_are_followed(server: Server) -> None:
    def line(message: str) -> dict[str, Any]:
        return {"name": "n", "level": 20, "message": message, "timestamp": datetime.now(UTC).isoformat()}

    server.post("/logs/", [line("a")])
    async with get_logs_subscriber() as subscriber:
        task = await following(subscriber)
        server.post("/logs/", [line("b"), line("end")])
        assert [one.message for one in await asyncio.wait_for(task, 20)] == ["a", "b", "end"]


async def test_background_runs_are_subscribed_to(server: Server) -> None:
    now = datetime.now(UTC).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"deferred": True, "scheduled_time": now}}
    body = {"name": "t", "task_key": "k", "flow_run_id": None, "state": state}
    subscription = Subscription(TaskRun, "/task_runs/subscriptions/scheduled", ["k"], client_id="me")
    with pytest.raises(RuntimeError, match="not connected"):
        _ = subscription.websocket
    made = [server.post("/task_runs/", {**body, "dynamic_key": str(n)})["id"] for n in range(3)]
    got = [await asyncio.wait_for(anext(subscription), 20) for _ in range(3)]
    assert [str(run.id) for run in got] == made
    await subscription.websocket.close()


async def test_a_flow_run_is_followed_to_its_end(server: Server) -> None:
    of = server.post("/flows/", {"name": "f"})
    run = server.post("/flow_runs/", {"flow_id": of["id"], "state": {"type": "PENDING"}})
    now = datetime.now(UTC).isoformat()

    async def happen() -> None:
        for state in ("RUNNING", "COMPLETED"):
            server.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": state}})
        server.post("/logs/", [
            {"name": "n", "level": 20, "message": "late", "timestamp": now, "flow_run_id": run["id"]}
        ])  # fmt: skip

    async with FlowRunSubscriber(UUID(run["id"]), straggler_timeout=1) as subscriber:
        task = asyncio.create_task(happen())
        got = [item async for item in subscriber]
        await task
    assert [item.event for item in got if isinstance(item, Event)] == [
        "prefect.flow-run.Pending", "prefect.flow-run.Running", "prefect.flow-run.Completed"
    ]  # fmt: skip
    assert [item.message for item in got if not isinstance(item, Event)] == ["late"]
    async with FlowRunSubscriber(UUID(run["id"]), straggler_timeout=1) as again:
        assert len([item async for item in again]) == len(got)


# -- without a server -----------------------------------------------------------------------------------------------


async def test_events_of_the_local_database(home: Path) -> None:
    emit_event("a", resource={"prefect.resource.id": "r"})
    async with get_events_subscriber(EventFilter(event=EventNameFilter(exclude_prefix=["prefect."]))) as subscriber:
        task = await following(subscriber)
        emit_event("b", resource={"prefect.resource.id": "r"})
        async with get_events_client() as client:
            await client.emit(event("c"))
            await asyncio.sleep(0.3)
            await client.emit(event("end"))
        got = [one.event for one in await asyncio.wait_for(task, 20)]
    assert sorted(got[:3]) + got[3:] == ["a", "b", "c", "end"]


async def test_a_local_flow_run_is_followed(home: Path) -> None:
    ids: list[UUID] = []

    @flow
    def logs() -> None:
        get_run_logger().info("said")

    await asyncio.to_thread(logs)
    async with get_client() as client:
        ids = [run.id for run in await client.read_flow_runs()]
    async with FlowRunSubscriber(ids[0], straggler_timeout=1) as subscriber:
        got = [item async for item in subscriber]
    assert "said" in [item.message for item in got if not isinstance(item, Event)]


# -- for tests ------------------------------------------------------------------------------------------------------


async def test_clients_for_tests() -> None:
    AssertingEventsClient.reset()
    async with AssertingEventsClient("x", y=1) as client:
        await client.emit(event("kept"))
    assert AssertingEventsClient.last is client and AssertingEventsClient.all == [client]
    assert client.args == ("x",) and client.kwargs == {"y": 1}
    assert [one.event for one in client.pop_events()] == ["kept"] and client.events == []
    AssertingEventsClient.reset()
    assert AssertingEventsClient.last is None and AssertingEventsClient.all == []
    async with NullEventsClient() as nowhere:
        await nowhere.emit(event())


async def test_a_client_that_passes_on_and_keeps(server: Server) -> None:
    AssertingPassthroughEventsClient.reset()
    async with AssertingPassthroughEventsClient() as client:
        await client.emit(event("both"))
    assert [one.event for one in client.pop_events()] == names(server) == ["both"]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValueError, match="PREFECT_API_URL"):
        PrefectEventsClient()
    with pytest.raises(ValueError, match="PREFECT_API_KEY"):
        PrefectCloudEventsClient("https://api.prefect.cloud/api/accounts/a/workspaces/b")


def test_what_a_program_emits_is_seen_by_its_tests(home: Path) -> None:
    AssertingEventsClient.reset()
    EventsWorker.set_client_override(AssertingEventsClient)
    try:

        @flow
        def emits() -> None:
            emit_event("seen", resource={"prefect.resource.id": "r"})

        emits()
        worker = EventsWorker.instance()
        worker.wait_until_empty()
        assert AssertingEventsClient.last is not None
        (seen,) = AssertingEventsClient.last.pop_events()
        assert seen.event == "seen" and [one.role for one in seen.related] == ["flow-run", "flow"]
        worker.drain()
    finally:
        EventsWorker.set_client_override(None)
    with pytest.raises(ValueError, match="set_client_override"):
        EventsWorker.instance()
    with EventsWorkerOf(NullEventsClient) as nowhere:
        nowhere.send(event())
        nowhere.wait_until_empty()


class EventsWorkerOf:
    def __init__(self, kind: type[Any]) -> None:
        self.worker = EventsWorker.instance(kind)

    def __enter__(self) -> EventsWorker:
        return self.worker

    def __exit__(self, *exc_info: object) -> None:
        EventsWorker.drain_all(timeout=10)
