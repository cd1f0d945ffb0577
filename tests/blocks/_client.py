"""A block API in memory, with the answers of the real one, behind a synchronous and an asynchronous client."""

from uuid import UUID

from prefect._schemas.blocks import BlockDocument, BlockSchema, BlockType, map_secrets, reveal
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound


def _missing(what):
    return ObjectNotFound(LookupError(what))


class SyncBlockClient:
    def __init__(self):
        self.types: dict[str, BlockType] = {}
        self.schemas: dict[tuple[str, str], BlockSchema] = {}
        self.documents: dict[UUID, BlockDocument] = {}
        self.calls: list[str] = []

    def read_block_type_by_slug(self, slug):
        if slug not in self.types:
            raise _missing(slug)
        return self.types[slug]

    def create_block_type(self, block_type):
        self.calls.append(f"create type {block_type.slug}")
        return self.types.setdefault(block_type.slug, BlockType(**block_type.model_dump()))

    def update_block_type(self, block_type_id, block_type):
        known = next(known for known in self.types.values() if known.id == block_type_id)
        self.calls.append(f"update type {known.slug}")
        self.types[known.slug] = known.model_copy(update=block_type.model_dump())

    def read_block_schema_by_checksum(self, checksum, version=None):
        if (checksum, version) not in self.schemas:
            raise _missing(checksum)
        return self.schemas[checksum, version]

    def create_block_schema(self, block_schema):
        from prefect._schemas.block_checksums import schema_checksum

        schema = BlockSchema(checksum=schema_checksum(block_schema.fields), **block_schema.model_dump())
        self.calls.append(f"create schema {schema.fields['block_type_slug']}")
        self.schemas[schema.checksum, schema.version] = schema
        return schema

    def create_block_document(self, block_document):
        for known in self.documents.values():
            if known.name is not None and (known.name, known.block_type_id) == (
                block_document.name, block_document.block_type_id,
            ):  # fmt: skip
                raise ObjectAlreadyExists(LookupError("name"))
        data = map_secrets(block_document.data, reveal)
        document = BlockDocument(**{**block_document.model_dump(exclude={"data"}), "data": data})
        self.documents[document.id] = document
        return self.read_block_document(document.id)

    def update_block_document(self, block_document_id, block_document):
        self.documents[block_document_id].data = map_secrets(block_document.data, reveal)

    def read_block_document(self, block_document_id, include_secrets=True):
        if block_document_id not in self.documents:
            raise _missing(block_document_id)
        stored = self.documents[block_document_id]
        data, references = {}, {}
        for name, value in stored.data.items():
            if isinstance(value, dict) and "$ref" in value:
                inner = self.read_block_document(UUID(str(value["$ref"]["block_document_id"])))
                references[name] = {"block_document": inner.model_dump(exclude={"data", "block_schema", "block_type"})}
                value = inner.data
            data[name] = value
        schema = next(schema for schema in self.schemas.values() if schema.id == stored.block_schema_id)
        block_type = next(known for known in self.types.values() if known.id == stored.block_type_id)
        return stored.model_copy(
            update={
                "data": data, "block_document_references": references, "block_schema": schema, "block_type": block_type,
            }
        )  # fmt: skip

    def read_block_document_by_name(self, name, block_type_slug, include_secrets=True):
        for document in self.documents.values():
            block_type = self.types.get(block_type_slug)
            if document.name == name and block_type is not None and document.block_type_id == block_type.id:
                return self.read_block_document(document.id)
        raise _missing(name)

    def delete_block_document(self, block_document_id):
        del self.documents[block_document_id]


class AsyncBlockClient:
    def __init__(self):
        self.inner = SyncBlockClient()

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if not callable(value):
            return value

        async def call(*args, **kwargs):
            return value(*args, **kwargs)

        return call
