"""Announcements reach those who wait, after the commit and only then."""

from __future__ import annotations

import threading

import pytest

from prefect._store.announcements import Bus, announce
from prefect.server.database import make_database


def test_a_subscriber_hears_its_topics_and_no_others() -> None:
    bus = Bus()
    with bus.subscribe("events") as events, bus.subscribe() as everything:
        bus.publish(["logs"])
        assert everything.wait(0)
        assert not events.wait(0)
        bus.publish(["events", "logs"])
        assert events.wait(0)
        assert not events.wait(0)  # told once


def test_what_is_announced_while_nobody_looks_is_kept_until_somebody_does() -> None:
    bus = Bus()
    with bus.subscribe("logs") as logs:
        threading.Thread(target=bus.publish, args=(["logs"],)).start()
        assert logs.wait(10)


def test_a_server_tells_after_the_commit_and_not_when_the_work_failed(tmp_path: object) -> None:
    database = make_database("sqlite:///:memory:")
    database.open()
    told: list[str] = []
    with database.bus.subscribe("scheduled", wake=lambda: told.append("now")) as scheduled:

        def failing(tx: object) -> None:
            announce(tx, "scheduled")  # type: ignore[arg-type]
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            database.write(failing)
        database.write(lambda tx: None)
        assert told == []

        def work(tx: object) -> None:
            announce(tx, "scheduled")  # type: ignore[arg-type]
            assert told == []

        database.write(work)
        assert told == ["now"]
        assert scheduled.wait(0)
    database.close()
