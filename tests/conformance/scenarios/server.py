"""The server itself."""

from __future__ import annotations

from typing import Any

from conformance.script import DELETE, GET, NOBODY, POST, PUT, Script, nothing, where


def the_server() -> Script:
    yield GET, "/health", None
    yield GET, "/ready", None
    yield GET, "/hello", None
    yield GET, "/version", None, lambda answer: isinstance(answer, str)
    yield GET, "/admin/version", None, lambda answer: answer.split(".")[0]
    yield GET, "/admin/settings", None, sorted
    yield GET, "/csrf-token?client=abc", None
    yield GET, "/csrf-token", None
    yield GET, "/no/such/route", None


def storage_of_results() -> Script:
    yield GET, "/admin/storage", None
    kind = yield POST, "/block_types/", {"name": "sv type", "slug": "sv-type"}, nothing
    fields = {
        "title": "SvStore", "type": "object", "properties": {"x": {"type": "integer"}}, "block_type_slug": "sv-type",
        "block_schema_references": {}, "secret_fields": [],
    }  # fmt: skip
    able = {"block_type_id": kind["id"], "fields": fields, "capabilities": ["read-path", "write-path"]}
    schema = yield POST, "/block_schemas/", able, nothing
    document = {"name": "sv-1", "data": {}, "block_schema_id": schema["id"], "block_type_id": kind["id"]}
    made = yield POST, "/block_documents/", document, nothing
    yield PUT, "/admin/storage", {"default_result_storage_block_id": made["id"]}
    yield GET, "/admin/storage", None
    yield PUT, "/admin/storage", {"default_result_storage_block_id": NOBODY}
    yield PUT, "/admin/storage", {}
    unable = {**able, "fields": {**fields, "title": "SvOther"}, "capabilities": []}
    other = yield POST, "/block_schemas/", unable, nothing
    document = {**document, "name": "sv-2", "block_schema_id": other["id"]}
    second = yield POST, "/block_documents/", document, nothing
    yield PUT, "/admin/storage", {"default_result_storage_block_id": second["id"]}
    yield DELETE, "/admin/storage", None
    yield DELETE, "/admin/storage", None
    yield GET, "/admin/storage", None


def saved_searches() -> Script:
    condition = {"object": "flow_run", "property": "state", "type": "state", "operation": "any", "value": {"a": 1}}
    made = yield PUT, "/saved_searches/", {"name": "sf-search", "filters": []}
    yield PUT, "/saved_searches/", {"name": "sf-search", "filters": [condition]}
    yield PUT, "/saved_searches/", {"filters": []}
    yield PUT, "/saved_searches/", {"name": "sf-bad", "filters": [{"object": "x"}]}
    yield GET, f"/saved_searches/{made['id']}", None
    yield GET, f"/saved_searches/{NOBODY}", None
    yield POST, "/saved_searches/filter", {"limit": 200}, where("name", "sf-search")
    yield POST, "/saved_searches/filter", {"limit": -1}
    yield DELETE, f"/saved_searches/{made['id']}", None
    yield DELETE, f"/saved_searches/{made['id']}", None


def collections() -> Script:
    def workers(answer: dict[str, Any]) -> dict[str, Any]:
        return {package: {type: shown(one) for type, one in types.items()} for package, types in answer.items()}

    def shown(one: dict[str, Any]) -> dict[str, Any]:
        template = one["default_base_job_configuration"]
        variables = template["variables"]
        return {
            "type": one["type"],
            "install_command": one["install_command"],
            "job_configuration": sorted(template["job_configuration"]),
            "variables": sorted(variables["properties"]),
            "required": variables.get("required", []),
            "kinds": {name: declared.get("type") for name, declared in sorted(variables["properties"].items())},
            "defaults": {
                name: declared["default"]
                for name, declared in sorted(variables["properties"].items())
                if declared.get("default") is not None and name != "image"
            },
        }

    yield GET, "/collections/views/aggregate-worker-metadata", None, workers
    yield GET, "/collections/views/none-such", None
