"""The published client of Prefect 3.8 does what it always does, with our server.

Without it these tests are skipped: see `published.py`.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from conformance.published import Client
from served.servers import Server, until

PROGRAMS = Path(__file__).parent / "programs"

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server")).start()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    made = Client(server, tmp_path)
    yield made
    made.end()


def long(condition: Callable[[], Any], what: str, client: Client) -> Any:
    """Wait for something that others do, who are slow to start."""
    for attempt in range(4):
        try:
            return until(condition, what)
        except AssertionError as late:
            if attempt == 3:
                raise AssertionError(f"{late}\n{client.said()[-5000:]}") from None
    raise AssertionError


def test_flows_and_all_that_is_around_them(server: Server, client: Client) -> None:
    out = client.run(str(PROGRAMS / "runs.py"))
    assert out["children"] == [2, 3]
    assert out["map"] == sum(range(1, 501))
    assert (out["flaky"], out["cached"]) == ("good", [8, 8])
    assert out["calls"] == {"flaky": 3, "cached": 1}
    assert out["error"] == "on purpose"
    assert out["state"] == ["COMPLETED", "well done", 1]
    assert out["states"] == ["Pending", "Running", "Completed"]
    assert out["variables"] == [{"a": [1]}, 7]
    assert (out["secret"], out["artifact"], out["progress"]) == ("hidden", "# report", 100.0)
    assert (out["most"], out["seats"], out["seats after"]) == (1, 2, 0)

    # what the server knows of it
    tasks = until(lambda: len(found := server.task_runs(out["parent"])) == 507 and found, "the recording of task runs")
    until(lambda: all(run["state_type"] == "COMPLETED" for run in server.task_runs(out["parent"])), "their completion")
    tasks = server.task_runs(out["parent"])
    assert Counter(run["name"].rpartition("-")[0] for run in tasks) == {
        "add": 500,
        "child": 2,
        "cached": 2,
        "flaky": 1,
        "one_at_a_time": 2,
    }
    assert {run["run_count"] for run in tasks if run["name"].startswith("flaky")} == {3}
    assert sorted(run["state_name"] for run in tasks if run["name"].startswith("cached")) == ["Cached", "Completed"]
    assert len([run for run in server.flow_runs() if run["parent_task_run_id"]]) == 2
    failed = server.ask("GET", f"/flow_runs/{out['fails']}")
    assert (failed["state_type"], failed["run_count"]) == ("FAILED", 2)
    until(lambda: "hello from the parent" in server.logs(out["parent"]), "the log")
    events = {"filter": {"event": {"name": ["colour.changed"]}}}
    until(lambda: [each["id"] for each in server.ask("POST", "/events/filter", events)["events"]] == [out["event"]],
          "the event")  # fmt: skip


def ends(server: Server, run: dict[str, Any], client: Client) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found = server.ask("GET", f"/flow_runs/{run['id']}")
        return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    return long(ended, "the end of the run", client)


def state_of(server: Server, run: dict[str, Any]) -> str:
    return server.ask("GET", f"/flow_runs/{run['id']}")["state_type"]


def deployment(server: Server, name: str, client: Client) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        wanted = {"deployments": {"name": {"any_": [name.partition("/")[2]]}}}
        found = server.ask("POST", "/deployments/filter", wanted)
        return server.ask("GET", f"/deployments/name/{name}") if found else None

    return long(there, f"deployment {name}", client)


def test_serving_flows_and_pausing_one(server: Server, client: Client) -> None:
    client.start(str(PROGRAMS / "deployed.py"), "serve")
    made = deployment(server, "doubles/served", client)
    run = server.ask("POST", f"/deployments/{made['id']}/create_flow_run", {"parameters": {"x": 21}})
    paused = deployment(server, "pauses/pausing", client)
    other = server.ask("POST", f"/deployments/{paused['id']}/create_flow_run", {})
    asking = deployment(server, "asks/asking", client)
    third = server.ask("POST", f"/deployments/{asking['id']}/create_flow_run", {})
    run = ends(server, run, client)
    assert (run["state_type"], run["tags"]) == ("COMPLETED", ["a"]), client.said()[-5000:]
    until(lambda: "doubled: 42" in server.logs(run["id"]), "the log")

    long(lambda: state_of(server, other) == "PAUSED", "the pause", client)
    assert server.ask("POST", f"/flow_runs/{other['id']}/resume", {})["status"] == "ACCEPT"
    assert ends(server, other, client)["state_type"] == "COMPLETED"
    long(lambda: state_of(server, third) == "PAUSED", "the question", client)
    client.run(str(PROGRAMS / "answers.py"), third["id"], "7", "hello")
    assert ends(server, third, client)["state_type"] == "COMPLETED"
    until(lambda: "told: 7 hello" in server.logs(third["id"]), "the log")


def test_a_process_worker(server: Server, client: Client, tmp_path: Path) -> None:
    client.run("-m", "prefect", "work-pool", "create", "pool", "--type", "process")
    client.run(str(PROGRAMS / "deployed.py"), "deploy", "pool")

    def run_of(flow: str, **parameters: Any) -> dict[str, Any]:
        made = deployment(server, f"{flow}/pooled", client)
        return server.ask("POST", f"/deployments/{made['id']}/create_flow_run", {"parameters": parameters})

    run = run_of("doubles", x=4)
    client.start("-m", "prefect", "worker", "start", "--pool", "pool", "--name", "one")
    run = ends(server, run, client)
    assert (run["state_type"], run["work_pool_name"]) == ("COMPLETED", "pool"), client.said()[-5000:]
    assert server.states(run["id"])[0] == "Scheduled"
    until(lambda: "doubled: 8" in server.logs(run["id"]), "the log")
    workers = server.ask("POST", "/work_pools/pool/workers/filter", {})
    assert [(worker["name"], worker["status"]) for worker in workers] == [("one", "ONLINE")]

    # one that is suspended leaves its process, and goes on in another; one that does not end is cancelled
    suspended, pid_file = run_of("suspends"), tmp_path / "pid"
    endless = run_of("sleeps", pid_file=str(pid_file))
    long(lambda: state_of(server, suspended) == "PAUSED", "the suspension", client)
    assert server.ask("GET", f"/flow_runs/{suspended['id']}")["state_name"] == "Suspended"
    assert server.ask("POST", f"/flow_runs/{suspended['id']}/resume", {})["status"] == "ACCEPT"
    assert ends(server, suspended, client)["state_type"] == "COMPLETED", client.said()[-5000:]
    until(lambda: "resumed" in server.logs(suspended["id"]), "the log")
    lines = server.logs(suspended["id"])
    assert (lines.count("resumed"), sum(line.startswith("process of run") for line in lines)) == (1, 2)

    pid = int(long(lambda: pid_file.exists() and pid_file.read_text(), "the endless run", client))
    client.run("-m", "prefect", "flow-run", "cancel", endless["id"])
    assert ends(server, endless, client)["state_type"] == "CANCELLED"
    until(lambda: not psutil.pid_exists(pid), "the end of its process")


def test_automations(server: Server, client: Client) -> None:
    client.start(str(PROGRAMS / "deployed.py"), "serve")
    doubles = deployment(server, "doubles/served", client)
    other = deployment(server, "pauses/pausing", client)
    made = client.run(str(PROGRAMS / "automated.py"), doubles["id"], other["id"])

    def runs_of(automation: str) -> list[dict[str, Any]]:
        found = server.flow_runs(deployment_id=doubles["id"])
        return [run for run in found if run["created_by"] and run["created_by"]["id"] == made[automation]]

    for automation, x in (("event", 4), ("both", 50), ("sequence", 60)):
        (run,) = long(lambda automation=automation: runs_of(automation), f"what {automation!r} starts", client)
        run = ends(server, run, client)
        assert (run["state_type"], run["parameters"]) == ("COMPLETED", {"x": x}), client.said()[-5000:]
        assert run["created_by"]["type"] == "AUTOMATION"
    long(lambda: server.ask("GET", f"/deployments/{other['id']}")["paused"], "the silence", client)

    said = commands(
        client, ["automation", "ls"], ["automation", "inspect", "on both", "--json"],
        ["automation", "inspect", "--id", made["silence"]], ["automation", "pause", "on both"],
        ["automation", "resume", "pauses another"], ["automation", "delete", "--id", made["silence"]],
        ["automation", "inspect", "--id", made["silence"]],
    )  # fmt: skip
    assert [code for code, _ in said] == [0, 0, 0, 0, 0, 0, 1], said
    assert all(name in said[0][1] for name in ("on an event", "on both", "in this order"))
    (inspected,) = json.loads(said[1][1])
    assert (inspected["id"], inspected["description"]) == (made["both"], "written again")
    assert len(inspected["trigger"]["triggers"]) == 2
    enabled = {each["name"]: each["enabled"] for each in server.ask("POST", "/automations/filter", {})}
    assert enabled == {"on an event": True, "on both": False, "in this order": True, "pauses another": True}
    for automation in ("event", "both", "sequence"):
        assert len(runs_of(automation)) == 1, "once each"


def commands(client: Client, *given: list[str]) -> list[tuple[int, str]]:
    """Each command's exit code, and what it said."""
    return [(code, said) for code, said in client.run(str(PROGRAMS / "commands.py"), json.dumps(given))]


def all_well(client: Client, *given: tuple[str, str]) -> None:
    """Give commands that end well, each of which says what is given with it."""
    said = commands(client, *(shlex.split(command) for command, _ in given))
    for (command, expected), (code, text) in zip(given, said, strict=True):
        assert code == 0 and expected in text, f"{command} -> {code}: {text}"


PROJECT = """
name: project
deployments:
- name: from-file
  entrypoint: flows.py:doubles
  tags: [written]
  parameters: {x: 9}
  schedules:
  - {interval: 3600, active: false}
  work_pool: {name: commanded}
pull:
- prefect.deployments.steps.set_working_directory: {directory: FOLDER}
"""


def test_commands(server: Server, client: Client, tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text((PROGRAMS / "deployed.py").read_text())
    (tmp_path / "prefect.yaml").write_text(PROJECT.replace("FOLDER", str(tmp_path)))
    all_well(
        client,
        ("work-pool create commanded --type process", "Created work pool"),
        ("work-pool ls", "commanded"),
        ("work-pool inspect commanded", "commanded"),
        ("work-pool pause commanded", "Paused"),
        ("work-pool resume commanded", "Resumed"),
        ("work-pool set-concurrency-limit commanded 3", "3"),
        ("work-pool update commanded --description 'for commands'", "commanded"),
        ("work-pool get-default-base-job-template --type process", "working_dir"),
        ("work-queue create fast --pool commanded --limit 2", "fast"),
        ("work-queue ls --pool commanded", "fast"),
        ("work-queue inspect fast --pool commanded", "fast"),
        ("--no-prompt deploy --all", "successfully created"),
        ("deployment ls", "from-file"),
        ("deployment inspect doubles/from-file", "written"),
        ("deployment schedule ls doubles/from-file", "1:00:00"),
        ("deployment schedule create doubles/from-file --cron '0 4 * * *' --timezone Europe/Paris", "Created"),
        ("deployment run doubles/from-file --param x=3", "Created flow run"),
        ("work-pool preview commanded", "Scheduled Start Time"),
        ("flow ls", "doubles"),
        ("global-concurrency-limit create gates --limit 4", "gates"),
        ("global-concurrency-limit update gates --limit 5", "gates"),
        ("global-concurrency-limit inspect gates", "gates"),
        ("concurrency-limit create tagged 2", "tagged"),
        ("concurrency-limit inspect tagged", "tagged"),
        ("concurrency-limit ls", "tagged"),
        ("variable set written yes --tag t", "written"),
        ("variable ls", "written"),
        ("variable inspect written", "yes"),
        ("variable unset written", "written"),
        ("block type ls", "secret"),
        ("version", "3.8.4"),
    )
    (run,) = server.flow_runs(work_pool_name="commanded", auto_scheduled=False)
    assert (run["parameters"], run["tags"]) == ({"x": 3}, ["written"])
    pool = server.ask("GET", "/work_pools/commanded")
    assert (pool["concurrency_limit"], pool["is_paused"], pool["description"]) == (3, False, "for commands")
    made = server.ask("GET", "/deployments/name/doubles/from-file")
    assert len(made["schedules"]) == 2 and made["entrypoint"] == "flows.py:doubles"
    all_well(
        client,
        ("flow-run ls", run["name"]),
        (f"flow-run inspect {run['id']}", run["name"]),
        (f"flow-run cancel {run['id']}", "cancel"),
        (f"flow-run logs {run['id']}", ""),
        ("global-concurrency-limit delete gates", "gates"),
        ("concurrency-limit delete tagged", "tagged"),
        (f"flow-run delete {run['id']}", run["id"]),
        ("deployment delete doubles/from-file", "from-file"),
        ("work-pool delete commanded", "commanded"),
    )
    assert all(pool["name"] != "commanded" for pool in server.ask("POST", "/work_pools/filter", {}))


def test_the_methods_of_its_client(client: Client) -> None:
    client.run(str(Path(__file__).parent.parent / "client" / "calls.py"))
    assert client.said().split()[-1] == "events", "the last of them"
