"""`prefect deployment`: finding, running, scheduling and deleting deployments."""

from __future__ import annotations

import io
import threading
import time
from datetime import datetime, timedelta

import pytest

from prefect._clock import now
from prefect.client.orchestration import get_client

from .conftest import DEADLINE_SECONDS, Cli, Make

NO_ONE = "01900000-0000-7000-8000-000000000000"


def test_a_deployment_is_found_by_name_id_and_their_beginnings(cli: Cli, deployed: Make) -> None:
    nightly, hourly = deployed("etl", "nightly"), deployed("etl", "hourly")
    deployed("report", "hourly")
    for given in ("etl/nightly", "nightly", nightly):
        assert cli.json("deployment", "inspect", given)["id"] == nightly
    assert cli.json("deployment", "inspect", "etl/hourly")["flow_name"] == "etl"
    ambiguous = cli.fails("deployment", "inspect", "hourly")
    assert "More than one" in ambiguous and hourly in ambiguous and "report/hourly" in ambiguous
    assert "Did you mean 'etl/nightly'?" in cli.fails("deployment", "inspect", "etl/nigtly")
    assert "not found" in cli.fails("deployment", "inspect", NO_ONE)


def test_listed_by_name_or_age(cli: Cli, deployed: Make) -> None:
    assert cli.ok("deployment", "ls") == "No deployments found.\n"
    for flow, name in (("b", "z"), ("b", "a"), ("a", "m")):
        deployed(flow, name)
    names = [f"{one['flow_name']}/{one['name']}" for one in cli.json("deployments", "ls")]
    assert names == ["a/m", "b/a", "b/z"]
    names = [one["name"] for one in cli.json("deployments", "ls", "--by-created")]
    assert names == ["m", "a", "z"]
    assert len(cli.json("deployments", "ls", "--flow-name", "b")) == 2
    assert len(cli.json("deployments", "ls", "--flow_name", "a", "--flow_name", "b")) == 3
    assert "b/z" in cli.ok("deployments", "ls")


def test_a_run_with_parameters_at_a_moment(cli: Cli, deployed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    id = deployed("etl", "nightly")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"n": 1, "day": "sun"}'))
    options = ["--params", "-", "-p", "n=3", "--tag", "x", "--flow-run-name", "boo", "--job-variable", 'env={"A": "1"}']
    made = cli.json("deployment", "run", "etl/nightly", *options, "--start-in", "2 hours")
    assert made["parameters"] == {"day": "sun", "n": 3}
    assert (made["name"], made["tags"], made["deployment_id"]) == ("boo", ["x"], id)
    assert made["job_variables"] == {"env": {"A": "1"}}
    start = datetime.fromisoformat(made["state"]["state_details"]["scheduled_time"])
    assert timedelta(hours=1, minutes=58) < start - now() < timedelta(hours=2, minutes=2)
    made = cli.json("deployment", "run", "--id", id, "--start-at", "2035-01-31 17:30+00:00")
    assert made["state"]["state_details"]["scheduled_time"] == "2035-01-31T17:30:00Z"
    said = cli.ok("deployment", "run", "nightly")
    assert "at once" in said and "etl/nightly" in said
    assert "2035-01-31" in cli.ok("deployment", "inspect", "nightly")


def test_what_a_run_waits_for(cli: Cli, deployed: Make) -> None:
    assert "and it has no work pool" in cli.ok("deployment", "run", deployed("etl", "alone"))
    cli.ok("work-pool", "create", "p")
    id = deployed("etl", "nightly", work_pool_name="p", work_queue_name="q")
    assert "`prefect worker start --pool 'p'` starts one" in cli.ok("deployment", "run", id)
    cli.ok("work-queue", "pause", "q", "--pool", "p")
    assert "`prefect work-queue resume 'q' --pool 'p'`" in cli.ok("deployment", "run", id)
    cli.ok("work-pool", "pause", "p")
    said = cli.ok("deployment", "run", id)
    assert "Work pool 'p' is paused" in said and "Work queue" not in said
    assert "paused" not in cli.ok("deployment", "run", id, "--start-in", "2 hours")


def test_runs_that_cannot_be_made(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    assert "There are: day, n." in cli.fails("deployment", "run", "nightly", "-p", "zzz=1")
    assert "'n'" in cli.fails("deployment", "run", "nightly", "-p", "n=abc")
    assert "name=value" in cli.fails("deployment", "run", "nightly", "-p", "n", status=2)
    assert "JSON object" in cli.fails("deployment", "run", "nightly", "--params", "[]", status=2)
    assert "not a span" in cli.fails("deployment", "run", "nightly", "--start-in", "soon", status=2)
    assert "not a moment" in cli.fails("deployment", "run", "nightly", "--start-at", "soon", status=2)
    assert "not both" in cli.fails("deployment", "run", "x", "--start-at", "now", "--start-in", "1s", status=2)
    assert "NAME, --id" in cli.fails("deployment", "run", status=2)
    assert "--watch" in cli.fails("deployment", "run", "nightly", "--watch-timeout", "1", status=2)


def test_a_run_is_watched_until_it_has_ended(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    for type, name, expected in (("COMPLETED", "Completed", 0), ("FAILED", "Failed", 1)):
        state = {"type": type, "name": name, "message": "all done"}
        worker = threading.Thread(target=work, args=(state,))
        worker.start()
        status, out, err = cli.run("deployment", "run", "nightly", "--watch", "--watch-timeout", "60")
        worker.join()
        assert (status, "Scheduled" in out, f"{name}  all done" in out) == (expected, True, True)
        assert ("ended as Failed: all done" in err) == (expected == 1)


def work(state: dict[str, str]) -> None:
    """What a worker does while the command waits."""
    end = time.monotonic() + DEADLINE_SECONDS
    waiting = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    with get_client(sync_client=True) as api:
        while not (found := api.request("POST", "/flow_runs/filter", json=waiting).json()):
            assert time.monotonic() < end
            time.sleep(0.02)  # between two looks, until the deadline
        api.request("POST", f"/flow_runs/{found[0]['id']}/set_state", json={"state": state, "force": True})


def test_watching_has_an_end(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    options = ["--watch", "--watch-timeout", "0.1", "--watch-interval", "0.1"]
    status, out, err = cli.run("deployment", "run", "nightly", *options)
    assert (status, "Scheduled" in out, "still Scheduled" in err) == (1, True, True)


def test_schedules(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    schedule = ["deployment", "schedule"]
    cron = cli.json(
        *schedule, "create", "etl/nightly", "--cron", "0 9 * * 1", "--timezone", "Europe/Berlin", "--slug", "mondays",
        "--no-day-or", "-p", "n=2",
    )  # fmt: skip
    assert (cron["schedule"]["cron"], cron["schedule"]["day_or"], cron["slug"]) == ("0 9 * * 1", False, "mondays")
    assert cron["parameters"] == {"n": 2}
    every = cli.json(
        *schedule, "create", "nightly", "--interval", "1h30m", "--anchor-date", "2026-01-01", "--no-active"
    )
    assert (every["schedule"]["interval"], every["active"]) == (5400.0, False)
    cli.ok(*schedule, "create", "nightly", "--rrule", "FREQ=WEEKLY;BYDAY=MO")
    listed = cli.ok(*schedule, "ls", "nightly")
    assert "every 1h 30m" in listed and "cron 0 9 * * 1" in listed and "FREQ=WEEKLY" in listed

    def active() -> dict[str, bool]:
        return {one["id"]: one["active"] for one in cli.json(*schedule, "ls", "nightly")}

    cli.ok(*schedule, "pause", "nightly", "mondays")
    assert active()[cron["id"]] is False
    cli.ok(*schedule, "resume", "--deployment-name", "nightly", "--schedule-id", every["id"])
    assert active()[every["id"]] is True
    assert cli.ok(*schedule, "pause", "--all") == "Paused 2 schedules.\n"
    assert not any(active().values())
    cli.ok(*schedule, "resume", "nightly", "--all")
    assert all(active().values())
    cli.ok(*schedule, "delete", "nightly", "mondays", "-y")
    assert len(active()) == 2
    cli.ok(*schedule, "create", "nightly", "--cron", "@daily", "--replace", "--accept-yes")
    assert [one["schedule"].get("cron") for one in cli.json(*schedule, "ls", "nightly")] == ["@daily"]
    cli.ok(*schedule, "clear", "nightly", "-y")
    assert cli.ok(*schedule, "ls", "nightly") == "Deployment 'etl/nightly' has no schedules.\n"


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["create", "nightly"], 2, "--interval, --cron, --rrule"),
        (["create", "nightly", "--cron", "@daily", "--interval", "5"], 2, "--interval and --cron"),
        (["create", "nightly", "--cron", "0 99 * * *"], 1, "hour 99"),
        (["create", "nightly", "--cron", "@daily", "--timezone", "Mars/Olympus"], 1, "Mars/Olympus"),
        (["create", "nightly", "--cron", "@daily", "--anchor-date", "2026-01-01"], 2, "--anchor-date"),
        (["create", "nightly", "--interval", "often"], 2, "not a span"),
        (["create", "nightly", "--interval", "0"], 1, "interval"),
        (["create", "nope", "--cron", "@daily"], 1, "'nope' not found"),
        (["pause", "nightly"], 2, "--all"),
        (["pause", "nightly", "xyz"], 1, "'xyz' not found"),
        (["delete", "nightly", "xyz"], 1, "'xyz' not found"),
    ],
)
def test_schedules_that_make_no_sense(
    cli: Cli, deployed: Make, argv: list[str], status: int, words: str
) -> None:  # fmt: skip
    deployed("etl", "nightly")
    assert words in cli.fails("deployment", "schedule", *argv, status=status)


def test_pausing_and_deleting(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    cli.ok("deployment", "pause", "nightly")
    assert cli.json("deployment", "inspect", "nightly")["paused"] is True
    assert "paused" in cli.ok("deployment", "ls")
    cli.ok("deployment", "resume", "nightly")
    assert cli.json("deployment", "inspect", "nightly")["paused"] is False
    cli.ok("deployment", "delete", "etl/nightly")
    assert "not found" in cli.fails("deployment", "delete", "etl/nightly")
    deployed("etl", "a")
    deployed("etl", "b")
    assert cli.ok("deployment", "delete", "--all", "-y") == "Deleted 2 deployments.\n"
    assert cli.json("deployment", "ls") == []


def test_versions_and_the_way_back(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly", description="first", entrypoint="a.py:etl")
    deployed("etl", "nightly", description="second", entrypoint="b.py:etl")
    found = cli.json("deployment", "versions", "nightly")
    assert [one["number"] for one in found] == [2, 1]
    assert "description, entrypoint" in cli.ok("deployment", "versions", "nightly")
    assert "now version 3" in cli.ok("deployment", "rollback", "etl/nightly", "1", "-y")
    now = cli.json("deployment", "inspect", "nightly")
    assert (now["description"], now["entrypoint"]) == ("first", "a.py:etl")
    assert "back to version 1: description, entrypoint" in cli.ok("deployment", "versions", "nightly", "--limit", "1")
    assert "'9' not found" in cli.fails("deployment", "rollback", "nightly", "9", "-y")


def test_a_schedule_says_what_becomes_of_what_it_missed(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    schedule = ["deployment", "schedule", "create", "nightly", "--cron", "@daily"]
    assert cli.json(*schedule, "--catch-up", "latest")["catch_up"] == "latest"
    assert "--catch-up" in cli.fails(*schedule, "--catch-up", "some", status=2)


def test_backfills(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    backfill = ["deployment", "backfill"]
    assert "no backfills" in cli.ok(*backfill, "ls", "nightly")
    assert "schedule" in cli.fails(*backfill, "create", "nightly", "--start", "2026-01-01")
    cli.ok("deployment", "schedule", "create", "nightly", "--cron", "0 9 * * *", "--slug", "morning")
    cli.ok("deployment", "schedule", "create", "nightly", "--cron", "0 18 * * *", "--slug", "evening")
    given = ["--from", "2026-01-01T00:00Z", "--to", "2026-01-04T00:00Z", "--concurrency", "2", "-p", "n=1"]
    made = cli.json(*backfill, "create", "nightly", "--schedule", "morning", *given)
    assert (made["concurrency"], made["schedule"]["cron"], made["parameters"]) == (2, "0 9 * * *", {"n": 1})
    assert made["id"] in cli.ok(*backfill, "ls", "nightly")
    assert "0 9 * * *" in cli.ok(*backfill, "inspect", made["id"])
    assert cli.json(*backfill, "cancel", made["id"])["status"] == "CANCELLED"
    own = cli.json(*backfill, "create", "nightly", "--interval", "1d", "--from", "2026-01-01", "--to", "2026-01-03")
    assert own["schedule"]["interval"] == 86400.0
    assert [one["id"] for one in cli.json(*backfill, "ls", "nightly")] == [own["id"], made["id"]]
    assert "'noon' not found" in cli.fails(*backfill, "create", "nightly", "--schedule", "noon", *given)
    assert "one of" in cli.fails(*backfill, "create", "x", "--cron", "@daily", "--interval", "1d", *given, status=2)
    assert "before start" in cli.fails(*backfill, "create", "nightly", "--from", "2026-01-02", "--to", "2026-01-01")


def test_the_next_instants(cli: Cli, deployed: Make) -> None:
    deployed("etl", "nightly")
    cli.ok("deployment", "schedule", "create", "nightly", "--cron", "0 9 * * *", "--slug", "morning")
    cli.ok("deployment", "schedule", "create", "nightly", "--cron", "0 18 * * *", "--slug", "evening")
    found = cli.json("deployment", "schedule", "preview", "nightly", "-n", "4")
    assert [one["at"][11:16] for one in found] in (["09:00", "18:00"] * 2, ["18:00", "09:00"] * 2)
    found = cli.json("deployment", "schedule", "preview", "nightly", "evening")
    assert [one["at"][11:16] for one in found] == ["18:00"] * 5
    assert "0 18 * * *" in cli.ok("deployment", "schedule", "preview", "nightly")
