"""Flows."""

from __future__ import annotations

from conformance.scenarios.making import deployment, flow_run
from conformance.script import DELETE, GET, NOBODY, PATCH, POST, Script, names, page


def flows() -> Script:
    made = yield POST, "/flows/", {"name": "cf-flow", "tags": ["b", "a"], "labels": {"team": "data", "n": 1}}
    yield POST, "/flows/", {"name": "cf-flow", "tags": ["c"]}
    yield GET, f"/flows/{made['id']}", None
    yield GET, "/flows/name/cf-flow", None
    yield GET, "/flows/name/none-such", None
    yield GET, f"/flows/{NOBODY}", None
    yield GET, "/flows/no-id", None
    yield PATCH, f"/flows/{made['id']}", {"tags": ["z"]}
    yield PATCH, f"/flows/{made['id']}", {"name": "other"}
    yield PATCH, f"/flows/{NOBODY}", {"tags": []}
    yield GET, f"/flows/{made['id']}", None
    yield POST, "/flows/", {"name": "a/b"}
    yield POST, "/flows/", {"name": ""}
    yield POST, "/flows/", {}
    yield POST, "/flows/", {"name": "x", "nope": 1}
    yield DELETE, f"/flows/{made['id']}", None
    yield DELETE, f"/flows/{made['id']}", None


def flows_found() -> Script:
    for name, tags in (("cg-a", ["x"]), ("cg-b", ["x", "y"]), ("cg-c", [])):
        yield POST, "/flows/", {"name": name, "tags": tags}
    mine = {"name": {"any_": ["cg-a", "cg-b", "cg-c"]}}
    found = yield POST, "/flows/filter", {"flows": mine, "sort": "NAME_ASC"}
    yield POST, "/flows/filter", {"flows": mine, "sort": "NAME_DESC"}, names
    yield POST, "/flows/filter", {"flows": mine, "sort": "CREATED_DESC"}, names
    yield POST, "/flows/filter", {"flows": mine, "sort": "UPDATED_DESC"}, names
    yield POST, "/flows/filter", {"flows": mine, "sort": "NOPE"}
    yield POST, "/flows/filter", {"flows": mine, "sort": "NAME_ASC", "limit": 1, "offset": 1}, names
    yield POST, "/flows/filter", {"flows": mine, "limit": 0}, names
    yield POST, "/flows/filter", {"flows": mine, "limit": -1}
    yield POST, "/flows/filter", {"flows": mine, "limit": 201}
    yield POST, "/flows/filter", {"flows": mine, "offset": -1}
    yield POST, "/flows/filter", {"flows": {"name": {"like_": "CG-"}}, "sort": "NAME_ASC"}, names
    yield POST, "/flows/filter", {"flows": {**mine, "tags": {"all_": ["x"]}}, "sort": "NAME_ASC"}, names
    yield POST, "/flows/filter", {"flows": {**mine, "tags": {"all_": ["x", "y"]}}}, names
    yield POST, "/flows/filter", {"flows": {**mine, "tags": {"is_null_": True}}}, names
    yield POST, "/flows/filter", {"flows": {**mine, "tags": {"is_null_": False}}, "sort": "NAME_ASC"}, names
    ids = {"any_": [found[0]["id"], found[2]["id"]]}
    yield POST, "/flows/filter", {"flows": {"id": ids}, "sort": "NAME_ASC"}, names
    yield POST, "/flows/filter", {"flows": {**mine, "id": {"not_any_": ids["any_"]}}}, names
    either = {"operator": "or_", "name": {"any_": ["cg-c"]}, "tags": {"all_": ["x", "y"]}}
    yield POST, "/flows/filter", {"flows": either, "sort": "NAME_ASC"}, names
    yield POST, "/flows/filter", {"flows": {"name": {"any_": []}}}, names
    yield POST, "/flows/filter", {"flows": {"nope": 1}}
    yield POST, "/flows/count", {"flows": mine}
    yield POST, "/flows/count", {"flows": {"name": {"any_": ["none"]}}}
    yield POST, "/flows/paginate", {"flows": mine, "limit": 2, "sort": "NAME_ASC"}, page
    yield POST, "/flows/paginate", {"flows": mine, "limit": 2, "page": 2, "sort": "NAME_ASC"}, page
    yield POST, "/flows/paginate", {"flows": mine, "limit": 2, "page": 9, "sort": "NAME_ASC"}, page
    yield POST, "/flows/paginate", {"flows": mine, "page": 0}
    # by what belongs to them
    yield from deployment(found[1]["id"], "cg-d", tags=["dep"])
    yield from flow_run(found[0]["id"], "cg-run", "RUNNING")
    yield POST, "/flows/filter", {"flows": {**mine, "deployment": {"is_null_": True}}, "sort": "NAME_ASC"}, names
    yield POST, "/flows/filter", {"flows": {**mine, "deployment": {"is_null_": False}}}, names
    yield POST, "/flows/filter", {"flows": mine, "deployments": {"tags": {"all_": ["dep"]}}}, names
    yield POST, "/flows/filter", {"flows": mine, "flow_runs": {"name": {"any_": ["cg-run"]}}}, names
    yield POST, "/flows/count", {"flows": mine, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    yield POST, "/flows/bulk_delete", {"flows": {"id": ids}}
    yield POST, "/flows/bulk_delete", {"flows": {"id": ids}}
    yield POST, "/flows/bulk_delete", {"flows": mine, "limit": 0}
    yield POST, "/flows/filter", {"flows": mine}, names
