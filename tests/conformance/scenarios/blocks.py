"""Block types, schemas and documents."""

from __future__ import annotations

from typing import Any

from conformance.script import DELETE, GET, NOBODY, PATCH, POST, Script, each, names, only


def _fields(title: str, slug: str, **more: Any) -> dict[str, Any]:
    return {
        "title": title, "type": "object", "block_type_slug": slug, "block_schema_references": {}, "required": ["x"],
        "secret_fields": ["pw"],
        "properties": {
            "x": {"title": "X", "type": "integer"},
            "pw": {"title": "Pw", "type": "string", "format": "password", "writeOnly": True},
        },
        **more,
    }  # fmt: skip


def block_types() -> Script:
    made = yield POST, "/block_types/", {"name": "bf type", "slug": "bf-type", "description": "d", "code_example": "c"}
    yield POST, "/block_types/", {"name": "bf type", "slug": "bf-type"}
    yield POST, "/block_types/", {"name": "bf bad", "slug": "Bad Slug"}
    yield POST, "/block_types/", {"name": "bf bad"}
    yield GET, f"/block_types/{made['id']}", None
    yield GET, f"/block_types/{NOBODY}", None
    yield GET, "/block_types/slug/bf-type", None
    yield GET, "/block_types/slug/bf-none", None
    yield PATCH, f"/block_types/{made['id']}", {"description": "new", "logo_url": "https://example.com/l.png"}
    yield PATCH, f"/block_types/{made['id']}", {"name": "other"}
    yield PATCH, f"/block_types/{NOBODY}", {"description": "new"}
    yield GET, f"/block_types/{made['id']}", None
    yield POST, "/block_types/filter", {"block_types": {"name": {"like_": "BF TY"}}}, names
    yield POST, "/block_types/filter", {"block_types": {"slug": {"any_": ["bf-type", "zz"]}}}, names
    yield POST, "/block_types/filter", {"block_types": {"slug": {"any_": ["bf-type"]}}, "limit": 1, "offset": 1}
    yield POST, "/block_types/filter", {"block_types": {"nope": 1}}
    yield POST, "/block_types/filter", {"block_schemas": {"block_capabilities": {"all_": ["none"]}}}
    yield GET, "/block_types/slug/bf-type/block_documents", None
    yield GET, "/block_types/slug/bf-none/block_documents", None
    yield DELETE, f"/block_types/{made['id']}", None
    yield DELETE, f"/block_types/{made['id']}", None


def protected_block_types() -> Script:
    yield POST, "/block_types/install_system_block_types", {}
    secret = yield GET, "/block_types/slug/secret", None, only("name", "slug", "is_protected")
    yield DELETE, f"/block_types/{secret['id']}", None
    yield PATCH, f"/block_types/{secret['id']}", {"description": "mine"}
    system = {"block_types": {"slug": {"any_": ["secret", "json", "local-file-system", "slack-webhook", "webhook"]}}}
    yield POST, "/block_types/filter", system, lambda answer: sorted(one["slug"] for one in answer)
    yield GET, "/block_capabilities/", None, lambda answer: sorted({"notify", "put-directory"} & set(answer))


def block_schemas() -> Script:
    kind = yield POST, "/block_types/", {"name": "bs type", "slug": "bs-type"}
    body = {
        "block_type_id": kind["id"], "fields": _fields("BsBlock", "bs-type"), "capabilities": ["bs-can"], "version": "1"
    }  # fmt: skip
    made = yield POST, "/block_schemas/", body
    yield POST, "/block_schemas/", body
    newer = yield POST, "/block_schemas/", {**body, "version": "2"}
    other = yield POST, "/block_schemas/", {**body, "fields": _fields("BsOther", "bs-type"), "capabilities": []}
    yield POST, "/block_schemas/", {**body, "block_type_id": NOBODY}
    yield POST, "/block_schemas/", {"fields": {}}
    yield GET, f"/block_schemas/{made['id']}", None
    yield GET, f"/block_schemas/{NOBODY}", None
    yield GET, f"/block_schemas/checksum/{made['checksum']}", None, only("version", "checksum")
    yield GET, f"/block_schemas/checksum/{made['checksum']}?version=1", None, only("version", "checksum", "fields")
    yield GET, f"/block_schemas/checksum/{made['checksum']}?version=9", None
    yield GET, "/block_schemas/checksum/none", None
    shown = each("version", "checksum", "capabilities")
    mine = {"block_type_id": {"any_": [kind["id"]]}}
    conditions = [
        mine,
        {**mine, "block_capabilities": {"all_": ["bs-can"]}},
        {**mine, "version": {"any_": ["2"]}},
        {"id": {"any_": [other["id"]]}},
        {"operator": "or_", "id": {"any_": [other["id"]]}, "block_capabilities": {"all_": ["bs-can"]}},
        {"nope": 1},
    ]
    for condition in conditions:
        yield POST, "/block_schemas/filter", {"block_schemas": condition}, shown
    yield POST, "/block_schemas/filter", {"block_schemas": mine, "limit": 1, "offset": 1}, shown
    yield POST, "/block_types/filter", {"block_schemas": {"block_capabilities": {"all_": ["bs-can"]}}}, names
    yield GET, "/block_capabilities/", None, lambda answer: "bs-can" in answer
    yield DELETE, f"/block_schemas/{newer['id']}", None
    yield DELETE, f"/block_schemas/{newer['id']}", None
    yield DELETE, f"/block_types/{kind['id']}", None


def block_documents() -> Script:
    kind = yield POST, "/block_types/", {"name": "bd type", "slug": "bd-type"}
    schema = yield POST, "/block_schemas/", {"block_type_id": kind["id"], "fields": _fields("BdBlock", "bd-type")}
    ids = {"block_schema_id": schema["id"], "block_type_id": kind["id"]}
    made = yield POST, "/block_documents/", {"name": "bd-1", "data": {"x": 1, "pw": "hunter2"}, **ids}
    yield POST, "/block_documents/", {"name": "bd-1", "data": {"x": 1}, **ids}
    yield POST, "/block_documents/", {"name": "Bad Name", "data": {"x": 1}, **ids}
    yield POST, "/block_documents/", {"data": {"x": 1}, **ids}
    yield POST, "/block_documents/", {"name": "bd-2", "data": {"x": 1}, **ids, "block_schema_id": NOBODY}
    yield POST, "/block_documents/", {"name": "bd-2", "data": {"x": 1}}
    yield POST, "/block_documents/", {"data": {"x": 3}, "is_anonymous": True, **ids}, only("is_anonymous", "data")
    at = f"/block_documents/{made['id']}"
    yield GET, at, None
    yield GET, f"{at}?include_secrets=true", None, only("data")
    yield GET, f"/block_documents/{NOBODY}", None
    by_slug = "/block_types/slug/bd-type/block_documents"
    yield GET, by_slug, None, each("name", "data")
    yield GET, f"{by_slug}?include_secrets=true", None, each("name", "data")
    yield GET, f"{by_slug}/name/bd-1", None
    yield GET, f"{by_slug}/name/bd-1?include_secrets=true", None, only("data")
    yield GET, f"{by_slug}/name/none", None
    yield GET, "/block_types/slug/bd-none/block_documents/name/none", None
    yield PATCH, at, {"data": {"x": 2}, "merge_existing_data": True}
    yield GET, f"{at}?include_secrets=true", None, only("data")
    yield PATCH, at, {"data": {"x": 5}, "merge_existing_data": False}
    yield GET, f"{at}?include_secrets=true", None, only("data")
    yield PATCH, f"/block_documents/{NOBODY}", {"data": {}}
    yield PATCH, at, {"nope": 1}
    mine = {"block_type_id": {"any_": [kind["id"]]}}
    conditions = [
        mine,
        {**mine, "is_anonymous": {"eq_": True}},
        {**mine, "is_anonymous": None},
        {**mine, "name": {"any_": ["bd-1"]}},
        {**mine, "name": {"like_": "BD"}},
        {"id": {"any_": [made["id"]]}},
        {"operator": "or_", "id": {"any_": [made["id"]]}, "name": {"any_": ["none"]}},
        {"nope": 1},
    ]
    for condition in conditions:
        view = each("is_anonymous", "data")
        yield POST, "/block_documents/filter", {"block_documents": condition, "include_secrets": True}, view
        yield POST, "/block_documents/count", {"block_documents": condition}
    yield POST, "/block_documents/filter", {"block_types": {"slug": {"any_": ["bd-type"]}}, "sort": "NAME_ASC"}, names
    yield POST, "/block_documents/filter", {"block_schemas": {"id": {"any_": [schema["id"]]}}, "limit": 1}, names
    yield DELETE, at, None
    yield DELETE, at, None
    yield GET, at, None


def blocks_in_blocks() -> Script:
    inner = yield POST, "/block_types/", {"name": "bi inner", "slug": "bi-inner"}
    fields = _fields("BiInner", "bi-inner")
    inner_schema = yield POST, "/block_schemas/", {"block_type_id": inner["id"], "fields": fields}
    outer = yield POST, "/block_types/", {"name": "bi outer", "slug": "bi-outer"}
    holds = {
        "title": "BiOuter", "type": "object", "block_type_slug": "bi-outer", "secret_fields": ["held.pw"],
        "properties": {"held": {"$ref": "#/definitions/BiInner"}}, "required": ["held"],
        "block_schema_references": {
            "held": {"block_type_slug": "bi-inner", "block_schema_checksum": inner_schema["checksum"]}
        },
        "definitions": {"BiInner": fields},
    }  # fmt: skip
    outer_schema = yield POST, "/block_schemas/", {"block_type_id": outer["id"], "fields": holds}
    document = {"block_schema_id": inner_schema["id"], "block_type_id": inner["id"], "data": {"x": 1, "pw": "hidden"}}
    held = yield POST, "/block_documents/", {"name": "bi-held", **document}, only("name", "data")
    reference = {"held": {"$ref": {"block_document_id": held["id"]}}}
    ids = {"block_schema_id": outer_schema["id"], "block_type_id": outer["id"]}
    made = yield POST, "/block_documents/", {"name": "bi-holder", "data": reference, **ids}
    shown = only("data", "block_document_references")
    yield GET, f"/block_documents/{made['id']}", None, shown
    yield GET, f"/block_documents/{made['id']}?include_secrets=true", None, shown
    yield GET, f"/block_schemas/{outer_schema['id']}", None, only("fields", "checksum")
    yield DELETE, f"/block_documents/{made['id']}", None
    yield DELETE, f"/block_documents/{held['id']}", None
