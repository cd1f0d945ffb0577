"""Requests that wait for something to happen: on a server, and on the local database."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request as StarletteRequest
from starlette.types import Message

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations.registry import LONGEST_WAIT, NotYet, waiting_seconds
from prefect._schemas.leases import LeaseHolder
from prefect._store.announcements import Bus
from prefect._transport.embedded import AsyncEmbeddedTransport, EmbeddedTransport
from prefect._transport.port import Request
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPool
from prefect.server.api.waiting import Waits
from prefect.states import Scheduled

from .conftest import Api

HOLDER = {"kind": "worker", "id": str(new_uuid()), "name": "w"}


def schedule(api: Api, seconds: float = -1) -> str:
    """A run in the pool `p`; returns its id."""
    flow = api("POST", "/flows/", {"name": "f"})["id"]
    api.client.post("/api/work_pools/", json={"name": "p", "type": "process"})
    due = (now() + timedelta(seconds=seconds)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    return api("POST", "/flow_runs/", {"flow_id": flow, "state": state, "work_pool_name": "p"})["id"]


def claim(api: Api, wait: float, **more: Any) -> list[str]:
    body = {"holder": HOLDER, "work_pool_name": "p", "wait_seconds": wait, **more}
    return [one["flow_run"]["id"] for one in api("POST", "/flow_runs/claim", body)]


def test_who_waits_is_answered_when_a_run_is_due(api: Api) -> None:
    schedule(api, 3600)
    with ThreadPoolExecutor(4) as pool:
        claims = [pool.submit(claim, api, 30) for _ in range(3)]
        runs = [schedule(api) for _ in range(3)]
        began = time.monotonic()
        assert sorted(run for one in claims for run in one.result(timeout=20)) == sorted(runs)
        assert time.monotonic() - began < 15  # long before it would have been over


def test_who_waits_is_answered_at_the_time_a_run_is_due(api: Api) -> None:
    run = schedule(api, 1)
    assert claim(api, 0) == []
    assert claim(api, 30) == [run]


def test_nobody_waits_for_longer_than_he_says(api: Api) -> None:
    schedule(api, 3600)
    assert claim(api, 0.2) == []
    assert waiting_seconds({"wait_seconds": 1e9}) == LONGEST_WAIT
    assert waiting_seconds({"wait_seconds": -1}) == waiting_seconds({}) == 0


def test_those_who_wait_for_the_same_look_for_each_other() -> None:
    """One thing for twenty: who comes first has it, the next one finds nothing, and the others need not look."""
    bus, looks, things = Bus(), 0, 0

    async def look(last: NotYet) -> str | NotYet:
        nonlocal looks, things
        looks += 1
        await asyncio.sleep(0)
        if things:
            things -= 1
            return "thing"
        return last

    async def main() -> list[str | NotYet]:
        nonlocal looks, things

        async def receive() -> Message:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        waits = Waits(bus)
        nothing = NotYet(None, ("a",), turn="same")
        request = StarletteRequest({"type": "http"}, receive)
        waiting = [asyncio.ensure_future(waits.wait(request, nothing, 60, look)) for _ in range(20)]
        await asyncio.sleep(0.05)
        looks, things = 0, 1
        bus.publish(["a"])
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        await asyncio.sleep(0.05)
        waits.end()
        return await asyncio.gather(*waiting)

    answers = asyncio.run(main())
    assert [answer for answer in answers if isinstance(answer, str)] == ["thing"]
    assert looks < 20 + 5  # twenty of them at the end


def test_a_server_that_ends_keeps_nobody_waiting(api: Api) -> None:
    schedule(api, 3600)
    waits: Any = api.client.app.state.waits  # type: ignore[attr-defined]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claim, api, 40)
        end = time.monotonic() + 20
        while not waits._events and time.monotonic() < end:
            time.sleep(0.01)
        api.client.portal.call(waits.end)  # type: ignore[union-attr]
        assert waiting.result(timeout=20) == []


@pytest.mark.parametrize("body", [b'{"name": "\\ud800"}', b'{"name": NaN}', b'{"name": ["\\udfff"]}'])
def test_what_is_no_text_is_refused_and_quoted(api: Api, body: bytes) -> None:
    response = api.client.post("/api/flows/", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["exception_message"] == "Invalid request received."


# -- on the local database ------------------------------------------------------------------------------------------


@pytest.fixture
def pool(home: Path) -> WorkPool:
    with get_client(sync_client=True) as client:
        return client.create_work_pool(WorkPoolCreate(name="p", type="process"))


def local_run(seconds: float = -1) -> Any:
    from prefect import flow

    @flow
    def f() -> None: ...

    with get_client(sync_client=True) as client:
        state = Scheduled(scheduled_time=now() + timedelta(seconds=seconds))
        return client.create_flow_run(f, state=state, work_pool_name="p").id


def local_claim(wait: float) -> list[Any]:
    with get_client(sync_client=True) as client:
        found = client.claim_flow_runs(LeaseHolder.model_validate(HOLDER), work_pool_name="p", wait_seconds=wait)
        return [one.flow_run.id for one in found]


def test_the_local_database_is_waited_for_too(pool: WorkPool) -> None:
    local_run(3600)
    assert local_claim(0.2) == []
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(contextvars.copy_context().run, local_claim, 30)
        run = local_run()
        assert waiting.result(timeout=20) == [run]
    soon = local_run(1)
    assert local_claim(30) == [soon]


REQUEST = Request(
    "POST", "/flow_runs/claim",
    content=b'{"holder": {"kind": "worker", "id": "%s"}, "work_pool_name": "p", "wait_seconds": 40}'
    % HOLDER["id"].encode(),
)  # fmt: skip


def test_closing_a_client_ends_its_waiting(pool: WorkPool) -> None:
    transport = EmbeddedTransport()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(contextvars.copy_context().run, transport.send, REQUEST)
        end = time.monotonic() + 20
        while not transport._waiting and time.monotonic() < end:
            time.sleep(0.01)
        transport.close()
        assert waiting.result(timeout=20).content == b"[]"
    transport.close()


def test_a_cancelled_request_keeps_no_thread(pool: WorkPool) -> None:
    async def main() -> None:
        transport = AsyncEmbeddedTransport()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.send(REQUEST), 0.5)
        await transport.close()

    threads = threading.active_count()
    began = time.monotonic()
    asyncio.run(main())  # waits for its threads
    assert time.monotonic() - began < 20
    assert threading.active_count() <= threads
