"""Blocks: types, schemas by checksum, documents with secrets and with other blocks inside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._operations import block_documents, block_schemas, block_types
from prefect._operations.errors import Conflict, Forbidden, Invalid, NotFound
from prefect._schemas.actions.blocks import (
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchemaCreate,
    BlockTypeCreate,
    BlockTypeUpdate,
)
from prefect._schemas.block_checksums import schema_checksum
from prefect._schemas.blocks import BlockDocument, BlockSchema, BlockType
from prefect._store.tables import block_document, block_document_reference, block_type

INNER: dict[str, Any] = {
    "title": "In",
    "type": "object",
    "properties": {"s": {"title": "S", "type": "string", "format": "password", "writeOnly": True}},
    "required": ["s"],
    "secret_fields": ["s"],
    "block_type_slug": "inner",
    "block_schema_references": {},
}
INNER_CHECKSUM = "sha256:8e95852bb17c3b5363c117c15ffacdfa925bd0dc8849daf9e54ee54293b6fd66"
OUTER: dict[str, Any] = {
    "title": "Out",
    "type": "object",
    "properties": {"x": {"type": "integer"}, "child": {"$ref": "#/definitions/In"}, "d": {"type": "object"}},
    "required": ["x", "child"],
    "secret_fields": ["child.s", "d.*"],
    "block_type_slug": "outer",
    "block_schema_references": {"child": {"block_schema_checksum": INNER_CHECKSUM, "block_type_slug": "inner"}},
    "definitions": {"In": INNER},
}
OUTER_CHECKSUM = "sha256:5d432c6e17c796ddb1be92edba8aa5a5015f2843fcf596fb7ee04cf33d91f403"
EMPTY_CHECKSUM = "sha256:f8e6e96abbc38504d4e9c99fc57281fa0026bede1fa42db79f22f984501710f4"


def make_type(tx: sa.Connection, slug: str, **fields: Any) -> BlockType:
    return block_types.create_block_type(tx, BlockTypeCreate(name=slug.title(), slug=slug, **fields))


def make_schema(tx: sa.Connection, slug: str, fields: dict[str, Any], **more: Any) -> BlockSchema:
    made = block_schemas.create_block_schema(
        tx, BlockSchemaCreate(block_type_id=make_type(tx, slug).id, fields=fields, **more)
    )
    assert made.status == 201
    return made.value


def make(tx: sa.Connection, schema: BlockSchema, name: str | None, data: dict[str, Any], **more: Any) -> BlockDocument:
    assert schema.block_type_id is not None
    return block_documents.create_block_document(
        tx,
        BlockDocumentCreate(
            name=name, data=data, block_schema_id=schema.id, block_type_id=schema.block_type_id, **more
        ),
    )


def holds(id: UUID | str) -> dict[str, Any]:
    return {"$ref": {"block_document_id": str(id)}}


def values(tx: sa.Connection, document: BlockDocument) -> dict[str, Any]:
    return block_documents.read_block_document(tx, document.id, include_secrets=True).data


def change(tx: sa.Connection, document: BlockDocument, **fields: Any) -> None:
    block_documents.update_block_document(tx, document.id, BlockDocumentUpdate(**fields))


# -- types ----------------------------------------------------------------------------------------------------------


def test_a_type_is_made_read_changed_and_deleted(both: sa.Connection) -> None:
    made = make_type(both, "sc-block", logo_url="http://x.y/z")
    block_types.update_block_type(both, made.id, BlockTypeUpdate(description="d", documentation_url="http://d"))
    read = block_types.read_block_type_by_slug(both, "sc-block")
    assert read == block_types.read_block_type(both, made.id)
    assert (read.description, str(read.logo_url), read.name) == ("d", "http://x.y/z", "Sc-Block")
    block_types.delete_block_type(both, made.id)
    for absent in (
        lambda: block_types.read_block_type(both, made.id),
        lambda: block_types.read_block_type_by_slug(both, "sc-block"),
        lambda: block_types.update_block_type(both, made.id, BlockTypeUpdate()),
        lambda: block_types.delete_block_type(both, made.id),
    ):
        with pytest.raises(NotFound, match="Block type"):
            absent()


def test_names_and_slugs_of_types_are_taken_once_or_reserved(both: sa.Connection) -> None:
    make_type(both, "a")
    with pytest.raises(Conflict, match='Block type with name "A"'):
        make_type(both, "a")
    with pytest.raises(Forbidden, match="reserved"):
        make_type(both, "prefect-x")


def test_a_type_is_not_called_what_cannot_be_shown(both: sa.Connection) -> None:
    with pytest.raises(Invalid, match="a/b"):
        block_types.create_block_type(both, BlockTypeCreate(name="a/b", slug="a-b"))


def test_a_protected_type_is_not_deleted(both: sa.Connection) -> None:
    made = make_type(both, "a")
    both.execute(sa.update(block_type).values(is_protected=True))
    with pytest.raises(Forbidden, match="protected"):
        block_types.delete_block_type(both, made.id)


def test_types_found_by_name_and_by_what_their_blocks_can_do(both: sa.Connection) -> None:
    make_schema(both, "beta", {}, capabilities=["read", "write"])
    make_schema(both, "alpha", INNER, capabilities=["read"])

    def slugs(**query: Any) -> list[str]:
        found = block_types.read_block_types(both, block_types.BlockTypeQuery.model_validate(query))
        return [found.slug for found in found]

    assert slugs() == ["alpha", "beta"]
    assert slugs(limit=1, offset=1) == ["beta"]
    assert slugs(block_types={"name": {"like_": "ET"}}) == ["beta"]
    assert slugs(block_types={"slug": {"any_": ["alpha", "x"]}}) == ["alpha"]
    assert slugs(block_schemas={"block_capabilities": {"all_": ["read", "write"]}}) == ["beta"]
    assert block_schemas.read_block_capabilities(both) == ["read", "write"]


# -- schemas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "checksum"), [(INNER, INNER_CHECKSUM), (OUTER, OUTER_CHECKSUM), ({}, EMPTY_CHECKSUM)]
)
def test_the_checksum_is_the_one_that_clients_compute(fields: dict[str, Any], checksum: str) -> None:
    assert schema_checksum(fields) == checksum


def test_a_schema_is_known_by_its_fields_and_version(both: sa.Connection) -> None:
    made = make_schema(both, "outer", OUTER, capabilities=["a"], version="1")
    body = BlockSchemaCreate(block_type_id=made.block_type_id, fields=OUTER, capabilities=["b"], version="1")
    again = block_schemas.create_block_schema(both, body)
    assert (again.status, again.value.id, again.value.capabilities) == (200, made.id, ["a"])
    newer = block_schemas.create_block_schema(both, body.model_copy(update={"version": "2"}))
    assert newer.status == 201 and newer.value.id != made.id
    assert newer.value.checksum == made.checksum == OUTER_CHECKSUM
    assert made.fields == OUTER and made.block_type is not None and made.block_type.slug == "outer"
    by_checksum = block_schemas.read_block_schema_by_checksum
    assert by_checksum(both, OUTER_CHECKSUM).id == newer.value.id
    assert by_checksum(both, OUTER_CHECKSUM, version="1") == block_schemas.read_block_schema(both, made.id)
    assert make_schema(both, "empty", {}).fields == {"block_schema_references": {}}


def test_schemas_found_newest_first(both: sa.Connection) -> None:
    first, second = make_schema(both, "a", INNER, version="1"), make_schema(both, "b", {}, capabilities=["c"])

    def ids(**query: Any) -> list[UUID]:
        body = block_schemas.BlockSchemaQuery.model_validate({"block_schemas": query})
        return [found.id for found in block_schemas.read_block_schemas(both, body)]

    assert ids() == [second.id, first.id]
    assert ids(block_type_id={"any_": [first.block_type_id]}) == [first.id]
    assert ids(block_capabilities={"all_": ["c"]}) == [second.id]
    assert ids(operator="or_", version={"any_": ["1"]}, id={"any_": [second.id]}) == [second.id, first.id]


def test_a_schema_needs_a_type_that_exists(both: sa.Connection) -> None:
    with pytest.raises(Invalid, match="block_type_id"):
        block_schemas.create_block_schema(both, BlockSchemaCreate())
    with pytest.raises(NotFound, match="Block type"):
        block_schemas.create_block_schema(both, BlockSchemaCreate(block_type_id=new_uuid()))
    for absent in (
        lambda: block_schemas.read_block_schema(both, new_uuid()),
        lambda: block_schemas.read_block_schema_by_checksum(both, "nope"),
        lambda: block_schemas.delete_block_schema(both, new_uuid()),
    ):
        with pytest.raises(NotFound, match="Block schema"):
            absent()


# -- documents ------------------------------------------------------------------------------------------------------


def test_secrets_are_shown_only_when_asked_for(both: sa.Connection) -> None:
    schema = make_schema(both, "outer", OUTER)
    data = {"x": 1, "child": {"s": "hunter2"}, "d": {"k": "v", "n": 3, "none": None}}
    made = make(both, schema, "doc-1", data)
    masked = {"x": 1, "child": {"s": "********"}, "d": {"k": "********", "n": "********", "none": None}}
    assert made.data == block_documents.read_block_document(both, made.id).data == masked
    assert values(both, made) == data
    assert made.block_type_name == "Outer" and made.block_schema is not None and made.block_schema.id == schema.id
    read = block_documents.read_block_document_by_name
    assert read(both, "outer", "doc-1").data == masked
    assert read(both, "outer", "doc-1", include_secrets=True).data == data
    assert [d.data for d in block_documents.read_block_documents_of_type(both, "outer")] == [masked]


def test_a_mask_sent_back_keeps_the_secret(both: sa.Connection) -> None:
    made = make(both, make_schema(both, "outer", OUTER), "a", {"x": 1, "child": {"s": "hunter2"}, "d": {"k": "v"}})
    shown = block_documents.read_block_document(both, made.id).data
    change(both, made, data=shown | {"x": 2, "d": {"k": "********", "new": "w"}}, merge_existing_data=False)
    assert values(both, made) == {"x": 2, "child": {"s": "hunter2"}, "d": {"k": "v", "new": "w"}}


def test_what_is_not_given_stays_unless_told_otherwise(both: sa.Connection) -> None:
    made = make(both, make_schema(both, "in", INNER), "a", {"s": "1", "t": 2})
    change(both, made, data={"t": 3})
    assert values(both, made) == {"s": "1", "t": 3}
    change(both, made, merge_existing_data=False)
    assert values(both, made) == {"s": "1", "t": 3}
    change(both, made, data={"u": 4}, merge_existing_data=False)
    assert values(both, made) == {"u": 4}


def test_a_block_inside_a_block(both: sa.Connection) -> None:
    inner_schema, outer_schema = make_schema(both, "inner", INNER), make_schema(both, "outer", OUTER)
    inner = make(both, inner_schema, "in-1", {"s": "hunter2"})
    outer = make(both, outer_schema, "out-1", {"x": 1, "child": holds(inner.id), "list": [holds(inner.id), 5]})
    assert outer.data == {"x": 1, "child": {"s": "********"}, "list": [{"s": "********"}, 5]}
    assert values(both, outer) == {"x": 1, "child": {"s": "hunter2"}, "list": [{"s": "hunter2"}, 5]}
    held = outer.block_document_references["child"]["block_document"]
    assert (held["id"], held["name"], held["is_anonymous"]) == (inner.id, "in-1", False)
    assert outer.block_document_references.keys() == {"child", "list.0"}
    change(both, outer, data={"x": 2})
    assert values(both, outer)["child"] == {"s": "hunter2"}
    change(both, inner, data={"s": "new"})
    assert values(both, outer)["child"] == {"s": "new"}
    block_documents.delete_block_document(both, inner.id)
    assert values(both, outer) == {"x": 2, "list": [5]}
    assert block_documents.read_block_document(both, outer.id).block_document_references == {}
    assert both.execute(sa.select(sa.func.count()).select_from(block_document_reference)).scalar_one() == 0


def test_blocks_hold_blocks_that_hold_blocks_but_never_themselves(both: sa.Connection) -> None:
    schema = make_schema(both, "outer", OUTER)
    a = make(both, schema, "a", {"x": 1})
    b = make(both, schema, "b", {"child": holds(a.id)})
    c = make(both, schema, "c", {"child": holds(b.id)})
    assert values(both, c) == {"child": {"child": {"x": 1}}}
    inside = c.block_document_references["child"]["block_document"]["block_document_references"]
    assert inside["child"]["block_document"]["name"] == "a"
    for data in ({"child": holds(c.id)}, {"child": holds(a.id)}):
        with pytest.raises(Invalid, match="would hold itself"):
            change(both, a, data=data)


@pytest.mark.parametrize("held", [holds(UUID(int=7)), {"$ref": "text"}, {"$ref": {"block_document_id": "x"}}])
def test_a_block_that_is_not_there_is_not_held(both: sa.Connection, held: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"does not exist|refers to no block document"):
        make(both, make_schema(both, "outer", OUTER), "a", {"child": held})


def test_anonymous_documents_are_found_when_asked_for(both: sa.Connection) -> None:
    schema = make_schema(both, "in", INNER)
    nameless = make(both, schema, None, {"s": "q"}, is_anonymous=True)
    make(both, schema, None, {"s": "q"}, is_anonymous=True)
    make(both, schema, "named", {"s": "q"})
    assert nameless.name is not None and nameless.name.startswith("anonymous-")

    def count(**query: Any) -> int:
        return block_documents.count_block_documents(
            both, block_documents.BlockDocumentSelection.model_validate({"block_documents": query or None})
        )

    assert (count(), count(is_anonymous={"eq_": True}), count(is_anonymous=None)) == (1, 2, 3)
    assert [d.name for d in block_documents.read_block_documents_of_type(both, "in")] == ["named"]


def test_documents_found(both: sa.Connection) -> None:
    zeta = make_schema(both, "zeta", INNER, capabilities=["q"])
    alpha = make_schema(both, "alpha", {})
    for name, schema in {"a": zeta, "b": alpha, "c": zeta}.items():
        make(both, schema, name, {"s": name})

    def names(**query: Any) -> list[str | None]:
        body = block_documents.BlockDocumentQuery.model_validate(query)
        return [document.name for document in block_documents.read_block_documents(both, body)]

    assert names() == names(sort=None) == ["a", "b", "c"]
    assert names(sort="NAME_DESC", limit=2) == ["c", "b"]
    assert names(sort="BLOCK_TYPE_AND_NAME_ASC") == ["b", "a", "c"]
    assert names(block_documents={"name": {"like_": "A"}}) == ["a"]
    assert names(block_types={"slug": {"any_": ["alpha"]}}) == ["b"]
    assert names(block_schemas={"block_capabilities": {"all_": ["q"]}}) == ["a", "c"]
    body = block_documents.BlockDocumentQuery(include_secrets=True)
    assert [d.data for d in block_documents.read_block_documents(both, body)] == [{"s": name} for name in "abc"]


def test_a_document_fits_its_type(both: sa.Connection) -> None:
    schema, other = make_schema(both, "in", INNER), make_schema(both, "other", {})
    made = make(both, schema, "a", {})
    with pytest.raises(Conflict, match="Block already exists"):
        make(both, schema, "a", {})
    with pytest.raises(Invalid, match="is of block type"):
        change(both, made, block_schema_id=other.id)
    with pytest.raises(NotFound, match="Block schema"):
        make(both, schema.model_copy(update={"id": new_uuid()}), "b", {})
    with pytest.raises(NotFound, match="Block document"):
        block_documents.read_block_document_by_name(both, "in", "nope")
    with pytest.raises(NotFound, match="Block type"):
        block_documents.read_block_documents_of_type(both, "nope")


def test_documents_go_with_their_schema_and_type(both: sa.Connection) -> None:
    schema = make_schema(both, "in", INNER)
    make(both, schema, "a", {})
    block_schemas.delete_block_schema(both, schema.id)
    assert both.execute(sa.select(sa.func.count()).select_from(block_document)).scalar_one() == 0
    other = make_schema(both, "other", {})
    make(both, other, "a", {})
    assert other.block_type_id is not None
    block_types.delete_block_type(both, other.block_type_id)
    assert both.execute(sa.select(sa.func.count()).select_from(block_document)).scalar_one() == 0
