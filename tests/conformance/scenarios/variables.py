"""Variables."""

from __future__ import annotations

from conformance.script import DELETE, GET, NOBODY, PATCH, POST, Script, names


def variables() -> Script:
    made = yield POST, "/variables/", {"name": "cf_var", "value": {"a": [1, "x", None, 2.5]}, "tags": ["t", "s"]}
    yield POST, "/variables/", {"name": "cf_var", "value": 1}
    yield POST, "/variables/", {"name": "Bad Name!", "value": 1}
    yield POST, "/variables/", {"name": "cf-dash", "value": 1}
    yield POST, "/variables/", {"name": "cf_none"}
    yield POST, "/variables/", {"name": "cf_null", "value": None}
    yield POST, "/variables/", {"name": "cf_long", "value": "x" * 5001}
    yield GET, f"/variables/{made['id']}", None
    yield GET, "/variables/name/cf_var", None
    yield GET, "/variables/name/cf_none_such", None
    yield GET, f"/variables/{NOBODY}", None
    yield PATCH, "/variables/name/cf_var", {"value": 5}
    yield PATCH, "/variables/name/cf_none_such", {"value": 5}
    yield PATCH, f"/variables/{made['id']}", {"name": "cf_var2", "tags": []}
    yield PATCH, f"/variables/{made['id']}", {"name": "Bad Name!"}
    yield PATCH, f"/variables/{made['id']}", {"name": "cf_null"}
    yield PATCH, f"/variables/{NOBODY}", {"value": 1}
    yield GET, f"/variables/{made['id']}", None
    yield DELETE, "/variables/name/cf_var2", None
    yield DELETE, "/variables/name/cf_var2", None
    yield DELETE, f"/variables/{made['id']}", None
    null = yield GET, "/variables/name/cf_null", None
    yield DELETE, f"/variables/{null['id']}", None


def variables_found() -> Script:
    made = []
    for name, tags in (("cg_a", ["x"]), ("cg_b", ["x", "y"]), ("cg_c", [])):
        made.append((yield POST, "/variables/", {"name": name, "value": name, "tags": tags}))
    mine = {"name": {"any_": ["cg_a", "cg_b", "cg_c"]}}
    for sort in ("NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC", "NOPE"):
        yield POST, "/variables/filter", {"variables": mine, "sort": sort}, names
    conditions = [
        {"name": {"like_": "CG_"}},
        {**mine, "tags": {"all_": ["x"]}},
        {**mine, "tags": {"all_": ["x", "y"]}},
        {**mine, "tags": {"is_null_": True}},
        {"id": {"any_": [made[0]["id"], made[2]["id"]]}},
        {"operator": "or_", "id": {"any_": [made[0]["id"]]}, "name": {"any_": ["cg_b"]}},
        {"nope": 1},
    ]
    for condition in conditions:
        yield POST, "/variables/filter", {"variables": condition, "sort": "NAME_ASC"}, names
        yield POST, "/variables/count", {"variables": condition}
    yield POST, "/variables/filter", {"variables": mine, "sort": "NAME_ASC", "limit": 1, "offset": 1}, names
    yield POST, "/variables/filter", {"variables": mine, "limit": -1}
