"""Runs of deployments, schedules, backfills and versions, as clients ask for them: locally and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from prefect import exceptions, flow
from prefect._clock import now
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import actions, filters
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.schedules import Cron
from prefect.states import Scheduled
from waiting import until

from .test_conformance import served_url as served_url

DAY = datetime(2024, 5, 17, tzinfo=UTC)


@pytest.fixture(params=["embedded", "served"])
def client(request: pytest.FixtureRequest) -> Iterator[SyncPrefectClient]:
    if request.param == "embedded":
        request.getfixturevalue("home")
        made = get_client(sync_client=True)
    else:
        made = SyncPrefectClient(request.getfixturevalue("served_url"))
    with made as entered:
        yield entered


@flow(name="scheduled-flow")
def a_flow(a: int = 1) -> None: ...


@pytest.fixture
def deploy(client: SyncPrefectClient) -> Callable[..., UUID]:
    def make(**fields: Any) -> UUID:
        return client.create_deployment(client.create_flow(a_flow), f"d-{uuid4()}", **fields)

    return make


def test_a_run_is_made_and_found_by_its_key(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    id = deploy(parameters={"a": 1}, tags=["x"], work_queue_name="q")
    run = client.create_flow_run_from_deployment(
        id, parameters={"a": 2}, name="mine", tags=["y"], idempotency_key="k", labels={"n": 1}
    )
    again = client.create_flow_run_from_deployment(id, idempotency_key="k")
    assert again.id == run.id
    assert (run.name, run.parameters, set(run.tags), run.deployment_id) == ("mine", {"a": 2}, {"x", "y"}, id)
    assert run.labels["n"] == 1 and run.state is not None and run.state.is_scheduled()
    assert [found.id for found in client.get_scheduled_flow_runs_for_deployments([id])] == [run.id]
    queue = client.read_work_queue_by_name("q")
    assert run.id in [found.id for found in client.get_runs_in_work_queue(queue.id)]
    assert client.read_work_queue_concurrency_status(queue.id).active_slots == 0
    with pytest.raises(exceptions.ObjectNotFound):
        client.create_flow_run_from_deployment(uuid4())


def test_parameters_that_do_not_fit_are_told(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    id = deploy(parameter_openapi_schema=schema, enforce_parameter_schema=True)
    with pytest.raises(exceptions.PrefectHTTPStatusError, match="field 'a'"):
        client.create_flow_run_from_deployment(id, parameters={"a": "zz"})


def test_a_worker_reads_what_is_due(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    name = f"pool-{uuid4()}"
    client.create_work_pool(actions.WorkPoolCreate(name=name, type="process"))
    id = deploy(work_pool_name=name)
    later = Scheduled(scheduled_time=now() + timedelta(hours=1))
    due, _ = client.create_flow_run_from_deployment(id), client.create_flow_run_from_deployment(id, state=later)
    found = client.get_scheduled_flow_runs_for_work_pool(name, scheduled_before=now() + timedelta(seconds=10))
    assert [each.flow_run.id for each in found] == [due.id]


def test_many_runs_are_made_in_one_request(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    id = deploy(parameter_openapi_schema=schema, enforce_parameter_schema=True)
    runs = [actions.DeploymentFlowRunCreate(parameters={"a": value}) for value in (1, "zz", 3)]
    first, second, third = client.create_flow_runs_from_deployment(id, runs)
    assert isinstance(first, UUID) and isinstance(third, UUID) and "field 'a'" in str(second)


def test_schedules_are_previewed_and_their_runs_made(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    schedule = CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")
    assert client.preview_schedule(schedule, after=DAY, count=2) == [
        datetime(2024, 5, 18, tzinfo=UTC), datetime(2024, 5, 19, tzinfo=UTC)
    ]  # fmt: skip
    nightly = Cron("0 0 * * *", slug="nightly", catch_up="latest")
    id = deploy(schedules=[actions.DeploymentScheduleCreate.from_schedule(nightly)])
    (made,) = client.read_deployment_schedules(id)
    assert (made.slug, made.catch_up) == ("nightly", "latest")
    client.schedule_deployment(id, start_time=now(), max_runs=2)
    of_deployment = filters.FlowRunFilter(deployment_id=filters.FlowRunFilterDeploymentId(any_=[id]))
    runs = until(lambda: client.read_flow_runs(flow_run_filter=of_deployment))
    assert len(runs) in (2, 3) and all(run.auto_scheduled for run in runs)
    client.update_deployment_schedule(id, made.id, catch_up="all")
    assert client.read_deployment_schedules(id)[0].catch_up == "all"
    client.pause_deployment(id)
    assert client.read_flow_runs(flow_run_filter=of_deployment) == []


def test_a_backfill_is_made_followed_and_cancelled(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    id = deploy()
    every_day = IntervalSchedule(interval=timedelta(days=1), anchor_date=DAY)
    made = client.create_backfill(id, DAY, DAY + timedelta(days=3), schedule=every_day, concurrency=2)
    assert (made.status, made.concurrency, made.deployment_id) == ("RUNNING", 2, id)
    assert client.read_backfill(made.id).id == made.id
    assert [one.id for one in client.read_backfills(id)] == [made.id]
    assert client.cancel_backfill(made.id).status == "CANCELLED"
    with pytest.raises(exceptions.ObjectNotFound):
        client.read_backfill(uuid4())


def test_the_server_makes_the_runs_of_a_backfill(served_url: str) -> None:
    with SyncPrefectClient(served_url) as client:
        id = client.create_deployment(client.create_flow(a_flow), f"d-{uuid4()}")
        every_day = IntervalSchedule(interval=timedelta(days=1), anchor_date=DAY)
        made = client.create_backfill(id, DAY, DAY + timedelta(days=3), schedule=every_day, concurrency=3)
        assert until(lambda: client.read_backfill(made.id).runs) == {"SCHEDULED": 3}


def test_a_deployment_goes_back_to_an_earlier_version(client: SyncPrefectClient, deploy: Callable[..., UUID]) -> None:
    nightly = actions.DeploymentScheduleCreate.from_schedule(Cron("0 0 * * *"))
    id = deploy(parameters={"a": 1}, schedules=[nightly], concurrency_limit=3, work_queue_name="q", tags=["old"])
    client.update_deployment(id, actions.DeploymentUpdate(parameters={"a": 2}, schedules=[], tags=["new"]))
    client.update_deployment(id, actions.DeploymentUpdate(concurrency_limit=None))
    client.update_deployment(id, actions.DeploymentUpdate(concurrency_limit=None))  # which changes nothing
    before = client.read_deployment(id)
    assert (before.parameters, before.schedules, before.global_concurrency_limit) == ({"a": 2}, [], None)
    versions = client.read_deployment_versions(id)
    assert [version.number for version in versions] == [3, 2, 1]
    assert versions[-1].content["parameters"] == {"a": 1}
    after = client.roll_back_deployment(id, 1)
    assert (after.parameters, after.tags, len(after.schedules)) == ({"a": 1}, ["old"], 1)
    assert after.global_concurrency_limit is not None and after.global_concurrency_limit.limit == 3
    assert after.work_queue_name == "q" and after.id == id
    newest = client.read_deployment_versions(id, limit=1)[0]
    assert (newest.number, newest.restored, newest.content) == (4, 1, versions[-1].content)
    with pytest.raises(exceptions.ObjectNotFound):
        client.roll_back_deployment(id, 77)
