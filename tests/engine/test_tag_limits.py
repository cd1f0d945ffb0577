"""Task runs of this process keep to the limits of their tags."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect import flow, tags, task
from prefect._engine import tag_limits
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import ConcurrencySlotAcquisitionError
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.testing._hosting import hosted
from waiting import until


class Room:
    """Counts who is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        with self._lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            with self._lock:
                self.inside -= 1


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    tag_limits._known.clear()
    yield
    tag_limits._known.clear()


@pytest.fixture(params=["embedded", "served"])
def api(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[None]:
    """Each test with it runs on the local database, and on a server."""
    if request.param == "embedded":
        yield
        return
    database = f"sqlite:///{tmp_path}/server.db"
    with (
        hosted({"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}) as url,
        temporary_settings({PREFECT_API_URL: url}),
    ):
        yield


def limit(tag: str, slots: int) -> None:
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag, slots)


def taken(tag: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(f"tag:{tag}").active_slots


def test_as_many_run_as_the_tag_allows(api: None) -> None:
    limit("db", 2)
    room, free = Room(), Room()

    @task(tags=["db"])
    def query(n: int) -> int:
        with room.enter():
            until(lambda: room.most >= 2)  # the first waits for company
            time.sleep(0.02)  # so that others could come in
            return n

    @task
    def compute(n: int) -> int:
        with free.enter():
            return n

    @flow
    def main() -> list[int]:
        return query.map(range(8)).result() + compute.map(range(3)).result()

    assert main() == [*range(8), *range(3)]
    assert (room.most, room.entered, free.entered) == (2, 8, 3)
    assert taken("db") == 0


def test_asynchronous_tasks_too(api: None) -> None:
    limit("db", 1)
    room = Room()

    @task(tags=["db"])
    async def query() -> None:
        with room.enter():
            await asyncio.sleep(0.01)

    @flow
    async def main() -> None:
        await asyncio.gather(*(query() for _ in range(4)))

    asyncio.run(main())
    assert (room.most, room.entered) == (1, 4)
    assert taken("db") == 0


def test_slots_are_given_back_by_those_who_fail_and_between_tries(home: Path) -> None:
    limit("db", 1)
    held: list[int] = []

    @task(tags=["db"], retries=1, retry_delay_seconds=0.05)
    def fails() -> None:
        held.append(taken("db"))
        raise ValueError

    @flow
    def main() -> None:
        fails()

    with pytest.raises(ValueError):
        main()
    assert held == [1, 1]
    assert taken("db") == 0


def test_a_generator_holds_its_slot_while_it_goes_on(home: Path) -> None:
    limit("db", 1)

    @task(tags=["db"])
    def pieces() -> Iterator[int]:
        yield taken("db")
        yield taken("db")

    @flow
    def main() -> list[int]:
        first = next(pieces())  # and no further
        return [first, *pieces()]

    assert main() == [1, 1, 1]
    assert taken("db") == 0


def test_a_task_does_not_wait_for_itself(home: Path) -> None:
    limit("db", 1)

    @task
    def inner() -> int:
        return taken("db")

    @task
    def outer() -> int:
        return inner()

    @flow
    def main() -> int:
        with tags("db"):
            return outer()

    assert main() == 1


def test_a_limit_of_nothing_fails_the_task(home: Path) -> None:
    limit("never", 0)

    @task(tags=["never"])
    def query() -> None:
        raise AssertionError("it must not run")

    @flow
    def main() -> None:
        query()

    with pytest.raises(ConcurrencySlotAcquisitionError, match="never"):
        main()
