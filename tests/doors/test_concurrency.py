"""Slots of concurrency limits, on the local database and on a server, from synchronous and asynchronous code."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from prefect import flow, get_client, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency import asyncio as asynchronous
from prefect.concurrency import holding as _holding
from prefect.concurrency import slots as _slots
from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from prefect.concurrency.context import ConcurrencyContext
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.concurrency.v1 import asyncio as v1_asynchronous
from prefect.concurrency.v1.context import ConcurrencyContext as V1ConcurrencyContext
from prefect.concurrency.v1.sync import concurrency as v1_concurrency
from prefect.events.filters import EventFilter, EventNameFilter
from waiting import until

DEADLINE = 30


def make(limit: int = 1, decay: float = 0.0) -> str:
    name = f"limit-{uuid4().hex}"
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=name, limit=limit, slot_decay_per_second=decay)
        )
    return name


def taken(name: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(name).active_slots


@pytest.mark.usefixtures("api")
def test_slots_are_held_while_the_block_lasts() -> None:
    one, two = make(), make(3)
    with concurrency([one, two, one]):
        assert (taken(one), taken(two)) == (1, 1)
        with concurrency(two, occupy=2):
            assert taken(two) == 3
    assert (taken(one), taken(two)) == (0, 0)


@pytest.mark.usefixtures("api")
def test_slots_come_back_when_the_block_fails() -> None:
    name = make()
    with pytest.raises(KeyError), concurrency(name):
        raise KeyError
    assert taken(name) == 0


@pytest.mark.usefixtures("api")
def test_who_waits_goes_on_when_a_slot_comes_free() -> None:
    name = make()
    order: list[str] = []
    holding, release = threading.Event(), threading.Event()

    def holder() -> None:
        with concurrency(name):
            holding.set()
            release.wait(DEADLINE)
            order.append("first")

    thread = threading.Thread(target=in_context(holder))
    thread.start()
    assert holding.wait(DEADLINE)
    threading.Timer(0.2, release.set).start()
    with concurrency(name, timeout_seconds=DEADLINE):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def in_context(fn: Callable[[], Any]) -> Callable[[], Any]:
    context = contextvars.copy_context()
    return lambda: context.run(fn)


@pytest.mark.usefixtures("api")
def test_never_more_than_the_limit_at_once() -> None:
    name = make(2)
    now, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal now, most
        with concurrency(name):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)  # the work
            with lock:
                now -= 1

    threads = [threading.Thread(target=in_context(work)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert most <= 2 and taken(name) == 0


@pytest.mark.usefixtures("api")
def test_what_cannot_be_had() -> None:
    name = make()
    with concurrency(name):
        with (
            pytest.raises(AcquireConcurrencySlotTimeoutError, match="timed out"),
            concurrency(name, timeout_seconds=0.3),
        ):
            pass
        with pytest.raises(ConcurrencySlotAcquisitionError, match="423"), concurrency(name, max_retries=0):
            pass
    with pytest.raises(ConcurrencySlotAcquisitionError, match="greater than the limit"), concurrency(name, occupy=2):
        pass
    with pytest.raises(ConcurrencySlotAcquisitionError, match="must be created"), concurrency("none", strict=True):
        pass
    with pytest.raises(ConcurrencySlotAcquisitionError, match="decay"):
        rate_limit(name)


@pytest.mark.usefixtures("api")
def test_names_without_a_limit_are_not_limited() -> None:
    with concurrency([]), concurrency("none"):
        rate_limit("none")


@pytest.mark.usefixtures("api")
def test_a_rate() -> None:
    name = make(2, decay=20.0)
    began = time.monotonic()
    for _ in range(6):
        rate_limit(name, timeout_seconds=DEADLINE)
    assert time.monotonic() - began >= 0.15  # four of them waited for a slot each
    slow = make(2, decay=0.001)
    rate_limit(slow, occupy=2)
    with pytest.raises(AcquireConcurrencySlotTimeoutError):
        rate_limit(slow, timeout_seconds=0.01)


@pytest.mark.usefixtures("api")
async def test_from_asynchronous_code() -> None:
    name, rate = make(), make(2, decay=20.0)
    now, most = 0, 0

    async def work() -> None:
        nonlocal now, most
        async with asynchronous.concurrency(name):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
        await asynchronous.rate_limit(rate)

    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(4))), DEADLINE)
    assert most == 1
    async with asynchronous.concurrency(name):
        with pytest.raises(AcquireConcurrencySlotTimeoutError):
            async with asynchronous.concurrency(name, timeout_seconds=0.2):
                pass


@pytest.mark.usefixtures("api")
async def test_slots_of_a_cancelled_task_come_back() -> None:
    name = make()
    holding = asyncio.Event()

    async def work() -> None:
        async with asynchronous.concurrency(name):
            holding.set()
            await asyncio.sleep(DEADLINE)

    running = asyncio.create_task(work())
    await holding.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(taken, name) == 0


@pytest.mark.usefixtures("runs")
def test_the_current_run_holds_the_slots_and_events_tell_of_them() -> None:
    name = make()

    @task
    def work() -> Any:
        with concurrency(name):
            return _slots.holder_of_current_run()

    @flow
    def outer() -> Any:
        return work(), _slots.holder_of_current_run()

    in_task, in_flow = outer()
    assert (in_task.type, in_flow.type) == ("task_run", "flow_run")
    assert isinstance(in_task, ConcurrencyLeaseHolder)
    with get_client(sync_client=True) as client:
        wanted = EventFilter(
            event=EventNameFilter(name=[f"prefect.concurrency-limit.{what}" for what in ("acquired", "released")])
        )
        page = client.read_events(wanted, limit=50)
    found = [event for event in page.events if event.resource.get("prefect.resource.name") == name]
    released, acquired = found
    assert (acquired.event, released.event) == (
        "prefect.concurrency-limit.acquired",
        "prefect.concurrency-limit.released",
    )
    assert released.follows == acquired.id
    assert (acquired.resource["slots-acquired"], acquired.resource["limit"]) == ("1", "1")
    assert {"flow-run", "task-run", "flow"} <= {related.role for related in acquired.related}


class Lease:
    """Slots under a lease of a tenth of a second, which no API would grant."""

    def __init__(self, name: str) -> None:
        wish = _slots.Wish([name], lease_duration=0.1)
        self.taken = _slots.Taken(wish, [], lease_id=uuid4())


@pytest.mark.usefixtures("api")
def test_a_lease_is_renewed() -> None:
    name = make()
    with get_client(sync_client=True) as client:
        answer = client.request_concurrency_slots([name], 1, "concurrency", 60)
        taken_slots = _slots.Taken(_slots.Wish([name], lease_duration=60), answer.limits, answer.lease_id)
        keeper = _holding.Keeper()
        keeper.keep(taken_slots, lambda exc: None)
        held = keeper._held[answer.lease_id]  # type: ignore[index]
        before = held.ends
        with keeper._changed:
            held.due = 0
            keeper._changed.notify()
        until(lambda: held.ends > before)
        assert keeper.forget(taken_slots)
        client.release_concurrency_slots_with_lease(lease_id=answer.lease_id)


@pytest.mark.usefixtures("api")
def test_a_lost_lease_is_told() -> None:
    lost = threading.Event()
    keeper = _holding.Keeper()
    keeper.keep(Lease(make()).taken, lambda exc: lost.set())
    assert lost.wait(DEADLINE)


@pytest.mark.usefixtures("api")
def test_a_lost_lease_ends_the_block_when_asked_to() -> None:
    name = make()
    lost = pytest.raises(ConcurrencySlotAcquisitionError, match="could not be renewed")
    with lost, concurrency(name, raise_on_lease_renewal_failure=True):
        lose_all_leases(name)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.mark.usefixtures("api")
async def test_a_lost_lease_ends_the_asynchronous_block_when_asked_to() -> None:
    name = make()
    with pytest.raises(ConcurrencySlotAcquisitionError, match="could not be renewed"):
        async with asynchronous.concurrency(name, raise_on_lease_renewal_failure=True):
            await asyncio.to_thread(lose_all_leases, name)
            await asyncio.sleep(DEADLINE)


def lose_all_leases(name: str) -> None:
    """End the leases on slots of a limit behind the back of those who hold them, and let them be renewed now."""
    keeper = _holding.keeper
    with keeper._changed:
        held = [one for one in keeper._held.values() if one.taken.wish.names == [name]]
    with get_client(sync_client=True) as client:
        for one in held:
            client.release_concurrency_slots_with_lease(lease_id=one.taken.lease_id)
    with keeper._changed:
        for one in held:
            one.due = 0
        keeper._changed.notify()


def test_a_program_gives_back_what_it_holds_when_it_ends(run_script: Callable[..., Any]) -> None:
    source = """
        from prefect import get_client
        from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
        from prefect.concurrency.sync import concurrency
        with get_client(sync_client=True) as client:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="one", limit=1))
        block = concurrency("one")
        block.__enter__()
        block.gen.gi_frame  # the block is never left
        import threading
        threading.Thread(target=lambda b=block: __import__("time").sleep(3600), daemon=True).start()
        globals()["kept_alive"] = block
    """
    run_script(source).ok()
    assert run_script(
        """
        from prefect import get_client
        with get_client(sync_client=True) as client:
            print(client.read_global_concurrency_limit_by_name("one").active_slots)
        """
    ).ok().stdout.split() == ["0"]


@pytest.mark.usefixtures("api")
def test_slots_of_tags() -> None:
    tag = f"tag-{uuid4().hex}"
    with v1_concurrency(tag, uuid4()), v1_concurrency([], uuid4()):
        pass
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag, 1)
        with v1_concurrency(tag, holder := uuid4()):
            assert client.read_concurrency_limit_by_tag(tag).active_slots == [holder]
            with pytest.raises(AcquireConcurrencySlotTimeoutError), v1_concurrency([tag], uuid4(), timeout_seconds=0.2):
                pass
        assert client.read_concurrency_limit_by_tag(tag).active_slots == []


@pytest.mark.usefixtures("api")
async def test_slots_of_tags_from_asynchronous_code() -> None:
    tag = f"tag-{uuid4().hex}"
    async with get_client() as client:
        await client.create_concurrency_limit(tag, 1)
        async with v1_asynchronous.concurrency(tag, holder := uuid4()):
            assert (await client.read_concurrency_limit_by_tag(tag)).active_slots == [holder]
        assert (await client.read_concurrency_limit_by_tag(tag)).active_slots == []


@pytest.mark.usefixtures("api")
def test_who_waits_longest_is_first() -> None:
    name = make()
    with get_client(sync_client=True) as client:

        def ask(waiter_id: UUID) -> Any:
            return client.request_concurrency_slots([name], 1, "concurrency", 60, None, 0.01, waiter_id)

        first, second = uuid4(), uuid4()
        with concurrency(name):
            assert ask(first).retry_after is not None and ask(second).retry_after is not None
        assert ask(second).retry_after is not None
        taken_slots = ask(first)
        assert taken_slots.retry_after is None
        client.release_concurrency_slots_with_lease(lease_id=taken_slots.lease_id)
        assert ask(second).retry_after is None


@pytest.mark.usefixtures("api")
def test_what_could_not_be_given_back_is_given_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    name, tag = make(), f"tag-{uuid4().hex}"
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag, 1)
    with ConcurrencyContext() as context, V1ConcurrencyContext() as v1_context:
        with monkeypatch.context() as broken:

            def fails(*args: Any, **kwargs: Any) -> None:
                raise ConnectionError("the server is away")

            with concurrency(name), v1_concurrency(tag, uuid4()):
                broken.setattr(SyncPrefectClient, "release_concurrency_slots_with_lease", fails)
                broken.setattr(SyncPrefectClient, "decrement_v1_concurrency_slots", fails)
        assert taken(name) == 1 and len(context.cleanup_lease_ids) == 1 and len(v1_context.cleanup_slots) == 1
    assert taken(name) == 0
    with get_client(sync_client=True) as client:
        assert client.read_concurrency_limit_by_tag(tag).active_slots == []
