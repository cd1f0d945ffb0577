"""A way through the methods of a client, noun by noun, on any API and with any package that is called `prefect`.

Run as a program, it takes all of them with the package of its interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prefect import __version__, exceptions, flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import actions, filters, objects, schedules, sorting
from prefect.states import Completed, Paused, Pending, Running

_OURS = "pluperfect" in __version__
_ROUNDS_UP = int(_OURS)  # the published client cuts a delay to whole seconds
_STATUS: dict[type[Exception], int] = {exceptions.ObjectNotFound: 404, exceptions.ObjectAlreadyExists: 409}


class Raised:
    """The error that was raised in a block."""

    value: Any


@contextmanager
def raises(kind: type[Exception], match: str = "") -> Iterator[Raised]:
    """As pytest has it, for an interpreter without pytest.

    Some methods of the published client do not translate what the API answers: then its status tells the kind.
    """
    raised = Raised()
    try:
        yield raised
    except kind as error:
        assert not _OURS or match in str(error), f"{error} does not say {match!r}"
        raised.value = error
    except exceptions.PrefectHTTPStatusError as error:
        assert not _OURS and error.response.status_code == _STATUS[kind], error
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def now() -> datetime:
    return datetime.now(UTC)


def _name(prefix: str = "n") -> str:
    return f"{prefix}-{uuid4().hex[:12]}"


@flow(retries=2, retry_delay_seconds=1.5, version="1")
def clean(x: int = 1) -> None: ...


@task(retries=3, retry_delay_seconds=[1, 2.5], tags=["dusty"])
def sweep() -> None: ...


def flows(client: SyncPrefectClient) -> None:
    flow_id = client.create_flow(clean)
    assert client.create_flow_from_name("clean") == flow_id
    assert client.read_flow(flow_id) == client.read_flow_by_name("clean")
    condition = filters.FlowFilter(name=filters.FlowFilterName(any_=["clean"]))
    assert [one.id for one in client.read_flows(flow_filter=condition, sort=sorting.FlowSort.NAME_DESC)] == [flow_id]
    client.delete_flow(flow_id)
    with raises(exceptions.ObjectNotFound):
        client.read_flow(flow_id)


def flow_runs(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(clean, name=_name(), parameters={"x": 3}, tags=["a"], state=Pending())
    assert (run.parameters, run.tags, run.flow_version) == ({"x": 3}, ["a"], "1")
    assert (run.empirical_policy.retries, run.empirical_policy.retry_delay) == (2, 1 + _ROUNDS_UP)
    client.update_flow_run(run.id, name="m", tags=["b"], parameters={"x": 4})
    client.set_flow_run_name(run.id, "k")
    client.update_flow_run_labels(run.id, {"team": "data"})
    read = client.read_flow_run(run.id)
    assert (read.name, read.tags, read.parameters) == ("k", ["b"], {"x": 4})
    assert read.labels["team"] == "data"

    assert client.set_flow_run_state(run.id, Running()).status.value == "ACCEPT"
    assert client.set_flow_run_state(run.id, Paused(timeout_seconds=300)).status.value == "ACCEPT"
    resumed = client.resume_flow_run(run.id, {})
    assert resumed.state is not None
    assert resumed.state.is_running()
    assert client.set_flow_run_state(str(run.id), Completed()).status.value == "ACCEPT"
    history = client.read_flow_run_states(run.id)
    assert [state.name for state in history] == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert client.read_flow_run_state(history[0].id).is_pending()

    mine = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[run.id]))
    assert client.count_flow_runs(flow_run_filter=mine) == 1
    assert client.read_flow_runs(flow_run_filter=mine, sort=sorting.FlowRunSort.NAME_ASC)[0].id == run.id
    client.delete_flow_run(run.id)
    with raises(exceptions.ObjectNotFound, match="not found"):
        client.delete_flow_run(run.id)


def inputs_of_flow_runs(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(clean)
    client.create_flow_run_input(run.id, "k-1", "[1]")
    client.create_flow_run_input(run.id, "k-2", "2", sender=f"prefect.flow-run.{uuid4()}")
    assert client.read_flow_run_input(run.id, "k-1") == "[1]"
    assert [one.key for one in client.filter_flow_run_input(run.id, "k-", 5, {"k-1"})] == ["k-2"]
    with raises(exceptions.ObjectAlreadyExists):
        client.create_flow_run_input(run.id, "k-1", "3")
    client.delete_flow_run_input(run.id, "k-1")
    with raises(exceptions.ObjectNotFound):
        client.read_flow_run_input(run.id, "k-1")


def task_runs(client: SyncPrefectClient) -> None:
    flow_run = client.create_flow_run(clean)
    run = client.create_task_run(sweep, flow_run.id, "0", task_inputs={"x": [objects.Constant(type="int")]})
    assert (run.empirical_policy.retries, run.empirical_policy.retry_delay) == (3, [1, 2 + _ROUNDS_UP])
    assert run.tags == ["dusty"]
    client.set_task_run_name(run.id, "swept")
    assert client.set_task_run_state(run.id, Running(), force=True).status.value == "ACCEPT"
    condition = filters.TaskRunFilter(id=filters.TaskRunFilterId(any_=[run.id]))
    assert [one.name for one in client.read_task_runs(task_run_filter=condition)] == ["swept"]
    assert [one.name for one in client.read_task_run_states(run.id)] == ["Pending", "Running"]
    client.delete_task_run(run.id)
    with raises(exceptions.ObjectNotFound):
        client.read_task_run(run.id)


def logs(client: SyncPrefectClient) -> None:
    run_id = uuid4()
    line: dict[str, Any] = {"name": "b", "level": 10, "message": "n", "timestamp": "2026-01-01T00:00:00Z"}
    request = actions.LogCreate(name="a", level=20, message="m", timestamp=now(), flow_run_id=run_id)
    client.create_logs([request, {**line, "flow_run_id": str(run_id)}])
    condition = filters.LogFilter(flow_run_id=filters.LogFilterFlowRunId(any_=[run_id]))
    assert [one.message for one in client.read_logs(condition)] == ["n", "m"]
    assert [one.message for one in client.read_logs(condition, 1, 0, sorting.LogSort.TIMESTAMP_DESC)] == ["m"]


def variables(client: SyncPrefectClient) -> None:
    name = _name("v").replace("-", "_")
    made = client.create_variable(actions.VariableCreate(name=name, value={"a": 1}, tags=["q"]))
    with raises(exceptions.ObjectAlreadyExists):
        client.create_variable(actions.VariableCreate(name=name, value=1))
    assert client.read_variable_by_name(name) == made
    client.update_variable(actions.VariableUpdate(name=name, value=[2]))
    changed = client.read_variable_by_name(name)
    assert changed is not None
    assert (changed.value, changed.tags) == ([2], ["q"])
    assert client.read_variables(1)
    client.delete_variable_by_name(name)
    assert client.read_variable_by_name(name) is None
    with raises(exceptions.ObjectNotFound):
        client.delete_variable_by_name(name)


def artifacts(client: SyncPrefectClient) -> None:
    key = _name("key")
    request = actions.ArtifactCreate(key=key, type="markdown", data="x", description="d", metadata_={"a": "b"})
    first = client.create_artifact(request)
    second = client.create_artifact(request)
    client.update_artifact(second.id, actions.ArtifactUpdate(data="y"))
    condition = filters.ArtifactFilter(key=filters.ArtifactFilterKey(any_=[key]))
    both = client.read_artifacts(artifact_filter=condition, sort=sorting.ArtifactSort.CREATED_DESC, limit=5)
    assert [one.data for one in both] == ["y", "x"]
    latest = filters.ArtifactCollectionFilter(key=filters.ArtifactCollectionFilterKey(any_=[key]))
    assert [one.latest_id for one in client.read_latest_artifacts(artifact_filter=latest)] == [second.id]
    client.delete_artifact(first.id)
    with raises(exceptions.ObjectNotFound):
        client.delete_artifact(first.id)


def limits_on_tags(client: SyncPrefectClient) -> None:
    tag, task_run_id = _name("tag"), uuid4()
    made = client.create_concurrency_limit(tag, 2)
    assert client.read_concurrency_limit_by_tag(tag).id == made
    assert client.increment_v1_concurrency_slots([tag], task_run_id).status_code == 200
    assert client.read_concurrency_limit_by_tag(tag).active_slots == [task_run_id]
    client.decrement_v1_concurrency_slots([tag], task_run_id, 0.5)
    client.reset_concurrency_limit_by_tag(tag, [str(task_run_id)])
    assert any(one.active_slots == [task_run_id] for one in client.read_concurrency_limits(200, 0))
    client.delete_concurrency_limit_by_tag(tag)
    with raises(exceptions.ObjectNotFound):
        client.read_concurrency_limit_by_tag(tag)


def limits_with_names(client: SyncPrefectClient) -> None:
    name = _name("limit")
    client.create_global_concurrency_limit(actions.GlobalConcurrencyLimitCreate(name=name, limit=1))
    with raises(exceptions.ObjectAlreadyExists):
        client.create_global_concurrency_limit(actions.GlobalConcurrencyLimitCreate(name=name, limit=1))
    client.upsert_global_concurrency_limit_by_name(name, 2)
    client.update_global_concurrency_limit(name, actions.GlobalConcurrencyLimitUpdate(limit=3))
    assert client.read_global_concurrency_limit_by_name(name).limit == 3
    assert name in [one.name for one in client.read_global_concurrency_limits(200)]
    assert client.increment_concurrency_slots([name], 2, "concurrency").json()[0]["name"] == name
    holder = objects.ConcurrencyLeaseHolder(type="flow_run", id=uuid4())
    leased = client.increment_concurrency_slots_with_lease([name], 1, "concurrency", 60, holder).json()
    with raises(exceptions.PrefectHTTPStatusError) as full:
        client.increment_concurrency_slots([name], 1, "concurrency")
    assert full.value.response.status_code == 423
    assert float(full.value.response.headers["Retry-After"]) >= 0
    client.renew_concurrency_lease(UUID(leased["lease_id"]), 60)
    client.release_concurrency_slots_with_lease(UUID(leased["lease_id"]))
    client.release_concurrency_slots([name], 2, 0.1)
    client.delete_global_concurrency_limit_by_name(name)
    with raises(exceptions.ObjectNotFound):
        client.read_global_concurrency_limit_by_name(name)


def work_pools_and_queues(client: SyncPrefectClient) -> None:
    name = _name("pool of")
    request = actions.WorkPoolCreate(name=name, type="process")
    pool = client.create_work_pool(request)
    with raises(exceptions.ObjectAlreadyExists):
        client.create_work_pool(request)
    changed = client.create_work_pool(
        actions.WorkPoolCreate(name=name, type="process", description="new"), overwrite=True
    )
    assert (changed.id, changed.description) == (pool.id, "new")
    client.update_work_pool(name, actions.WorkPoolUpdate(concurrency_limit=3))
    condition = filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[name]))
    assert [one.concurrency_limit for one in client.read_work_pools(work_pool_filter=condition)] == [3]

    queue = client.create_work_queue("quick", description="d", work_pool_name=name)
    assert client.read_work_queue(queue.id).name == "quick"
    assert client.read_work_queue_by_name("quick", name).id == queue.id
    assert {one.name for one in client.read_work_queues(name)} == {"default", "quick"}
    assert [one.id for one in client.match_work_queues(["qui"], name)] == [queue.id]
    client.update_work_queue(queue.id, description="e")
    assert client.read_work_queue(queue.id).description == "e"
    client.delete_work_queue_by_id(queue.id)
    with raises(exceptions.ObjectNotFound):
        client.read_work_queue(queue.id)
    client.delete_work_pool(name)
    with raises(exceptions.ObjectNotFound):
        client.read_work_pool(name)


def workers(client: SyncPrefectClient) -> None:
    name = _name("pool")
    client.create_work_pool(actions.WorkPoolCreate(name=name, type="process"))
    assert client.send_worker_heartbeat(name, "w", 30.0) is None
    assert [worker.name for worker in client.read_workers_for_work_pool(name)] == ["w"]
    assert client.get_scheduled_flow_runs_for_work_pool(name, ["default"], now()) == []


def deployments(client: SyncPrefectClient) -> None:
    flow_id, name = client.create_flow(clean), _name("d")
    cron = actions.DeploymentScheduleCreate(schedule=schedules.CronSchedule(cron="0 0 * * *"))
    made = client.create_deployment(flow_id, name, schedules=[cron], parameters={"x": 2}, tags=["a"], paused=True,
        entrypoint="a.py:clean", enforce_parameter_schema=False, concurrency_limit=2,
    )  # fmt: skip
    read = client.read_deployment_by_name(f"clean/{name}")
    assert (read.id, read.paused, read.parameters, len(read.schedules)) == (made, True, {"x": 2}, 1)
    assert client.read_deployment(str(made)) == read
    client.resume_deployment(made)
    assert not client.read_deployment(made).paused
    client.pause_deployment(str(made))
    client.update_deployment(made, actions.DeploymentUpdate(description="dd", tags=["z"]))
    condition = filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[name]))
    found = client.read_deployments(deployment_filter=condition, sort=sorting.DeploymentSort.NAME_DESC)
    assert [(one.description, one.tags, one.paused) for one in found] == [("dd", ["z"], True)]

    hourly = schedules.IntervalSchedule(interval=timedelta(hours=1))
    (added,) = client.create_deployment_schedules(made, [(hourly, True)])
    client.update_deployment_schedule(made, added.id, active=False)
    assert [one.active for one in client.read_deployment_schedules(made) if one.id == added.id] == [False]
    client.delete_deployment_schedule(made, added.id)
    with raises(exceptions.ObjectNotFound):
        client.delete_deployment_schedule(made, added.id)
    client.delete_deployment(made)
    with raises(exceptions.ObjectNotFound):
        client.read_deployment(made)


def runs_of_deployments(client: SyncPrefectClient) -> None:
    made = client.create_deployment(client.create_flow(clean), _name("d"))
    run = client.create_flow_run_from_deployment(made, parameters={"x": 7}, idempotency_key="i", tags=["w"],
        labels={"l": True},
    )  # fmt: skip
    assert client.create_flow_run_from_deployment(made, idempotency_key="i").id == run.id
    assert (run.parameters, run.deployment_id, run.labels["l"]) == ({"x": 7}, made, True)
    assert run.state is not None
    assert run.state.is_scheduled()
    due = client.get_scheduled_flow_runs_for_deployments([made], now() + timedelta(days=1), 5)
    assert [one.id for one in due] == [run.id]


def blocks(client: SyncPrefectClient) -> None:
    slug = _name("block")
    kind = client.create_block_type(actions.BlockTypeCreate(name=slug, slug=slug))
    with raises(exceptions.ObjectAlreadyExists):
        client.create_block_type(actions.BlockTypeCreate(name=slug, slug=slug))
    client.update_block_type(kind.id, actions.BlockTypeUpdate(description="d"))
    assert client.read_block_type_by_slug(slug).description == "d"
    fields = {
        "title": "B", "type": "object", "properties": {"a": {"type": "string"}}, "secret_fields": ["a"],
        "block_type_slug": slug, "block_schema_references": {},
    }  # fmt: skip
    schema = client.create_block_schema(actions.BlockSchemaCreate(fields=fields, block_type_id=kind.id))
    assert client.read_block_schema_by_checksum(schema.checksum, schema.version).id == schema.id
    newest = client.get_most_recent_block_schema_for_block_type(kind.id)
    assert newest is not None
    assert newest.id == schema.id
    request = actions.BlockDocumentCreate(
        name="doc", data={"a": "hidden"}, block_schema_id=schema.id, block_type_id=kind.id
    )
    block = client.create_block_document(request)
    with raises(exceptions.ObjectAlreadyExists):
        client.create_block_document(request)
    assert client.read_block_document(block.id).data == {"a": "hidden"}
    assert client.read_block_document(block.id, include_secrets=False).data != {"a": "hidden"}
    client.update_block_document(block.id, actions.BlockDocumentUpdate(data={"a": "other"}, block_schema_id=schema.id))
    assert client.read_block_document_by_name("doc", slug).data == {"a": "other"}
    assert [one.id for one in client.read_block_documents_by_type(slug)] == [block.id]
    assert block.id in [one.id for one in client.read_block_documents()]
    client.delete_block_document(block.id)
    with raises(exceptions.ObjectNotFound):
        client.read_block_document(block.id)
    client.delete_block_type(kind.id)


def the_server_itself(client: SyncPrefectClient) -> None:
    assert client.api_healthcheck() is None
    assert client.api_version().startswith("3.")
    assert client.hello().status_code == 200
    assert client.read_server_default_result_storage().default_result_storage_block_id is None


def events(client: SyncPrefectClient) -> None:
    page = client.read_events(limit=1)
    assert page.total >= len(page.events)
    following = page.get_next_page_sync(client)
    assert (following is None) == (page.next_page is None)


CALLS: list[Callable[[SyncPrefectClient], None]] = [
    flows, flow_runs, inputs_of_flow_runs, task_runs, logs, variables, artifacts, limits_on_tags, limits_with_names,
    work_pools_and_queues, workers, deployments, runs_of_deployments, blocks, the_server_itself, events,
]  # fmt: skip


if __name__ == "__main__":
    with get_client(sync_client=True) as own:
        for call in CALLS:
            call(own)
            print(call.__name__)
