"""`run_deployment`, and serving: real processes on one database."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from prefect import aserve, flow, serve, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.deployments import arun_deployment, run_deployment
from prefect.exceptions import ObjectNotFound, ParameterTypeError, UpstreamTaskError
from prefect.states import Completed, Running

from .conftest import Project


@task
def five() -> int:
    return 5


@task
def broken() -> int:
    raise ValueError("no")


@pytest.fixture
def deployed(project: Project) -> str:
    project.load().to_deployment("d", parameters={"x": 1}, tags=["of-d"]).apply()
    return "add/d"


def end(client: SyncPrefectClient, run_id: object, after: float = 0.3) -> threading.Thread:
    """Let a run end after a while, as whoever carries it out would."""

    def work() -> None:
        time.sleep(after)
        client.set_flow_run_state(run_id, Running(), force=True)  # type: ignore[arg-type]
        client.set_flow_run_state(run_id, Completed(), force=True)  # type: ignore[arg-type]

    # the settings of this test are those of its context
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
    thread.start()
    return thread


def test_a_run_is_made(deployed: str, client: SyncPrefectClient):
    made = run_deployment(
        deployed, parameters={"y": 2}, timeout=0, flow_run_name="mine", tags=["t"], job_variables={"env": {}}
    )
    assert (made.name, made.parameters, made.job_variables) == ("mine", {"x": 1, "y": 2}, {"env": {}})
    assert made.state is not None and made.state.is_scheduled() and set(made.tags) == {"t", "of-d"}
    again = run_deployment(deployed, idempotency_key="k", timeout=0)
    assert run_deployment(deployed, idempotency_key="k", timeout=0).id == again.id
    id = client.read_deployment_by_name(deployed).id
    assert run_deployment(id, timeout=0).deployment_id == run_deployment(str(id), timeout=0).deployment_id == id


def test_the_end_is_waited_for(deployed: str, client: SyncPrefectClient):
    made = run_deployment(deployed, idempotency_key="k", timeout=0)
    thread = end(client, made.id)
    ended = run_deployment(deployed, idempotency_key="k", timeout=30)
    assert ended.state is not None and ended.state.is_completed()
    thread.join()


def test_the_time_to_wait_is_kept(deployed: str):
    began = time.monotonic()
    made = run_deployment(deployed, timeout=0.3)
    assert made.state is not None and made.state.is_scheduled() and time.monotonic() - began >= 0.3
    with pytest.raises(ValueError, match="cannot be negative"):
        run_deployment(deployed, timeout=-1)


def test_in_asynchronous_code(deployed: str):
    async def both() -> tuple[object, object]:
        one = await arun_deployment(deployed, timeout=0)
        other = await run_deployment(deployed, timeout=0)  # type: ignore[misc]
        return one.deployment_id, other.deployment_id

    one, other = asyncio.run(both())
    assert one == other


def test_in_a_flow_it_is_a_subflow(deployed: str, client: SyncPrefectClient):
    @flow
    def parent():
        made = run_deployment(deployed, parameters={"x": five.submit()}, timeout=0)
        return made.id, run_deployment(deployed, as_subflow=False, timeout=0).id

    inner, outer = parent()
    assert client.read_flow_run(outer).parent_task_run_id is None
    run = client.read_flow_run(inner)
    assert run.parameters == {"x": 5} and run.parent_task_run_id is not None
    stand = client.read_task_run(run.parent_task_run_id)
    assert stand.task_inputs["x"][0].input_type == "task_run" and stand.name.startswith("add-")
    end(client, inner, after=0).join()
    stand = client.read_task_run(run.parent_task_run_id)
    assert stand.state is not None and stand.state.is_completed()
    assert stand.state.state_details.child_flow_run_id == inner


def test_what_cannot_be_run(deployed: str):
    with pytest.raises(ObjectNotFound):
        run_deployment("add/nope")
    with pytest.raises(ObjectNotFound):
        run_deployment(uuid4())
    with pytest.raises(ValueError, match="lacks its flow"):
        run_deployment("nope")
    with pytest.raises(ParameterTypeError, match="'three' is not of type 'integer'"):
        run_deployment(deployed, parameters={"x": "three"})

    @flow
    def parent():
        run_deployment(deployed, parameters={"x": broken.submit()}, timeout=0)

    with pytest.raises(UpstreamTaskError):
        parent()


# ── serving ──

SERVED = """
import sys
from prefect import flow, serve


@flow(log_prints=True)
def greet(name: str = "you"):
    print("hello", name)
    return name


@flow
def fails():
    raise ValueError("on purpose")


if __name__ == "__main__":
    if sys.argv[1] == "one":
        greet.serve("served", parameters={"name": "her"})
    else:
        serve(greet.to_deployment("served"), fails.to_deployment("served"))
"""


@pytest.fixture
def served(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "served.py"
    script.write_text(textwrap.dedent(SERVED))
    with subprocess.Popen(
        [sys.executable, str(script), request.param], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PREFECT_HOME": str(home)}, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "prefect deployment run" in line:
                break
        assert process.poll() is None, "".join(lines)
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.mark.parametrize("served", ["one"], indirect=True)
def test_a_flow_is_served(served: subprocess.Popen[str]):
    ended = run_deployment("greet/served", timeout=30)
    assert ended.state is not None and ended.state.is_completed(), ended.state
    assert ended.parameters == {"name": "her"}
    served.send_signal(signal.SIGINT)
    output, _ = served.communicate(timeout=20)
    assert "hello her" in output and "Traceback" not in output and served.returncode == 0


@pytest.mark.parametrize("served", ["several"], indirect=True)
def test_several_are_served_and_a_subflow_ends_in_its_parent(served: subprocess.Popen[str], client: SyncPrefectClient):
    @flow
    def parent():
        good = run_deployment("greet/served", parameters={"name": "sub"}, timeout=30)
        bad = run_deployment("fails/served", timeout=30)
        return good, bad

    good, bad = parent()
    assert good.state is not None and good.state.is_completed()
    assert bad.state is not None and bad.state.is_failed() and "on purpose" in (bad.state.message or "")
    for run in (good, bad):
        assert run.parent_task_run_id is not None
        stand = client.read_task_run(run.parent_task_run_id)
        assert stand.state is not None and stand.state.type == run.state.type  # type: ignore[union-attr]


def test_what_cannot_be_served(project: Project):
    made = project.load().to_deployment("d")
    with pytest.raises(ValueError, match="nothing to serve"):
        serve()
    with pytest.raises(TypeError, match="is no deployment"):
        serve(project.load())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there are several of 'add/d'"):
        serve(made, project.load().to_deployment("d"))

    async def inside() -> None:
        with pytest.raises(RuntimeError, match="await aserve"):
            serve(made)
        with pytest.raises(RuntimeError, match="await aserve"):
            project.load().serve("d")
        with pytest.raises(ValueError, match="nothing to serve"):
            await aserve()

    asyncio.run(inside())
