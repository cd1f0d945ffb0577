"""Types of blocks."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import edits, rows, system_blocks
from prefect._operations.errors import Conflict, Forbidden, Invalid, NotFound
from prefect._operations.registry import operation
from prefect._schemas.actions.blocks import BlockTypeCreate, BlockTypeUpdate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.blocks import BlockType
from prefect._schemas.filters.blocks import BlockSchemaFilter, BlockTypeFilter
from prefect._schemas.naming import BANNED_CHARACTERS, WITHOUT_BANNED_CHARACTERS
from prefect._store import catalogue, single
from prefect._store.tables import block_type

_RESERVED = "prefect"
_URLS = ("logo_url", "documentation_url")


class BlockTypeQuery(PrefectBaseModel):
    """A page of block types: those that match, and that have a schema that matches."""

    block_types: BlockTypeFilter | None = None
    block_schemas: BlockSchemaFilter | None = None
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many block types.")
    offset: int = Field(default=0, ge=0, description="Leave out so many block types first.")

    def clause(self) -> sa.ColumnElement[bool]:
        return catalogue.where_block_types(block_types=self.block_types, block_schemas=self.block_schemas)


def _plain_urls(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: str(values[name]) for name in _URLS if values.get(name) is not None}


@operation("POST", "/block_types/", writes=True, status=201)
def create_block_type(tx: sa.Connection, body: BlockTypeCreate) -> BlockType:
    """Make a block type.

    Raises:
        Invalid: the name has characters that names cannot have.
        Forbidden: the name is reserved.
        Conflict: there is one of that name or slug.
    """
    if not re.match(WITHOUT_BANNED_CHARACTERS, body.name):
        raise Invalid(
            f"Block type name {body.name!r} contains one of {' '.join(BANNED_CHARACTERS)}, which names cannot have."
        )
    if body.name.lower().startswith(_RESERVED):
        raise Forbidden(f"Block type names beginning with 'Prefect' are reserved; {body.name!r} needs another one.")
    row = single.insert_new(tx, block_type, _plain_urls(body.model_dump()))
    if row is None:
        raise Conflict(f'Block type with name "{body.name}" or slug "{body.slug}" already exists')
    return BlockType.model_validate(row)


@operation("POST", "/block_types/install_system_block_types", writes=True)
def install_system_block_types(tx: sa.Connection) -> None:
    """Make the block types that come with this package, with their schemas; those that are there become as they are now."""
    system_blocks.install(tx)


@operation("GET", "/block_types/{id}")
def read_block_type(tx: sa.Connection, id: UUID) -> BlockType:
    """One block type.

    Raises:
        NotFound: there is no such block type.
    """
    return BlockType.model_validate(rows.one(tx, sa.select(block_type).where(block_type.c.id == id), "block type", id))


@operation("GET", "/block_types/slug/{slug}")
def read_block_type_by_slug(tx: sa.Connection, slug: str) -> BlockType:
    """The block type of a slug.

    Raises:
        NotFound: there is no such block type.
    """
    statement = sa.select(block_type).where(block_type.c.slug == slug)
    return BlockType.model_validate(rows.one(tx, statement, "block type", slug))


@operation("POST", "/block_types/filter")
def read_block_types(tx: sa.Connection, body: BlockTypeQuery) -> list[BlockType]:
    """The block types that match by name, a page of them."""
    statement = sa.select(block_type).where(body.clause()).order_by(block_type.c.name)
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [BlockType.model_validate(row) for row in found]


@operation("PATCH", "/block_types/{id}", writes=True, status=204)
def update_block_type(tx: sa.Connection, id: UUID, body: BlockTypeUpdate) -> None:
    """Change what a block type says of itself; what is not given stays as it is.

    Raises:
        NotFound: there is no such block type.
    """
    values = _plain_urls(edits.changes(block_type, body))
    if edits.update(tx, block_type, block_type.c.id == id, values, taken=f"Block type '{id}' cannot be changed.") == 0:
        raise NotFound("block type", id)


@operation("DELETE", "/block_types/{id}", writes=True, status=204)
def delete_block_type(tx: sa.Connection, id: UUID) -> None:
    """Delete a block type with its schemas and documents.

    Raises:
        NotFound: there is no such block type.
        Forbidden: it is a protected one.
    """
    if read_block_type(tx, id).is_protected:
        raise Forbidden("protected block types cannot be deleted.")
    edits.delete(tx, block_type, block_type.c.id == id, "block type", id)
