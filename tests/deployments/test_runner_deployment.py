"""Describing deployments in code, and making them known."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from prefect import Flow, deploy, flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.deployments.schedules import normalize_to_deployment_schedule
from prefect.docker import DockerImage
from prefect.exceptions import InvalidNameError, MissingFlowError
from prefect.filesystems import LocalFileSystem
from prefect.runner.storage import LocalStorage, RunnerStorage, create_storage_from_source
from prefect.schedules import Cron, Interval, RRule
from prefect.types.entrypoint import EntrypointType

from .conftest import Project


@flow
def here(x: int = 0):
    pass


# ── describing ──


def test_what_a_deployment_has_from_its_flow(project: Project):
    made = project.load().to_deployment("d", tags=["a"], parameters={"x": 1})
    assert (made.full_name, made.version, made.entrypoint) == ("add/d", "v7", "flows.py:add")
    assert made.description is not None and made.description.startswith("Adds.")
    assert (made.paused, made.schedules, made.entrypoint_type) == (False, [], EntrypointType.FILE_PATH)
    schema = made._parameter_openapi_schema
    assert schema is not None and schema["required"] == ["x"]
    assert schema["properties"]["x"]["description"] == "the first."


def test_entrypoints(project: Project):
    assert project.load("flows.py:wait_a_bit").to_deployment("d").entrypoint == "flows.py:wait_a_bit"
    assert project.load("flows.py:Jobs.job").to_deployment("d").entrypoint == "flows.py:Jobs.job"
    assert project.load("flows.py:renamed").to_deployment("d").entrypoint == "flows.py:renamed"
    by_module = here.to_deployment("d", entrypoint_type=EntrypointType.MODULE_PATH)
    assert by_module.entrypoint == f"{__name__}.here"
    assert by_module.entrypoint_type is EntrypointType.MODULE_PATH

    @flow
    def inner():
        pass

    with pytest.raises(MissingFlowError, match="defined inside of a function"):
        inner.to_deployment("d")


def test_a_flow_of_an_interactive_session_cannot_be_found():
    namespace: dict[str, Any] = {}
    exec("from prefect import flow\n@flow\ndef f(): pass", namespace)
    with pytest.raises(MissingFlowError, match="was not defined in a file"):
        namespace["f"].to_deployment("d")


@pytest.mark.parametrize("name", ["a/b", "a%b", "", "  "])
def test_names_that_cannot_be(name: str):
    with pytest.raises(InvalidNameError):
        here.to_deployment(name)


def test_the_name_of_a_file():
    assert here.to_deployment("nightly.py").name == "nightly"
    assert here.to_deployment(__file__).name == Path(__file__).stem


@pytest.mark.parametrize(
    "given, count",
    [
        ({"cron": "0 1 * * *"}, 1),
        ({"cron": ["0 1 * * *", "0 2 * * *"]}, 2),
        ({"interval": 60}, 1),
        ({"interval": [60, timedelta(hours=1)]}, 2),
        ({"rrule": "FREQ=DAILY"}, 1),
        ({"schedule": Cron("0 1 * * *", timezone="Europe/Berlin", slug="s")}, 1),
        ({"schedule": CronSchedule(cron="0 1 * * *")}, 1),
        ({"schedules": [Interval(60), RRule("FREQ=DAILY"), CronSchedule(cron="0 1 * * *")]}, 3),
        ({"schedules": [{"cron": "0 1 * * *", "slug": "s"}, {"schedule": {"interval": 5}, "active": False}]}, 2),
    ],
)
def test_schedules_in_every_way(given: dict[str, Any], count: int):
    assert len(here.to_deployment("d", **given).schedules or ()) == count


def test_what_a_schedule_brings_along():
    given = Cron("0 1 * * *", timezone="Europe/Berlin", slug="s", active=False, parameters={"x": 3})
    [made] = here.to_deployment("d", schedule=given).schedules or ()
    assert (made.slug, made.active, made.parameters) == ("s", False, {"x": 3})
    assert isinstance(made.schedule, CronSchedule) and made.schedule.timezone == "Europe/Berlin"
    [made] = normalize_to_deployment_schedule([{"schedule": IntervalSchedule(interval=timedelta(5)), "active": False}])
    assert not made.active


@pytest.mark.parametrize(
    "given, message",
    [
        ({"cron": "* * * * *", "interval": 3}, "Only one of interval, cron, rrule, schedule, or schedules"),
        ({"schedules": [{"cron": "* * * * *", "interval": 3}]}, "has cron and interval"),
        ({"schedules": [{}]}, "has none"),
        ({"schedules": [3]}, "Invalid schedule provided: 3"),
        ({"schedules": {"cron": "* * * * *"}}, "given as a list"),
        ({"cron": "nonsense"}, "nonsense"),
    ],
)
def test_schedules_that_are_none(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        here.to_deployment("d", **given)


# ── making it known ──


def test_making_it_known_and_changing_it(project: Project, client: SyncPrefectClient):
    made = project.load().to_deployment("d", cron="0 1 * * *", parameters={"y": 2}, concurrency_limit=3)
    id = made.apply()
    known = client.read_deployment_by_name("add/d")
    assert known.id == id and known.parameters == {"y": 2}
    assert (known.path, known.entrypoint, known.pull_steps) == (".", "flows.py:add", [])
    assert known.global_concurrency_limit is not None and known.global_concurrency_limit.limit == 3
    assert project.load().to_deployment("d", tags=["new"]).apply() == id
    known = client.read_deployment(id)
    assert (known.tags, known.schedules, known.parameters) == (["new"], [], {})


def test_in_asynchronous_code(project: Project, client: SyncPrefectClient):
    async def both() -> list[Any]:
        made = await project.load().ato_deployment("d")
        return [await made.aapply(), await made.apply()]  # type: ignore[misc]

    first, second = asyncio.run(both())
    assert first == second == client.read_deployment_by_name("add/d").id


def test_many_make_it_at_once(project: Project, client: SyncPrefectClient):
    made = [project.load().to_deployment("d", tags=[str(number)], cron="0 1 * * *") for number in range(8)]

    async def everybody() -> list[Any]:
        return await asyncio.gather(*(one.aapply() for one in made))

    assert len(set(asyncio.run(everybody()))) == 1
    [known] = client.read_deployments()
    assert len(known.schedules) == 1


class Settings(BaseModel):
    path: Path
    days: list[int] = []


@flow
def with_values(settings: Settings | None = None, storage: LocalFileSystem | None = None):
    pass


def test_parameters_that_are_objects(home: Path, client: SyncPrefectClient):
    disk = LocalFileSystem(basepath="/data")
    with pytest.raises(ValueError, match="that is not saved"):
        with_values.to_deployment("d", parameters={"storage": disk})
    disk.save("disk")
    parameters = {"settings": Settings(path=Path("/x"), days=[1]), "storage": disk}
    with_values.to_deployment("d", parameters=parameters).apply()
    known = client.read_deployment_by_name("with-values/d").parameters
    assert known["settings"] == {"path": "/x", "days": [1]}
    assert known["storage"] == {"$ref": {"block_document_id": str(disk._block_document_id)}}


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"x": "three"}, "'three' is not of type 'integer'"),
        ({"z": 3}, "has no parameter 'z'; it has 'x', 'y'"),
        ({"x": object()}, "Parameter 'x' of deployment 'add/d' cannot be kept"),
    ],
)
def test_parameters_that_do_not_fit(project: Project, parameters: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        project.load().to_deployment("d", parameters=parameters).apply()


def test_parameters_are_not_checked_when_that_is_not_wanted(project: Project):
    project.load().to_deployment("d", parameters={"x": "three"}, enforce_parameter_schema=False).apply()


def test_what_cannot_be_made(project: Project):
    made = project.load().to_deployment("d")
    with pytest.raises(DeploymentApplyError, match="Could not find work pool 'nope'"):
        made.apply(work_pool_name="nope")
    with pytest.raises(ValueError, match="An image can only be provided"):
        made.apply(image="x")
    with pytest.raises(ValueError, match="work queue can only be provided"):
        project.load().to_deployment("d", work_queue_name="q").apply()


def test_the_commit_is_noted(project: Project, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.com")
    for command in ("init -q -b main", "remote add origin https://me:t0ken@example.com/org/flows.git", "add .",
                    "commit -q -m first"):  # fmt: skip
        subprocess.run(["git", *command.split()], cwd=project.folder, check=True)
    project.load().to_deployment("d").apply()
    info = client.read_deployment_by_name("add/d").version_info
    assert info is not None
    told = info.model_dump()
    assert (told["type"], told["version"], told["branch"], told["message"]) == ("vcs:git", "v7", "main", "first")
    assert client.read_deployment_by_name("add/d").version == "v7"
    assert (told["repository"], told["url"]) == ("flows", "https://example.com/org/flows.git")
    project.load("flows.py:wait_a_bit").to_deployment("d").apply()  # nobody says which version it is
    assert client.read_deployment_by_name("wait-a-bit/d").version == told["commit_sha"][:8]
    project.load().to_deployment("d", version="8", version_type="prefect:simple").apply()
    info = client.read_deployment_by_name("add/d").version_info
    assert info is not None and (info.type, info.version) == ("prefect:simple", "8")
    with pytest.raises(ValueError, match="is not a kind of version"):
        project.load().to_deployment("d", version_type="nope").apply()


# ── storage ──


def test_from_a_folder(project: Project, client: SyncPrefectClient, pool: str, capsys: pytest.CaptureFixture[str]):
    loaded = flow.from_source(str(project.folder), entrypoint="flows.py:add")
    assert loaded(1) == 2
    assert loaded.with_options(name="other").to_deployment("d").storage == LocalStorage(str(project.folder))
    id = loaded.deploy("d", work_pool_name=pool, job_variables={"env": {"A": "b"}}, parameters={"x": 1})
    known = client.read_deployment(id)
    assert known.pull_steps == [{"prefect.deployments.steps.set_working_directory": {"directory": str(project.folder)}}]
    assert (known.path, known.entrypoint, known.work_pool_name) == (None, "flows.py:add", pool)
    assert known.job_variables == {"env": {"A": "b"}}
    assert f"prefect worker start --pool '{pool}'" in capsys.readouterr().out


class Copied:
    """Storage of one's own: copies a file to where it is told to."""

    pull_interval = 60

    def __init__(self, file: Path) -> None:
        self.file = file
        self.base = Path.cwd()

    def set_base_path(self, path: Path) -> None:
        self.base = self._storage_base_path = path

    @property
    def destination(self) -> Path:
        return self.base / "code"

    async def pull_code(self) -> None:
        self.destination.mkdir()
        (self.destination / self.file.name).write_text(self.file.read_text())

    def to_pull_step(self) -> list[dict[str, Any]]:
        return [{"my.copy": {}}, {"my.other": {}}]


def test_storage_of_ones_own(project: Project, client: SyncPrefectClient, pool: str):
    storage = Copied(project.folder / "flows.py")
    assert isinstance(storage, RunnerStorage)
    made = RunnerDeployment.from_storage(storage, entrypoint="flows.py:add", name="d")
    made.apply()
    assert client.read_deployment_by_name("add/d").path == "$STORAGE_BASE_PATH/code"
    made.apply(work_pool_name=pool)
    assert client.read_deployment_by_name("add/d").pull_steps == storage.to_pull_step()


def test_sources(tmp_path: Path):
    for text in (
        "https://example.com/o/r.git",
        "git@example.com:o/r.git",
        "git+https://example.com/r",
        "https://github.com/o/r",
    ):
        assert type(create_storage_from_source(text)).__name__ == "GitRepository"
    assert type(create_storage_from_source("s3://bucket/x")).__name__ == "RemoteStorage"
    assert create_storage_from_source(f"file://{tmp_path}") == LocalStorage(str(tmp_path))
    assert create_storage_from_source(tmp_path) == LocalStorage(str(tmp_path))
    with pytest.raises(TypeError, match="Unsupported source type 'int'"):
        flow.from_source(3, entrypoint="x.py:y")


def test_what_is_not_in_the_source(project: Project):
    with pytest.raises(FileNotFoundError):
        flow.from_source(str(project.folder), entrypoint="nope.py:add")
    with pytest.raises(MissingFlowError, match=r"Flows that are there: .*'add'"):
        flow.from_source(str(project.folder), entrypoint="flows.py:nope")


@pytest.mark.parametrize("decorator", ["flow", "not_there_x.flow"])
def test_a_flow_whose_file_cannot_be_run_here(project: Project, client: SyncPrefectClient, decorator: str):
    project.write(
        "lacking.py",
        f"""
        from prefect import flow
        import not_there_x

        @{decorator}
        def lacking(x: int, y: str = "a"):
            not_there_x.go()
        """,
    )
    RunnerDeployment.from_entrypoint("lacking.py:lacking", name="d", version="1").apply()
    known = client.read_deployment_by_name("lacking/d")
    assert known.parameter_openapi_schema is not None and known.version == "1"
    assert list(known.parameter_openapi_schema["properties"]) == ["x", "y"]
    assert known.parameter_openapi_schema["required"] == ["x"]


# ── deploying ──


def test_deploying_with_an_image_that_is_there(project: Project, client: SyncPrefectClient, image_pool: str):
    id = project.load().deploy("d", work_pool_name=image_pool, image="reg/app:1", build=False, print_next_steps=False)
    known = client.read_deployment(id)
    assert (known.job_variables, known.path, known.pull_steps) == ({"image": "reg/app:1"}, ".", [])


def test_deploying_several(project: Project, client: SyncPrefectClient, image_pool: str):
    image = DockerImage("reg/app", tag="2")
    made = [project.load().to_deployment("a"), project.load("flows.py:renamed").to_deployment("b")]
    assert len(deploy(*made, work_pool_name=image_pool, image=image, build=False)) == 2
    assert client.read_deployment_by_name("renamed/b").job_variables == {"image": "reg/app:2"}
    made.append(project.load().to_deployment("c", parameters={"x": "no"}))
    with pytest.raises(DeploymentApplyError, match="1 of 3 deployments could not be made:\n  add/c: "):
        deploy(*made, work_pool_name=image_pool, image=image, build=False)
    assert deploy(work_pool_name=image_pool) == []


def test_deploying_what_workers_would_not_find(project: Project, pool: str, image_pool: str):
    made = project.load()
    with pytest.raises(ValueError, match="Either an image or remote storage location"):
        made.deploy("d", work_pool_name=pool)
    with pytest.raises(ValueError, match="does not support custom Docker images"):
        made.deploy("d", work_pool_name=pool, image="x", build=False)
    with pytest.raises(ValueError, match="Could not find work pool 'nope'"):
        made.deploy("d", work_pool_name="nope")
    with pytest.raises(ValueError, match="No work pool name provided"):
        made.deploy("d")


def test_from_a_saved_block(project: Project, client: SyncPrefectClient, pool: str):
    block = LocalFileSystem(basepath=str(project.folder))
    with pytest.raises(RuntimeError, match="must be saved"):
        flow.from_source(block, entrypoint="flows.py:add").deploy("d", work_pool_name=pool)
    block.save("code")
    loaded = flow.from_source(block, entrypoint="flows.py:add")
    assert loaded(2) == 3
    id = loaded.deploy("d", work_pool_name=pool, print_next_steps=False)
    assert client.read_deployment(id).pull_steps == [
        {
            "prefect.deployments.steps.pull_with_block": {
                "block_type_slug": "local-file-system",
                "block_document_name": "code",
            }
        }
    ]


def test_from_a_remote_file_system(
    project: Project, client: SyncPrefectClient, pool: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, "flows", raising=False)  # of another test
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/code/flows.py", (project.folder / "flows.py").read_bytes())
    loaded = flow.from_source("memory://code", entrypoint="flows.py:add")
    assert loaded(2) == 3 and loaded.version == "v7"
    id = loaded.deploy("d", work_pool_name=pool, print_next_steps=False)
    assert client.read_deployment(id).pull_steps == [
        {"prefect.deployments.steps.pull_from_remote_storage": {"url": "memory://code"}}
    ]
    from_module = flow.from_source("memory://code", entrypoint="flows:wait_a_bit")
    assert asyncio.run(from_module("b")) == "b"


def test_asynchronously_from_a_source(project: Project):
    async def load() -> list[str]:
        first = await Flow.afrom_source(str(project.folder), entrypoint="flows.py:add")
        second = await flow.from_source(str(project.folder), entrypoint="flows.py:add")  # type: ignore[misc]
        return [first.name, second.name]

    assert asyncio.run(load()) == ["add", "add"]


def test_service_levels_need_an_api_that_keeps_them(project: Project, client: SyncPrefectClient):
    made = project.load().to_deployment("with-levels", _sla=[{"name": "quick", "duration": 5}])
    with pytest.raises(DeploymentApplyError, match="'add/with-levels' is made, but without its service levels"):
        made.apply()
    assert client.read_deployment_by_name("add/with-levels").name == "with-levels"
