"""Deployments: made or changed by flow and name, their place, limit and schedules."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import (
    concurrency_limits_v2,
    deployment_schedules,
    deployment_versions,
    deployments,
    flows,
    work_pools,
    work_queues,
)
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._schemas.actions.deployments import (
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._schemas.deployments import DeploymentResponse
from prefect._store.tables import concurrency_limit, deployment, deployment_schedule, flow_run

from .conftest import World

YEARLY = {"schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}, "slug": "yearly"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.fixture
def flow_id(both: sa.Connection) -> UUID:
    return World(both).flow("etl", labels={"team": "data"})


def pool(tx: sa.Connection, name: str = "p", **fields: Any) -> None:
    work_pools.create_work_pool(tx, WorkPoolCreate(name=name, type="process", **fields))


def put(tx: sa.Connection, flow_id: UUID, name: str = "d", **fields: Any) -> Any:
    body = DeploymentCreate.model_validate({"flow_id": flow_id, "name": name, **fields})
    return deployments.create_deployment(tx, body)


def make(tx: sa.Connection, flow_id: UUID, name: str = "d", **fields: Any) -> DeploymentResponse:
    made = put(tx, flow_id, name, **fields)
    assert made.status == 201
    return made.value


def change(tx: sa.Connection, id: UUID, **fields: Any) -> DeploymentResponse:
    deployments.update_deployment(tx, id, DeploymentUpdate.model_validate(fields))
    return deployments.read_deployment(tx, id)


def test_a_deployment_is_what_was_made_of_it(both: sa.Connection, flow_id: UUID) -> None:
    pool(both)
    made = make(
        both, flow_id, work_pool_name="p", entrypoint="f.py:f", path="/x", parameters={"a": 1}, tags=["x"],
        parameter_openapi_schema=SCHEMA, schedules=[YEARLY], concurrency_limit=2, version="1",
        concurrency_options={"collision_strategy": "ENQUEUE"}, job_variables={"env": {"A": "b"}},
        pull_steps=[{"step": {}}], labels={"n": 1}, version_info={"type": "git", "version": "1", "branch": "b"},
    )  # fmt: skip
    assert made == deployments.read_deployment(both, made.id)
    assert made == deployments.read_deployment_by_name(both, "etl", "d")
    assert (made.work_pool_name, made.work_queue_name, made.status) == ("p", "default", "NOT_READY")
    assert made.labels == {"team": "data", "prefect.flow.id": str(flow_id), "n": 1}
    assert (made.parameters, made.parameter_openapi_schema, made.tags) == ({"a": 1}, SCHEMA, ["x"])
    assert (made.job_variables, made.pull_steps, made.paused) == ({"env": {"A": "b"}}, [{"step": {}}], False)
    assert [schedule.slug for schedule in made.schedules] == ["yearly"]
    limit = made.global_concurrency_limit
    assert limit is not None and (limit.name, limit.limit) == (f"deployment:{made.id}", 2)
    assert made.concurrency_limit is None and made.concurrency_options is not None
    assert made.version_info is not None and made.version_info.model_dump()["branch"] == "b"


def test_the_same_flow_and_name_is_the_same_deployment(both: sa.Connection, flow_id: UUID) -> None:
    pool(both)
    first = make(both, flow_id, work_pool_name="p", parameters={"a": 1}, schedules=[YEARLY], version="1", path="/x")
    second = put(both, flow_id, tags=["y"])
    assert (second.status, second.value.id) == (200, first.id)
    assert (second.value.version, second.value.path, second.value.work_pool_name) == ("1", "/x", "p")
    assert (second.value.tags, second.value.parameters, second.value.schedules) == (["y"], {}, [])
    assert make(both, World(both).flow("other")).id != first.id


def test_a_queue_that_is_not_there_is_made(both: sa.Connection, flow_id: UUID) -> None:
    pool(both)
    made = make(both, flow_id, "a", work_pool_name="p", work_queue_name="new")
    queue = work_queues.read_pool_queue(both, "p", "new")
    assert (made.work_queue_id, made.work_queue_name) == (queue.id, "new")
    assert make(both, flow_id, "b", work_pool_name="p", work_queue_name="new").work_queue_id == queue.id
    assert make(both, flow_id, "c", work_queue_name="q").work_pool_name == "default-agent-pool"
    assert make(both, flow_id, "d").work_queue_id is None
    work_queues.delete_work_queue(both, queue.id)
    assert deployments.read_deployment(both, made.id).work_queue_name == "default"


def test_a_flow_and_a_pool_must_be_there(both: sa.Connection, flow_id: UUID) -> None:
    with pytest.raises(NotFound, match="Flow"):
        put(both, new_uuid())
    with pytest.raises(NotFound, match="Work pool 'nope' not found"):
        put(both, flow_id, work_pool_name="nope")
    with pytest.raises(NotFound, match="Work pool 'nope' not found"):
        change(both, make(both, flow_id).id, work_pool_name="nope")


def test_parameters_fit_their_schema(both: sa.Connection, flow_id: UUID) -> None:
    with pytest.raises(Invalid, match="a: "):
        put(both, flow_id, parameters={"a": "zz"}, parameter_openapi_schema=SCHEMA)
    made = make(both, flow_id, parameters={"a": {"__prefect_kind": "jinja"}}, parameter_openapi_schema=SCHEMA)
    with pytest.raises(Invalid, match="a: "):
        change(both, made.id, parameters={"a": "zz"})
    assert change(both, made.id, parameters={"a": "zz"}, enforce_parameter_schema=False).parameters == {"a": "zz"}


def test_job_variables_fit_the_pool(both: sa.Connection, flow_id: UUID) -> None:
    properties = {"n": {"type": "integer"}, "region": {"type": "string"}}
    variables = {"type": "object", "properties": properties, "required": ["region"]}
    pool(both, base_job_template={"job_configuration": {"n": "{{ n }}"}, "variables": variables})
    with pytest.raises(Invalid, match="Error creating deployment: Validation failed for field 'n'"):
        put(both, flow_id, work_pool_name="p", job_variables={"n": "x"})
    made = make(both, flow_id, work_pool_name="p", job_variables={"n": 1})  # its runs may give the region
    assert change(both, made.id, job_variables={"n": "{{ prefect.variables.n }}"}).job_variables != {"n": 1}


def test_which_version_a_deployment_is(both: sa.Connection, flow_id: UUID) -> None:
    first = make(both, flow_id, version="1")
    newest = deployment_versions.read_deployment_versions(both, first.id)
    assert [first.version_id] == [version.id for version in newest]
    assert put(both, flow_id, version="1").value.version_id == first.version_id
    second = put(both, flow_id, version="2").value
    assert second.version_id == deployment_versions.read_deployment_versions(both, first.id)[0].id
    assert second.version_id != first.version_id


def test_what_is_not_given_stays(both: sa.Connection, flow_id: UUID) -> None:
    made = make(both, flow_id, tags=["x"], parameters={"a": 1}, schedules=[YEARLY], concurrency_limit=2)
    changed = change(both, made.id, description="new", paused=True, concurrency_limit=5)
    assert (changed.description, changed.paused, changed.tags, changed.parameters) == ("new", True, ["x"], {"a": 1})
    assert changed.global_concurrency_limit is not None and changed.global_concurrency_limit.limit == 5
    assert [schedule.id for schedule in changed.schedules] == [made.schedules[0].id]
    assert change(both, made.id, concurrency_limit=None).global_concurrency_limit is None
    with pytest.raises(Invalid, match="above 0"):
        change(both, made.id, concurrency_limit=0)


def test_schedules_are_changed_by_slug_where_all_have_one(both: sa.Connection, flow_id: UUID) -> None:
    made = make(both, flow_id, schedules=[YEARLY])

    def put_schedules(*schedules: dict[str, Any]) -> dict[str | None, Any]:
        return {one.slug: one for one in change(both, made.id, schedules=list(schedules)).schedules}

    both_of_them = put_schedules({"schedule": {"interval": 7}, "slug": "zz"}, {"slug": "yearly", "active": False})
    assert both_of_them.keys() == {"zz", "yearly"}
    assert both_of_them["yearly"].id == made.schedules[0].id and not both_of_them["yearly"].active
    assert put_schedules({"slug": "new", "replaces": "zz", "parameters": {"a": 1}})["new"].id == both_of_them["zz"].id
    assert put_schedules().keys() == {"new", "yearly"}
    with pytest.raises(Invalid, match=r"schedules\.0: it needs a slug.*'new', 'yearly'"):
        put_schedules({"schedule": {"interval": 7}})
    with pytest.raises(Invalid, match="no `schedule`"):
        put_schedules({"slug": "unheard-of"})


def test_schedules_are_replaced_where_one_has_no_slug(both: sa.Connection, flow_id: UUID) -> None:
    made = make(both, flow_id, schedules=[YEARLY, {"schedule": {"cron": "5 5 5 5 *"}}])
    changed = change(both, made.id, schedules=[{"schedule": {"interval": 7}, "slug": "zz"}])
    assert [schedule.slug for schedule in changed.schedules] == ["zz"]
    other = make(both, flow_id, "other", schedules=[{"schedule": {"cron": "5 5 5 5 *"}}])
    assert change(both, other.id, schedules=[]).schedules == []


def test_paused_and_resumed(both: sa.Connection, flow_id: UUID) -> None:
    made = make(both, flow_id, schedules=[YEARLY])
    world = World(both)
    for name, fields in {"planned": {"auto_scheduled": True}, "by hand": {}}.items():
        world.flow_run(flow_id, name, "SCHEDULED", deployment_id=made.id, **fields)
    deployments.pause_deployment(both, made.id)
    assert deployments.read_deployment(both, made.id).paused
    assert both.execute(sa.select(flow_run.c.name)).scalars().all() == ["by hand"]
    deployments.resume_deployment(both, made.id)
    assert not deployments.read_deployment(both, made.id).paused


def test_deleted_with_what_belongs_to_it(both: sa.Connection, flow_id: UUID) -> None:
    made = make(both, flow_id, schedules=[YEARLY], concurrency_limit=2)
    kept = World(both).flow_run(flow_id, deployment_id=made.id)
    deployments.delete_deployment(both, made.id)
    for table in (deployment, deployment_schedule, concurrency_limit):
        assert both.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
    assert both.execute(sa.select(flow_run.c.id)).scalar_one() == kept
    for absent in (
        lambda: deployments.read_deployment(both, made.id),
        lambda: deployments.read_deployment_by_name(both, "etl", "d"),
        lambda: deployments.delete_deployment(both, made.id),
        lambda: deployments.pause_deployment(both, made.id),
        lambda: deployments.resume_deployment(both, made.id),
        lambda: change(both, made.id),
        lambda: deployment_schedules.read_deployment_schedules(both, made.id),
        lambda: deployment_schedules.create_deployment_schedules(both, made.id, []),
    ):
        with pytest.raises(NotFound, match="Deployment"):
            absent()


def test_many_are_deleted_at_once(both: sa.Connection, flow_id: UUID) -> None:
    made = {name: make(both, flow_id, name).id for name in "abc"}
    body = deployments.DeploymentsToDelete.model_validate({"deployments": {"name": {"any_": ["b"]}}})
    assert deployments.bulk_delete_deployments(both, body).deleted == [made["b"]]
    left = deployments.bulk_delete_deployments(both, deployments.DeploymentsToDelete(limit=1)).deleted
    assert left == [made["a"]]


def test_found(both: sa.Connection, flow_id: UUID) -> None:
    pool(both)
    one = make(both, flow_id, "one", work_pool_name="p", tags=["t"], concurrency_limit=3)
    make(both, flow_id, "two", paused=True, concurrency_limit=1)
    make(both, World(both).flow("Other"), "three", work_queue_name="q")
    World(both).flow_run(flow_id, "run", deployment_id=one.id)

    def names(**query: Any) -> str:
        found = deployments.read_deployments(both, deployments.DeploymentQuery.model_validate(query))
        conditions = {name: value for name, value in query.items() if name not in ("sort", "limit", "offset")}
        if conditions == query:
            selection = deployments.DeploymentSelection.model_validate(query)
            assert deployments.count_deployments(both, selection) == len(found)
        return " ".join(each.name for each in found)

    assert names() == "one three two"
    assert names(sort="NAME_DESC", limit=2) == "two three"
    assert names(sort="CONCURRENCY_LIMIT_ASC") == "two one three"
    assert names(sort="CONCURRENCY_LIMIT_DESC") == "one two three"
    assert names(sort="CREATED_DESC", limit=1) == "three"
    assert names(deployments={"id": {"not_any_": [one.id]}}) == "three two"
    assert names(deployments={"name": {"like_": "T"}}) == "three two"
    assert names(deployments={"flow_or_deployment_name": {"like_": "o"}}) == "one three two"
    assert names(deployments={"flow_or_deployment_name": {"like_": "OTH"}}) == "three"
    assert names(deployments={"paused": {"eq_": True}}) == "two"
    assert names(deployments={"tags": {"all_": ["t"]}}) == "one"
    assert names(deployments={"work_queue_name": {"any_": ["q"]}}) == "three"
    assert names(deployments={"concurrency_limit": {"ge_": 2}}) == "one"
    assert names(deployments={"concurrency_limit": {"is_null_": True}}) == "three"
    assert names(flows={"name": {"any_": ["etl"]}}) == "one two"
    assert names(flow_runs={"name": {"any_": ["run"]}}) == "one"
    assert names(work_pools={"name": {"any_": ["p"]}}) == "one"
    assert names(work_pools={"name": {"any_": ["p"]}}, work_pool_queues={"name": {"any_": ["q"]}}) == ""
    page = deployments.paginate_deployments(both, deployments.DeploymentPages(limit=2, page=2))
    assert ([each.name for each in page.results], page.count, page.pages, page.page) == (["two"], 3, 2, 2)


def test_flows_found_by_whether_they_have_deployments(both: sa.Connection, flow_id: UUID) -> None:
    World(both).flow("bare")
    make(both, flow_id)
    for is_null, expected in ((False, ["etl"]), (True, ["bare"]), (None, ["bare", "etl"])):
        body = flows.FlowQuery.model_validate({"flows": {"deployment": {"is_null_": is_null}}})
        assert [found.name for found in flows.read_flows(both, body)] == expected


def test_schedules_are_added_changed_and_deleted(both: sa.Connection, flow_id: UUID) -> None:
    id = make(both, flow_id, schedules=[YEARLY]).id

    def add(*given: dict[str, Any]) -> list[Any]:
        body = [DeploymentScheduleCreate.model_validate(schedule) for schedule in given]
        return deployment_schedules.create_deployment_schedules(both, id, body)

    daily = {"interval": 86400, "anchor_date": "2035-01-01T00:00:00Z", "timezone": "UTC"}
    [added] = add({"schedule": daily, "active": False, "parameters": {"a": 1}})
    assert added.schedule.model_dump(mode="json") == {**daily, "interval": 86400.0}
    update = deployment_schedules.update_deployment_schedule
    update(both, id, added.id, DeploymentScheduleUpdate(active=True, max_scheduled_runs=4))
    [changed, _] = deployment_schedules.read_deployment_schedules(both, id)
    assert (changed.id, changed.active, changed.max_scheduled_runs) == (added.id, True, 4)
    assert (changed.parameters, changed.schedule) == ({"a": 1}, added.schedule)
    with pytest.raises(Conflict, match="same slug"):
        update(both, id, added.id, DeploymentScheduleUpdate(slug="yearly"))
    with pytest.raises(Conflict, match="same slug"):
        add({"schedule": {"interval": 1}, "slug": "x"}, {"schedule": {"interval": 2}, "slug": "x"})
    add({"schedule": {"rrule": "FREQ=YEARLY;COUNT=2"}, "slug": "never", "replaces": "yearly"})
    deployment_schedules.delete_deployment_schedule(both, id, added.id)
    assert [schedule.slug for schedule in deployment_schedules.read_deployment_schedules(both, id)] == ["never"]
    for absent in (
        lambda: update(both, id, added.id, DeploymentScheduleUpdate(active=True)),
        lambda: deployment_schedules.delete_deployment_schedule(both, id, added.id),
    ):
        with pytest.raises(NotFound, match="Schedule"):
            absent()


def test_a_deployment_is_ready_while_it_is_asked_for(both: sa.Connection, flow_id: UUID) -> None:
    made = make(both, flow_id, concurrency_limit=2)
    both.execute(sa.update(deployment).values(last_polled=now()))
    held = concurrency_limits_v2.LeasedSlotRequest(names=[f"deployment:{made.id}"], slots=1)
    concurrency_limits_v2.bulk_increment_active_slots_with_lease(both, held)
    read = deployments.read_deployment(both, made.id)
    assert read.status == "READY"
    assert read.global_concurrency_limit is not None and read.global_concurrency_limit.active_slots == 1
