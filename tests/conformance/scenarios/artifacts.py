"""Artifacts, and the latest of each key."""

from __future__ import annotations

from conformance.scenarios.making import flow, flow_run, task_run
from conformance.script import DELETE, GET, NOBODY, PATCH, POST, Script, each, nothing, only


def artifacts() -> Script:
    f = yield from flow("ca-flow")
    run = yield from flow_run(f["id"], "ca-run", "RUNNING")
    task = yield from task_run(run["id"], "ca-task", "RUNNING")
    body = {
        "key": "ca-key", "type": "markdown", "data": "# one", "description": "d", "flow_run_id": run["id"],
        "task_run_id": task["id"], "metadata_": {"a": "b"},
    }  # fmt: skip
    made = yield POST, "/artifacts/", body
    second = yield POST, "/artifacts/", {"key": "ca-key", "type": "table", "data": [{"a": 1}]}
    yield POST, "/artifacts/", {"type": "result", "data": {"a": 1}}
    yield POST, "/artifacts/", {"key": "Bad Key", "type": "markdown"}
    yield POST, "/artifacts/", {"nope": 1}
    yield GET, f"/artifacts/{made['id']}", None
    yield GET, f"/artifacts/{NOBODY}", None
    yield GET, "/artifacts/ca-key/latest", None, only("key", "type", "data", "description", "flow_run_id", "metadata_")
    yield GET, "/artifacts/ca-none/latest", None
    yield PATCH, f"/artifacts/{second['id']}", {"data": [{"a": 2}], "description": "new"}
    yield PATCH, f"/artifacts/{second['id']}", {"key": "other"}
    yield PATCH, f"/artifacts/{NOBODY}", {"data": 1}
    yield GET, f"/artifacts/{second['id']}", None
    yield DELETE, f"/artifacts/{second['id']}", None
    yield DELETE, f"/artifacts/{second['id']}", None
    yield GET, "/artifacts/ca-key/latest", None, only("key", "type", "data")
    yield DELETE, f"/artifacts/{made['id']}", None
    yield GET, "/artifacts/ca-key/latest", None


def artifacts_found() -> Script:
    f = yield from flow("cd-flow")
    run = yield from flow_run(f["id"], "cd-run", "RUNNING")
    made = []
    for key, type, data in (("cd-a", "markdown", 1), ("cd-a", "markdown", 2), ("cd-b", "table", 3)):
        body = {"key": key, "type": type, "data": data, "flow_run_id": run["id"]}
        made.append((yield POST, "/artifacts/", body, nothing))
    yield POST, "/artifacts/", {"type": "result", "data": 4, "flow_run_id": run["id"]}, nothing
    mine = {"flow_run_id": {"any_": [run["id"]]}}
    conditions = [
        mine,
        {**mine, "key": {"any_": ["cd-a"]}},
        {**mine, "key": {"like_": "cd-"}},
        {**mine, "key": {"exists_": True}},
        {**mine, "key": {"exists_": False}},
        {**mine, "type": {"any_": ["table", "result"]}},
        {**mine, "type": {"not_any_": ["table"]}},
        {**mine, "task_run_id": {"any_": [NOBODY]}},
        {"id": {"any_": [made[0]["id"], made[2]["id"]]}},
        {"operator": "or_", "id": {"any_": [made[0]["id"]]}, "key": {"any_": ["cd-b"]}},
        {"nope": 1},
    ]
    for condition in conditions:
        yield POST, "/artifacts/filter", {"artifacts": condition, "sort": "CREATED_DESC"}, each("data")
        yield POST, "/artifacts/count", {"artifacts": condition}
    for sort in ("KEY_DESC", "UPDATED_DESC", "NOPE"):
        wanted = {"id": {"any_": [made[1]["id"], made[2]["id"]]}}
        yield POST, "/artifacts/filter", {"artifacts": wanted, "sort": sort}, each("key", "data")
    yield POST, "/artifacts/filter", {"artifacts": mine, "limit": 1, "offset": 1, "sort": "CREATED_DESC"}, each("data")
    for other in ({"flows": {"name": {"any_": ["cd-flow"]}}}, {"flow_runs": {"name": {"any_": ["none"]}}}):
        yield POST, "/artifacts/filter", {"artifacts": mine, **other, "sort": "CREATED_DESC"}, each("data")
        yield POST, "/artifacts/count", {"artifacts": mine, **other}
    latest = [
        mine,
        {**mine, "key": {"any_": ["cd-a"]}},
        {**mine, "key": {"like_": "cd-"}},
        {**mine, "type": {"any_": ["table"]}},
        {**mine, "type": {"not_any_": ["table"]}},
        {"latest_id": {"any_": [made[1]["id"]]}},
        {"latest_id": {"any_": [made[0]["id"]]}},
        {"nope": 1},
    ]
    for condition in latest:
        view = each("key", "latest_id", "data", "type", "flow_run_id")
        yield POST, "/artifacts/latest/filter", {"artifacts": condition, "sort": "KEY_ASC"}, view
        yield POST, "/artifacts/latest/count", {"artifacts": condition}
    page = {"artifacts": mine, "sort": "KEY_DESC", "limit": 1}
    yield POST, "/artifacts/latest/filter", page, each("key")
    yield POST, "/artifacts/latest/filter", {**page, "offset": 1}, each("key")
