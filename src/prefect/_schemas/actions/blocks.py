"""Requests about blocks."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, HttpUrl, model_validator

from prefect._defaults import new_list
from prefect._ids import new_uuid
from prefect._schemas.base import ActionBaseModel
from prefect._schemas.blocks import DEFAULT_BLOCK_SCHEMA_VERSION, refuse_self_reference, require_name
from prefect._schemas.fields import BlockDocumentName, BlockTypeSlug, Short, ShortText


class BlockTypeCreate(ActionBaseModel):
    """Make a block type."""

    name: ShortText = Field(min_length=1)
    slug: Annotated[BlockTypeSlug, Short]
    logo_url: HttpUrl | None = None
    documentation_url: HttpUrl | None = None
    description: str | None = None
    code_example: str | None = None


class BlockTypeUpdate(ActionBaseModel):
    """Change a block type."""

    logo_url: HttpUrl | None = None
    documentation_url: HttpUrl | None = None
    description: str | None = None
    code_example: str | None = None

    @classmethod
    def updatable_fields(cls) -> set[str]:
        """The fields of a block type that can be changed."""
        return set(cls.model_fields)


class BlockSchemaCreate(ActionBaseModel):
    """Make a block schema."""

    # as JSON schema
    fields: dict[str, Any] = Field(default_factory=dict)
    block_type_id: UUID | None = None
    capabilities: list[str] = Field(default_factory=new_list)
    version: ShortText = DEFAULT_BLOCK_SCHEMA_VERSION


class BlockDocumentCreate(ActionBaseModel):
    """Keep a block."""

    name: Annotated[BlockDocumentName, Short] | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    block_schema_id: UUID
    block_type_id: UUID
    is_anonymous: bool = False

    @model_validator(mode="before")
    @classmethod
    def validate_name_is_present_if_not_anonymous(cls, values: Any) -> Any:
        """Check that the block has a name, unless it is anonymous."""
        return require_name(values)


class BlockDocumentUpdate(ActionBaseModel):
    """Change a block."""

    block_schema_id: UUID | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    # keep the values that are not given
    merge_existing_data: bool = True


class BlockDocumentReferenceCreate(ActionBaseModel):
    """Say that a field of one block holds another block."""

    id: UUID = Field(default_factory=new_uuid)
    parent_block_document_id: UUID
    reference_block_document_id: UUID
    name: ShortText

    @model_validator(mode="before")
    @classmethod
    def validate_parent_and_ref_are_different(cls, values: Any) -> Any:
        """Check that a block does not hold itself."""
        return refuse_self_reference(values)
