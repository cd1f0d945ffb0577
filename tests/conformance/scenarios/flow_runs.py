"""Flow runs, and what belongs to one."""

from __future__ import annotations

from typing import Any

from conformance.scenarios.making import flow, flow_run, state, task_run
from conformance.script import (
    DELETE,
    FAR,
    GET,
    NOBODY,
    PATCH,
    POST,
    TODAY,
    YESTERDAY,
    Script,
    each,
    names,
    nothing,
    only,
    page,
)


def flow_runs() -> Script:
    f = yield from flow("cr-flow", labels={"of": "flow"})
    body = {
        "flow_id": f["id"], "name": "cr-1", "parameters": {"x": 1, "n": {"y": [1, 2]}}, "tags": ["t1"],
        "idempotency_key": "cr-k", "context": {"a": 1}, "empirical_policy": {"retries": 2, "retry_delay": 0},
        "flow_version": "v1", "labels": {"mine": True}, "job_variables": {"image": "i"},
    }  # fmt: skip
    made = yield POST, "/flow_runs/", body
    yield POST, "/flow_runs/", {**body, "name": "other"}
    yield GET, f"/flow_runs/{made['id']}", None
    yield PATCH, f"/flow_runs/{made['id']}", {"name": "renamed", "tags": ["t2"], "parameters": {"x": 2}}
    yield PATCH, f"/flow_runs/{made['id']}", {"infrastructure_pid": "77", "flow_version": "v2"}
    yield PATCH, f"/flow_runs/{made['id']}", {"nope": 1}
    yield PATCH, f"/flow_runs/{NOBODY}", {"name": "x"}
    yield PATCH, f"/flow_runs/{made['id']}/labels", {"more": 2.5, "mine": False}
    yield PATCH, f"/flow_runs/{NOBODY}/labels", {"more": 2}
    yield GET, f"/flow_runs/{made['id']}", None
    yield POST, "/flow_runs/", {"flow_id": f["id"], "name": "cr-2", "state": state("SCHEDULED")}
    yield POST, "/flow_runs/", {"flow_id": f["id"], "name": "cr-3", "state": state("COMPLETED", "Done")}
    yield POST, "/flow_runs/", {"flow_id": NOBODY, "name": "cr-4"}
    yield POST, "/flow_runs/", {"flow_id": "x"}
    yield POST, "/flow_runs/", {}
    yield POST, "/flow_runs/", {"flow_id": f["id"], "state": {"type": "NOPE"}}
    yield GET, f"/flow_runs/{NOBODY}", None
    yield GET, "/flow_runs/no-id", None
    yield DELETE, f"/flow_runs/{made['id']}", None
    yield DELETE, f"/flow_runs/{made['id']}", None


def flow_run_states() -> Script:
    f = yield from flow("cs-flow")
    run = yield from flow_run(f["id"], "cs-run", "PENDING")
    for one in (state("RUNNING"), state("FAILED", "Broken", message="m", data={"a": 1})):
        yield POST, f"/flow_runs/{run['id']}/set_state", {"state": one}
    states = yield GET, f"/flow_run_states/?flow_run_id={run['id']}", None
    yield GET, f"/flow_run_states/{states[-1]['id']}", None
    yield GET, f"/flow_run_states/{NOBODY}", None
    yield GET, f"/flow_run_states/?flow_run_id={NOBODY}", None
    yield GET, "/flow_run_states/", None
    yield GET, "/flow_run_states/?flow_run_id=no-id", None
    yield GET, f"/flow_runs/{run['id']}", None


def inputs_of_flow_runs() -> Script:
    f = yield from flow("ci-flow")
    run = yield from flow_run(f["id"], "ci-run", "RUNNING")
    at = f"/flow_runs/{run['id']}/input"
    yield POST, at, {"key": "k-1", "value": '{"a": 1}', "sender": "me"}
    yield POST, at, {"key": "k-1", "value": "2"}
    yield POST, at, {"key": "k-2", "value": "2"}
    yield POST, at, {"key": "j", "value": "3"}
    yield POST, at, {"key": "bad key/", "value": "3"}
    yield POST, at, {"key": "k-3"}
    yield POST, f"/flow_runs/{NOBODY}/input", {"key": "k", "value": "1"}
    yield POST, f"{at}/filter", {"prefix": "k", "limit": 5, "exclude_keys": []}
    yield POST, f"{at}/filter", {"prefix": "k", "limit": 5, "exclude_keys": ["k-1"]}, each("key", "value", "sender")
    yield POST, f"{at}/filter", {"prefix": "", "limit": 2}, each("key")
    yield POST, f"{at}/filter", {"prefix": "none"}
    yield POST, f"{at}/filter", {}
    yield GET, f"{at}/k-1", None
    yield GET, f"{at}/none", None
    yield DELETE, f"{at}/k-1", None
    yield DELETE, f"{at}/k-1", None
    yield GET, f"{at}/k-1", None


def many_flow_runs_at_once() -> Script:
    f = yield from flow("cb-flow")
    runs = []
    for name, type in (("cb-1", "RUNNING"), ("cb-2", "PENDING"), ("cb-3", "COMPLETED")):
        runs.append((yield from flow_run(f["id"], name, type)))
    ids = {"id": {"any_": [run["id"] for run in runs]}}

    def told(answer: dict[str, Any]) -> list[Any]:
        return sorted([one["status"], one["state"] and one["state"]["type"]] for one in answer["results"])

    change = {"flow_runs": ids, "state": state("CANCELLED")}
    yield POST, "/flow_runs/bulk_set_state", change, told
    yield POST, "/flow_runs/bulk_set_state", {**change, "force": True}, told
    yield POST, "/flow_runs/bulk_set_state", {"flow_runs": {"id": {"any_": [NOBODY]}}, "state": state("CANCELLED")}
    yield POST, "/flow_runs/bulk_set_state", {"flow_runs": ids}
    yield POST, "/flow_runs/bulk_set_state", {**change, "limit": 1000}
    yield POST, "/flow_runs/filter", {"flow_runs": ids, "sort": "NAME_ASC"}, each("name", "state_type", "run_count")
    yield POST, "/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}}
    yield POST, "/flow_runs/bulk_delete", {"flow_runs": ids, "limit": 1000}
    yield POST, "/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": [NOBODY]}}}
    yield POST, "/flow_runs/count", {"flow_runs": ids}


def graphs() -> Script:
    f = yield from flow("cy-flow")
    run = yield from flow_run(f["id"], "cy-run", "RUNNING")
    first = yield from task_run(run["id"], "cy-a", "RUNNING")
    yield POST, f"/task_runs/{first['id']}/set_state", {"state": state("COMPLETED")}, nothing
    inputs = {"x": [{"input_type": "task_run", "id": first["id"]}], "y": [{"input_type": "parameter", "name": "y"}]}
    second = yield from task_run(run["id"], "cy-b", "RUNNING", task_inputs=inputs)
    yield from flow_run(f["id"], "cy-child", "RUNNING", parent_task_run_id=second["id"])
    artifact = {"flow_run_id": run["id"], "task_run_id": first["id"], "key": "cy-art", "type": "markdown", "data": "x"}
    yield POST, "/artifacts/", artifact, nothing
    yield GET, f"/flow_runs/{run['id']}/graph-v2", None
    yield GET, f"/flow_runs/{run['id']}/graph-v2?since={FAR}", None
    yield GET, f"/flow_runs/{NOBODY}/graph-v2", None
    yield GET, f"/flow_runs/{run['id']}/graph", None
    empty = yield from flow_run(f["id"], "cy-empty")
    yield GET, f"/flow_runs/{empty['id']}/graph-v2", None
    yield GET, f"/flow_runs/{empty['id']}/graph", None


def logs() -> Script:
    f = yield from flow("cl-flow")
    run = yield from flow_run(f["id"], "cl-run", "RUNNING")
    task = yield from task_run(run["id"], "cl-task", "RUNNING")
    line = {"name": "prefect.flow_runs", "flow_run_id": run["id"]}
    lines = [
        {**line, "level": 20, "message": "alpha beta", "timestamp": YESTERDAY},
        {**line, "level": 40, "message": "beta gamma, 'quoted'", "timestamp": TODAY, "task_run_id": task["id"]},
        {**line, "level": 10, "message": "delta", "timestamp": "2024-01-01T12:00:00Z"},
    ]
    yield POST, "/logs/", lines
    yield POST, "/logs/", []
    yield POST, "/logs/", [{"name": "n", "level": "x", "message": "m", "timestamp": TODAY}]
    yield POST, "/logs/", [{"name": "n", "level": 10}]
    text = each("message")
    mine = {"flow_run_id": {"any_": [run["id"]]}}
    yield POST, "/logs/filter", {"logs": mine}
    yield POST, "/logs/filter", {"logs": mine, "sort": "TIMESTAMP_DESC"}, text
    yield POST, "/logs/filter", {"logs": mine, "sort": "LEVEL_ASC"}
    yield POST, "/logs/filter", {"logs": mine, "limit": 1, "offset": 1}, text
    yield POST, "/logs/filter", {"logs": {**mine, "level": {"ge_": 20}}}, text
    yield POST, "/logs/filter", {"logs": {**mine, "level": {"ge_": 15, "le_": 25}}}, text
    yield POST, "/logs/filter", {"logs": {**mine, "timestamp": {"after_": "2024-01-01T06:00:00Z"}}}, text
    yield POST, "/logs/filter", {"logs": {**mine, "timestamp": {"before_": YESTERDAY}}}, text
    yield POST, "/logs/filter", {"logs": {**mine, "task_run_id": {"any_": [task["id"]]}}}, text
    yield POST, "/logs/filter", {"logs": {**mine, "task_run_id": {"is_null_": True}}}, text
    for query in ("beta", "beta -gamma", "alpha delta", "BETA", '"alpha beta"'):
        yield POST, "/logs/filter", {"logs": {**mine, "text": {"query": query}}}, text
    yield GET, f"/flow_runs/{run['id']}/logs/download", None, nothing
    yield GET, f"/flow_runs/{NOBODY}/logs/download", None


def history_of_flow_runs() -> Script:
    f = yield from flow("ch-flow")
    for name, when in (("ch-1", YESTERDAY), ("ch-2", "2024-01-01T13:00:00Z"), ("ch-3", "2024-01-01T14:00:00Z")):
        first = state("SCHEDULED", state_details={"scheduled_time": when})
        run = yield POST, "/flow_runs/", {"flow_id": f["id"], "name": name, "state": first}, only("expected_start_time")
        if name == "ch-3":
            yield POST, f"/flow_runs/{run['id']}/set_state", {"state": state("RUNNING")}, only("status")
    mine = {"flows": {"id": {"any_": [f["id"]]}}}
    span = {"history_start": YESTERDAY, "history_end": TODAY}

    def counted(answer: list[dict[str, Any]]) -> list[Any]:
        keys = ("state_type", "state_name", "count_runs")
        return [
            [one["interval_start"], one["interval_end"], sorted([part[key] for key in keys] for part in one["states"])]
            for one in answer
        ]

    yield POST, "/flow_runs/history", {**span, "history_interval_seconds": 43200, **mine}, counted
    yield POST, "/flow_runs/history", {**span, "history_interval_seconds": 0.1, **mine}
    yield POST, "/flow_runs/history", {**span, **mine}
    yield POST, "/flow_runs/lateness", {"flows": {"name": {"any_": ["none"]}}}
    yield POST, "/flow_runs/paginate", {**mine, "limit": 1, "sort": "NAME_ASC"}, page
    yield POST, "/flow_runs/paginate", {**mine, "limit": 1, "page": 2, "sort": "NAME_ASC"}, page
    yield POST, "/flow_runs/paginate", {**mine, "limit": 0}
    yield POST, "/flow_runs/filter", {**mine, "limit": 201}
    yield POST, "/flow_runs/filter", {**mine, "sort": "NAME_DESC"}, names
