"""Three servers on one PostgreSQL, all services on: one after the other is killed while many write and many follow.

What was acknowledged is there, once; a schedule's instants have one run each; and whoever follows the events or the logs
is told of each one once, whichever server it was written to and whichever has gone since.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from prefect._ids import new_uuid
from served.servers import DEADLINE_SECONDS, Server, until
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

pytestmark = [pytest.mark.faults, pytest.mark.soak, pytest.mark.timeout(600)]

REPLICAS = 3
SOAK_SECONDS = 180.0
INTERVAL = timedelta(seconds=2)


class Spread:
    """Sends requests to servers in turn; one that fails is sent again to the next one, as it was."""

    def __init__(self, servers: list[Server]) -> None:
        self._turn = itertools.cycle(servers)
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=DEADLINE_SECONDS)

    def send(self, path: str, body: Any) -> Any:
        """The answer that some server gave."""
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            with self._lock:
                server = next(self._turn)
            try:
                answer = self._client.post(f"{server.url}{path}", json=body)
            except httpx.TransportError:
                assert time.monotonic() < end, "no server answers"
                continue
            if answer.status_code == 503 and "Retry-After" in answer.headers:
                assert time.monotonic() < end, answer.text
                continue
            assert answer.is_success, f"{path}: {answer.status_code} {answer.text[:300]}"
            return answer.json() if answer.content else None


def an_event(name: str) -> dict[str, Any]:
    resource = {"prefect.resource.id": "load.test"}
    return {
        "id": str(new_uuid()), "event": name, "occurred": datetime.now(UTC).isoformat(), "resource": resource,
        "related": [], "payload": {},
    }  # fmt: skip


def a_line(message: str) -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat()
    return {"id": str(new_uuid()), "name": "load", "level": 20, "message": message, "timestamp": moment}


class Writer(threading.Thread):
    """Writes events, lines and flow runs, and keeps the ids of those that were acknowledged."""

    def __init__(self, spread: Spread, flow_id: str, ended: threading.Event) -> None:
        super().__init__()
        self.acknowledged: dict[str, list[str]] = {"event": [], "log": [], "run": []}
        self.failure: BaseException | None = None
        self._spread, self._flow_id, self._ended = spread, flow_id, ended

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                self._write()
        except BaseException as failure:
            self.failure = failure

    def _write(self) -> None:
        events = [an_event("load.written") for _ in range(3)]
        self._spread.send("/events", events)
        self.acknowledged["event"] += [event["id"] for event in events]
        lines = [a_line("written") for _ in range(3)]
        self._spread.send("/logs/", lines)
        self.acknowledged["log"] += [line["id"] for line in lines]
        request = {"flow_id": self._flow_id, "idempotency_key": str(new_uuid()), "state": {"type": "PENDING"}}
        run = self._spread.send("/flow_runs/", request)
        self.acknowledged["run"].append(run["id"])


class Subscriber(threading.Thread):
    """Follows a stream on one server, and on the next one when that is gone, from where it was.

    Args:
        kind: "event" or "log".
        servers: those there are; it begins with the first.
        ended: says when it is over.
    """

    def __init__(self, kind: str, servers: list[Server], ended: threading.Event) -> None:
        super().__init__()
        self.kind = kind
        self.seen: list[str] = []
        self.names: set[str] = set()
        self.followed: list[Server] = []
        self._servers = itertools.cycle(servers)
        self._ended = ended
        self._place: str | None = None

    def run(self) -> None:
        while not self._ended.is_set():
            server = next(self._servers)
            try:
                self._follow(server)
            except (OSError, WebSocketException):
                continue  # it is gone, or going

    def _follow(self, server: Server) -> None:
        address = f"ws://127.0.0.1:{server.port}/api/{self.kind}s/out"
        with connect(address, subprotocols=["prefect"], open_timeout=DEADLINE_SECONDS) as socket:  # type: ignore[list-item]
            socket.send(json.dumps({"type": "auth", "token": None}))
            assert json.loads(socket.recv())["type"] == "auth_success"
            request = {"type": "filter", "filter": {}, "backfill": False, "after": self._place}
            socket.send(json.dumps(request))
            self.followed.append(server)
            while not self._ended.is_set():
                try:
                    message = json.loads(socket.recv(timeout=0.2))
                except TimeoutError:
                    continue
                self._place = message["place"]
                self._keep(message[self.kind])

    def _keep(self, told: dict[str, Any]) -> None:
        name = told["event"] if self.kind == "event" else told["message"]
        if name == ("load.written" if self.kind == "event" else "written"):
            self.seen.append(told["id"])
        self.names.add(name)


class Crowd:
    """Writers and subscribers, two of each server's for each stream."""

    def __init__(self, servers: list[Server], spread: Spread, flow_id: str) -> None:
        self._spread = spread
        self._stop_writing, self._stop_following = threading.Event(), threading.Event()
        self.writers = [Writer(spread, flow_id, self._stop_writing) for _ in range(4)]
        self.subscribers = [
            Subscriber(kind, servers[first:] + servers[:first], self._stop_following)
            for kind in ("event", "log")
            for first in range(len(servers))
        ]

    def __enter__(self) -> Crowd:
        for subscriber in self.subscribers:
            subscriber.start()
        until(lambda: self._all_are_told("begin"), "the subscriptions")
        for writer in self.writers:
            writer.start()
        return self

    def _all_are_told(self, name: str) -> bool:
        """Write something of each kind, and look whether everybody has heard of one such."""
        self._spread.send("/events", [an_event(name)])
        self._spread.send("/logs/", [a_line(name)])
        return all(name in subscriber.names for subscriber in self.subscribers)

    def __exit__(self, *exc_info: object) -> None:
        self._stop_writing.set()
        for writer in self.writers:
            if writer.ident is not None:
                writer.join(DEADLINE_SECONDS)
        try:
            if exc_info[0] is None:
                until(self._all_have_seen_all, "the news of everything that was written")
                until(lambda: self._all_are_told("end"), "the news of what comes last")
        finally:
            self._stop_following.set()
            for subscriber in self.subscribers:
                subscriber.join(DEADLINE_SECONDS)

    def _all_have_seen_all(self) -> bool:
        return all(set(self.written(one.kind)) <= set(one.seen) for one in self.subscribers)

    def written(self, kind: str) -> list[str]:
        return [id for writer in self.writers for id in writer.acknowledged[kind]]

    def goes_on(self, more: int) -> None:
        """Until each writer has had so many more runs acknowledged."""
        ends = [len(writer.acknowledged["run"]) + more for writer in self.writers]

        def enough() -> bool:
            for writer in self.writers:
                if writer.failure is not None:
                    raise writer.failure
            return all(len(writer.acknowledged["run"]) >= end for writer, end in zip(self.writers, ends, strict=True))

        until(enough, "the acknowledgement of what is written")


@pytest.fixture
def servers(tmp_path: Path, postgresql: PostgreSQL) -> Iterator[list[Server]]:
    url = postgresql.database("replicas")
    made = [
        Server(
            tmp_path / str(number), PREFECT_SERVER_DATABASE_CONNECTION_URL=url,
            PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME="4", PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS="4",
        )
        for number in range(REPLICAS)
    ]  # fmt: skip
    try:
        yield [server.start() for server in made]
    finally:
        for server in made:
            server.stop()


def schedule(server: Server) -> str:
    """A deployment that is due every few seconds; nobody works for it."""
    flow = server.ask("POST", "/flows/", {"name": "scheduled"})
    schedules = [{"schedule": {"interval": INTERVAL.total_seconds()}, "active": True}]
    return server.ask("POST", "/deployments/", {"name": "often", "flow_id": flow["id"], "schedules": schedules})["id"]


def instants(server: Server, deployment_id: str) -> list[datetime]:
    wanted = {"deployments": {"id": {"any_": [deployment_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
    found = server._pages("/flow_runs/filter", wanted)
    return [datetime.fromisoformat(run["expected_start_time"]) for run in found]


def test_replicas_are_killed_while_many_write_and_follow(servers: list[Server], soak: bool) -> None:
    deployment_id = schedule(servers[0])
    flow_id = servers[0].ask("POST", "/flows/", {"name": "load"})["id"]
    began = time.monotonic()
    killed: set[int] = set()
    with Crowd(servers, Spread(servers), flow_id) as crowd:
        while not killed or (soak and time.monotonic() - began < SOAK_SECONDS):
            crowd.goes_on(3)
            victim = random.choice(servers)
            killed.add(victim.port)
            known = len(instants(victim, deployment_id))
            victim.kill()
            crowd.goes_on(3)
            others = [server for server in servers if server is not victim]
            until(lambda other=others[0], known=known: len(instants(other, deployment_id)) > known,
                  "runs that are scheduled by those who are left")  # fmt: skip
            victim.start()
            crowd.goes_on(3)

    for subscriber in crowd.subscribers:
        twice = [id for id, times in Counter(subscriber.seen).items() if times > 1]
        assert not twice, f"{subscriber.kind} {twice} more than once"
        first, *later = (server.port for server in subscriber.followed)
        assert first in killed if later else first not in killed, "it moves on when its server is killed, and only then"
    runs = set(crowd.written("run"))
    assert len(runs) == len(crowd.written("run")), "each was acknowledged once"
    for server in servers:
        found = server._pages("/flow_runs/filter", {"flows": {"id": {"any_": [flow_id]}}, "sort": "ID_DESC"})
        assert {run["id"] for run in found} == runs
    times = instants(servers[0], deployment_id)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap and not gap % INTERVAL for gap in gaps), "an instant of the schedule has one run"
