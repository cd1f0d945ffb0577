"""Documents of blocks: their values, with the blocks that they hold put in, and secrets only for those who ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._ids import new_id
from prefect._operations import edits, rows, sealing
from prefect._operations.block_schemas import existing_schema, read_schemas
from prefect._operations.block_types import read_block_type_by_slug
from prefect._operations.errors import Conflict, Invalid
from prefect._operations.registry import operation
from prefect._schemas import block_data
from prefect._schemas.actions.blocks import BlockDocumentCreate, BlockDocumentUpdate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.blocks import BlockDocument, BlockSchema
from prefect._schemas.filters.blocks import BlockDocumentFilter, BlockSchemaFilter, BlockTypeFilter
from prefect._schemas.sorting import BlockDocumentSort
from prefect._store import catalogue, single
from prefect._store.dialects import insert
from prefect._store.tables import block_document, block_document_reference, block_type

Row = Mapping[str, Any]


class BlockDocumentSelection(PrefectBaseModel):
    """Which block documents: those that match, of types and schemas that match. Anonymous ones only when asked for."""

    block_documents: BlockDocumentFilter | None = None
    block_types: BlockTypeFilter | None = None
    block_schemas: BlockSchemaFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return catalogue.where_block_documents(
            block_documents=self.block_documents or BlockDocumentFilter(),
            block_types=self.block_types,
            block_schemas=self.block_schemas,
        )


class BlockDocumentQuery(BlockDocumentSelection):
    """A page of block documents."""

    include_secrets: bool = Field(default=False, description="Show secrets instead of masks.")
    sort: BlockDocumentSort | None = BlockDocumentSort.NAME_ASC
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many block documents.")
    offset: int = Field(default=0, ge=0, description="Leave out so many block documents first.")


# -- reading --------------------------------------------------------------------------------------------------------

_SELECT = sa.select(block_document).join_from(
    block_document, block_type, block_document.c.block_type_id == block_type.c.id
)


@operation("GET", "/block_documents/{id}")
def read_block_document(tx: sa.Connection, id: UUID, include_secrets: bool = False) -> BlockDocument:
    """One block document.

    Raises:
        NotFound: there is no such block document.
    """
    row = rows.one(tx, _SELECT.where(block_document.c.id == id), "block document", id)
    return _documents(tx, [row], include_secrets=include_secrets)[0]


@operation("POST", "/block_documents/filter")
def read_block_documents(tx: sa.Connection, body: BlockDocumentQuery) -> list[BlockDocument]:
    """The block documents that match, a page of them."""
    order = catalogue.BLOCK_DOCUMENT_ORDERS[(body.sort or BlockDocumentSort.NAME_ASC).value]
    statement = _SELECT.where(body.clause()).order_by(*order).limit(body.limit).offset(body.offset)
    return _documents(tx, tx.execute(statement).mappings().all(), include_secrets=body.include_secrets)


@operation("POST", "/block_documents/count")
def count_block_documents(tx: sa.Connection, body: BlockDocumentSelection) -> int:
    """How many block documents match."""
    return rows.count(tx, block_document, body.clause())


@operation("GET", "/block_types/slug/{slug}/block_documents")
def read_block_documents_of_type(tx: sa.Connection, slug: str, include_secrets: bool = False) -> list[BlockDocument]:
    """The block documents of a type that have a name.

    Raises:
        NotFound: there is no such block type.
    """
    named = sa.and_(
        block_document.c.block_type_id == read_block_type_by_slug(tx, slug).id, block_document.c.is_anonymous.is_(False)
    )
    found = tx.execute(_SELECT.where(named).order_by(block_document.c.name)).mappings().all()
    return _documents(tx, found, include_secrets=include_secrets)


@operation("GET", "/block_types/slug/{slug}/block_documents/name/{block_document_name}")
def read_block_document_by_name(
    tx: sa.Connection, slug: str, block_document_name: str, include_secrets: bool = False
) -> BlockDocument:
    """The block document of a type and a name.

    Raises:
        NotFound: there is no such block document.
    """
    named = sa.and_(block_type.c.slug == slug, block_document.c.name == block_document_name)
    row = rows.one(tx, _SELECT.where(named), "block document", f"{slug}/{block_document_name}")
    return _documents(tx, [row], include_secrets=include_secrets)[0]


def _documents(tx: sa.Connection, found: Sequence[sa.RowMapping], *, include_secrets: bool) -> list[BlockDocument]:
    known = {row["id"]: _opened(tx, row) for row in found}
    _add_held(tx, known)
    schemas = read_schemas(tx, {row["block_schema_id"] for row in known.values()})
    view = _View(known, schemas, include_secrets)
    return [view.document(known[row["id"]]) for row in found]


def _opened(tx: sa.Connection, row: sa.RowMapping) -> Row:
    """A row with its values decrypted."""
    return {**row, "data": sealing.opened(tx, row["data"])}


def _add_held(tx: sa.Connection, known: dict[UUID, Row]) -> None:
    """Add the documents that documents hold, and what those hold in turn."""
    parents: Iterable[UUID] = known
    while parents:
        held = sa.select(block_document_reference.c.reference_block_document_id).where(
            block_document_reference.c.parent_block_document_id.in_(list(parents))
        )
        found = tx.execute(sa.select(block_document).where(block_document.c.id.in_(held))).mappings().all()
        new = {row["id"]: _opened(tx, row) for row in found if row["id"] not in known}
        known.update(new)
        parents = new.keys()


class _View:
    """Documents as they are shown: all that they hold is known."""

    def __init__(self, known: dict[UUID, Row], schemas: dict[UUID, BlockSchema], secrets: bool) -> None:
        self._known = known
        self._schemas = schemas
        self._secrets = secrets

    def document(self, row: Row) -> BlockDocument:
        schema = self._schemas[row["block_schema_id"]]
        of_type = schema.block_type
        return BlockDocument.model_validate(
            {
                **row,
                "data": self._data(row),
                "block_schema": schema,
                "block_type": of_type,
                "block_type_name": None if of_type is None else of_type.name,
                "block_document_references": self._references(row),
            }
        )

    def _data(self, row: Row) -> Any:
        resolved = block_data.resolve(row["data"], self._held)
        return (
            resolved
            if self._secrets
            else block_data.redact(resolved, _secret_fields(self._schemas[row["block_schema_id"]]))
        )

    def _held(self, id: UUID) -> Any:
        row = self._known.get(id)
        return None if row is None else self._data(row)

    def _references(self, row: Row) -> dict[str, dict[str, Any]]:
        held = {name: self._known.get(id) for name, id in block_data.references(row["data"])}
        return {
            name: {"block_document": self._held_document(other)} for name, other in held.items() if other is not None
        }

    def _held_document(self, row: Row) -> dict[str, Any]:
        return {
            "id": row["id"],
            "name": row["name"],
            "block_type": self._schemas[row["block_schema_id"]].block_type,
            "is_anonymous": row["is_anonymous"],
            "block_document_references": self._references(row),
        }


def _secret_fields(schema: BlockSchema) -> list[str]:
    return schema.fields.get("secret_fields", [])


# -- writing --------------------------------------------------------------------------------------------------------
# Values are written by `create_block_document` and `update_block_document` and read by `_opened`, nowhere else.


@operation("POST", "/block_documents/", writes=True, status=201)
def create_block_document(tx: sa.Connection, body: BlockDocumentCreate) -> BlockDocument:
    """Keep a block.

    Raises:
        NotFound: there is no such block schema.
        Invalid: the schema is of another type, or the values hold a block that is not there.
        Conflict: there is a block of that type and name.
    """
    schema = existing_schema(tx, body.block_schema_id, body.block_type_id)
    # an anonymous block has no name to be found by
    values = body.model_dump() | {"name": body.name or f"anonymous-{new_id()}"}
    if _secret_fields(schema):
        values["data"] = sealing.seal(tx, values["data"])
    row = single.insert_new(tx, block_document, values)
    if row is None:
        raise Conflict(f"Block already exists: {body.name!r} of that type. Change that one, or choose another name.")
    _write_references(tx, row["id"], body.data)
    return read_block_document(tx, row["id"])


@operation("PATCH", "/block_documents/{id}", writes=True, status=204)
def update_block_document(tx: sa.Connection, id: UUID, body: BlockDocumentUpdate) -> None:
    """Change the values of a block, or take it to another schema of its type.

    A mask in the place of a secret leaves the secret as it was. With `merge_existing_data`, so does a field that is not
    given.

    Raises:
        NotFound: there is no such block document.
        Invalid: the schema is of another type, or the values hold a block that is not there, or itself.
    """
    row = rows.one(tx, sa.select(block_document).where(block_document.c.id == id), "block document", id)
    schema = existing_schema(tx, body.block_schema_id or row["block_schema_id"], row["block_type_id"])
    values: dict[str, Any] = {"block_schema_id": schema.id}
    if "data" in body.model_fields_set:
        before = read_block_document(tx, id, include_secrets=True).data
        data = block_data.keep_masked(body.data, before, _secret_fields(schema))
        data = sealing.opened(tx, row["data"]) | data if body.merge_existing_data else data
        _write_references(tx, id, data)
        # what was encrypted stays so: a secret of the schema before may be left in it
        sealed = bool(_secret_fields(schema)) or sealing.is_sealed(row["data"])
        values["data"] = sealing.seal(tx, data) if sealed else data
    tx.execute(sa.update(block_document).where(block_document.c.id == id).values(**values))


@operation("DELETE", "/block_documents/{id}", writes=True, status=204)
def delete_block_document(tx: sa.Connection, id: UUID) -> None:
    """Delete a block; blocks that hold it do without it.

    Raises:
        NotFound: there is no such block document.
    """
    edits.delete(tx, block_document, block_document.c.id == id, "block document", id)


def _write_references(tx: sa.Connection, parent: UUID, data: dict[str, Any]) -> None:
    table = block_document_reference
    try:
        held = dict(block_data.references(data))
    except ValueError as exc:
        raise Invalid(str(exc)) from None
    tx.execute(sa.delete(table).where(table.c.parent_block_document_id == parent))
    if not held:
        return
    there = set(tx.execute(sa.select(block_document.c.id).where(block_document.c.id.in_(held.values()))).scalars())
    for name, id in held.items():
        if id not in there:
            raise Invalid(f"{name} holds block document '{id}', which does not exist.")
    rows_there = tx.execute(sa.select(block_document).where(block_document.c.id.in_(there))).mappings().all()
    known = {row["id"]: _opened(tx, row) for row in rows_there}
    _add_held(tx, known)
    if parent in known:
        raise Invalid(f"Block document '{parent}' would hold itself, through {', '.join(held)}.")
    references = [
        {"parent_block_document_id": parent, "name": name, "reference_block_document_id": id}
        for name, id in held.items()
    ]
    tx.execute(insert(tx, table).values(references).on_conflict_do_nothing())
