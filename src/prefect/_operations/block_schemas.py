"""Schemas of blocks: what fields the blocks of a type have. Their identity is the checksum of the fields."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import edits, rows
from prefect._operations.errors import Invalid, NotFound
from prefect._operations.registry import Answer, operation
from prefect._schemas.actions.blocks import BlockSchemaCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.block_checksums import schema_checksum
from prefect._schemas.blocks import BlockSchema, BlockType
from prefect._schemas.filters.blocks import BlockSchemaFilter
from prefect._store import catalogue, single
from prefect._store.tables import block_schema, block_type


class BlockSchemaQuery(PrefectBaseModel):
    """A page of block schemas."""

    block_schemas: BlockSchemaFilter | None = None
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many block schemas.")
    offset: int = Field(default=0, ge=0, description="Leave out so many block schemas first.")

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.true() if self.block_schemas is None else catalogue.block_schema_matches(self.block_schemas)


_WITH_TYPE = sa.select(block_schema, *(column.label(f"type__{column.name}") for column in block_type.c)).join_from(
    block_schema, block_type, block_schema.c.block_type_id == block_type.c.id
)


def _schema(row: sa.RowMapping) -> BlockSchema:
    of_type = {name.removeprefix("type__"): value for name, value in row.items() if name.startswith("type__")}
    own = {name: value for name, value in row.items() if not name.startswith("type__")}
    own["fields"] = {**own["fields"], "block_schema_references": own["fields"].get("block_schema_references", {})}
    return BlockSchema.model_validate(own | {"block_type": BlockType.model_validate(of_type)})


@operation("POST", "/block_schemas/", writes=True)
def create_block_schema(tx: sa.Connection, body: BlockSchemaCreate) -> Answer[BlockSchema]:
    """Make a block schema (201), or return the one with the same fields and version (200).

    Raises:
        Invalid: it says no block type.
        NotFound: there is no such block type.
    """
    if body.block_type_id is None:
        raise Invalid("block_type_id is missing: say of which block type this is a schema.")
    of_type = sa.select(block_type.c.id).where(block_type.c.id == body.block_type_id)
    rows.one(tx, of_type, "block type", body.block_type_id)
    checksum = schema_checksum(body.fields)
    same = sa.and_(block_schema.c.checksum == checksum, block_schema.c.version == body.version)
    status = 200
    if tx.execute(sa.select(block_schema.c.id).where(same)).first() is None:
        # None when another transaction was faster: then its schema is the one
        status = 201 if single.insert_new(tx, block_schema, {**body.model_dump(), "checksum": checksum}) else 200
    return Answer(_schema(rows.one(tx, _WITH_TYPE.where(same), "block schema", checksum)), status)


@operation("GET", "/block_schemas/{id}")
def read_block_schema(tx: sa.Connection, id: UUID) -> BlockSchema:
    """One block schema.

    Raises:
        NotFound: there is no such block schema.
    """
    return _schema(rows.one(tx, _WITH_TYPE.where(block_schema.c.id == id), "block schema", id))


@operation("GET", "/block_schemas/checksum/{checksum}")
def read_block_schema_by_checksum(tx: sa.Connection, checksum: str, version: str | None = None) -> BlockSchema:
    """The block schema of a checksum, of a version or the newest of all.

    Raises:
        NotFound: there is no such block schema.
    """
    statement = _WITH_TYPE.where(block_schema.c.checksum == checksum)
    if version is not None:
        statement = statement.where(block_schema.c.version == version)
    statement = statement.order_by(block_schema.c.created.desc(), block_schema.c.id.desc()).limit(1)
    return _schema(rows.one(tx, statement, "block schema", checksum))


@operation("POST", "/block_schemas/filter")
def read_block_schemas(tx: sa.Connection, body: BlockSchemaQuery) -> list[BlockSchema]:
    """The block schemas that match, the newest first, a page of them."""
    statement = _WITH_TYPE.where(body.clause()).order_by(block_schema.c.created.desc(), block_schema.c.id.desc())
    return [_schema(row) for row in tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()]


@operation("DELETE", "/block_schemas/{id}", writes=True, status=204)
def delete_block_schema(tx: sa.Connection, id: UUID) -> None:
    """Delete a block schema with its documents.

    Raises:
        NotFound: there is no such block schema.
    """
    edits.delete(tx, block_schema, block_schema.c.id == id, "block schema", id)


@operation("GET", "/block_capabilities/")
def read_block_capabilities(tx: sa.Connection) -> list[str]:
    """Everything that blocks of some schema can do."""
    found = tx.execute(sa.select(block_schema.c.capabilities).distinct()).scalars()
    return sorted({capability for capabilities in found for capability in capabilities})


def read_schemas(tx: sa.Connection, ids: set[UUID]) -> dict[UUID, BlockSchema]:
    """The block schemas of these ids."""
    found = tx.execute(_WITH_TYPE.where(block_schema.c.id.in_(ids))).mappings()
    return {row["id"]: _schema(row) for row in found}


def existing_schema(tx: sa.Connection, id: UUID, block_type_id: UUID) -> BlockSchema:
    """The block schema that a document of a type is to have.

    Raises:
        NotFound: there is no such block schema.
        Invalid: it belongs to another type.
    """
    schema = read_schemas(tx, {id}).get(id)
    if schema is None:
        raise NotFound("block schema", id)
    if schema.block_type_id != block_type_id:
        raise Invalid(f"Block schema '{id}' is of block type '{schema.block_type_id}', not of '{block_type_id}'.")
    return schema
