"""Services going on: woken, late, failing, ended."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from prefect._services.framework import Database, Round, Service, all_services
from prefect._services.loops import ClockWatch, Loops
from prefect._store.announcements import Bus, announce
from prefect.settings import get_current_settings

from .conftest import NOON, Town

DEADLINE = 20.0


class Nothing:
    """A database that nobody looks into."""

    def __init__(self) -> None:
        self.bus = Bus()

    def read(self, work: Callable[..., Any]) -> Any:
        raise NotImplementedError

    write = read


class Seen:
    """A service that tells when it was called, and answers what it is told to."""

    def __init__(self, *answers: Round | Exception) -> None:
        self.calls: queue.Queue[datetime] = queue.Queue()
        self.answers = list(answers)

    def __call__(self, database: Database, now: datetime) -> Round:
        self.calls.put(now)
        answer = self.answers.pop(0) if self.answers else Round()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self) -> datetime:
        return self.calls.get(timeout=DEADLINE)


@pytest.fixture
def going() -> Iterator[Callable[..., Loops]]:
    started: list[Loops] = []

    def start(service: Service, database: Any = None, **more: Any) -> Loops:
        loops = Loops(database or Nothing(), [service], get_current_settings(), **more)
        started.append(loops)
        loops.start()
        return loops

    yield start
    for loops in started:
        loops.stop()
        assert not any(thread.is_alive() for thread in loops._threads)


def service(seen: Seen, **more: Any) -> Service:
    return Service(name="x", description="", run_once=seen, **{"every": 3600, "rest": 0.0, **more})


def test_what_is_announced_is_looked_at(going: Callable[..., Loops]) -> None:
    seen, database = Seen(), Nothing()
    going(service(seen, topics=("a",)), database)
    seen.wait()
    database.bus.publish(["b"])
    database.bus.publish(["a"])
    seen.wait()
    assert seen.calls.empty()


def test_an_operation_wakes_a_service(going: Callable[..., Loops], town: Town) -> None:
    seen = Seen()
    going(service(seen, topics=("a",)), town.database)
    seen.wait()
    town.database.write(lambda tx: announce(tx, "a"))
    seen.wait()


def test_what_is_due_is_looked_at_in_time(going: Callable[..., Loops]) -> None:
    seen = Seen(Round(next_at=NOON + timedelta(seconds=0.05)), Round(more=True), Round())
    going(service(seen), clock=lambda: NOON)
    for _ in range(3):
        assert seen.wait() == NOON


def test_nothing_is_looked_at_without_a_reason(going: Callable[..., Loops]) -> None:
    seen = Seen()
    loops = going(service(seen))
    seen.wait()
    loops.stop()
    assert seen.calls.empty()


def test_what_fails_is_logged_and_tried_again(
    going: Callable[..., Loops], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prefect._services.loops._LONGEST_BACKOFF", 0.01)
    seen = Seen(ValueError("one"), ValueError("two"), Round())
    caplog.set_level(logging.ERROR, "prefect.server.services")
    going(service(seen))
    for _ in range(3):
        seen.wait()
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["one", "two"]


def test_a_service_begins_once_and_after_each_jump_of_the_clock(going: Callable[..., Loops]) -> None:
    begun: queue.Queue[datetime] = queue.Queue()
    moments = [NOON] * 4 + [NOON + timedelta(hours=1)] * 20
    seen = Seen(Round(more=True), Round(more=True), Round(more=True), Round(more=True))
    clock = iter(moments)
    going(
        service(seen, begin=lambda database, now: begun.put(now)),
        clock=lambda: next(clock, NOON + timedelta(hours=1)),
    )
    for _ in range(5):
        seen.wait()
    assert begun.get(timeout=DEADLINE) == NOON
    assert begun.get(timeout=DEADLINE) == NOON + timedelta(hours=1)
    assert begun.empty()


def test_who_waits_for_a_moment_is_told_of_a_jump(going: Callable[..., Loops]) -> None:
    database, jumped = Nothing(), threading.Event()
    seen = Seen(*[Round(more=True)] * 2)
    with database.bus.subscribe("scheduled") as told:
        going(service(seen, topics=("due",)), database, clock=lambda: NOON + timedelta(hours=jumped.is_set()))
        for _ in range(3):
            seen.wait()
        assert not told.wait(0)
        jumped.set()
        database.bus.publish(["due"])  # so that the service looks
        assert told.wait(DEADLINE)


@pytest.mark.parametrize(
    ("wall", "steady", "jumped"), [(10, 10, False), (13, 10, False), (3600, 10, True), (-60, 1, True)]
)
def test_a_jump_is_time_that_did_not_pass(wall: float, steady: float, jumped: bool) -> None:
    walls, steadies = iter([NOON, NOON + timedelta(seconds=wall)]), iter([100.0, 100.0 + steady])
    watch = ClockWatch(lambda: next(walls), lambda: next(steadies))
    assert watch.look() == (NOON + timedelta(seconds=wall), jumped)


@pytest.mark.parametrize(("passed", "stopped"), [(15, False), (19, False), (75, True)])
def test_who_looks_much_later_than_meant_was_stopped(passed: float, stopped: bool) -> None:
    """As by `docker pause`, or by a host that stops its guests: both clocks go on."""
    time = [0.0]
    watch = ClockWatch(lambda: NOON + timedelta(seconds=time[0]), lambda: time[0])
    watch.rests(15)
    time[0] += passed
    assert watch.look()[1] is stopped
    time[0] += passed  # at work, not at rest
    assert watch.look()[1] is False


def test_settings_say_how_often_a_service_looks() -> None:
    late_runs, actions = (
        next(each for each in all_services() if each.name == name) for name in ("late_runs", "actions")
    )
    settings = get_current_settings()
    assert late_runs.pause(settings) == late_runs.every
    changed = settings.copy_with_update({"PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "2.5"})
    assert late_runs.pause(changed) == 2.5
    assert late_runs.pause(settings.copy_with_update({"PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "0"})) > 0
    assert actions.pause(changed) == actions.every


def test_settings_say_which_services_run() -> None:
    settings = get_current_settings().copy_with_update({
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": False, "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events",
    })  # fmt: skip
    enabled = {one.name: one.enabled(settings) for one in all_services()}
    assert enabled["late_runs"] is False
    assert enabled["db_vacuum"] is enabled["foreman"] is enabled["lease_expiry"] is True


def test_services_get_on_with_a_database(database: Database) -> None:
    """All of them at once, on a database that holds nothing."""
    for one in all_services():
        found = one.run_once(database, NOON)
        assert not found.more, one.name
