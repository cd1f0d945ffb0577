"""Job templates are filled in as documented, and what does not fit is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

import prefect
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Flow, FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.variables import Variable
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

RUN = FlowRun(id=UUID(int=2), name="amber-x", flow_id=UUID(int=1), deployment_id=UUID(int=3))
FLOW = Flow(id=UUID(int=1), name="etl")
DEPLOYMENT = DeploymentResponse(id=UUID(int=3), name="nightly", flow_id=UUID(int=1))
POOL = WorkPool(id=UUID(int=4), name="pool", type="process", default_queue_id=UUID(int=5))


def template(configuration: dict[str, Any], properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"job_configuration": configuration, "variables": {"type": "object", "properties": properties, **more}}


def without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: without_words(value) for name, value in schema.items() if name not in ("title", "description")}
    return schema


def test_the_template_of_process_workers() -> None:
    made = without_words(ProcessWorker.get_default_base_job_template())
    variables = ["name", "env", "labels", "command", "stream_output", "working_dir"]
    assert list(made["variables"]["properties"]) == variables
    assert (
        made["job_configuration"]
        == {name: f"{{{{ {name} }}}}" for name in sorted(variables)} | made["job_configuration"]
    )
    assert set(made["job_configuration"]) == set(variables)
    assert made["variables"]["properties"]["stream_output"] == {"default": True, "type": "boolean"}
    assert made["variables"]["type"] == "object" and set(made["variables"]) == {"properties", "type"}
    json.dumps(made)


async def test_values_over_defaults(home: Path) -> None:
    job = template(
        {"command": "{{ command }}", "env": {"A": "{{ a }}", "B": "x-{{ a }}-y", "C": "fixed"}, "name": "{{ name }}"},
        {"a": {"type": "string", "default": "one"}, "command": {"type": "string"}, "name": {"default": None}},
    )
    made = await BaseJobConfiguration.from_template_and_values(job, {"command": "run", "a": 2, "not-known": 1})
    assert made.command == "run" and made.name is None
    assert made.env == {"A": "2", "B": "x-2-y", "C": "fixed"}
    given = await BaseJobConfiguration.from_template_and_values(job, {"env": {"A": "over", "D": None}})
    assert given.env == {"A": "over", "B": "x-one-y", "C": "fixed", "D": None}
    assert job["job_configuration"]["env"]["A"] == "{{ a }}"


async def test_what_does_not_fit_is_named(home: Path) -> None:
    unknown = template({"command": "{{ comand }}", "name": "{{ ctx.flow }}"}, {"command": {"type": "string"}})
    with pytest.raises(ValueError, match=r"does not declare: comand, ctx\.flow.*Declared are: command"):
        await BaseJobConfiguration.from_template_and_values(unknown, {})
    required = template({"command": "{{ command }}"}, {"command": {"type": "string"}}, required=["command"])
    with pytest.raises(ValueError, match=r"require.*no value: command"):
        await BaseJobConfiguration.from_template_and_values(required, {})
    with pytest.raises(ValueError, match="stream_output"):
        await ProcessJobConfiguration.from_template_and_values(
            ProcessWorker.get_default_base_job_template(), {"stream_output": "perhaps"}
        )


async def test_blocks_and_variables(home: Path) -> None:
    await Secret(value="hush").asave("token")
    await Variable.aset("region", "north")
    job = template(
        {"env": {"TOKEN": "{{ prefect.blocks.secret.token }}", "REGION": "{{ prefect.variables.region }}"}}, {}
    )
    made = await BaseJobConfiguration.from_template_and_values(job, {})
    assert made.env == {"TOKEN": "hush", "REGION": "north"}


def test_what_belongs_to_a_run_is_added() -> None:
    job = BaseJobConfiguration(env={"MINE": 1, "PREFECT__FLOW_NAME": "other"}, labels={"team": "data"})
    job.prepare_for_flow_run(RUN, DEPLOYMENT, FLOW, POOL, "worker one", UUID(int=9))
    assert job.command == "prefect flow-run execute" and job.is_using_a_runner
    assert job.name == "amber-x"
    mine = {name: value for name, value in job.env.items() if name.startswith("PREFECT__") or name == "MINE"}
    assert mine == {
        "PREFECT__FLOW_RUN_ID": str(RUN.id),
        "PREFECT__WORKER_ID": str(UUID(int=9)),
        "PREFECT__WORKER_NAME": "worker one",
        "PREFECT__FLOW_ID": str(FLOW.id),
        "PREFECT__FLOW_NAME": "other",
        "PREFECT__DEPLOYMENT_ID": str(DEPLOYMENT.id),
        "PREFECT__DEPLOYMENT_NAME": "nightly",
        "MINE": "1",
    }
    assert job.labels == {
        "prefect.io/flow-run-id": str(RUN.id),
        "prefect.io/flow-run-name": "amber-x",
        "prefect.io/version": prefect.__version__,
        "prefect.io/work-pool-name": "pool",
        "prefect.io/work-pool-id": str(POOL.id),
        "prefect.io/worker-name": "worker one",
        "prefect.io/flow-id": str(FLOW.id),
        "prefect.io/flow-name": "etl",
        "prefect.io/deployment-id": str(DEPLOYMENT.id),
        "prefect.io/deployment-name": "nightly",
        "team": "data",
    }
    roles = [one["prefect.resource.role"] for one in job._related_resources()]
    assert roles == ["deployment", "flow", "flow-run"]


def test_processes_have_the_environment_of_their_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_WORKER", "1")
    job = ProcessJobConfiguration(env={"FROM_WORKER": None, "MINE": "2"}, command="echo")
    job.prepare_for_flow_run(RUN)
    assert "FROM_WORKER" not in job.env and job.env["MINE"] == "2" and "PATH" in job.env
    assert job.command == "echo" and not job.is_using_a_runner


def test_a_worker_of_ones_own() -> None:
    class Configuration(BaseJobConfiguration):
        memory: int = Field(default=512, description="In megabytes.")
        manifest: dict[str, Any] = Field(
            default_factory=dict, json_schema_extra={"template": {"cpu": "{{ cpu }}", "memory": "{{ memory }}"}}
        )

    class Variables(BaseVariables):
        cpu: float = 0.5
        memory: int = 512

    class Worker(BaseWorker[Configuration, Variables, BaseWorkerResult]):
        type = "test-of-ones-own"
        job_configuration = Configuration
        job_configuration_variables = Variables
        _description = "A worker."
        _documentation_url = "https://example.com"

        async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> BaseWorkerResult:
            return BaseWorkerResult(identifier="1", status_code=0)

    made = Worker.get_default_base_job_template()
    assert made["job_configuration"]["manifest"] == {"cpu": "{{ cpu }}", "memory": "{{ memory }}"}
    assert "template" not in made["variables"]["properties"]["cpu"]
    assert BaseWorker.get_worker_class_from_type("test-of-ones-own") is Worker
    assert "test-of-ones-own" in BaseWorker.get_all_available_worker_types()
    assert BaseWorker.get_worker_class_from_type("nobody-has-this") is None
    assert Worker.get_description() == "A worker." and Worker.get_documentation_url() == "https://example.com"
    assert Worker("pool", name="My Worker").get_name_slug() == "my-worker"
    assert Worker("pool").get_status()["work_pool"] is None
    with pytest.raises(ValueError, match="must not"):
        Worker("pool", name="a/b")
    with pytest.raises(RuntimeError, match="context manager"):
        _ = Worker("pool").client


async def test_resolving_for_a_run(home: Path) -> None:
    async with get_client() as client, ProcessWorker("pool", name="w") as worker:
        flow = await client.create_flow_from_name("etl")
        variables = {"env": {"A": "deployment", "B": "deployment"}}
        id = await client.create_deployment(flow_id=flow, name="d", work_pool_name="pool", job_variables=variables)
        run = await client.create_flow_run_from_deployment(id, job_variables={"env": {"B": "run"}, "name": "called"})
        job = await ProcessJobConfiguration.resolve_for_flow_run(
            run, client=client, work_pool=worker.work_pool, worker_name="w"
        )
    assert (job.env["A"], job.env["B"], job.name) == ("deployment", "run", "called")
    assert job.labels["prefect.io/deployment-name"] == "d"
