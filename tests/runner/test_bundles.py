"""A flow and its run in a file, and flows that are carried out where the flow object is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import prefect
from prefect import flow, runtime, task
from prefect._dispatch import adhoc
from prefect.bundles import (
    _pin_prefect_in_bundle_step_requires,
    convert_step_to_command,
    create_bundle_for_flow_run,
    execute_bundle_in_subprocess,
    extract_flow_from_bundle,
    step_command,
)
from prefect.bundles.execute import execute_bundle_from_file
from prefect.bundles.launchers import get_launcher_for_side, normalize_launcher, resolve_bundle_step_with_launcher
from prefect.bundles.zip_extractor import ZipExtractor
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPoolStorageConfiguration
from prefect.flow_engine import run_flow_in_subprocess
from prefect.flows import InfrastructureBoundFlow, bind_flow_to_infrastructure
from prefect.states import Pending
from prefect.workers.process import ProcessWorker

from .conftest import places, wait_for


@flow(persist_result=True)
def sums(x: int = 1, y: int = 2) -> tuple[int, int]:
    return x + y, os.getpid()


@flow
async def later(x: int) -> int:
    return x + 1


def made(api: SyncPrefectClient, of: Any = sums, **parameters: Any) -> Any:
    return api.create_flow_run(of, parameters=parameters, state=Pending())


@places("local")
def test_a_bundle_is_json_and_has_the_flow(api: SyncPrefectClient) -> None:
    run = made(api, x=5)
    result = create_bundle_for_flow_run(sums, run)
    assert result["zip_path"] is None
    bundle = json.loads(json.dumps(result["bundle"]))
    assert set(bundle) == {"function", "context", "flow_run", "dependencies", "files_key"}
    assert bundle["flow_run"]["id"] == str(run.id)
    assert any(line.startswith("pydantic==") for line in bundle["dependencies"].splitlines())
    assert extract_flow_from_bundle(bundle).fn(1, 1)[0] == 2


@places("served")
def test_carrying_out_a_bundle(api: SyncPrefectClient, tmp_path: Path) -> None:
    run = made(api, x=5)
    process = execute_bundle_in_subprocess(create_bundle_for_flow_run(sums, run)["bundle"], cwd=tmp_path)
    process.join(60)
    assert process.exitcode == 0
    ended = api.read_flow_run(run.id)
    assert ended.state is not None and ended.state.result()[0] == 7
    other = made(api, later, x=1)
    file = tmp_path / "bundle"
    file.write_text(json.dumps(create_bundle_for_flow_run(later, other)["bundle"]))
    execute_bundle_from_file(str(file))
    assert api.read_flow_run(other.id).state_name == "Completed"


@places("local")
def test_a_bundle_that_cannot_be_opened(api: SyncPrefectClient, tmp_path: Path) -> None:
    run = made(api)
    bundle: Any = {**create_bundle_for_flow_run(sums, run)["bundle"], "function": "bm90aGluZw=="}
    (tmp_path / "bundle").write_text(json.dumps(bundle))
    execute_bundle_from_file(str(tmp_path / "bundle"))
    ended = api.read_flow_run(run.id)
    assert ended.state_name == "Crashed" and "bundle" in str(ended.state and ended.state.message)


@places("local")
def test_what_cannot_be_sent(api: SyncPrefectClient) -> None:
    lock = __import__("threading").Lock()

    @flow
    def holds() -> Any:
        return lock

    with pytest.raises(TypeError, match=r"holds.*inside the flow"):
        create_bundle_for_flow_run(holds, made(api, holds))


@places("local")
def test_files_go_along(api: SyncPrefectClient, tmp_path: Path) -> None:
    base = tmp_path / "project"
    (base / "data").mkdir(parents=True)
    (base / "data" / "a.txt").write_text("a")
    (base / "data" / "secret.txt").write_text("s")
    (base / "b.sql").write_text("b")
    bound = bind_flow_to_infrastructure(
        sums, "pool", ProcessWorker, include_files=["data", "*.sql", "!data/secret.txt"], include_files_base_dir=base
    )
    result = create_bundle_for_flow_run(bound, made(api, bound))
    path = result["zip_path"]
    assert path is not None and str(result["bundle"].get("files_key")).startswith("files/")
    extractor = ZipExtractor(path)
    target = tmp_path / "there"
    assert sorted(file.relative_to(target).as_posix() for file in extractor.extract(target)) == ["b.sql", "data/a.txt"]
    extractor.cleanup()
    assert not path.exists()
    for pattern in ("nothing-here", "../*"):
        with pytest.raises(ValueError, match=r"no files|leads out"):
            bound = bind_flow_to_infrastructure(
                sums, "pool", ProcessWorker, include_files=[pattern], include_files_base_dir=base
            )
            create_bundle_for_flow_run(bound, made(api, bound))


def test_files_stay_in_their_folder(tmp_path: Path) -> None:
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("fine.txt", "")
        archive.writestr("../outside.txt", "")
    with pytest.raises(ValueError, match="leads out"):
        ZipExtractor(evil).extract(tmp_path / "there")
    assert not (tmp_path / "there").exists() and not (tmp_path / "outside.txt").exists()
    with pytest.raises(FileNotFoundError):
        ZipExtractor(tmp_path / "nothing.zip")


def test_commands_of_steps() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    pinned = f"prefect-aws,prefect=={prefect.__version__}"
    step = {"package.upload": {"requires": "prefect-aws", "bucket": "b", "credentials_name": "c"}}
    rest = ["-m", "package.upload", "--bucket", "b", "--credentials-name", "c", "--key", "K"]
    assert convert_step_to_command(step, "K") == ["uv", "run", "--with", pinned, "--python", version, *rest]
    assert convert_step_to_command(step, "K", quiet=True)[:3] == ["uv", "run", "--quiet"]
    with_launcher = resolve_bundle_step_with_launcher(step, ["python", "-X"], "upload")
    assert convert_step_to_command(with_launcher, "K") == ["python", "-X", *rest]
    assert _pin_prefect_in_bundle_step_requires(["prefect==3.8", "x"]) == ["prefect==3.8", "x"]
    assert get_launcher_for_side({"upload": ["a"]}, "execution") is None
    for wrong in ("python", [], {"download": ["a"]}, {}):
        with pytest.raises(ValueError, match="launcher must"):
            normalize_launcher(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one function"):
        convert_step_to_command({}, "K")


def test_a_bound_flow(api: SyncPrefectClient) -> None:
    bound = bind_flow_to_infrastructure(sums, "bound", ProcessWorker, job_variables={"env": {"A": "1"}})
    assert isinstance(bound, InfrastructureBoundFlow) and bound.name == "sums"
    result, pid = bound(3, y=4)
    assert result == 7 and pid != os.getpid()
    assert bound.submit(1).result(raise_on_failure=True)[0] == 3
    assert bound(1, return_state=True).is_completed()
    other = bound.with_options(name="other", job_variables={"name": "n"}, include_files=["x"])
    assert (other.name, other.work_pool, other.include_files) == ("other", "bound", ["x"])
    assert other.job_variables == {"env": {"A": "1"}, "name": "n"}
    [run] = api.read_flow_runs(limit=1, sort=None)
    assert run.work_pool_name == "bound"


@places("local")
async def test_an_asynchronous_bound_flow(place: str) -> None:
    assert await bind_flow_to_infrastructure(later, "bound", ProcessWorker)(4) == 5


@pytest.fixture
def stored(
    api: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> InfrastructureBoundFlow[..., Any]:
    """A flow of a pool with a storage as published packages have it: a module that uploads, and one that carries out."""
    package = tmp_path / "my_storage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    common = (
        "import argparse, shutil\np = argparse.ArgumentParser()\np.add_argument('--folder'); p.add_argument('--key')\n"
    )
    upload = common + "p.add_argument('file')\na = p.parse_args()\nshutil.copy(a.file, a.folder + '/' + a.key)\n"
    (package / "upload.py").write_text(upload)
    common += "a = p.parse_args()\n"
    (package / "execute.py").write_text(
        common + "from prefect.bundles.execute import execute_bundle_from_file as go\ngo(a.folder + '/' + a.key)\n"
    )
    store = tmp_path / "store"
    store.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    steps = {
        name: {f"my_storage.{name}": {"folder": str(store), "requires": "my-storage"}} for name in ("upload", "execute")
    }
    storage = WorkPoolStorageConfiguration(bundle_upload_step=steps["upload"], bundle_execution_step=steps["execute"])
    template = ProcessWorker.get_default_base_job_template()
    api.create_work_pool(
        WorkPoolCreate(name="stored", type="process", base_job_template=template, storage_configuration=storage),
        overwrite=True,
    )
    return bind_flow_to_infrastructure(sums, "stored", ProcessWorker)


@places("served")
def test_through_the_storage_of_a_pool(stored: InfrastructureBoundFlow[..., Any], tmp_path: Path) -> None:
    future = stored.submit_to_work_pool(20, 1)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "stored", "--run-once"]
    subprocess.run(command, check=True, timeout=90, capture_output=True)
    future.wait(30)
    assert future.state.is_completed()
    assert future.result()[0] == 21
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="bare", type="process"), overwrite=True)
    with pytest.raises(RuntimeError, match="Storage is not configured for work pool 'bare'"):
        bind_flow_to_infrastructure(sums, "bare", ProcessWorker).submit_to_work_pool()
    with pytest.raises(RuntimeError, match="ended with status 1"):
        adhoc._run_command([sys.executable, "-c", "raise SystemExit('no space')"], tmp_path)


@task
def one() -> int:
    return 1


@places("served")
def test_a_run_that_a_flow_submits_to_a_pool_is_its_sub_flow(
    stored: InfrastructureBoundFlow[..., Any], api: SyncPrefectClient
) -> None:
    @task
    def within() -> Any:
        return runtime.task_run.id, stored.submit_to_work_pool(5).flow_run_id

    @flow
    def parent() -> Any:
        future = one.submit()
        return runtime.flow_run.id, future.task_run_id, stored.submit_to_work_pool(future, 2).flow_run_id, within()

    asker, origin, first, (around, second) = parent()
    for id, inputs in ((first, {"x": str(origin)}), (second, {"__parents__": str(around)})):
        run = api.read_flow_run(id)
        assert run.state_name == "Scheduled" and run.parent_task_run_id is not None
        stand = api.read_task_run(run.parent_task_run_id)
        assert (str(stand.flow_run_id), stand.state_name) == (asker, "Scheduled")
        assert stand.name.startswith("sums-") and stand.state.state_details.child_flow_run_id == id
        found = {name: [str(link.id) for link in links] for name, links in stand.task_inputs.items() if links}
        assert found == {name: [id] for name, id in inputs.items()}
    assert api.read_flow_run(stored.submit_to_work_pool(5).flow_run_id).parent_task_run_id is None


@places("served")
def test_a_step_that_is_not_installed(api: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(api)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(run.id))
    monkeypatch.setenv("PATH", str(tmp_path))  # there is no uv
    command = step_command({"my_cloud.bundles.execute": {"bucket": "b", "requires": "my-cloud"}}, "K", sys.executable)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "Install my-cloud there" in done.stderr
    ended = api.read_flow_run(run.id)
    assert ended.state is not None and ended.state.name == "Crashed" and "no uv" in str(ended.state.message)
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "$@"\n')
    uv.chmod(0o755)
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert told[:3] == ["run", "--quiet", "--with"] and told[3] == f"my-cloud,prefect=={prefect.__version__}"
    assert told[-6:] == ["-m", "my_cloud.bundles.execute", "--bucket", "b", "--key", "K"]


@places("served")
def test_a_step_that_lacks_a_module(api: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lacking_step.py").write_text("import no_such_thing_x")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    package = tmp_path / "lacking_package"
    package.mkdir()
    (package / "__init__.py").write_text("import no_such_thing_x")
    (package / "execute.py").write_text("")
    for module in ("lacking_step", "lacking_package.execute"):
        command = step_command({module: {}}, "K", sys.executable)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1 and f"{module} needs the module 'no_such_thing_x'" in done.stderr


@places("local")
def test_a_flow_in_a_process(api: SyncPrefectClient) -> None:
    run = made(api, x=10)
    process = run_flow_in_subprocess(sums, flow_run=run, env={"SOME": "thing"})
    process.join(60)
    assert process.exitcode == 0 and api.read_flow_run(run.id).state_name == "Completed"
    other = run_flow_in_subprocess(sums, parameters={"x": "no number"})
    other.join(60)
    assert other.exitcode == 1
    wait_for(lambda: len(api.read_flow_runs()) >= 2, "Both are recorded")
