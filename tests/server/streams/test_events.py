"""Events over websockets: sent, kept, and handed to all who follow them, on one server or several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prefect._ids import new_uuid
from prefect.server.streams import feeds, incoming

from .conftest import Connection, Server, an_event

ALL = {"type": "filter", "filter": {}}


def names(server: Server, **filter: Any) -> list[str]:
    found = server.post("/events/filter", {"filter": {"order": "ASC", **filter}, "limit": 200})
    return [event["event"] for event in found["events"]]


async def checkpoint(connection: Connection, id: int = 1) -> None:
    """Everything sent before is on disk when this returns."""
    await connection.send({"type": "checkpoint", "id": id})
    assert await connection.receive() == {"type": "checkpoint", "id": id}


async def test_events_are_kept_once_in_order(server: Server) -> None:
    twice = an_event("twice")
    async with server.connect("/events/in", twice, an_event("b"), "no JSON", {"event": 1}, twice, an_event("c")) as it:
        await checkpoint(it)
        assert names(server) == ["twice", "b", "c"]


async def test_what_no_database_can_keep_is_written_out(server: Server) -> None:
    async with server.connect("/events/in", an_event("a", payload={"said": "x\0y"}), an_event("b")) as it:
        await checkpoint(it)
    found = server.post("/events/filter", {"filter": {"order": "ASC"}, "limit": 10})["events"]
    assert [(event["event"], event["payload"]) for event in found] == [("a", {"said": "x\\x00y"}), ("b", {})]


async def test_what_was_received_is_kept_when_the_client_goes_away(server: Server) -> None:
    async with server.connect("/events/out", ALL) as out:
        async with server.connect("/events/in", *[an_event(f"e{number}") for number in range(50)]):
            pass
        assert [(await out.receive())["event"]["event"] for _ in range(50)] == [f"e{number}" for number in range(50)]


async def test_old_clients_begin_with_their_events(server: Server) -> None:
    async with server.connect("/events/in", an_event("a"), auth=False, subprotocols=None) as old:
        await checkpoint(old)
    assert names(server) == ["a"]


async def test_the_past_then_what_comes(server: Server) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    server.post("/events", [an_event("long ago", occurred=long_ago), an_event("a"), an_event("other")])
    wanted = {"type": "filter", "filter": {"event": {"exclude_name": ["other"]}}}
    async with server.connect("/events/out", wanted) as out, server.connect("/events/in") as into:
        assert (await out.receive())["event"]["event"] == "a"
        await into.send(an_event("other"))
        await into.send(an_event("b"))
        message = await out.receive()
        assert message["type"] == "event" and message["event"]["event"] == "b" and message["event"]["received"]
        assert await out.is_silent()


async def test_without_the_past(server: Server) -> None:
    server.post("/events", [an_event("a")])
    async with server.connect("/events/out", {**ALL, "backfill": False}) as out:
        assert await out.is_silent()
        server.post("/events", [an_event("b")])
        assert (await out.receive())["event"]["event"] == "b"


async def test_a_subscriber_goes_on_where_it_was_cut_off(server: Server) -> None:
    async with server.connect("/events/out", {**ALL, "backfill": False}) as out:
        assert await out.is_silent()
        server.post("/events", [an_event("a")])
        place = (await out.receive())["place"]
    # later than anything that is filled in from the past
    server.post("/events", [an_event("b", occurred="2020-01-01T00:00:00Z")])
    since = {"occurred": {"since": "2019-01-01T00:00:00Z"}}
    async with server.connect("/events/out", {"type": "filter", "filter": since, "after": place}) as out:
        assert (await out.receive())["event"]["event"] == "b"
        server.post("/events", [an_event("c")])
        assert (await out.receive())["event"]["event"] == "c"


async def test_a_place_that_nobody_gave_is_refused(server: Server) -> None:
    async with server.connect("/events/out", {**ALL, "after": "nowhere"}) as out:
        assert (await out.closed())[0] == 1002


async def test_protocol_errors_are_told(server: Server) -> None:
    async with server.connect("/events/out", ALL, auth=False) as out:
        assert await out.closed() == (1008, "Expected 'auth' message")
    async with server.connect("/events/out", {"type": "hello"}) as out:
        assert await out.closed() == (1002, "Expected 'filter' message")
    async with server.connect("/events/out", {"type": "filter"}) as out:
        assert await out.closed() == (1002, "There is no 'filter' in the message")
    for path in ("/events/out", "/logs/out"):
        async with server.connect(path, {"type": "filter", "filter": {"bogus": 1}}) as out:
            code, reason = await out.closed()
            assert code == 1002 and "bogus" in reason
    async with server.connect("/events/out", {"type": "filter", "filter": {"bogus": 1}}) as out:
        code, reason = await out.closed()
        assert code == 1002 and "bogus" in reason
    async with server.connect("/events/in", an_event(), auth=False) as into:
        assert (await into.closed())[0] == 1008
    assert names(server) == []


@pytest.mark.parametrize("query", ["needle", "NÄDEL -hay", '"said \\"yes\\""', "+event +label"])
async def test_words_are_looked_for_in_what_comes_as_in_what_was(server: Server, query: str) -> None:
    said = [
        {"payload": {"a": ["a Needle"]}}, {"payload": {"a": "Nädel"}}, {"payload": {"a": 'she said "yes"'}}, {},
        {"related": [{"prefect.resource.id": "s", "prefect.resource.role": "o", "label": "x"}]}, {"payload": {"a": "hay, nädel"}},
    ]  # fmt: skip
    server.post("/events", [an_event(f"event {number}", **one) for number, one in enumerate(said)])
    wanted = {"type": "filter", "filter": {"text": {"query": query}}}
    async with server.connect("/events/out", wanted) as out:
        was = [(await out.receive())["event"]["event"]]
        server.post("/events", [an_event(f"event {number}", **one) for number, one in enumerate(said)])
        assert [(await out.receive())["event"]["event"]] == was
        assert await out.is_silent()
    found = server.post("/events/filter", {"filter": {"text": {"query": query}}})
    assert [one["event"] for one in found["events"]] == was * 2


async def test_one_that_is_slow_misses_nothing(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(feeds, "KEPT", 10)
    async with server.connect("/events/out", {**ALL, "backfill": False}, max_queue=1) as slow:
        assert await slow.is_silent()
        filling = {"filling": "x" * 20_000}  # more than the connection holds
        for start in range(0, 400, 50):
            server.post("/events", [an_event(f"e{n}", payload=filling) for n in range(start, start + 50)])
        got = [(await slow.receive())["event"]["event"] for _ in range(400)]
    assert got == [f"e{number}" for number in range(400)]


async def test_many_subscribers_get_everything(server: Server) -> None:
    async def subscriber() -> list[str]:
        async with server.connect("/events/out", {**ALL, "backfill": False}) as out:
            ready.release()
            return [(await out.receive())["event"]["event"] for _ in range(20)]

    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(subscriber()) for _ in range(30)]
    for _ in tasks:
        await ready.acquire()
    await asyncio.sleep(0.5)  # their filters are on the way
    for start in range(0, 20, 5):
        server.post("/events", [an_event(f"e{number}") for number in range(start, start + 5)])
    assert await asyncio.gather(*tasks) == [[f"e{number}" for number in range(20)]] * 30


async def test_subscribers_of_one_server_see_what_another_received(
    postgresql_url: str, start_server: Callable[..., Server]
) -> None:
    here, there = start_server(postgresql_url), start_server(postgresql_url)
    async with there.connect("/events/out", {**ALL, "backfill": False}) as out, here.connect("/events/in") as into:
        assert await out.is_silent()
        for number in range(100):
            await into.send(an_event(f"e{number}"))
        assert [(await out.receive())["event"]["event"] for _ in range(100)] == [f"e{n}" for n in range(100)]


async def test_logs_are_streamed(server: Server) -> None:
    run = str(new_uuid())

    def line(message: str, **more: Any) -> dict[str, Any]:
        return {"name": "n", "level": 20, "message": message, "timestamp": datetime.now(UTC).isoformat(), **more}

    server.post("/logs/", [line("before", flow_run_id=run), line("of nobody")])
    wanted = {"flow_run_id": {"any_": [run]}, "level": {"ge_": 20}, "text": {"query": "-secret"}}
    async with server.connect("/logs/out", {"type": "filter", "filter": wanted}) as out:
        first = await out.receive()
        assert first["type"] == "log" and first["log"]["message"] == "before"
        server.post("/logs/", [
            line("quiet", flow_run_id=run, level=10), line("a SECRET", flow_run_id=run), line("after", flow_run_id=run)
        ])  # fmt: skip
        assert (await out.receive())["log"]["message"] == "after"


async def test_task_runs_that_events_report_are_there(server: Server) -> None:
    flow = server.post("/flows/", {"name": "f"})
    run = server.post("/flow_runs/", {"flow_id": flow["id"], "state": {"type": "RUNNING"}})
    reports = [report(run["id"], state) for state in ("PENDING", "RUNNING", "COMPLETED")]
    task_run = reports[0]["resource"]["prefect.resource.id"].removeprefix("prefect.task-run.")
    for one in reports:
        one["resource"]["prefect.resource.id"] = reports[0]["resource"]["prefect.resource.id"]
    async with server.connect("/events/in", reports[2], reports[0], reports[1], reports[2]) as into:
        await checkpoint(into)
    found = server.post("/task_runs/filter", {"task_runs": {"id": {"any_": [task_run]}}})[0]
    assert (found["state_type"], found["state_id"], found["run_count"]) == ("COMPLETED", reports[2]["id"], 1)
    assert found["flow_run_id"] == run["id"] and found["tags"] == ["t"]
    assert names(server, event={"prefix": ["prefect.task-run"]}) == [
        "prefect.task-run.Pending", "prefect.task-run.Running", "prefect.task-run.Completed"
    ]  # fmt: skip


async def test_a_report_that_makes_no_sense_is_an_event_like_any_other(server: Server) -> None:
    bad = report(str(new_uuid()), "RUNNING")
    del bad["payload"]["task_run"]["name"]
    nobodys = report(str(new_uuid()), "RUNNING")
    async with server.connect("/events/in", bad, nobodys, an_event("good")) as into:
        await checkpoint(into)
    assert names(server) == ["prefect.task-run.Running", "prefect.task-run.Running", "good"]


def report(flow_run_id: str, state: str) -> dict[str, Any]:
    """An event by which a client reports a state of a task run."""
    name = state.capitalize()
    return an_event(
        f"prefect.task-run.{name}",
        resource=f"prefect.task-run.{new_uuid()}",
        related=[{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"}],
        payload={
            "intended": {"from": None, "to": state}, "initial_state": None,
            "validated_state": {"type": state, "name": name, "message": "", "state_details": {}, "data": None},
            "task_run": {
                "name": "t-0", "task_key": "t", "dynamic_key": "0", "empirical_policy": {}, "tags": ["t"],
                "task_inputs": {"x": []}, "run_count": 0 if state == "PENDING" else 1, "flow_run_run_count": 1,
                "total_run_time": 0.0, "something new": 1,
            },
        },
    ) | {
        "resource": {"prefect.resource.id": f"prefect.task-run.{new_uuid()}", "prefect.orchestration": "client"}
    }  # fmt: skip


async def test_a_flood_is_taken_in_at_the_pace_of_the_database(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(incoming, "_WAITING_CHARACTERS", 50_000)
    filling = {"filling": "x" * 20_000}
    async with server.connect("/events/in") as into:
        for number in range(100):
            await into.send(an_event(f"e{number}", payload=filling))
        await checkpoint(into)
    assert names(server) == [f"e{number}" for number in range(100)]
