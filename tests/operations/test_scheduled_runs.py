"""What is due as workers and runners read it, who holds slots, and what forms ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import deployments, forms, work_pools, work_queues
from prefect._operations import scheduled_runs as ops
from prefect._operations.errors import Invalid, NotFound
from prefect._schemas.actions.deployments import DeploymentCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate, WorkQueueCreate
from prefect._schemas.deployments import DeploymentResponse
from prefect._store.tables import concurrency_limit, flow_run, variable

from .conftest import World


class Site(World):
    """A pool with two queues and a deployment."""

    def __init__(self, tx: sa.Connection) -> None:
        super().__init__(tx)
        self.flow_id = self.flow("etl")
        work_pools.create_work_pool(tx, WorkPoolCreate(name="p", type="process"))
        self.queue = work_queues.read_pool_queue(tx, "p", "default").id
        self.fast = work_queues.create_pool_queue(tx, "p", WorkQueueCreate(name="fast", priority=1)).id
        self.deployed = self.deploy("d")

    def deploy(self, name: str, **fields: Any) -> DeploymentResponse:
        fields = {"work_pool_name": "p", **fields}
        body = DeploymentCreate.model_validate({"flow_id": self.flow_id, "name": name, **fields})
        return deployments.create_deployment(self.tx, body).value

    def due(self, seconds: float, queue: UUID | None = None, **values: Any) -> UUID:
        due = now() + timedelta(seconds=seconds)
        values = {"state": "SCHEDULED", "deployment_id": self.deployed.id, **values}
        return self.flow_run(
            self.flow_id, work_queue_id=queue or self.queue, next_scheduled_start_time=due, expected_start_time=due, **values
        )  # fmt: skip

    def pool(self, **fields: Any) -> list[UUID]:
        body = ops.ScheduledOfPool.model_validate(fields)
        return [each.flow_run.id for each in ops.read_scheduled_flow_runs_of_pool(self.tx, "p", body)]


@pytest.fixture
def site(both: sa.Connection) -> Site:
    return Site(both)


def test_a_worker_reads_what_is_due_in_its_pool(site: Site) -> None:
    late, early, urgent, future = site.due(-1), site.due(-9), site.due(-2, site.fast), site.due(500)
    moment = now().isoformat()
    assert site.pool(scheduled_before=moment) == [urgent, early, late]
    assert site.pool() == [urgent, early, late, future]
    assert site.pool(scheduled_before=moment, limit=1) == [urgent]
    assert site.pool(work_queue_names=["default"], scheduled_before=moment) == [early, late]
    assert site.pool(scheduled_after=moment) == [future]
    found = ops.read_scheduled_flow_runs_of_pool(site.tx, "p", ops.ScheduledOfPool(limit=1))[0]
    assert (found.work_pool_id, found.work_queue_id) == (work_pools.read_work_pool(site.tx, "p").id, site.fast)
    with pytest.raises(NotFound, match="'p/zzz'"):
        site.pool(work_queue_names=["zzz"])
    with pytest.raises(NotFound, match="Work pool 'nope'"):
        ops.read_scheduled_flow_runs_of_pool(site.tx, "nope", ops.ScheduledOfPool())


def test_a_runner_reads_what_is_due_of_its_deployments(site: Site) -> None:
    other = site.deploy("other", work_pool_name=None)
    late, early, of_other = site.due(-1), site.due(-9), site.due(-5, deployment_id=other.id)
    both_of_them = ops.ScheduledOfDeployments(deployment_ids=[site.deployed.id, other.id])
    assert [run.id for run in ops.read_scheduled_flow_runs_of_deployments(site.tx, both_of_them)] == [
        early,
        of_other,
        late,
    ]
    none = ops.ScheduledOfDeployments(deployment_ids=[])
    assert ops.read_scheduled_flow_runs_of_deployments(site.tx, none) == []
    queue = [run.id for run in ops.read_work_queue_runs(site.tx, site.queue, ops.ScheduledBefore())]
    assert queue == [early, of_other, late]
    with pytest.raises(NotFound):
        ops.read_work_queue_runs(site.tx, new_uuid(), ops.ScheduledBefore())


def test_who_asks_is_noted(site: Site) -> None:
    assert site.deployed.status == "NOT_READY"
    site.pool()
    for queue in (site.queue, site.fast):
        assert work_queues.read_work_queue(site.tx, queue).last_polled is not None
    read = deployments.read_deployment(site.tx, site.deployed.id)
    assert (read.status, read.updated) == ("READY", site.deployed.updated)


def test_runs_of_a_full_deployment_say_so_when_they_are_asked_for(site: Site) -> None:
    limited = site.deploy("limited", concurrency_limit=1)
    first, second = site.due(-2, deployment_id=limited.id), site.due(-1, deployment_id=limited.id)
    assert site.pool() == [first]
    names = dict(site.tx.execute(sa.select(flow_run.c.id, flow_run.c.state_name)).tuples().all())
    assert (names[first], names[second]) == ("Scheduled", "AwaitingConcurrencySlot")


def test_a_deployment_may_use_a_limit_that_others_use(site: Site) -> None:
    limit_id = site._insert(concurrency_limit, name="shared", limit=1)
    one, two = (site.deploy(name, global_concurrency_limit_id=limit_id) for name in ("one", "two"))
    assert one.global_concurrency_limit is not None and one.global_concurrency_limit.name == "shared"
    first, second = site.due(-2, deployment_id=one.id), site.due(-1, deployment_id=two.id)
    assert site.pool() == [first]
    site.deploy("one", concurrency_limit=None)
    assert deployments.read_deployment(site.tx, one.id).global_concurrency_limit is not None
    own = site.deploy("one", concurrency_limit=5).global_concurrency_limit
    assert own is not None and own.limit == 5
    assert site.pool() == [first, second]
    assert site.deploy("two", global_concurrency_limit_id=None).global_concurrency_limit is None
    with pytest.raises(Invalid, match="one limit"):
        site.deploy("two", global_concurrency_limit_id=limit_id, concurrency_limit=1)
    with pytest.raises(NotFound, match="concurrency limit"):
        site.deploy("two", global_concurrency_limit_id=new_uuid())


def test_the_queues_of_a_deployments_pool(site: Site) -> None:
    names = [queue.name for queue in ops.read_queues_for_deployment(site.tx, site.deployed.id)]
    assert names == ["fast", "default"]
    assert ops.read_queues_for_deployment(site.tx, site.deploy("alone", work_pool_name=None).id) == []


def test_runs_that_hold_slots(site: Site) -> None:
    work_pools.update_work_pool(site.tx, "p", WorkPoolUpdate(concurrency_limit=5))
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    old = site.flow_run(site.flow_id, "old", state="RUNNING", work_queue_id=site.queue, state_timestamp=long_ago)
    site.flow_run(site.flow_id, "new", state="PENDING", work_queue_id=site.queue, state_timestamp=now())
    site.flow_run(site.flow_id, "done", work_queue_id=site.queue)
    queue = ops.read_work_queue_concurrency_status(site.tx, site.queue, ops.SlotPages(limit=1))
    assert (queue.active_slots, queue.concurrency_limit, queue.count, queue.pages) == (2, None, 2, 2)
    assert [(run.id, run.name) for run in queue.flow_runs] == [(old, "old")]
    assert queue.flow_runs[0].time_in_current_state is not None
    pool = ops.read_work_pool_concurrency_status(site.tx, "p")
    assert (pool.active_slots, pool.concurrency_limit, pool.count) == (2, 5, 2)
    assert [(each.queue_name, each.active_slots, each.flow_run_count) for each in pool.queues] == [
        ("fast", 0, 0), ("default", 2, 2)
    ]  # fmt: skip
    assert [run.name for run in pool.queues[1].flow_runs] == ["old", "new"]
    last = ops.read_work_pool_concurrency_status(site.tx, "p", ops.PoolSlotPages(limit=1, page=2, flow_run_limit=1))
    assert [(each.queue_name, len(each.flow_runs)) for each in last.queues] == [("default", 1)]


def test_runs_of_schedules_are_made_on_request(site: Site) -> None:
    schedule = {"schedule": {"cron": "0 * * * *"}, "max_scheduled_runs": 8}
    deployed = site.deploy("s", schedules=[schedule, {"schedule": {"cron": "1 1 1 1 *"}, "active": False}])
    start = datetime(2031, 5, 5, tzinfo=UTC)

    def made(**fields: Any) -> int:
        ops.schedule_deployment(site.tx, deployed.id, ops.ScheduleRuns.model_validate(fields))
        of_deployment = flow_run.c.deployment_id == deployed.id
        return site.tx.execute(sa.select(sa.func.count()).select_from(flow_run).where(of_deployment)).scalar_one()

    assert made(start_time=start) == made(start_time=start) == 3
    assert made(start_time=start, end_time=start + timedelta(hours=20), min_runs=30) == 8
    assert made(start_time=start, max_runs=0) == 8
    ops.schedule_deployment(site.tx, deployed.id)
    ops.schedule_deployment(site.tx, new_uuid())


def test_the_next_instants_of_any_schedule(both: sa.Connection) -> None:
    asked = {
        "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        "after": "2024-03-29T12:00:00Z",
        "count": 3,
    }
    found = ops.preview_schedule(both, ops.Preview.model_validate(asked))
    assert [moment.isoformat() for moment in found] == [
        "2024-03-30T01:30:00+00:00", "2024-03-31T01:30:00+00:00", "2024-04-01T00:30:00+00:00"
    ]  # fmt: skip
    hostile = {"schedule": {"rrule": "FREQ=SECONDLY;COUNT=900000000"}}
    with pytest.raises(Invalid, match="looks at more than"):
        ops.preview_schedule(both, ops.Preview.model_validate(hostile))


def test_how_many_deployments_flows_have(site: Site) -> None:
    nobody = new_uuid()
    found = forms.count_deployments_by_flow(site.tx, forms.FlowsToCount(flow_ids=[site.flow_id, nobody]))
    assert found == {site.flow_id: 1, nobody: 0}


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "string", "default": "x"}, "c": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({"a": 1, "c": None}, []),
        ({"a": "zz"}, [{"property": "a", "errors": ["'zz' is not of type 'integer'"]}]),
        ({}, [{"property": "a", "errors": ["'a' is a required property"]}]),
        (
            {"a": 1, "c": [1, "x"]},
            [{"property": "c", "errors": [{"index": 1, "errors": ["'x' is not of type 'integer'"]}]}],
        ),
        ({"a": {"__prefect_kind": "json", "value": "5"}}, []),
        ({"a": {"__prefect_kind": "jinja", "template": "{{ x }}"}}, []),
        ({"a": {"__prefect_kind": "workspace_variable", "variable_name": "five"}}, []),
        (
            {"a": {"__prefect_kind": "workspace_variable", "variable_name": "x"}},
            [{"property": "a", "errors": ["Variable 'x' not found in workspace."]}],
        ),
    ],
)
def test_values_of_a_form_fit_its_schema(both: sa.Connection, values: dict[str, Any], errors: list[Any]) -> None:
    both.execute(variable.insert().values(name="five", value=5))
    answer = forms.validate_values(both, forms.SchemaValues.model_validate({"schema": SCHEMA, "values": values}))
    assert answer.model_dump() == {"errors": errors, "valid": not errors}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "zzz"},
        {"type": "object", "properties": {"a": {"$ref": "#/definitions/X"}}},
        {"properties": {"a": {"$ref": "#/definitions/X"}}, "definitions": {"X": {"$ref": "#/definitions/X"}}},
    ],
)
def test_a_faulty_schema_is_refused(both: sa.Connection, schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="Invalid schema: "):
        forms.validate_values(both, forms.SchemaValues.model_validate({"schema": schema, "values": {"a": 1}}))
