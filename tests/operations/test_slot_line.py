"""Waiting for slots: in line, told when it is one's turn, also through two servers on one database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import concurrency_limits_v2 as v2
from prefect._operations import slot_line, slots
from prefect._operations.errors import Locked
from prefect._operations.registry import NotYet
from prefect._schemas.actions.concurrency import ConcurrencyLimitV2Create, ConcurrencyLimitV2Update
from prefect._services import repossessor
from prefect._store.announcements import collected
from prefect._store.tables import concurrency_waiter
from prefect.server.api.server import create_app
from prefect.server.database import Database
from prefect.settings import get_current_settings

from .test_claims_together import replicas as replicas


def make(tx: sa.Connection, name: str = "a", limit: int = 1, **fields: Any) -> None:
    v2.create_concurrency_limit_v2(tx, ConcurrencyLimitV2Create(name=name, limit=limit, **fields))


def ask(tx: sa.Connection, who: UUID | None, *names: str, count: int = 1, wait: float = 30) -> UUID | NotYet:
    """The lease of the slots, or what to wait for."""
    body = v2.LeasedSlotRequest(names=list(names) or ["a"], slots=count, wait_seconds=wait, waiter_id=who)
    answer = v2.bulk_increment_active_slots_with_lease(tx, body)
    return answer if isinstance(answer, NotYet) else answer.lease_id


def end(tx: sa.Connection, lease: UUID | NotYet) -> set[str]:
    """Give slots back; returns who is told."""
    assert isinstance(lease, UUID)
    collected(tx)
    slots.end_lease(tx, lease)
    return {topic for topic in collected(tx) if topic.startswith("concurrency:")}


def test_the_first_in_line_is_told_and_goes_first(both: sa.Connection) -> None:
    make(both)
    one, two = new_uuid(), new_uuid()
    held = ask(both, None)
    waits = ask(both, one)
    assert isinstance(waits, NotYet)
    assert waits.topics == (slot_line.topic(one),)
    assert isinstance(ask(both, two), NotYet)
    assert end(both, held) == {slot_line.topic(one)}
    assert isinstance(ask(both, two), NotYet)
    with pytest.raises(Locked, match="Others wait"):
        ask(both, None, wait=0)
    got = ask(both, one)
    assert isinstance(got, UUID)
    assert end(both, got) == {slot_line.topic(two)}
    assert isinstance(ask(both, two), UUID)
    assert both.execute(sa.select(concurrency_waiter)).all() == []


def test_all_who_have_room_are_told(both: sa.Connection) -> None:
    make(both, limit=3)
    held = ask(both, None, count=3)
    waiters = [new_uuid() for _ in range(4)]
    for who in waiters:
        ask(both, who)
    assert end(both, held) == {slot_line.topic(who) for who in waiters[:3]}


def test_who_goes_away_leaves_the_line(both: sa.Connection) -> None:
    make(both)
    held, gone, two = ask(both, None), new_uuid(), new_uuid()
    left = ask(both, gone)
    ask(both, two)
    assert end(both, held) == {slot_line.topic(gone)}
    assert isinstance(left, NotYet)
    assert left.abandon is not None
    collected(both)
    left.abandon(both)
    assert collected(both) == {slot_line.topic(two)}


def test_who_stops_waiting_leaves_the_line(both: sa.Connection) -> None:
    make(both)
    held, who = ask(both, None), new_uuid()
    ask(both, who)
    with pytest.raises(Locked):
        ask(both, who, wait=0)
    assert both.execute(sa.select(concurrency_waiter)).all() == []
    assert end(both, held) == set()


def test_a_place_is_kept_for_a_while(both: sa.Connection) -> None:
    make(both)
    held, gone, two = ask(both, None), new_uuid(), new_uuid()
    ask(both, gone)
    ask(both, two)
    end(both, held)
    assert isinstance(ask(both, two), NotYet)
    both.execute(sa.update(concurrency_waiter).where(concurrency_waiter.c.waiter_id == gone).values(expires=now()))
    assert isinstance(ask(both, two), UUID)


def test_more_slots_are_told_of(both: sa.Connection) -> None:
    make(both)
    held, who = ask(both, None), new_uuid()
    assert isinstance(held, UUID)
    ask(both, who)
    collected(both)
    v2.update_concurrency_limit_v2(both, "a", ConcurrencyLimitV2Update(limit=2))
    assert slot_line.topic(who) in collected(both)


def test_a_rate_says_when_to_ask_again(both: sa.Connection) -> None:
    make(both, limit=1, slot_decay_per_second=0.5)
    body = v2.SlotRequest(names=["a"], slots=1, mode="rate_limit", wait_seconds=30)
    assert not isinstance(v2.bulk_increment_active_slots(both, body), NotYet)
    answer = v2.bulk_increment_active_slots(both, body)
    assert isinstance(answer, NotYet)
    assert answer.until is not None
    assert 0 < (answer.until - now()).total_seconds() < 2.1
    with pytest.raises(Locked):
        answer.final()


def test_the_dead_are_forgotten_by_the_service(replicas: list[Database]) -> None:
    database = replicas[0]
    database.write(make)
    database.write(lambda tx: ask(tx, None))
    gone, two = new_uuid(), new_uuid()
    for who in (gone, two):
        database.write(lambda tx, who=who: ask(tx, who))
    ended = concurrency_waiter.c.waiter_id == gone
    database.write(lambda tx: tx.execute(sa.update(concurrency_waiter).where(ended).values(expires=now())))
    repossessor.run_once(database, now())
    left = database.read(lambda tx: tx.execute(sa.select(concurrency_waiter.c.waiter_id)).scalars().all())
    assert left == [two]


def test_many_wait_on_two_servers_and_nobody_for_long(replicas: list[Database]) -> None:
    """A hundred holders of a limit of three: never more at once, and each release lets the next one go."""
    limit, count = 3, 100
    replicas[0].write(lambda tx: make(tx, limit=limit))
    url = replicas[0].url.render_as_string(False) if hasattr(replicas[0], "url") else f"sqlite:///{replicas[0].path}"  # type: ignore[attr-defined]
    settings = get_current_settings().copy_with_update({"PREFECT_SERVER_DATABASE_CONNECTION_URL": url})
    lock = threading.Lock()
    holding = most = 0

    def hold(client: TestClient) -> None:
        nonlocal holding, most
        body = {"names": ["a"], "slots": 1, "wait_seconds": 40}
        response = client.post("/api/v2/concurrency_limits/increment-with-lease", json=body)
        assert response.status_code == 200, response.text
        with lock:
            holding += 1
            most = max(most, holding)
        with lock:
            holding -= 1
        body = {"lease_id": response.json()["lease_id"]}
        assert client.post("/api/v2/concurrency_limits/decrement-with-lease", json=body).status_code == 204

    with (
        TestClient(create_app(settings)) as one,
        TestClient(create_app(settings)) as two,
        ThreadPoolExecutor(12) as pool,
    ):
        list(pool.map(hold, [one, two] * (count // 2), timeout=100))
    assert 1 <= most <= limit
    assert replicas[0].read(lambda tx: tx.execute(sa.select(concurrency_waiter)).all()) == []
