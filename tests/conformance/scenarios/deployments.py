"""Deployments, their schedules and their runs."""

from __future__ import annotations

from typing import Any

from conformance.scenarios.making import deployment, flow, flow_run, pool
from conformance.script import DELETE, FAR, GET, NOBODY, PATCH, POST, Script, each, names, nothing, only, page

_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def _sorted_tags(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "tags": sorted(answer["tags"])}


def deployments() -> Script:
    f = yield from flow("df-flow")
    yield from pool("df-pool")
    body: dict[str, Any] = {
        "name": "df-1", "flow_id": f["id"], "work_pool_name": "df-pool", "entrypoint": "f.py:f", "path": "/x",
        "parameters": {"a": 1}, "tags": ["x"], "parameter_openapi_schema": _SCHEMA, "enforce_parameter_schema": True,
        "schedules": [{"schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}, "active": True, "slug": "yearly"}],
        "concurrency_limit": 2, "concurrency_options": {"collision_strategy": "ENQUEUE"}, "version": "1",
        "job_variables": {"env": {"A": "b"}}, "description": "d", "labels": {"l": 1},
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": "/x"}}],
    }  # fmt: skip
    made = yield POST, "/deployments/", body
    at = f"/deployments/{made['id']}"
    yield GET, at, None
    yield GET, "/deployments/name/df-flow/df-1", None
    yield GET, "/deployments/name/df-flow/none", None
    yield GET, "/deployments/name/none/df-1", None
    yield POST, "/deployments/", {"name": "df-1", "flow_id": f["id"], "work_pool_name": "df-pool", "tags": ["y"]}
    yield POST, "/deployments/", {"name": "df-2", "flow_id": f["id"], "work_pool_name": "no-such-pool"}
    yield POST, "/deployments/", {"name": "df-3", "flow_id": NOBODY}
    yield POST, "/deployments/", {"name": "df/4", "flow_id": f["id"]}
    yield POST, "/deployments/", {"flow_id": f["id"]}
    yield POST, "/deployments/", {"name": "df-5", "flow_id": f["id"], "concurrency_limit": 0}
    yield POST, "/deployments/", {**body, "name": "df-6", "parameters": {"a": "text"}}
    yield POST, "/deployments/", {**body, "name": "df-7", "work_queue_name": "df-queue"}, only("work_queue_name")
    yield GET, "/work_pools/df-pool/queues/df-queue", None, only("name")
    yield PATCH, at, {"description": "new", "paused": True, "tags": ["q"], "version": "2", "parameters": {"a": 7}}
    yield PATCH, at, {"concurrency_limit": None, "job_variables": {}, "path": "/y"}
    yield PATCH, at, {"nope": 1}
    yield PATCH, f"/deployments/{NOBODY}", {"paused": True}
    yield GET, at, None
    yield POST, f"{at}/resume_deployment", None
    yield GET, at, None, only("paused")
    yield POST, f"{at}/pause_deployment", None
    yield GET, at, None, only("paused")
    yield POST, f"/deployments/{NOBODY}/pause_deployment", None
    yield POST, f"/deployments/{NOBODY}/resume_deployment", None
    yield GET, f"{at}/work_queue_check", None, lambda answer: sorted(one["name"] for one in answer)[:1]
    yield GET, f"/deployments/{NOBODY}/work_queue_check", None
    yield DELETE, at, None
    yield DELETE, at, None
    yield GET, at, None


def schedules() -> Script:
    f = yield from flow("ds-flow")
    made = yield from deployment(f["id"], "ds-1", paused=False)
    at = f"/deployments/{made['id']}/schedules"
    kinds: list[dict[str, Any]] = [
        {"schedule": {"interval": 86400, "anchor_date": FAR, "timezone": "Europe/Berlin"}, "active": False},
        {"schedule": {"cron": "0 9 * * mon", "day_or": False}, "active": True, "slug": "monday"},
        {"schedule": {"rrule": "FREQ=YEARLY;COUNT=2", "timezone": "UTC"}, "parameters": {"a": 1}, "slug": "twice"},
    ]
    added = []
    for kind in kinds:
        added += yield POST, at, [kind]
    yield POST, at, kinds[1:2]
    for bad in ({"cron": "not a cron"}, {"interval": 0}, {"interval": -5}, {"rrule": "FREQ=NEVER"}, {}):
        yield POST, at, [{"schedule": bad}]
    yield POST, at, [{"schedule": {"cron": "0 0 * * *", "timezone": "Nowhere/None"}}]
    yield POST, at, [{"schedule": {"cron": "0 0 * * *"}, "slug": "Bad Slug"}]
    yield POST, f"/deployments/{NOBODY}/schedules", kinds[:1]
    shown = each("schedule", "active", "slug", "parameters", "max_scheduled_runs")
    yield GET, at, None, lambda answer: sorted(map(str, shown(answer)))
    yield GET, f"/deployments/{NOBODY}/schedules", None
    yield PATCH, f"{at}/{added[0]['id']}", {"active": True}
    yield PATCH, f"{at}/{added[1]['id']}", {"schedule": {"cron": "0 10 * * tue"}, "slug": "tuesday"}
    yield PATCH, f"{at}/{added[1]['id']}", {"slug": "twice"}
    yield PATCH, f"{at}/{added[1]['id']}", {"schedule": {"cron": "nope"}}
    yield PATCH, f"{at}/{NOBODY}", {"active": True}
    yield DELETE, f"{at}/{added[0]['id']}", None
    yield DELETE, f"{at}/{added[0]['id']}", None
    yield GET, at, None, lambda answer: sorted(map(str, shown(answer)))


def runs_by_schedule() -> Script:
    f = yield from flow("dt-flow")
    cron = {"schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}, "active": True, "slug": "yearly"}
    made = yield from deployment(f["id"], "dt-1", schedules=[cron], tags=["of-deployment"])
    span = {"start_time": "2090-06-01T00:00:00Z", "end_time": "2094-01-02T00:00:00Z", "min_runs": 1, "max_runs": 3}
    yield POST, f"/deployments/{made['id']}/schedule", span
    yield POST, f"/deployments/{made['id']}/schedule", span
    yield POST, f"/deployments/{NOBODY}/schedule", span
    yield POST, f"/deployments/{made['id']}/schedule", {"max_runs": "many"}
    mine = {
        "flows": {"name": {"any_": ["dt-flow"]}},
        "flow_runs": {"expected_start_time": {"after_": span["start_time"]}},
    }
    shown = each("expected_start_time", "state_type", "state_name", "auto_scheduled", "deployment_id", "tags")
    yield POST, "/flow_runs/filter", {**mine, "sort": "EXPECTED_START_TIME_ASC"}, shown
    due = {"deployment_ids": [made["id"]], "scheduled_before": "2092-06-01T00:00:00Z"}
    times = each("expected_start_time", "state_type", "flow_id")
    yield POST, "/deployments/get_scheduled_flow_runs", due, lambda answer: times(answer)[-2:]
    yield POST, "/deployments/get_scheduled_flow_runs", {**due, "limit": 0}
    yield POST, "/deployments/get_scheduled_flow_runs", {**due, "scheduled_before": "2020-01-01T00:00:00Z"}
    yield POST, "/deployments/get_scheduled_flow_runs", {"deployment_ids": []}
    yield POST, "/deployments/get_scheduled_flow_runs", {}
    yield POST, f"/deployments/{made['id']}/pause_deployment", None
    yield POST, "/flow_runs/count", mine


def runs_by_hand() -> Script:
    f = yield from flow("dh-flow")
    yield from pool("dh-pool")
    made = yield from deployment(
        f["id"], "dh-1", work_pool_name="dh-pool", parameters={"a": 1}, parameter_openapi_schema=_SCHEMA,
        enforce_parameter_schema=True, tags=["d"], job_variables={"image": "i"}, labels={"of": "deployment"},
    )  # fmt: skip
    at = f"/deployments/{made['id']}/create_flow_run"
    yield POST, at, {"parameters": {"a": 5}, "name": "dh-a", "idempotency_key": "dh-key", "tags": ["r"]}, _sorted_tags
    yield POST, at, {"parameters": {"a": 6}, "name": "dh-b", "idempotency_key": "dh-key"}, only("name", "parameters")
    yield POST, at, {"name": "dh-c", "job_variables": {"cpu": 1}, "context": {"c": 1}, "labels": {"x": 1}}
    yield POST, at, {"name": "dh-d", "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": FAR}}}
    yield POST, at, {"name": "dh-e", "work_queue_name": "dh-other"}, only("work_queue_name")
    yield POST, at, {"parameters": {"a": "text"}}
    yield POST, at, {"parameters": {"a": "text"}, "enforce_parameter_schema": False, "name": "dh-f"}, only("parameters")
    yield POST, at, {"nope": 1}
    yield POST, f"/deployments/{NOBODY}/create_flow_run", {}
    shown = only("results")

    def told(answer: dict[str, Any]) -> list[Any]:
        return [sorted(one) for one in shown(answer)["results"]]

    yield POST, f"{at}/bulk", [{"name": "dh-g"}, {"name": "dh-h", "parameters": {"a": 9}}], told
    yield POST, f"{at}/bulk", []
    yield POST, f"{at}/bulk", [{"nope": 1}]
    yield POST, f"/deployments/{NOBODY}/create_flow_run/bulk", [{}]
    mine = {"flow_runs": {"deployment_id": {"any_": [made["id"]]}}, "sort": "NAME_ASC"}
    yield POST, "/flow_runs/filter", mine, each("name", "state_type", "parameters", "work_pool_name")


def deployments_found() -> Script:
    f = yield from flow("dg-flow", tags=["ft"])
    yield from pool("dg-pool")
    a = yield from deployment(f["id"], "dg-a", tags=["x", "y"], work_pool_name="dg-pool", work_queue_name="dg-q")
    b = yield from deployment(f["id"], "dg-b", tags=["x"], paused=True, concurrency_limit=3)
    c = yield from deployment(f["id"], "dg-c")
    yield from flow_run(f["id"], "dg-run", "RUNNING", deployment_id=b["id"])
    mine = {"flows": {"id": {"any_": [f["id"]]}}}
    conditions: list[dict[str, Any]] = [
        {"id": {"any_": [a["id"], b["id"]]}},
        {"id": {"not_any_": [a["id"]]}},
        {"name": {"any_": ["dg-a", "zz"]}},
        {"name": {"like_": "DG-"}},
        {"flow_or_deployment_name": {"like_": "g-fl"}},
        {"flow_or_deployment_name": {"like_": "dg-b"}},
        {"tags": {"all_": ["x"]}},
        {"tags": {"any_": ["y", "z"]}},
        {"tags": {"is_null_": True}},
        {"paused": {"eq_": True}},
        {"paused": {"eq_": False}},
        {"work_queue_name": {"any_": ["dg-q"]}},
        {"concurrency_limit": {"ge_": 2}},
        {"concurrency_limit": {"le_": 2}},
        {"concurrency_limit": {"is_null_": True}},
        {"operator": "or_", "name": {"any_": ["dg-c"]}, "paused": {"eq_": True}},
        {"nope": 1},
    ]
    for condition in conditions:
        yield POST, "/deployments/filter", {**mine, "deployments": condition, "sort": "NAME_ASC"}, names
        yield POST, "/deployments/count", {**mine, "deployments": condition}
    for sort in ("NAME_DESC", "CREATED_DESC", "NOPE"):
        yield POST, "/deployments/filter", {**mine, "sort": sort}, names
    others: list[dict[str, Any]] = [
        {"flow_runs": {"name": {"any_": ["dg-run"]}}},
        {"work_pools": {"name": {"any_": ["dg-pool"]}}},
        {"work_pool_queues": {"name": {"any_": ["dg-q"]}}},
        {"task_runs": {"name": {"any_": ["none"]}}},
    ]
    for other in others:
        yield POST, "/deployments/filter", {**mine, **other, "sort": "NAME_ASC"}, names
    yield POST, "/deployments/filter", {**mine, "limit": 1, "offset": 1, "sort": "NAME_ASC"}, names
    yield POST, "/deployments/paginate", {**mine, "limit": 2, "sort": "NAME_ASC"}, page
    yield POST, "/deployments/paginate", {**mine, "limit": 2, "page": 2, "sort": "NAME_ASC"}, page
    yield POST, "/deployments/paginate", {**mine, "page": 0}
    yield POST, "/deployments/bulk_delete", {"deployments": {"id": {"any_": [a["id"], c["id"]]}}}, nothing
    yield POST, "/deployments/bulk_delete", {"deployments": {"id": {"any_": [a["id"]]}}}
    yield POST, "/deployments/bulk_delete", {"deployments": {}, "limit": 1000}
    yield POST, "/deployments/filter", {**mine, "sort": "NAME_ASC"}, names
