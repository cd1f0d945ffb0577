"""Runs of deployments: what they have from the deployment, what is checked, one run for one key."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._operations import deployment_runs, deployments, flow_runs, work_pools, work_queues
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._operations.flow_run_control import SetState, set_flow_run_state
from prefect._operations.run_parameters import ParametersNotMade
from prefect._schemas.actions.deployments import DeploymentCreate, DeploymentUpdate
from prefect._schemas.actions.runs import DeploymentFlowRunCreate, StateCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._schemas.deployments import DeploymentResponse
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.states import StateType
from prefect._store.announcements import collected
from prefect._store.tables import flow_run, variable

from .conftest import World

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "position": 0},
        "b": {"type": "string", "default": "x"},
        "c": {"type": "array", "items": {"$ref": "#/definitions/C"}},
    },
    "required": ["a"],
    "definitions": {"C": {"type": "object", "properties": {"n": {"type": "integer"}}}},
}
TEMPLATE = {
    "job_configuration": {"n": "{{ n }}", "image": "{{ image }}"},
    "variables": {
        "type": "object",
        "properties": {"n": {"type": "integer", "default": 1}, "image": {"type": "string"}},
        "required": ["n"],
    },
}


@pytest.fixture
def deployed(both: sa.Connection) -> DeploymentResponse:
    flow_id = World(both).flow("etl", labels={"team": "data"})
    work_pools.create_work_pool(both, WorkPoolCreate(name="p", type="process", base_job_template=TEMPLATE))
    body = DeploymentCreate.model_validate(
        {
            "flow_id": flow_id, "name": "d", "work_pool_name": "p", "parameters": {"a": 1}, "tags": ["x"],
            "parameter_openapi_schema": SCHEMA, "labels": {"stage": "test"}, "version": "7", "job_variables": {"n": 2},
        }
    )  # fmt: skip
    return deployments.create_deployment(both, body).value


def ask(tx: sa.Connection, id: UUID, **fields: Any) -> tuple[FlowRun, int]:
    body = DeploymentFlowRunCreate.model_validate(fields)
    answer = deployment_runs.create_flow_run_from_deployment(tx, id, body)
    return FlowRun.model_validate_json(answer.value.json), answer.status


def run(tx: sa.Connection, id: UUID, **fields: Any) -> FlowRun:
    made, status = ask(tx, id, **fields)
    assert status == 201
    return made


def test_a_run_has_from_its_deployment_what_it_is_not_given(both: sa.Connection, deployed: DeploymentResponse) -> None:
    collected(both)
    made = run(both, deployed.id)
    assert "scheduled" in collected(both)
    assert (made.flow_id, made.deployment_id, made.deployment_version) == (deployed.flow_id, deployed.id, "7")
    assert (made.work_pool_name, made.work_queue_name, made.work_queue_id) == ("p", "default", deployed.work_queue_id)
    assert (made.parameters, made.tags, made.job_variables) == ({"a": 1}, ["x"], {})
    assert made.labels == {
        "team": "data", "stage": "test", "prefect.flow.id": str(deployed.flow_id),
        "prefect.deployment.id": str(deployed.id),
    }  # fmt: skip
    assert (made.state_type, made.state_name, made.auto_scheduled) == ("SCHEDULED", "Scheduled", False)
    assert made.next_scheduled_start_time is not None and made.next_scheduled_start_time == made.expected_start_time


def test_what_a_run_is_given_goes_over_what_the_deployment_has(
    both: sa.Connection, deployed: DeploymentResponse
) -> None:
    when = "2031-01-02T03:04:05Z"
    made = run(
        both, deployed.id, name="mine", parameters={"a": 2, "b": "z"}, tags=["y", "x"], labels={"stage": "live"},
        job_variables={"image": "i"}, context={"k": 1}, work_queue_name="fast", empirical_policy={"retries": 3},
        state={"type": "SCHEDULED", "message": "later", "state_details": {"scheduled_time": when}},
    )  # fmt: skip
    assert (made.name, made.parameters, made.context) == ("mine", {"a": 2, "b": "z"}, {"k": 1})
    assert (made.tags, made.labels["stage"], made.job_variables) == (["y", "x"], "live", {"image": "i"})
    assert made.work_queue_name == "fast"
    assert made.work_queue_id == work_queues.read_pool_queue(both, "p", "fast").id
    assert made.empirical_policy.retries == 3
    assert made.expected_start_time is not None and made.expected_start_time.year == 2031
    assert made.state is not None and made.state.message == "later"
    assert run(both, deployed.id, state={"type": "RUNNING"}).run_count == 1


def test_a_key_makes_one_run(both: sa.Connection, deployed: DeploymentResponse) -> None:
    first = run(both, deployed.id, idempotency_key="k")
    again, status = ask(both, deployed.id, idempotency_key="k", parameters={"a": 5})
    assert (status, again.id, again.parameters) == (200, first.id, {"a": 1})
    assert run(both, deployed.id, idempotency_key="other").id != first.id


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"a": "zz"}, "field 'a'.*'zz' is not of type 'integer'"),
        ({"c": [{"n": 1}, {"n": "q"}]}, r"field 'c\.1\.n'"),
        ({"a": None}, "field 'a'"),
    ],
)
def test_parameters_fit_the_schema_that_is_enforced(
    both: sa.Connection, deployed: DeploymentResponse, parameters: dict[str, Any], told: str
) -> None:
    with pytest.raises(Conflict, match=f"Error creating flow run: Validation failed for {told}"):
        run(both, deployed.id, parameters=parameters)
    assert run(both, deployed.id, parameters=parameters, enforce_parameter_schema=False).parameters["a"] in (
        "zz",
        1,
        None,
    )
    assert both.execute(sa.select(sa.func.count()).select_from(flow_run)).scalar_one() == 1


def test_a_required_parameter_must_be_there(both: sa.Connection) -> None:
    body = DeploymentCreate(flow_id=World(both).flow("f"), name="d", parameter_openapi_schema=SCHEMA)
    deployed = deployments.create_deployment(both, body).value
    with pytest.raises(Conflict, match="'a' is a required property"):
        run(both, deployed.id)
    assert run(both, deployed.id, parameters={"a": 3}).work_queue_id is None


def test_described_values_are_made(both: sa.Connection, deployed: DeploymentResponse) -> None:
    both.execute(variable.insert().values(name="region", value=12))
    given = {
        "a": {"__prefect_kind": "workspace_variable", "variable_name": "region"},
        "b": {"__prefect_kind": "jinja", "template": "{{ 'a' ~ 1 }}"},
        "c": {"__prefect_kind": "json", "value": '[{"n": 4}]'},
    }
    assert run(both, deployed.id, parameters=given).parameters == {"a": 12, "b": "a1", "c": [{"n": 4}]}
    nowhere = {"a": {"__prefect_kind": "workspace_variable", "variable_name": "nope"}}
    with pytest.raises(ParametersNotMade, match="Variable 'nope' not found"):
        run(both, deployed.id, parameters=nowhere)
    assert ParametersNotMade.status == 400


def test_job_variables_fit_the_pool(both: sa.Connection, deployed: DeploymentResponse) -> None:
    with pytest.raises(Invalid, match="field 'n'"):
        run(both, deployed.id, job_variables={"n": "zz"})
    later = {"n": "{{ prefect.variables.n }}"}
    assert run(both, deployed.id, job_variables=later).job_variables == later


def test_a_run_may_stand_for_a_task_run_of_another(both: sa.Connection, deployed: DeploymentResponse) -> None:
    world = World(both)
    parent = world.flow_run(world.flow("parent"), state="RUNNING")
    stand_in = world.task_run(parent, state="PENDING")
    made = run(both, deployed.id, parent_task_run_id=stand_in)
    assert made.parent_task_run_id == stand_in
    row = both.execute(sa.select(flow_run.c.parent_flow_run_id).where(flow_run.c.id == made.id)).scalar_one()
    assert row == parent


def test_large_parameters_are_refused(both: sa.Connection, deployed: DeploymentResponse) -> None:
    with pytest.raises(Invalid, match="bytes of JSON"):
        run(both, deployed.id, parameters={"b": "x" * 600_000})


def test_there_must_be_a_deployment(both: sa.Connection) -> None:
    with pytest.raises(NotFound, match="Deployment"):
        ask(both, new_uuid())
    with pytest.raises(NotFound, match="Deployment"):
        deployment_runs.bulk_create_flow_runs_from_deployment(both, new_uuid(), [])


def test_of_many_runs_those_that_can_are_made(both: sa.Connection, deployed: DeploymentResponse) -> None:
    bodies = [
        DeploymentFlowRunCreate.model_validate(fields)
        for fields in ({}, {"parameters": {"a": "zz"}}, {"idempotency_key": "k"}, {"idempotency_key": "k"})
    ]
    results = deployment_runs.bulk_create_flow_runs_from_deployment(both, deployed.id, bodies).results
    assert [result.status for result in results] == ["CREATED", "FAILED", "CREATED", "CREATED"]
    assert results[2].flow_run_id == results[3].flow_run_id != results[0].flow_run_id
    assert results[1].flow_run_id is None and "field 'a'" in str(results[1].error)
    with pytest.raises(Invalid, match="more than the 1000"):
        deployment_runs.bulk_create_flow_runs_from_deployment(both, deployed.id, bodies[:1] * 1001)


@pytest.mark.parametrize(("strategy", "name"), [("ENQUEUE", "AwaitingConcurrencySlot"), ("CANCEL_NEW", "Cancelled")])
def test_whoever_starts_a_run_keeps_to_the_limit_of_its_deployment(
    both: sa.Connection, deployed: DeploymentResponse, strategy: str, name: str
) -> None:
    change = {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": strategy}}
    deployments.update_deployment(both, deployed.id, DeploymentUpdate.model_validate(change))
    first, second = run(both, deployed.id), run(both, deployed.id)

    def propose(id: UUID, type: StateType) -> Any:
        return set_flow_run_state(both, id, SetState(state=StateCreate(type=type))).value

    assert propose(first.id, StateType.PENDING).status == "ACCEPT"
    for _ in range(2):
        refused = propose(second.id, StateType.PENDING)
        assert refused.status != "ACCEPT"
    assert flow_runs.flow_run_of(both, second.id).state_name == name
    limit = deployments.read_deployment(both, deployed.id).global_concurrency_limit
    assert limit is not None and limit.active_slots == 1
    if strategy == "ENQUEUE":
        assert refused.details.reason == "Deployment concurrency limit reached."
        assert refused.state.state_details.scheduled_time == second.expected_start_time
        propose(first.id, StateType.RUNNING)
        propose(first.id, StateType.COMPLETED)
        assert propose(second.id, StateType.PENDING).status == "ACCEPT"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", "'For'"),
        ("{{ 'x' * 999999999 }}", "'Mul'"),
        ("{{ 10 ** 10 ** 10 }}", "'Pow'"),
        ("{{ '%999999999d' % 1 }}", "'Mod'"),
        ("{{ 'x' | center(999999999) }}", "the filter 'center'"),
        ("{{ range(99999) }}", "'Call'"),
        ("{{ x", "unexpected end of template"),
    ],
)
def test_a_template_that_could_grow_is_refused(
    both: sa.Connection, deployed: DeploymentResponse, template: str, told: str
) -> None:
    with pytest.raises(ParametersNotMade, match=f"Invalid jinja: .*{told}"):
        run(both, deployed.id, parameters={"b": {"__prefect_kind": "jinja", "template": template}})


@pytest.mark.parametrize("described", [{"__prefect_kind": ["x"], "value": "v"}, {"__prefect_kind": 5, "value": "v"}])
def test_an_unknown_kind_of_value_is_its_own_value(
    both: sa.Connection, deployed: DeploymentResponse, described: dict[str, Any]
) -> None:
    assert run(both, deployed.id, parameters={"b": described}).parameters["b"] == "v"


def test_a_variable_is_named_by_text(both: sa.Connection, deployed: DeploymentResponse) -> None:
    with pytest.raises(ParametersNotMade, match=r"Variable '\[1\]' not found"):
        run(both, deployed.id, parameters={"b": {"__prefect_kind": "workspace_variable", "variable_name": [1]}})
