"""Every way to ask for flow runs and task runs."""

from __future__ import annotations

from conformance.scenarios.making import deployment, flow, flow_run, pool, state, task_run
from conformance.script import FAR, NOBODY, POST, YESTERDAY, Script, names, nothing


def flow_runs_found() -> Script:
    f = yield from flow("cq-flow")
    p = yield from pool("cq-pool")
    d = yield from deployment(f["id"], "cq-dep", work_pool_name="cq-pool", tags=["dt"])
    runs = {
        "cq-a": (yield from flow_run(f["id"], "cq-a", "RUNNING", tags=["x", "y"], flow_version="1")),
        "cq-b": (yield from flow_run(f["id"], "cq-b", "SCHEDULED", tags=["x"], idempotency_key="cq-key")),
        "cq-c": (yield from flow_run(f["id"], "cq-c", "COMPLETED", deployment_id=d["id"])),
    }
    task = yield from task_run(runs["cq-a"]["id"], "cq-task", "RUNNING")
    body = {"flow_id": f["id"], "name": "cq-d", "parent_task_run_id": task["id"], "state": state("PENDING")}
    yield POST, "/flow_runs/", body, nothing
    yield POST, f"/deployments/{d['id']}/create_flow_run", {"name": "cq-e"}, nothing
    a, b = runs["cq-a"]["id"], runs["cq-b"]["id"]
    conditions = [
        {"id": {"any_": [a, b]}},
        {"id": {"not_any_": [a, b]}},
        {"name": {"any_": ["cq-a", "zz"]}},
        {"name": {"like_": "CQ-"}},
        {"name": {"like_": "%"}},
        {"tags": {"all_": ["x"]}},
        {"tags": {"all_": ["x", "y"]}},
        {"tags": {"any_": ["y", "z"]}},
        {"tags": {"is_null_": True}},
        {"tags": {"is_null_": False}},
        {"tags": {"operator": "or_", "all_": ["y"], "is_null_": True}},
        {"state": {"type": {"any_": ["RUNNING", "COMPLETED"]}}},
        {"state": {"type": {"not_any_": ["RUNNING"]}}},
        {"state": {"name": {"any_": ["Completed"]}}},
        {"state": {"name": {"not_any_": ["Completed", "Scheduled"]}}},
        {"state": {"operator": "or_", "type": {"any_": ["RUNNING"]}, "name": {"any_": ["Completed"]}}},
        {"flow_version": {"any_": ["1"]}},
        {"deployment_id": {"any_": [d["id"]]}},
        {"deployment_id": {"is_null_": True}},
        {"deployment_id": {"operator": "or_", "any_": [d["id"]], "is_null_": True}},
        {"work_queue_name": {"any_": ["default"]}},
        {"work_queue_name": {"is_null_": True}},
        {"start_time": {"is_null_": True}},
        {"start_time": {"is_null_": False}},
        {"start_time": {"after_": YESTERDAY, "before_": FAR}},
        {"start_time": {"before_": YESTERDAY}},
        {"end_time": {"is_null_": False}},
        {"end_time": {"after_": YESTERDAY}},
        {"expected_start_time": {"before_": FAR}},
        {"expected_start_time": {"after_": FAR}},
        {"next_scheduled_start_time": {"before_": FAR}},
        {"parent_task_run_id": {"any_": [task["id"]]}},
        {"parent_task_run_id": {"is_null_": True}},
        {"parent_flow_run_id": {"any_": [a]}},
        {"idempotency_key": {"any_": ["cq-key"]}},
        {"idempotency_key": {"not_any_": ["cq-key"]}},
        {"created_by": {"is_null_": True}},
        {"operator": "or_", "name": {"any_": ["cq-b"]}, "state": {"type": {"any_": ["COMPLETED"]}}},
        {"name": {"any_": []}},
        {"name": None},
        {"id": {"any_": ["no-id"]}},
        {"state": {"type": {"any_": ["NOPE"]}}},
        {"nope": {}},
    ]
    mine = {"flows": {"id": {"any_": [f["id"]]}}}
    for condition in conditions:
        yield POST, "/flow_runs/filter", {**mine, "flow_runs": condition, "sort": "NAME_ASC"}, names
    for sort in ("NAME_DESC", "ID_DESC", "START_TIME_ASC", "START_TIME_DESC", "END_TIME_DESC", "NOPE"):
        wanted = {"state": {"type": {"any_": ["RUNNING"]}}}
        yield POST, "/flow_runs/filter", {**mine, "flow_runs": wanted, "sort": sort}, names
    others = [
        {"deployments": {"tags": {"all_": ["dt"]}}},
        {"deployments": {"name": {"any_": ["cq-dep"]}, "paused": {"eq_": True}}},
        {"work_pools": {"name": {"any_": ["cq-pool"]}}},
        {"work_pools": {"id": {"any_": [p["id"]]}, "type": {"any_": ["nope"]}}},
        {"work_pool_queues": {"name": {"any_": ["default"]}}},
        {"task_runs": {"name": {"any_": ["cq-task"]}}},
        {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}},
        {"flow_runs": {"id": {"any_": [NOBODY]}}},
    ]
    for other in others:
        yield POST, "/flow_runs/filter", {**mine, **other, "sort": "NAME_ASC"}, names
        yield POST, "/flow_runs/count", {**mine, **other}
    yield POST, "/flow_runs/filter", {**mine, "sort": "NAME_ASC", "limit": 2, "offset": 1}, names
    yield POST, "/flow_runs/filter", {**mine, "limit": None, "sort": "NAME_ASC"}, names


def task_runs_found() -> Script:
    f = yield from flow("cw-flow")
    run = yield from flow_run(f["id"], "cw-run", "RUNNING", tags=["of-run"])
    a = yield from task_run(run["id"], "cw-a", "RUNNING", tags=["x", "y"])
    yield from task_run(run["id"], "cw-b", "COMPLETED", tags=["x"])
    yield from task_run(run["id"], "cw-c")
    alone = yield from task_run(None, "cw-alone", "PENDING")
    yield from flow_run(f["id"], "cw-child", "RUNNING", parent_task_run_id=a["id"])
    mine = {"name": {"any_": ["cw-a", "cw-b", "cw-c", "cw-alone"]}}
    conditions = [
        {"id": {"any_": [a["id"], alone["id"]]}},
        {"name": {"like_": "CW-"}},
        {"flow_run_id": {"any_": [run["id"]]}},
        {"flow_run_id": {"is_null_": True}},
        {"flow_run_id": {"operator": "or_", "any_": [run["id"]], "is_null_": True}},
        {"tags": {"all_": ["x"]}},
        {"tags": {"is_null_": True}},
        {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}},
        {"state": {"name": {"any_": ["Completed"]}}},
        {"start_time": {"is_null_": True}},
        {"start_time": {"after_": YESTERDAY, "before_": FAR}},
        {"end_time": {"is_null_": True}},
        {"end_time": {"before_": FAR}},
        {"expected_start_time": {"after_": FAR}},
        {"subflow_runs": {"exists_": True}},
        {"subflow_runs": {"exists_": False}},
        {"operator": "or_", "tags": {"all_": ["y"]}, "id": {"any_": [alone["id"]]}},
        {"state": {"type": {"any_": ["NOPE"]}}},
        {"nope": 1},
    ]
    for condition in conditions:
        wanted = condition if condition.get("operator") else {**mine, **condition}
        yield POST, "/task_runs/filter", {"task_runs": wanted, "sort": "NAME_ASC"}, names
        yield POST, "/task_runs/count", {"task_runs": wanted}
    for sort in ("NAME_DESC", "ID_DESC", "END_TIME_DESC", "EXPECTED_START_TIME_ASC", "NOPE"):
        yield POST, "/task_runs/filter", {"task_runs": {**mine, "tags": {"all_": ["y"]}}, "sort": sort}, names
    of_others = [
        {"flow_runs": {"tags": {"all_": ["of-run"]}}},
        {"flows": {"name": {"any_": ["cw-flow"]}}},
        {"deployments": {"name": {"any_": ["none"]}}},
        {"work_pools": {"name": {"any_": ["none"]}}},
    ]
    for other in of_others:
        yield POST, "/task_runs/filter", {"task_runs": mine, **other, "sort": "NAME_ASC"}, names
    yield POST, "/task_runs/filter", {"task_runs": mine, "sort": "NAME_ASC", "limit": 2, "offset": 1}, names
