"""`prefect flow-run`, `prefect task-run`, `prefect flow`: what they show of a real database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._store.dialects import make_engine
from prefect._store.sqlite import WriteLock, open_database
from prefect._store.tables import flow, flow_run, flow_run_state, log, task_run, task_run_state
from prefect.cli import _runs

from .conftest import Cli

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(clean_home: Path) -> Path:
    return clean_home


@pytest.fixture
def command(local_cli: Cli) -> Command:
    return local_cli.run


@pytest.fixture
def ids(home: Path) -> dict[str, UUID]:
    """A finished run with two tasks, a failed one of another flow, and two runs of one name."""
    path = str(home / "pluperfect.db")
    open_database(path, WriteLock(f"{path}.lock")).close()
    made: dict[str, UUID] = {}
    with make_engine(f"sqlite:///{path}").begin() as tx:

        def insert(table: Any, **values: Any) -> UUID:
            values.setdefault("id", new_uuid())
            tx.execute(table.insert().values(**values))
            return values["id"]

        def run(name: str, flow_id: UUID, ago: float, type: str, state_name: str, message: str | None = None) -> UUID:
            start, state_id = now() - timedelta(seconds=ago), new_uuid()
            end = start + timedelta(seconds=2)
            run_id = insert(
                flow_run, name=name, flow_id=flow_id, state_id=state_id, state_type=type, state_name=state_name,
                state_timestamp=end, run_count=1, expected_start_time=start, start_time=start, end_time=end,
                total_run_time=timedelta(seconds=2), parameters={"day": "[bold]monday"}, tags=["nightly"],
            )  # fmt: skip
            insert(flow_run_state, flow_run_id=run_id, timestamp=start, type="RUNNING", name="Running")
            insert(
                flow_run_state,
                id=state_id,
                flow_run_id=run_id,
                timestamp=end,
                type=type,
                name=state_name,
                message=message,
            )
            return run_id

        etl, report = insert(flow, name="etl"), insert(flow, name="report-of-everything-that-happened-in-a-day")
        made["good"] = run("amber-otter", etl, 500, "COMPLETED", "Completed")
        made["bad"] = run("brisk-heron", report, 100, "FAILED", "TimedOut", "it took [red]too[/red] long")
        made["twin"] = run("twin", etl, 9000, "COMPLETED", "Completed")
        run("twin", etl, 9001, "COMPLETED", "Completed")
        for i, name in enumerate(("load-0", "load-1")):
            state_id = new_uuid()
            made[name] = insert(
                task_run, name=name, flow_run_id=made["good"], task_key="load", dynamic_key=str(i), state_id=state_id,
                state_type="COMPLETED", state_name="Cached", state_timestamp=now(), run_count=1, start_time=now(),
                expected_start_time=now() + timedelta(microseconds=i), tags=["db"],
            )  # fmt: skip
            insert(
                task_run_state, id=state_id, task_run_id=made[name], timestamp=now(), type="COMPLETED", name="Cached"
            )
        at = datetime(2024, 5, 17, 12, tzinfo=UTC)
        for i in range(30):
            insert(
                log, name="prefect.flow_runs", level=30 if i == 3 else 20, message=f"line {i}", flow_run_id=made["good"],
                timestamp=at + timedelta(milliseconds=i), task_run_id=made["load-0"] if i == 3 else None,
            )  # fmt: skip
    return made


def test_nothing_ran_yet(command: Command, home: Path) -> None:
    assert command("flow-run", "ls") == (0, "No flow runs found.\n", "")
    assert command("task-run", "ls") == (0, "No task runs found.\n", "")
    assert command("flow", "ls") == (0, "No flows found.\n", "")
    assert command("flow-run", "ls", "-o", "json") == (0, "[]\n", "")
    assert not list(home.iterdir())


def test_flow_runs_newest_first(command: Command, ids: dict[str, UUID]) -> None:
    status, out, err = command("flow-run", "ls")
    assert (status, err) == (0, "")
    header, _, *rows = out.splitlines()
    assert header.split() == ["ID", "Flow", "Name", "State", "When", "Duration"]
    assert [row.split("  ")[0] for row in rows[:2]] == [str(ids["bad"]), str(ids["good"])]
    assert " ".join(rows[1].split()[1:]) == "etl amber-otter Completed 8m ago 2.0s"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--limit", "1"], ["brisk-heron"]),
        (["--flow-name", "etl"], ["amber-otter", "twin", "twin"]),
        (["--flow-name", "etl", "--flow-name", "nope", "--limit", "1"], ["amber-otter"]),
        (["--state", "TimedOut"], ["brisk-heron"]),
        (["--state", "timedOut"], ["brisk-heron"]),
        (["--state-type", "failed"], ["brisk-heron"]),
        (["--state-type", "FAILED", "--state", "Completed"], []),
        (["--state-type", "FAILED", "--state-type", "CRASHED"], ["brisk-heron"]),
    ],
)
def test_flow_runs_that_match(command: Command, ids: dict[str, UUID], options: list[str], expected: list[str]) -> None:
    status, out, _ = command("flow-run", "ls", *options, "--output", "json")
    assert status == 0
    assert [run["name"] for run in json.loads(out)] == expected


@pytest.mark.parametrize("columns", [60, 80, 110, 200])
def test_ids_are_never_cut(
    command: Command, ids: dict[str, UUID], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for noun, key in (("flow-run", "good"), ("task-run", "load-0")):
        out = command(noun, "ls")[1]
        assert f"{ids[key]}  " in out
        if columns >= 80:
            assert max(map(len, out.splitlines())) <= columns
    assert ("report-of-everything-that-happened-in-a-day" in command("flow-run", "ls")[1]) is (columns == 200)


def test_a_program_that_reads_gets_whole_lines(ids: dict[str, UUID], home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "flow-run", "ls"], env=environment, capture_output=True, text=True, check=True
    )
    assert "report-of-everything-that-happened-in-a-day" in done.stdout
    assert "\x1b" not in done.stdout


def test_inspect_a_flow_run(command: Command, ids: dict[str, UUID]) -> None:
    status, out, _ = command("flow-run", "inspect", str(ids["bad"]))
    assert status == 0
    for words in (
        "brisk-heron",
        str(ids["bad"]),
        "report-of-everything",
        "TimedOut",
        "2.0s",
        '"[bold]monday"',
        "nightly",
    ):
        assert words in out
    assert "it took [red]too[/red] long" in out
    assert out.index("Running") < out.rindex("TimedOut")
    assert command("flow-run", "inspect", "brisk-heron")[1] == out


def test_inspect_as_json(command: Command, ids: dict[str, UUID]) -> None:
    status, out, _ = command("flow-run", "inspect", str(ids["bad"]), "-o", "json")
    run = json.loads(out)
    assert status == 0
    assert (run["id"], run["state"]["name"], run["parameters"]) == (
        str(ids["bad"]),
        "TimedOut",
        {"day": "[bold]monday"},
    )


def test_inspect_a_task_run(command: Command, ids: dict[str, UUID]) -> None:
    status, out, _ = command("task-run", "inspect", str(ids["load-0"]))
    assert status == 0
    for words in ("load-0", "amber-otter", str(ids["good"]), "Cached", "db"):
        assert words in out
    assert json.loads(command("task-run", "inspect", "load-0", "-o", "json")[1])["task_key"] == "load"


def test_task_runs(command: Command, ids: dict[str, UUID]) -> None:
    assert [run["name"] for run in json.loads(command("task-run", "ls", "-o", "json")[1])] == ["load-1", "load-0"]
    assert [run["name"] for run in json.loads(command("task-run", "ls", "--limit", "1", "-o", "json")[1])] == ["load-1"]
    found = json.loads(command("task-run", "ls", "--task-run-name", "load-0", "--state", "cached", "-o", "json")[1])
    assert [run["name"] for run in found] == ["load-0"]
    assert command("task-run", "ls", "--state-type", "FAILED")[1] == "No task runs found.\n"


def test_flows(command: Command, ids: dict[str, UUID]) -> None:
    assert [row["name"] for row in json.loads(command("flow", "ls", "-o", "json", "--limit", "1")[1])] == [
        "report-of-everything-that-happened-in-a-day"
    ]
    assert "etl" in command("flow", "ls")[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [*range(30)]),
        (["--reverse"], [*reversed(range(30))]),
        (["-h"], [*range(20)]),
        (["-t"], [*range(10, 30)]),
        (["-n", "2"], [0, 1]),
        (["--head", "-n", "2", "-r"], [1, 0]),
        (["--tail", "--num-logs", "2"], [28, 29]),
        (["-t", "-n", "2", "-r"], [29, 28]),
        (["-n", "50"], [*range(30)]),
    ],
)
def test_parts_of_a_log(command: Command, ids: dict[str, UUID], options: list[str], expected: list[int]) -> None:
    status, out, _ = command("flow-run", "logs", str(ids["good"]), *options)
    assert status == 0
    assert [int(line.rsplit(maxsplit=1)[1]) for line in out.splitlines()] == expected
    as_json = json.loads(command("flow-run", "logs", str(ids["good"]), *options, "-o", "json")[1])
    assert [line["message"] for line in as_json] == [f"line {i}" for i in expected]


def test_log_lines_say_which_run_wrote_them(command: Command, ids: dict[str, UUID]) -> None:
    lines = command("flow-run", "logs", "amber-otter", "-n", "4")[1].splitlines()
    assert lines[0].endswith(".000 | INFO    | Flow run 'amber-otter' - line 0")
    assert lines[3].endswith(".003 | WARNING | Task run 'load-0' - line 3")
    assert command("task-run", "logs", str(ids["load-0"]))[1].splitlines() == [lines[3]]
    assert command("task-run", "logs", "load-1") == (0, "", "Task run 'load-1' has no logs.\n")


def test_delete_a_flow_run(command: Command, ids: dict[str, UUID]) -> None:
    assert command("--no-prompt", "flow-run", "delete", str(ids["good"]))[0] == 0
    assert command("flow-run", "inspect", str(ids["good"])) == (1, "", f"Flow run '{ids['good']}' not found.\n")
    assert command("task-run", "ls")[1] == "No task runs found.\n"
    assert command("--no-prompt", "flow-run", "delete", str(ids["good"]))[0] == 1


MISSING = str(UUID(int=1))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["flow-run", "inspect", MISSING], f"Flow run '{MISSING}' not found."),
        (["flow-run", "inspect", "nobody"], "Flow run 'nobody' not found. `prefect flow-run ls` lists what there is."),
        (["flow-run", "logs", MISSING], f"Flow run '{MISSING}' not found."),
        (["flow-run", "delete", MISSING], f"Flow run '{MISSING}' not found."),
        (["task-run", "inspect", MISSING], f"Task run '{MISSING}' not found."),
        (["task-run", "logs", "nobody"], "Task run 'nobody' not found. `prefect task-run ls` lists what there is."),
        (["flow-run", "inspect", "twin"], "More than one flow run is called 'twin'"),
        (["flow-run", "logs", "amber-otter", "-h", "-t"], "not both"),
        (["flow-run", "logs", "amber-otter", "-n", "0"], "--num-logs is 0"),
        (["flow-run", "ls", "--limit", "0"], "--limit is 0"),
        (["flow-run", "ls", "--state-type", "nope"], "There is no state type 'NOPE'"),
        (["flow-run", "ls", "-o", "xml"], "xml"),
        (["flow-run", "inspect", "amber-otter", "--web"], "need a server"),
    ],
)
def test_errors_are_one_line(command: Command, ids: dict[str, UUID], argv: list[str], words: str) -> None:
    status, out, err = command(*argv)
    assert (status, out, err.count("\n")) == (2 if "xml" in argv else 1, "", 1)
    assert words in err


def test_a_server_that_does_not_answer_is_said(
    command: Command, ids: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    status, out, err = command("flow-run", "ls")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "http://127.0.0.1:9" in err


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "just now"), (1, "1s ago"), (59.9, "59s ago"), (60, "1m ago"), (3600 * 5, "5h ago"), (86_400 * 3, "3d ago"),
        (86_400 * 70, "2mo ago"), (86_400 * 800, "2y ago"), (-90, "in 1m"), (-7199.6, "in 2h"), (-7200.4, "in 2h"), (-0.6, "in 1s"), (-0.4, "just now"),
    ],
)  # fmt: skip
def test_how_long_ago(seconds: float, expected: str) -> None:
    moment = now()
    assert _runs.ago_text(moment - timedelta(seconds=seconds), moment) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0ms"), (0.0123, "12ms"), (0.9996, "1.0s"), (12.34, "12.3s"), (59.96, "1m 0s"), (250, "4m 10s"),
        (7500, "2h 5m"), (86_400 * 3 + 3600 * 4, "3d 4h"),
    ],
)  # fmt: skip
def test_how_long(seconds: float, expected: str) -> None:
    assert _runs.duration_text(timedelta(seconds=seconds)) == expected
