"""Conditions on block types, schemas and documents."""

from __future__ import annotations

from pydantic import Field

from prefect._schemas.filters.conditions import AnyId, AnyName, AnyText, Condition, Like, OperatorMixin


class BlockTypeFilterName(Like):
    """On the name of a block type."""


class BlockTypeFilterSlug(AnyText):
    """On the slug of a block type."""


class BlockTypeFilter(Condition):
    """Which block types."""

    name: BlockTypeFilterName | None = None
    slug: BlockTypeFilterSlug | None = None


class BlockSchemaFilterBlockTypeId(AnyId):
    """On the type a block schema belongs to."""


class BlockSchemaFilterId(AnyId):
    """On the id of a block schema."""


class BlockSchemaFilterCapabilities(Condition):
    """On what blocks with a schema can do."""

    all_: list[str] | None = Field(default=None, description="Has every one of these")


class BlockSchemaFilterVersion(AnyText):
    """On the version of a block schema."""


class BlockSchemaFilter(OperatorMixin):
    """Which block schemas."""

    block_type_id: BlockSchemaFilterBlockTypeId | None = None
    block_capabilities: BlockSchemaFilterCapabilities | None = None
    id: BlockSchemaFilterId | None = None
    version: BlockSchemaFilterVersion | None = None


class BlockDocumentFilterId(AnyId):
    """On the id of a block document."""


class BlockDocumentFilterIsAnonymous(Condition):
    """On whether a block document is anonymous."""

    eq_: bool | None = Field(default=None, description="Is anonymous (true), or has a name (false)")


class BlockDocumentFilterBlockTypeId(AnyId):
    """On the type of a block document."""


class BlockDocumentFilterName(AnyName):
    """On the name of a block document."""


class BlockDocumentFilter(OperatorMixin):
    """Which block documents; those with a name, unless it says otherwise."""

    id: BlockDocumentFilterId | None = None
    is_anonymous: BlockDocumentFilterIsAnonymous | None = Field(
        default_factory=lambda: BlockDocumentFilterIsAnonymous(eq_=False)
    )
    block_type_id: BlockDocumentFilterBlockTypeId | None = None
    name: BlockDocumentFilterName | None = None
