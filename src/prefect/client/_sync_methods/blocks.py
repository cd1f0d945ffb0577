"""Made from `_methods/blocks.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from uuid import UUID

from prefect._schemas.actions.blocks import (
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchemaCreate,
    BlockTypeCreate,
    BlockTypeUpdate,
)
from prefect._schemas.blocks import BlockDocument, BlockSchema, BlockType
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import changes, given, read, read_all

_KEPT_BY_API = {"id", "block_schema", "block_type"}


class BlockMethods(Asking):
    """Blocks: typed configuration, secrets among it."""

    def create_block_type(self, block_type: BlockTypeCreate) -> BlockType:
        """Make a block type.

        Raises:
            ObjectAlreadyExists: there is a block type with this slug.
        """
        reply = self._call("POST", "/block_types/", changes(block_type), repeatable=False)
        return read(BlockType, reply)

    def update_block_type(self, block_type_id: UUID, block_type: BlockTypeUpdate) -> None:
        """Change a block type.

        Raises:
            ObjectNotFound: there is no such block type.
            ProtectedBlockError: it belongs to the system.
        """
        body = changes(block_type, include=BlockTypeUpdate.updatable_fields())
        self._call("PATCH", "/block_types/{id}", body, id=block_type_id)

    def delete_block_type(self, block_type_id: UUID) -> None:
        """Delete a block type, with its schemas and blocks.

        Raises:
            ObjectNotFound: there is no such block type.
            ProtectedBlockError: it belongs to the system.
        """
        self._call("DELETE", "/block_types/{id}", id=block_type_id)

    def read_block_type_by_slug(self, slug: str) -> BlockType:
        """The block type with a slug.

        Raises:
            ObjectNotFound: there is no such block type.
        """
        return read(BlockType, self._call("GET", "/block_types/slug/{slug}", slug=slug))

    def read_block_types(self) -> list[BlockType]:
        """The block types, by name; the API has its own limit (200 unless it is set otherwise)."""
        return read_all(BlockType, self._call("POST", "/block_types/filter", {}))

    def create_block_schema(self, block_schema: BlockSchemaCreate) -> BlockSchema:
        """Make a version of a block type's schema, or find it."""
        body = changes(block_schema, exclude={"id", "block_type", "checksum"})
        return read(BlockSchema, self._call("POST", "/block_schemas/", body))

    def read_block_schema_by_checksum(self, checksum: str, version: str | None = None) -> BlockSchema:
        """The schema with a checksum; the newest unless a version is given.

        Raises:
            ObjectNotFound: there is no such schema.
        """
        query = {"version": version}
        reply = self._call("GET", "/block_schemas/checksum/{checksum}", query=query, checksum=checksum)
        return read(BlockSchema, reply)

    def read_block_schemas(self) -> list[BlockSchema]:
        """The block schemas; the API has its own limit (200 unless it is set otherwise)."""
        return read_all(BlockSchema, self._call("POST", "/block_schemas/filter", {}))

    def get_most_recent_block_schema_for_block_type(self, block_type_id: UUID) -> BlockSchema | None:
        """The newest schema of a block type; None when it has none."""
        body = {"block_schemas": {"block_type_id": {"any_": [block_type_id]}}, "limit": 1}
        found = read_all(BlockSchema, self._call("POST", "/block_schemas/filter", body))
        return found[0] if found else None

    def create_block_document(
        self, block_document: BlockDocument | BlockDocumentCreate, include_secrets: bool = True
    ) -> BlockDocument:
        """Keep a block.

        Args:
            block_document: the block.
            include_secrets: send its secret values as they are, not as asterisks.

        Raises:
            ObjectAlreadyExists: there is a block of this type and name.
        """
        body = changes(
            block_document, exclude=_KEPT_BY_API, context={"include_secrets": include_secrets}, serialize_as_any=True
        )
        return read(BlockDocument, self._call("POST", "/block_documents/", body, repeatable=False))

    def update_block_document(self, block_document_id: UUID, block_document: BlockDocumentUpdate) -> None:
        """Change a block.

        Raises:
            ObjectNotFound: there is no such block.
        """
        body = changes(block_document, context={"include_secrets": True})
        self._call("PATCH", "/block_documents/{id}", body, id=block_document_id)

    def delete_block_document(self, block_document_id: UUID) -> None:
        """Delete a block.

        Raises:
            ObjectNotFound: there is no such block.
        """
        self._call("DELETE", "/block_documents/{id}", id=block_document_id)

    def read_block_document(self, block_document_id: UUID, include_secrets: bool = True) -> BlockDocument:
        """One block.

        Args:
            block_document_id: of the block.
            include_secrets: with its secret values, not with asterisks.

        Raises:
            ObjectNotFound: there is no such block.
        """
        query = {"include_secrets": include_secrets}
        reply = self._call("GET", "/block_documents/{id}", query=query, id=block_document_id)
        return read(BlockDocument, reply)

    def read_block_document_by_name(
        self, name: str, block_type_slug: str, include_secrets: bool = True
    ) -> BlockDocument:
        """The block of a type and a name.

        Args:
            name: of the block.
            block_type_slug: of its type.
            include_secrets: with its secret values, not with asterisks.

        Raises:
            ObjectNotFound: there is no such block.
        """
        reply = self._call(
            "GET", "/block_types/slug/{slug}/block_documents/name/{name}",
            query={"include_secrets": include_secrets}, slug=block_type_slug, name=name,
        )  # fmt: skip
        return read(BlockDocument, reply)

    def read_block_documents(
        self,
        block_schema_type: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
        include_secrets: bool = True,
    ) -> list[BlockDocument]:
        """The blocks that have a name, a page of them.

        Args:
            block_schema_type: not used by the API of today.
            offset: how many to leave out first.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            include_secrets: with their secret values, not with asterisks.
        """
        body = given(block_schema_type=block_schema_type, offset=offset, limit=limit, include_secrets=include_secrets)
        return read_all(BlockDocument, self._call("POST", "/block_documents/filter", body))

    def read_block_documents_by_type(
        self,
        block_type_slug: str,
        offset: int | None = None,
        limit: int | None = None,
        include_secrets: bool = True,
    ) -> list[BlockDocument]:
        """The blocks of a type.

        Args:
            block_type_slug: of the type.
            offset: how many to leave out first.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            include_secrets: with their secret values, not with asterisks.
        """
        query = {"offset": offset, "limit": limit, "include_secrets": include_secrets}
        reply = self._call("GET", "/block_types/slug/{slug}/block_documents", query=query, slug=block_type_slug)
        return read_all(BlockDocument, reply)
