"""Blocks and the API: types, schemas and documents are registered, saved, found and deleted.

Each body is written once, over a client of either kind: what an asynchronous client answers is awaited, what a
synchronous one answers is taken as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError

from prefect._bridge import settle
from prefect._lazy import lazy_module
from prefect._schemas.blocks import BlockDocument, BlockSchema, BlockType
from prefect.blocks import _description
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect.client.schemas import actions
else:
    actions = lazy_module("prefect.client.schemas.actions")


# ── loading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _split(cls: type[Block], name: str) -> tuple[str, str]:
    """The slug of the type and the name of the document that `cls.load(name)` means."""
    if not cls._is_base():
        return cls.get_block_type_slug(), name
    slug, slash, document = name.partition("/")
    if not slash or not slug or not document or "/" in document:
        raise ValueError(f"{name!r} names no block; with `Block` itself, write 'type/name', as in 'secret/my-token'.")
    return slug, document


async def _find(client: Any, slug: str, name: str) -> BlockDocument:
    try:
        return await settle(client.read_block_document_by_name(name=name, block_type_slug=slug))
    except ObjectNotFound as exc:
        raise ValueError(
            f"Unable to find block document named {name} for block type {slug}. `prefect block ls` lists what there is."
        ) from exc


async def load(cls: type[Block], client: Any, name: str, validate: bool) -> Block:
    """The saved block of a name."""
    return from_document(cls, await _find(client, *_split(cls, name)), validate)


async def load_from_ref(cls: type[Block], client: Any, ref: str | UUID | dict[str, Any], validate: bool) -> Block:
    """The saved block of an id or of a `type/name`."""
    key: Any = ref
    if isinstance(ref, dict):
        key = ref.get("block_document_id") or ref.get("block_document_slug")
        if key is None:
            raise ValueError(f"{ref!r} is no reference; it needs `block_document_id` or `block_document_slug`.")
    document_id = _as_id(key)
    if document_id is None:
        slug, _, name = str(key).rpartition("/")
        return from_document(cls, await _find(client, slug or cls.get_block_type_slug(), name), validate)
    try:
        return from_document(cls, await settle(client.read_block_document(document_id)), validate)
    except ObjectNotFound as exc:
        raise ValueError(f"Unable to find block document with ID {document_id}.") from exc


def _as_id(key: Any) -> UUID | None:
    if isinstance(key, UUID):
        return key
    try:
        return UUID(str(key))
    except ValueError:
        return None


def from_document(cls: type[Block], document: BlockDocument, validate: bool) -> Block:
    """The block whose values a document holds."""
    chosen = cls
    if document.block_schema is not None and "block_type_slug" in document.block_schema.fields:
        slug = document.block_schema.fields["block_type_slug"]
    else:
        slug = document.block_type.slug if document.block_type is not None else cls.get_block_type_slug()
    if slug != cls.get_block_type_slug():
        chosen = cls.get_block_class_from_key(slug)
    try:
        block = chosen.model_validate(document.data)
    except ValidationError as exc:
        if validate:
            raise RuntimeError(
                f"The saved values of block {document.name!r}, of type {slug!r}, do not fit {chosen.__name__}: {exc}\n"
                "The class may have changed since. Load it with `validate=False`, correct it, and save it again."
            ) from exc
        block = chosen.model_construct(**document.data)
    describe(block, document)
    return block


def describe(block: Block, document: BlockDocument) -> None:
    """Note on a block, and on the saved blocks inside it, which documents they come from."""
    block._block_document_id = document.id
    block._block_document_name = document.name
    block._block_schema_id = document.block_schema_id
    block._block_type_id = document.block_type_id
    block._is_anonymous = document.is_anonymous
    _describe_nested(block, document.block_document_references)


def _describe_nested(block: Block, found: dict[str, Any]) -> None:
    for name, reference in found.items():
        nested: Any = getattr(block, name, None)
        if not _description.is_block_class(type(nested)) or not isinstance(reference, dict):
            continue
        document = reference.get("block_document") or {}
        nested._block_document_id = _as_id(document.get("id"))
        nested._block_document_name = document.get("name")
        nested._block_type_id = _as_id(document.get("block_type_id"))
        nested._is_anonymous = document.get("is_anonymous")
        _describe_nested(nested, document.get("block_document_references") or {})


# ── saving ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def register(cls: type[Block], client: Any) -> tuple[UUID, UUID]:
    """Make a block type, and those of the blocks inside it, known; returns the ids of the type and of the schema."""
    for nested in _nested_types(cls):
        await register(nested, client)
    block_type = await _register_type(cls, client)
    checksum, version = cls._calculate_schema_checksum(), cls.get_block_schema_version()
    try:
        schema = await settle(client.read_block_schema_by_checksum(checksum=checksum, version=version))
    except ObjectNotFound:
        new = actions.BlockSchemaCreate(
            fields=cls.model_json_schema(),
            block_type_id=block_type.id,
            capabilities=sorted(cls.get_block_capabilities()),
            version=version,
        )
        schema = await settle(client.create_block_schema(block_schema=new))
    cls._registered_as = (block_type.id, schema.id)
    return block_type.id, schema.id


def _nested_types(cls: type[Block]) -> list[type[Block]]:
    nested = [block for field in cls.model_fields.values() for block in _description.blocks_in(field.annotation)]
    return [block for block in dict.fromkeys(nested) if not block._is_base() and block is not cls]


async def _register_type(cls: type[Block], client: Any) -> BlockType:
    wanted = block_type_of(cls)
    fields = {"logo_url", "documentation_url", "description", "code_example"}
    try:
        known = await settle(client.read_block_type_by_slug(wanted.slug))
    except ObjectNotFound:
        new = actions.BlockTypeCreate(name=wanted.name, slug=wanted.slug, **wanted.model_dump(include=fields))
        try:
            return await settle(client.create_block_type(block_type=new))
        except ObjectAlreadyExists:  # another process was faster
            return await settle(client.read_block_type_by_slug(wanted.slug))
    if not known.is_protected and known.model_dump(include=fields) != wanted.model_dump(include=fields):
        update = actions.BlockTypeUpdate(**wanted.model_dump(include=fields))
        await settle(client.update_block_type(block_type_id=known.id, block_type=update))
    return known


async def save(block: Block, client: Any, name: str | None, overwrite: bool, is_anonymous: bool = False) -> UUID:
    """Save the values of a block under a name; returns the document's id."""
    name = name or block._block_document_name
    if name is None and not is_anonymous:
        raise ValueError(f"A block is saved under a name: write `save('a-name')` to save this {type(block).__name__}.")
    type_id, schema_id = await register(type(block), client)
    new = actions.BlockDocumentCreate(
        name=None if is_anonymous else name,
        data=values(block),
        block_schema_id=schema_id,
        block_type_id=type_id,
        is_anonymous=is_anonymous,
    )
    try:
        document = await settle(client.create_block_document(block_document=new))
    except ObjectAlreadyExists as exc:
        if not overwrite:
            raise ValueError(
                f"There is a block named {name!r} of the type {block.get_block_type_slug()!r} already. Save with "
                "`overwrite=True` to replace its values, or choose another name."
            ) from exc
        document = await _replace(block, client, str(name), schema_id)
    describe(block, document)
    return document.id


async def _replace(block: Block, client: Any, name: str, schema_id: UUID) -> BlockDocument:
    known = await _find(client, block.get_block_type_slug(), name)
    update = actions.BlockDocumentUpdate(block_schema_id=schema_id, data=values(block), merge_existing_data=False)
    await settle(client.update_block_document(block_document_id=known.id, block_document=update))
    return await settle(client.read_block_document(known.id))


async def delete(cls: type[Block], client: Any, name: str) -> None:
    """Delete the saved block of a name."""
    document = await _find(client, *_split(cls, name))
    await settle(client.delete_block_document(document.id))


# ── the forms that the API knows ────────────────────────────────────────────────────────────────────────────────────


def values(block: Block) -> dict[str, Any]:
    """The values of a block as they are saved; of saved blocks inside it, references."""
    data = block.model_dump(exclude={"block_type_slug"}, by_alias=True, context={"include_secrets": True})
    for name, field in type(block).model_fields.items():
        nested = getattr(block, name)
        if _description.is_block_class(type(nested)) and nested._block_document_id is not None:
            data[field.alias or name] = {"$ref": {"block_document_id": nested._block_document_id}}
    return data


def block_type_of(cls: type[Block]) -> BlockType:
    """The block type that a class defines."""
    return BlockType(
        slug=cls.get_block_type_slug(),
        name=cls.get_block_type_name(),
        logo_url=cls._logo_url,  # type: ignore[arg-type]
        documentation_url=cls._documentation_url,  # type: ignore[arg-type]
        description=cls.get_description(),
        code_example=cls.get_code_example(),
    )


def block_schema_of(cls: type[Block], type_id: UUID | None) -> BlockSchema:
    """The schema that a class defines."""
    return BlockSchema(
        checksum=cls._calculate_schema_checksum(),
        fields=cls.model_json_schema(),
        block_type_id=type_id,
        block_type=block_type_of(cls),
        capabilities=sorted(cls.get_block_capabilities()),
        version=cls.get_block_schema_version(),
    )
