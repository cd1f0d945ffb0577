"""Blocks: types, schemas of their fields, and documents with their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic import Field, HttpUrl, SerializationInfo, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import to_jsonable_python

from prefect._defaults import new_list
from prefect._names import obfuscate
from prefect._schemas.base import ObjectBaseModel
from prefect._schemas.fields import BlockDocumentName, Name

DEFAULT_BLOCK_SCHEMA_VERSION = "non-versioned"


class BlockType(ObjectBaseModel):
    """A type of block."""

    name: Name
    slug: str
    logo_url: HttpUrl | None = None
    documentation_url: HttpUrl | None = None
    description: str | None = None
    code_example: str | None = None
    # comes with the product, and cannot be changed
    is_protected: bool = False


class BlockSchema(ObjectBaseModel):
    """The fields that blocks of a type have."""

    # "sha256:..." of the fields
    checksum: str
    # as JSON schema
    fields: dict[str, Any] = Field(default_factory=dict)
    block_type_id: UUID | None
    block_type: BlockType | None = None
    # what blocks of the type can do, such as "read-path"
    capabilities: list[str] = Field(default_factory=new_list)
    version: str = DEFAULT_BLOCK_SCHEMA_VERSION


class BlockDocument(ObjectBaseModel):
    """The values of one block."""

    name: BlockDocumentName | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    block_schema_id: UUID
    block_schema: BlockSchema | None = None
    block_type_id: UUID
    block_type_name: str | None = None
    block_type: BlockType | None = None
    # the blocks inside it, by field
    block_document_references: dict[str, dict[str, Any]] = Field(default_factory=dict)
    # made by a program for its own use, without a name
    is_anonymous: bool = False

    @model_validator(mode="before")
    @classmethod
    def validate_name_is_present_if_not_anonymous(cls, values: Any) -> Any:
        """Check that the block has a name, unless it is anonymous."""
        return require_name(values)

    @model_serializer(mode="wrap")
    def serialize_data(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ):  # its JSON schema is that of the fields
        """Show secrets in `data` only when asked to, with `context={"include_secrets": True}`."""
        dumped = handler(self)
        if "data" in dumped:
            show = reveal if (info.context or {}).get("include_secrets") else obfuscate
            hidden = map_secrets(self.data, show)
            dumped["data"] = to_jsonable_python(hidden, timedelta_mode="float") if info.mode == "json" else hidden
        return dumped


class BlockSchemaReference(ObjectBaseModel):
    """That blocks of one schema have a field with a block of another."""

    parent_block_schema_id: UUID
    parent_block_schema: BlockSchema | None = None
    reference_block_schema_id: UUID
    reference_block_schema: BlockSchema | None = None
    name: str


class BlockDocumentReference(ObjectBaseModel):
    """That a field of one block holds another block."""

    parent_block_document_id: UUID
    parent_block_document: BlockDocument | None = None
    reference_block_document_id: UUID
    reference_block_document: BlockDocument | None = None
    name: str

    @model_validator(mode="before")
    @classmethod
    def validate_parent_and_ref_are_different(cls, values: Any) -> Any:
        """Check that a block does not hold itself."""
        return refuse_self_reference(values)


def require_name(values: Any) -> Any:
    """Check that what is to be a block document has a name, unless it is anonymous."""
    if isinstance(values, dict) and not values.get("is_anonymous", False) and not values.get("name"):
        raise ValueError("Names must be provided for block documents; only anonymous ones have none.")
    return values


def refuse_self_reference(values: Any) -> Any:
    """Check that the parent and the block it refers to are two."""
    if isinstance(values, dict):
        parent, reference = values.get("parent_block_document_id"), values.get("reference_block_document_id")
        if parent and reference and str(parent) == str(reference):
            raise ValueError(f"A block document cannot refer to itself: {parent} is both the parent and the reference.")
    return values


def reveal(secret: Any) -> Any:
    """What a pydantic secret hides."""
    return secret.get_secret_value()


def map_secrets(value: Any, show: Callable[[Any], Any]) -> Any:
    """A copy of nested data with each pydantic secret in it replaced by `show(secret)`."""
    if hasattr(value, "get_secret_value"):
        return show(value)
    if isinstance(value, dict):
        return {key: map_secrets(item, show) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map_secrets(item, show) for item in value)
    return value
