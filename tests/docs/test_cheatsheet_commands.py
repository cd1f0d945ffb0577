"""The commands of the cheat-sheet and what it says of deployments, done as it says, with a server on a port of its own.

`cheatsheet_lines.py` has its lines, and what proves each of them. Substituted is only the port 4200, which may be taken;
the home is that of a user who has just come (`HOME`), so that `~/.prefect` is what it is for him. Two things no test can
rely on: an index to install from, of which the names are looked at instead, and infrastructure that is not on this
machine, for which there must be a clear message.
"""

from __future__ import annotations

import json
import os
import re
import threading
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cheatsheet_lines import COMMANDS, NO_TEST, OTHERS, SENTENCES
from pasting import User, until

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import CronSchedule
from served.servers import free_port

TESTS = Path(__file__).parents[1]
PROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

FLOWS = """
from prefect import flow, get_run_logger, task

@task(log_prints=True)
def greet(name):
    print(f"hello {name}")

@flow
def hello(name: str = "you"):
    greet(name)

@flow
def levels():
    for level in ("debug", "info", "warning", "error"):
        getattr(get_run_logger(), level)("told as %s", level)

@flow
def broken():
    raise ValueError("the failure that somebody wants to hear of")

if __name__ == "__main__":
    levels()
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp("user"), {"flows.py": FLOWS})
    yield user
    user.end()


@pytest.fixture(scope="module")
def served(user: User) -> User:
    """The user, with the server started by its line."""
    [line] = [line for line in COMMANDS if line.startswith("prefect server start")]
    user.server.process = user.begin(line)
    until(user.server._answers, "The start of the server")
    user.use_the_server()
    return user


@pytest.fixture(scope="module")
def working(served: User) -> User:
    """The user, with the worker started by its line."""
    served.begin("prefect worker start --pool default-pool --type process")
    until(lambda: "ready" in served.ok("prefect work-pool ls"), "The start of the worker")
    return served


# -- nothing is left out ------------------------------------------------------------------------------------------------


def test_every_line_has_a_proof_that_is_there() -> None:
    for line, proofs in {**COMMANDS, **SENTENCES}.items():
        if proofs in NO_TEST:
            continue
        for proof in proofs.split():
            path, _, name = proof.rpartition("::")
            file = TESTS / path if path else Path(__file__)
            assert f"def {name}(" in file.read_text(encoding="utf-8"), f"{line}: {proof}"


@pytest.mark.skipif("PLUPERFECT_CHEATSHEET" not in os.environ, reason="PLUPERFECT_CHEATSHEET names no cheat-sheet")
def test_every_line_of_the_sheet_is_known() -> None:
    sheet = Path(os.environ["PLUPERFECT_CHEATSHEET"]).read_text(encoding="utf-8").split("---\n", 2)[2]
    snippets = Path(__file__).with_name("cheatsheet_snippets.md").read_text(encoding="utf-8").splitlines()
    known = {*snippets, *COMMANDS, *SENTENCES}
    in_code, unknown = False, []
    for line in sheet.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif line.strip() and not (line in known or line.startswith(tuple(OTHERS) if in_code else ("#", *OTHERS))):
            unknown.append(line)
    assert unknown == []


# -- installation -------------------------------------------------------------------------------------------------------


def test_what_is_installed() -> None:
    """The lines name a distribution and extras; Prefect has no extra `dev` either, and pip says so and goes on."""
    named = {name for line in COMMANDS for name in re.findall(r"pip install \"?(\w+)", line)}
    assert named == {PROJECT["name"]}
    extras = {name for line in COMMANDS for name in re.findall(r"prefect\[(\w+)\]", line)}
    assert extras - set(PROJECT["optional-dependencies"]) == {"dev"}
    for extra in ("docker", "kubernetes"):
        assert any(f"prefect-{extra}" in each for each in PROJECT["optional-dependencies"][extra])
    assert PROJECT["requires-python"] == ">=3.11"  # 3.9 and 3.10 are past their end, or near it


def test_the_installation_is_verified(user: User) -> None:
    assert f"Version:                {PROJECT['version']}" in user.ok(
        "python -m prefect version  # Verify installation"
    )


def test_variables_of_the_environment(user: User) -> None:
    lines = [line for line in COMMANDS if line.startswith("PREFECT_")]
    shown = user.ok("\n".join(["set -a", *lines, "prefect config view"]))
    assert user.placed("PREFECT_API_URL='http://localhost:4200/api' (from env)") in shown
    assert "PREFECT_LOGGING_LEVEL='INFO' (from env)" in shown
    assert "PREFECT_LOGGING_COLORS='True' (from env)" in shown
    assert f"PREFECT_HOME='{user.home}/.prefect' (from env)" in shown


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_levels_of_the_log(user: User, level: str) -> None:
    done = user.run("python flows.py", PREFECT_LOGGING_LEVEL=level, PREFECT_API_URL="")
    assert done.returncode == 0, done.stderr
    levels = ["debug", "info", "warning", "error"]
    assert re.findall(r"told as (\w+)", done.stderr) == levels[levels.index(level.lower()) :]


# -- the server and the worker ------------------------------------------------------------------------------------------


def test_a_server_is_started_and_found(served: User) -> None:
    del served.env["PREFECT_API_URL"]
    try:
        shown = served.ok("export PREFECT_API_URL=http://localhost:4200/api\nprefect config view  # Verify settings")
    finally:
        served.use_the_server()
    assert served.placed("PREFECT_API_URL='http://localhost:4200/api' (from env)") in shown
    assert served.server.ask("GET", "/health") is True
    assert "Server type:            server" in served.ok("prefect version")
    done = served.run("prefect work-pool ls", PREFECT_API_URL=f"http://localhost:{free_port()}/api")
    assert done.returncode == 1 and "Check that the server runs there" in done.stderr, done.stderr


def test_a_worker_takes_what_is_deployed(working: User) -> None:
    working.python(
        f"""
from prefect import flow
flow.from_source("{working.origin.as_uri()}", entrypoint="flows.py:hello").deploy(
    "from-git", work_pool_name="default-pool", parameters={{"name": "git"}}, cron="0 9 * * *"
)
"""
    )
    run = working.run_of("hello/from-git")
    assert run.state_name == "Completed", run.state
    assert run.work_pool_name == "default-pool"
    lines = until(lambda: [each for each in working.server.logs(str(run.id)) if "hello" in each], "The log")
    assert "hello git" in lines
    listed = working.ok("prefect work-pool ls")
    assert re.search(r"default-pool +process .* ready", listed), listed
    assert "cron 0 9 * * *" in working.ok("prefect deployment schedule ls hello/from-git")


def test_the_health_of_a_work_queue(working: User) -> None:
    queue = working.server.ask("GET", "/work_pools/default-pool/queues/default")
    status = working.server.ask("GET", f"/work_queues/{queue['id']}/status")
    assert status["healthy"] is True and status["late_runs_count"] == 0 and status["last_polled"]
    assert re.search(r"Healthy +yes", working.ok("prefect work-queue inspect default --pool default-pool"))
    working.ok("prefect work-queue create nobody-asks --pool default-pool")
    assert working.server.ask("GET", "/work_pools/default-pool/queues/nobody-asks")["priority"] > queue["priority"]


def test_other_infrastructure(working: User) -> None:
    """Docker and Kubernetes: what is deployed is there; who would carry it out says what is missing."""
    for type in ("docker", "kubernetes"):
        working.ok(f"prefect work-pool create of-{type} --type {type}")
        working.python(
            f"""
from flows import hello
hello.deploy("on-{type}", work_pool_name="of-{type}", image="registry.example.com/hello:1", build=False, push=False)
"""
        )
        [made] = working.server.ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": [f"on-{type}"]}}})
        assert made["job_variables"] == {"image": "registry.example.com/hello:1"}
        refused = working.run(f"prefect worker start --pool of-{type} --type {type} --install-policy never")
        assert refused.returncode == 1 and f"pip install prefect-{type}" in refused.stderr, refused.stderr
        wrong = working.run(f"prefect worker start --pool of-{type} --type process")
        assert wrong.returncode == 1 and "cannot work for it" in wrong.stderr, wrong.stderr
    working.write(
        "program.py",
        'from flows import hello\nhello.deploy("built", work_pool_name="of-docker", image="registry.example.com/hello:2")\n',
    )
    built = working.run("python program.py", DOCKER_HOST=f"unix://{working.home}/no-engine.sock")
    assert built.returncode == 1 and re.search(r"engine|prefect\[docker\]", built.stderr), built.stderr


def test_parameters_that_are_not_json(working: User) -> None:
    done = working.run("prefect deployment run hello/from-git --param name=[1]")
    assert done.returncode == 1 and "[1] is not of type 'string'" in done.stderr, done.stderr
    working.write(
        "program.py",
        'from prefect.deployments import run_deployment\nrun_deployment("hello/from-git", parameters={"name": object()})\n',
    )
    refused = working.run("python program.py")
    assert refused.returncode == 1 and "Parameter 'name' of a run of" in refused.stderr, refused.stderr
    assert "cannot be kept as JSON, being of type object" in refused.stderr


def test_time_zones_of_schedules(served: User) -> None:
    def hours(schedule: CronSchedule) -> list[tuple[int, int]]:
        with get_client(sync_client=True) as client:
            moments = client.preview_schedule(schedule, after=datetime(2026, 3, 7, tzinfo=UTC), count=3)
        return [(moment.astimezone(UTC).day, moment.astimezone(UTC).hour) for moment in moments]

    assert hours(CronSchedule(cron="0 9 * * *")) == [(7, 9), (8, 9), (9, 9)]
    assert hours(CronSchedule(cron="0 9 * * *", timezone="America/New_York")) == [(7, 14), (8, 13), (9, 13)]
    for name, zone in (("utc", None), ("new-york", "America/New_York")):
        more = "" if zone is None else f', timezone="{zone}"'
        served.python(
            f"""
from prefect.schedules import Cron
from flows import hello
hello.to_deployment("{name}", schedule=Cron("0 9 * * *"{more})).apply()
"""
        )
        listed = json.loads(served.ok(f"prefect deployment schedule ls hello/{name} --output json"))
        assert [each["schedule"]["timezone"] for each in listed] == [zone]


# -- serving, and automations -------------------------------------------------------------------------------------------


def test_a_flow_is_served_by_schedule_and_trigger(served: User) -> None:
    served.write(
        "serving.py",
        """
from datetime import timedelta
from prefect.events import DeploymentEventTrigger
from flows import hello

if __name__ == "__main__":
    hello.serve(
        "served", interval=timedelta(seconds=1), parameters={"name": "served"},
        triggers=[DeploymentEventTrigger(expect={"sheet.ping"}, parameters={"name": "{{ event.payload.who }}"})],
    )
""",
    )
    served.begin("python serving.py")

    def deployment() -> dict[str, Any] | None:
        found = served.server.ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["served"]}}})
        return found[0] if found else None

    id = until(deployment, "The deployment")["id"]
    scheduled = until(
        lambda: [run for run in served.server.flow_runs(deployment_id=id) if run["auto_scheduled"] and run["end_time"]],
        "A run of the schedule",
    )
    assert scheduled[0]["state_name"] == "Completed" and scheduled[0]["parameters"] == {"name": "served"}
    triggered: Callable[[], list[dict[str, Any]]] = lambda: [  # noqa: E731
        run for run in served.server.flow_runs(deployment_id=id) if run["parameters"] == {"name": "trigger"}
    ]
    until(lambda: served.ok("prefect automation ls --output json").count("sheet.ping"), "The automation")
    served.ok("""prefect event emit sheet.ping --resource-id the.sheet --payload '{"who": "trigger"}'""")
    assert served.ended(until(triggered, "A run of the trigger")[0]["id"]).state_name == "Completed"
    served.ok("prefect deployment run hello/served --param name=me")
    asked_for = until(
        lambda: [run for run in served.server.flow_runs() if run["parameters"] == {"name": "me"}], "A run"
    )
    assert served.ended(asked_for[0]["id"]).state_name == "Completed"


class Inbox(BaseHTTPRequestHandler):
    """Takes notifications."""

    def do_POST(self) -> None:
        self.server.taken.append(self.rfile.read(int(self.headers["Content-Length"])).decode())  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on stderr."""


def test_a_failure_is_notified(served: User) -> None:
    inbox = ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    inbox.taken = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=inbox.serve_forever, daemon=True)
    thread.start()
    try:
        served.python(
            f"""
from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events import CallWebhook, EventTrigger

block = Webhook(method="POST", url="http://127.0.0.1:{inbox.server_port}/", allow_private_urls=True)
Automation(
    name="tell of failures",
    trigger=EventTrigger(expect={{"prefect.flow-run.Failed"}}, match={{"prefect.resource.id": "prefect.flow-run.*"}}),
    actions=[CallWebhook(block_document_id=block.save("inbox"), payload="{{{{ flow.name }}}}: {{{{ flow_run.state.message }}}}")],
).create()
"""
        )
        assert served.run("python -c 'from flows import broken; broken()'").returncode == 1
        told = until(lambda: inbox.taken, "The notification")  # type: ignore[attr-defined]
    finally:
        inbox.shutdown()
        thread.join(10)
        inbox.server_close()
    assert told[0].startswith("broken: ") and "the failure that somebody wants to hear of" in told[0]


# -- testing ------------------------------------------------------------------------------------------------------------


def test_a_flow_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(city: str) -> int:
        raise ConnectionError("not in a test")

    class Service:
        get = staticmethod(fetch)

    @task
    def temperature(city: str) -> int:
        return Service.get(city)

    @flow
    def report(city: str) -> str:
        return f"{city}: {temperature(city)}"

    with report.test() as test:
        failed = test("Oslo")
    assert failed.state.is_failed()
    assert isinstance(failed.state.result(raise_on_failure=False), ConnectionError)
    with pytest.raises(ConnectionError, match="not in a test"):
        failed.state.result(raise_on_failure=True)
    monkeypatch.setattr(Service, "get", lambda city: len(city))
    with report.test() as test:
        run = test("Oslo")
    assert run.state.is_completed() and run.result() == "Oslo: 4"
