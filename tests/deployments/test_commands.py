"""`prefect init` and `prefect deploy`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from prefect.blocks.system import Secret
from prefect.cli import main
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.deployments.base import configure_project_by_recipe, create_default_prefect_yaml, initialize_project

from .conftest import Project

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; gives its exit status, and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--no-prompt", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command as on a terminal, with these answers to its questions."""

    def run(arguments: list[str], *given: str) -> tuple[int, str]:
        left = list(given)
        monkeypatch.setattr("prefect.cli._console.can_ask", lambda: True)
        monkeypatch.setattr("builtins.input", lambda question="": left.pop(0))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        assert not left, f"not asked: {left}\n{printed.out}{printed.err}"
        return int(ended.value.code or 0), printed.out + printed.err

    return run


# ── init ──


def test_beginning_a_project(project: Project, run: Run):
    status, said = run("init", "--name", "mine")
    assert status == 0 and "prefect.yaml" in said and ".prefectignore" in said
    file = yaml.safe_load((project.folder / "prefect.yaml").read_text())
    assert file["name"] == "mine" and file["build"] is None
    assert file["pull"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(project.folder.resolve())}}
    ]
    assert run("init") == (0, f"Nothing to do: {project.folder} has a prefect.yaml and a .prefectignore already.\n")


def test_recipes(project: Project, run: Run):
    status, _ = run("init", "--recipe", "docker-s3", "-f", "image_name=reg/app", "-f", "tag=v1", "-f", "bucket=b")
    assert status == 0
    file = yaml.safe_load((project.folder / "prefect.yaml").read_text())
    [build] = file["build"]
    assert build["prefect_docker.deployments.steps.build_docker_image"]["image_name"] == "reg/app"
    assert [next(iter(step)).rpartition(".")[2] for step in file["push"]] == ["push_docker_image", "push_to_s3"]
    assert file["deployments"][0]["work_pool"]["job_variables"] == {"image": "{{ build_image.image }}"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--recipe", "nope"], "Unknown recipe 'nope' provided; there are azure"),
        (["--recipe", "git"], "no git repository with a remote .*--field repository=..."),
        (["--recipe", "docker"], "needs image_name, tag .*--field image_name=... --field tag=..."),
        (["--field", "x"], "--field is given as name=value, not as 'x'"),
    ],
)
def test_what_cannot_be_begun(project: Project, run: Run, arguments: list[str], message: str):
    status, said = run("init", *arguments)
    assert status == 1 and re.search(message, said)
    assert not (project.folder / "prefect.yaml").exists()


def test_a_project_in_a_repository(project: Project, run: Run):
    for command in ("init -q -b trunk", "remote add origin https://me:t0ken@example.com/org/flows.git"):
        subprocess.run(["git", *command.split()], cwd=project.folder, check=True)
    assert run("init")[0] == 0
    [step] = yaml.safe_load((project.folder / "prefect.yaml").read_text())["pull"]
    assert step["prefect.deployments.steps.git_clone"]["repository"] == "https://example.com/org/flows.git"


def test_answers_begin_a_project(project: Project, answers: Callable[..., tuple[int, str]]):
    assert answers(["init"], "gcs", "my-bucket")[0] == 0
    assert "my-bucket" in (project.folder / "prefect.yaml").read_text()


def test_beginning_a_project_from_code(project: Project):
    assert initialize_project(name="p", recipe="local") == [".prefectignore", "prefect.yaml"]
    assert initialize_project() == []
    assert not create_default_prefect_yaml(str(project.folder))
    contents = configure_project_by_recipe("git", repository="https://me:t0ken@example.com/r.git", branch="main")
    assert contents["pull"] == [
        {"prefect.deployments.steps.git_clone": {"repository": "https://example.com/r.git", "branch": "main"}}
    ]


# ── deploy: by options ──


def test_a_flow_with_options(project: Project, client: SyncPrefectClient, pool: str, run: Run):
    status, said = run(
        "deploy", "flows.py:add", "-n", "d", "--pool", pool, "--work-queue", "fast", "--cron", "0 1 * * *",
        "--cron", "0 2 * * *", "--timezone", "Europe/Berlin", "--param", "x=3", "--param", "y=4", "-t", "a", "-t", "b",
        "--job-variable", 'env={"A": "b"}', "--job-variable", '{"command": "run"}', "--version", "9",
        "--concurrency-limit", "2", "--collision-strategy", "CANCEL_NEW", "-d", "text", "--no-enforce-parameter-schema",
    )  # fmt: skip
    assert status == 0, said
    assert "prefect deployment run 'add/d'" in said
    known = client.read_deployment_by_name("add/d")
    assert (known.parameters, known.tags, known.version) == ({"x": 3, "y": 4}, ["a", "b"], "9")
    assert (known.work_pool_name, known.work_queue_name, known.description) == (pool, "fast", "text")
    assert known.job_variables == {"env": {"A": "b"}, "command": "run"}
    crons = sorted(schedule.schedule.cron for schedule in known.schedules)  # type: ignore[union-attr]
    assert crons == ["0 1 * * *", "0 2 * * *"] and not known.enforce_parameter_schema
    assert known.global_concurrency_limit is not None and known.global_concurrency_limit.limit == 2
    assert known.pull_steps == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(project.folder.resolve())}}
    ]


@pytest.mark.parametrize("typed, meant", [("0123", "0123"), ("123", "123"), ("true", "true"), ('"a b"', "a b")])
def test_what_is_typed_is_what_the_flow_wants(
    project: Project, client: SyncPrefectClient, pool: str, run: Run, typed: str, meant: str
):
    assert run("deploy", "flows.py:wait_a_bit", "-n", "d", "-p", pool, "--param", f"label={typed}")[0] == 0
    assert client.read_deployment_by_name("wait-a-bit/d").parameters == {"label": meant}


def test_what_is_typed_is_what_the_work_pool_wants(
    project: Project, client: SyncPrefectClient, image_pool: str, run: Run
):
    assert run("deploy", "flows.py:add", "-n", "d", "-p", image_pool, "--job-variable", "image=1.20")[0] == 0
    assert client.read_deployment_by_name("add/d").job_variables == {"image": "1.20"}
    status, said = run("deploy", "flows.py:add", "-n", "d", "-p", image_pool, "--job-variable", '{"image": 3}')
    assert status == 1 and "3 is not of type 'string'" in said


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "An entrypoint must be provided"),
        (["flows.py:add", "-p", "pool"], "A deployment name must be provided"),
        (["flows.py:add", "-n", "d"], "A work pool is required"),
        (["flows.py:add", "-n", "d", "-p", "nope"], "work pool 'nope' which does not exist"),
        (["flows.py:nope", "-n", "d", "-p", "pool"], "Flows that are there: 'Jobs.job', 'add'"),
        (["bad.py:x", "-n", "d", "-p", "pool"], "bad.py raises SyntaxError: "),
        (["nope.py:x", "-n", "d", "-p", "pool"], "There is no file 'nope.py'"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--param", "x=a"], "'a' is not of type 'integer'"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--param", "z=1"], "has no parameter 'z'"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--param", "x"], "--param is given as key=value"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--params", "{"], "--params is not JSON"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--params", "{}", "--param", "x=1"], "not both"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--cron", "nope"], "Invalid cron string"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--cron", "* * * * *", "--interval", "3"], "Only one kind"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--timezone", "UTC"], "--timezone is for"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--collision-strategy", "ENQUEUE"], "needs a --concurrency-limit"),
        (["flows.py:add", "-n", "d", "-p", "pool", "--trigger", "nope.yaml"], "there is no file nope.yaml"),
        (["--prefect-file", "nope.yaml", "--all"], "There is no file nope.yaml"),
    ],
)
def test_what_is_not_said_well(project: Project, pool: str, run: Run, arguments: list[str], message: str):
    project.write("bad.py", "def x(:\n")
    status, said = run("deploy", *arguments)
    assert status == 1 and message in said and "Traceback" not in said


# ── deploy: by prefect.yaml ──

FILE = """
definitions:
  pool: &pool {name: pool}
build:
- prefect.deployments.steps.run_shell_script:
    id: rev
    script: echo r7
    stream_output: false
pull:
- prefect.deployments.steps.git_clone:
    repository: https://example.com/r.git
    branch: "{{ rev.stdout }}"
    access_token: "{{ prefect.blocks.secret.token }}"
    directories: ["{{ $LATER }}", "{{ another-pull-step.directory }}"]
deployments:
- name: one
  entrypoint: flows.py:add
  version: "{{ rev.stdout }}"
  description: "{{ $A_TEXT }} {{ prefect.variables.region }}"
  parameters: {x: 1}
  work_pool: *pool
  schedules:
  - cron: "0 4 * * *"
    slug: night
    parameters: {x: 4}
- name: two
  entrypoint: flows.py:wait_a_bit
  work_pool: *pool
  build: null
  concurrency_limit: {limit: 3, collision_strategy: CANCEL_NEW}
"""


@pytest.fixture
def described(project: Project, client: SyncPrefectClient, pool: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("A_TEXT", "some")
    monkeypatch.setenv("LATER", "now")
    client.create_variable(VariableCreate(name="region", value="eu"))
    project.write("prefect.yaml", FILE)
    return project


def test_all_of_a_file(described: Project, client: SyncPrefectClient, run: Run):
    status, said = run("deploy", "--all")
    assert status == 0, said
    one = client.read_deployment_by_name("add/one")
    assert (one.version, one.description, one.parameters) == ("r7", "some eu", {"x": 1})
    assert (one.schedules[0].slug, one.schedules[0].parameters) == ("night", {"x": 4})
    # what is for where the flow runs is left for there
    assert one.pull_steps == [
        {
            "prefect.deployments.steps.git_clone": {
                "repository": "https://example.com/r.git",
                "branch": "r7",
                "access_token": "{{ prefect.blocks.secret.token }}",
                "directories": ["{{ $LATER }}", "{{ another-pull-step.directory }}"],
            }
        }
    ]
    two = client.read_deployment_by_name("wait-a-bit/two")
    assert two.global_concurrency_limit is not None and two.global_concurrency_limit.limit == 3
    assert said.count("Running run_shell_script step") == 1  # the steps of both are the same


def test_secrets_of_job_variables_are_left_to_the_worker(
    project: Project, client: SyncPrefectClient, pool: str, run: Run
):
    Secret(value="t0ps3cret").save("token")
    file = """
        deployments:
        - name: d
          entrypoint: flows.py:add
          work_pool:
            name: pool
            job_variables:
              env: {TOKEN: "{{ prefect.blocks.secret.%s }}", CITY: "{{ $A_CITY }}"}
        """
    project.write("prefect.yaml", file % "token")
    assert run("deploy")[0] == 0
    known = client.read_deployment_by_name("add/d")
    assert known.job_variables == {"env": {"TOKEN": "{{ prefect.blocks.secret.token }}", "CITY": ""}}
    project.write("prefect.yaml", file % "nope")
    status, said = run("deploy")
    assert status == 1 and "There is no block 'nope' of the type 'secret'" in said


@pytest.mark.parametrize(
    "names, made",
    [(["one"], {"one"}), (["*"], {"one", "two"}), (["add/*"], {"one"}), (["wait-a-bit/tw?", "one"], {"one", "two"})],
)
def test_some_of_a_file(described: Project, client: SyncPrefectClient, run: Run, names: list[str], made: set[str]):
    status, said = run("deploy", *(part for name in names for part in ("-n", name)))
    assert status == 0, said
    assert {deployment.name for deployment in client.read_deployments()} == made


def test_options_over_a_file(described: Project, client: SyncPrefectClient, run: Run):
    assert run("deploy", "-n", "one", "--param", "y=5", "--tag", "t", "--interval", "60")[0] == 0
    one = client.read_deployment_by_name("add/one")
    assert (one.parameters, one.tags, len(one.schedules)) == ({"x": 1, "y": 5}, ["t"], 1)
    assert one.schedules[0].slug is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "several deployments (one, two): choose with --name, or take --all"),
        (["-n", "nope"], "There is no deployment 'nope' in the prefect.yaml (there is: one, two)"),
        (["--all", "--tag", "x"], "2 deployments are chosen, and tags can be for one only"),
        (["--all", "-n", "one"], "--all or --name, not both"),
    ],
)
def test_choices_that_are_none(described: Project, run: Run, arguments: list[str], message: str):
    status, said = run("deploy", *arguments)
    assert status == 1 and message in said


def test_the_only_one_needs_no_name(project: Project, client: SyncPrefectClient, pool: str, run: Run):
    project.write("prefect.yaml", "deployments:\n- name: d\n  entrypoint: flows.py:add\n  work_pool: {name: pool}\n")
    assert run("deploy")[0] == 0
    assert client.read_deployment_by_name("add/d")


@pytest.mark.parametrize(
    "change, message",
    [
        (('rev.stdout }}"\n  desc', 'nope.stdout }}"\n  desc'), "Nothing is known of {{ nope.stdout }}"),
        (("variables.region", "variables.nope"), "There is no variable 'nope'"),
        (("echo r7", "exit-nope"), "'exit-nope' cannot be run"),
        (("parameters: {x: 1}", "parameters: {x: a}"), "'a' is not of type 'integer'"),
        (("  work_pool", "  work_pol"), "did you mean 'work_pool'"),
        (("limit: 3", "limt: 3"), "has no 'limt'; did you mean 'limit'"),
        (('cron: "0 4', 'cron: "0 99'), "0 99 * * *"),
    ],
)
def test_files_that_are_not_right(described: Project, run: Run, change: tuple[str, str], message: str):
    described.write("prefect.yaml", FILE.replace(*change))
    status, said = run("deploy", "--all")
    assert status == 1 and message in said and "Traceback" not in said


# ── deploy: on a terminal ──


def test_questions(project: Project, client: SyncPrefectClient, pool: str, answers: Callable[..., tuple[int, str]]):
    project.write("prefect.yaml", "# mine\nname: p\n")
    status, said = answers(["deploy", "--pool", pool], "1", "", "y")
    assert status == 0, said
    assert "flows.py:add" in said
    text = (project.folder / "prefect.yaml").read_text()
    assert text.startswith("# mine\nname: p\n")
    saved: list[dict[str, Any]] = yaml.safe_load(text)["deployments"]
    assert saved == [{"name": "default", "entrypoint": "flows.py:add", "work_pool": {"name": pool}}]
    assert answers(["deploy"])[0] == 0


def test_choosing_among_several(described: Project, client: SyncPrefectClient, answers: Callable[..., tuple[int, str]]):
    assert answers(["deploy"], "2")[0] == 0
    assert [deployment.name for deployment in client.read_deployments()] == ["two"]


TRIGGER = {"type": "event", "match": {"prefect.resource.id": "x"}, "expect": ["done"], "parameters": {"x": 1}}


def owned(client: SyncPrefectClient, name: str) -> list[Any]:
    return client.read_resource_related_automations(f"prefect.deployment.{client.read_deployment_by_name(name).id}")


def test_triggers_become_automations_that_follow_the_deployment(
    project: Project, client: SyncPrefectClient, pool: str, run: Run
):
    command = ["deploy", "flows.py:add", "-n", "d", "-p", pool]
    for _ in range(2):
        status, said = run(*command, "--trigger", json.dumps(TRIGGER))
        assert status == 0, said
        [automation] = owned(client, "add/d")
        assert automation.name == "d__automation_1"
    assert run(*command)[0] == 0
    assert owned(client, "add/d") == []


def test_a_trigger_of_a_file_has_templates_for_its_event(
    project: Project, client: SyncPrefectClient, pool: str, run: Run
):
    trigger = TRIGGER | {"parameters": {"x": "{{ event.payload.n }}"}}
    deployment = {"name": "d", "entrypoint": "flows.py:add", "work_pool": {"name": pool}, "triggers": [trigger]}
    project.write("prefect.yaml", yaml.safe_dump({"deployments": [deployment]}))
    status, said = run("deploy")
    assert status == 0, said
    [automation] = owned(client, "add/d")
    assert automation.actions[0].parameters == {"x": "{{ event.payload.n }}"}


@pytest.mark.parametrize(
    "change, message",
    [({"expct": ["x"]}, "has no 'expct'; did you mean 'expect'"), ({"type": "evnt"}, "'evnt'")],
)
def test_triggers_that_are_none(project: Project, pool: str, run: Run, change: dict[str, Any], message: str):
    status, said = run("deploy", "flows.py:add", "-n", "d", "-p", pool, "--trigger", json.dumps(TRIGGER | change))
    assert status == 1 and message in said and "Traceback" not in said
