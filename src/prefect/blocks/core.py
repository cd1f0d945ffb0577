"""The base of blocks.

class Warehouse(Block):
    \"\"\"Where the tables are.\"\"\"

    host: str
    password: SecretStr

Warehouse(host="db1", password="s3cret").save("production")
Warehouse.load("production").host
"""

from __future__ import annotations

import types
from abc import ABC
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import to_jsonable_python

from prefect import plugins
from prefect._bridge import async_dispatch, run
from prefect._results.records import API_VERSION
from prefect._schemas.block_checksums import schema_checksum
from prefect.blocks import _description, _documents
from prefect.client.utilities import async_client, sync_client
from prefect.utilities.dispatch import lookup_type, register_base_type
from prefect.utilities.slugify import slugify

if TYPE_CHECKING:
    from typing import Self

    from prefect._schemas.blocks import BlockDocument, BlockSchema, BlockType
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient

    Client = PrefectClient | SyncPrefectClient | None

__all__ = [
    "Block",
    "BlockNotSavedError",
    "InvalidBlockRegistration",
    "UnknownBlockType",
    "block_schema_to_key",
    "schema_extra",
]


class InvalidBlockRegistration(Exception):
    """A class cannot be registered as a block type: only subclasses of `Block` can."""


class UnknownBlockType(Exception):
    """No block class has the slug that was asked for; import the module that defines it first."""


class BlockNotSavedError(RuntimeError):
    """The block must be saved before this can be done: call `save` first."""


def block_schema_to_key(schema: BlockSchema) -> str:
    """The key of the class for a block schema: the slug of its type."""
    if schema.block_type is None:
        raise ValueError("The schema does not say of which block type it is.")
    return schema.block_type.slug


def schema_extra(schema: dict[str, Any], model: type[Block]) -> None:
    """Add to the JSON schema of a block class what forms and the server need (a hook for pydantic)."""
    _description.amend_schema(schema, model)


def _show_secrets(value: Any, dumped: Any, mode: str) -> Any:
    """The dumped form of a value with its secrets shown."""
    if hasattr(value, "get_secret_value"):
        secret = value.get_secret_value()
        return to_jsonable_python(secret) if mode == "json" else secret
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        fields = {**value.__dict__, **(value.__pydantic_extra__ or {})}
        aliases: dict[str, str] = {
            field.serialization_alias or field.alias or name: name for name, field in type(value).model_fields.items()
        }
        return {
            key: _show_secrets(fields.get(aliases.get(str(key), str(key))), form, mode) for key, form in dumped.items()
        }
    if isinstance(value, dict) and isinstance(dumped, dict) and len(value) == len(dumped):
        parts = zip(dumped, value.values(), strict=True)
        return {key: _show_secrets(part, dumped[key], mode) for key, part in parts}
    if isinstance(value, (list, tuple)) and isinstance(dumped, (list, tuple)) and len(value) == len(dumped):
        shown = [_show_secrets(part, form, mode) for part, form in zip(value, dumped, strict=True)]
        return shown if isinstance(dumped, list) else tuple(shown)
    return dumped


@register_base_type
class Block(BaseModel, ABC):
    """Configuration that can be saved under a name, with methods that use it.

    A subclass declares fields and methods, and may override `block_initialization`, which is called when a block has
    its values. Fields of secret types (`SecretStr`, `SecretDict`...) are stored encrypted and not shown.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", json_schema_extra=schema_extra)  # type: ignore[typeddict-item]

    # what a subclass may say about its type; None: made from the class
    _block_type_name: ClassVar[str | None] = None
    _block_type_slug: ClassVar[str | None] = None
    _logo_url: ClassVar[Any] = None
    _documentation_url: ClassVar[Any] = None
    _description: ClassVar[str | None] = None
    _code_example: ClassVar[str | None] = None
    _block_schema_capabilities: ClassVar[list[str]] = []
    _block_schema_version: ClassVar[str | None] = None
    _registered_as: ClassVar[tuple[UUID, UUID] | None] = None

    # which document the block was loaded from or saved to
    _block_type_id: UUID | None = PrivateAttr(None)
    _block_schema_id: UUID | None = PrivateAttr(None)
    _block_document_id: UUID | None = PrivateAttr(None)
    _block_document_name: str | None = PrivateAttr(None)
    _is_anonymous: bool | None = PrivateAttr(None)

    # ── making blocks ───────────────────────────────────────────────────────────────────────────────────────────────

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Choose the class by `block_type_slug` when a base class is called."""
        slug = kwargs.get("block_type_slug")
        chosen = cls if slug is None else cls._class_for(slug)
        return super().__new__(chosen or cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.block_initialization()

    def block_initialization(self) -> None:
        """Called when the block has its values; for subclasses to override."""

    @classmethod
    def _is_base(cls) -> bool:
        return cls is Block

    @classmethod
    def _class_for(cls, slug: str) -> type[Self] | None:
        """The subclass with a slug, this class included; None if the slug belongs to a class that is no subclass.

        Raises:
            UnknownBlockType: no class has it, and this is `Block` itself.
        """
        if slug == cls.get_block_type_slug():
            return cls
        try:
            chosen = Block.get_block_class_from_key(slug)
        except UnknownBlockType:
            if cls._is_base():
                raise
            return None
        return chosen if issubclass(chosen, cls) else None  # type: ignore[return-value]

    @model_validator(mode="before")
    @classmethod
    def validate_block_type_slug(cls, values: Any) -> Any:
        """Check that values that name a block type name this one, and take the name from them."""
        if not isinstance(values, dict) or "block_type_slug" not in values:
            return values
        slug, expected = values["block_type_slug"], cls.get_block_type_slug()
        if slug != expected:
            raise ValueError(f"Invalid block_type_slug: expected {expected!r}, got {slug!r}")
        return {name: value for name, value in values.items() if name != "block_type_slug"}

    @model_validator(mode="wrap")
    @classmethod
    def _choose_class(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if (
            isinstance(value, dict)
            and value.get("block_type_slug", cls.get_block_type_slug()) != cls.get_block_type_slug()
        ):
            chosen = cls._class_for(value["block_type_slug"])
            if chosen is not None:
                return chosen.model_validate(value)
        return handler(value)

    @model_serializer(mode="wrap")
    def ser_model(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        """The values with the type's slug; secrets are shown with `context={"include_secrets": True}`."""
        dumped = handler(self)
        if (info.context or {}).get("include_secrets"):
            dumped = _show_secrets(self, dumped, info.mode)
        excluded = info.exclude is not None and "block_type_slug" in info.exclude
        if not excluded and (info.include is None or "block_type_slug" in info.include):
            dumped["block_type_slug"] = self.get_block_type_slug()
        return dumped

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # values that no field declares could be secrets of a field that an older version had
        return [(name, value) for name, value in super().__repr_args__() if name in type(self).model_fields]

    # ── the type ────────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def __dispatch_key__(cls) -> str | None:
        return None if cls.__name__ == "Block" and cls.__module__ == __name__ else cls.get_block_type_slug()

    @classmethod
    def get_block_type_name(cls) -> str:
        """The name of the block type: `_block_type_name`, else that of the class."""
        return cls._block_type_name or cls.__name__

    @classmethod
    def get_block_type_slug(cls) -> str:
        """The slug of the block type: `_block_type_slug`, else made from its name."""
        return cls._block_type_slug or slugify(cls.get_block_type_name())

    @classmethod
    def get_block_capabilities(cls) -> frozenset[str]:
        """What blocks of this type can do, such as `read-path`: `_block_schema_capabilities` of the class and its bases."""
        lists = (base.__dict__.get("_block_schema_capabilities") or () for base in cls.__mro__)
        return frozenset(capability for capabilities in lists for capability in capabilities)

    @classmethod
    def get_block_schema_version(cls) -> str:
        """The version of the schema: `_block_schema_version`, that of the API for Prefect's own, else `non-versioned`."""
        if cls._block_schema_version:
            return cls._block_schema_version
        return API_VERSION if cls.__module__.split(".", 1)[0] == "prefect" else "non-versioned"

    @classmethod
    def get_description(cls) -> str | None:
        """What the type is for: `_description`, else the docstring up to its first heading."""
        return cls._description or _description.description_of(cls)

    @classmethod
    def get_code_example(cls) -> str:
        """How to use the type, as Markdown: `_code_example`, the `Example:` of the docstring, else how to load one."""
        example = cls._code_example if cls._code_example is not None else _description.example_of(cls)
        if example is not None:
            return example
        variable = cls.get_block_type_slug().replace("-", "_")
        return (
            f"```python\nfrom {cls.__module__} import {cls.__name__}\n\n"
            f'{variable}_block = {cls.__name__}.load("BLOCK_NAME")\n```'
        )

    @classmethod
    def model_json_schema(  # type: ignore[override]
        cls, by_alias: bool = True, ref_template: str = "#/definitions/{model}", *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """The JSON schema of the fields; those of nested models under `definitions`."""
        return _description.published_schema(super().model_json_schema(by_alias, ref_template, *args, **kwargs))

    @classmethod
    def _calculate_schema_checksum(cls, block_schema_fields: dict[str, Any] | None = None) -> str:
        """The checksum of a schema, by default this type's: `sha256:...`."""
        return schema_checksum(block_schema_fields or cls.model_json_schema())

    @classmethod
    def _to_block_type(cls) -> BlockType:
        return _documents.block_type_of(cls)

    @classmethod
    def _to_block_schema(cls, block_type_id: UUID | None = None) -> BlockSchema:
        return _documents.block_schema_of(cls, block_type_id)

    @staticmethod
    def is_block_class(block: Any) -> bool:
        """Whether a value is a class of blocks."""
        return isinstance(block, type) and issubclass(block, Block)

    @staticmethod
    def annotation_refers_to_block_class(annotation: Any) -> bool:
        """Whether an annotation is a class of blocks, or a union with one in it."""
        if get_origin(annotation) in (Union, types.UnionType):
            return any(Block.is_block_class(part) for part in get_args(annotation))
        return Block.is_block_class(annotation)

    @classmethod
    def get_block_class_from_schema(cls, schema: BlockSchema) -> type[Block]:
        """The class for a block schema.

        Raises:
            UnknownBlockType: no class is known for it.
        """
        return cls.get_block_class_from_key(block_schema_to_key(schema))

    @classmethod
    def get_block_class_from_key(cls, key: str) -> type[Block]:
        """The class with a slug.

        Raises:
            UnknownBlockType: no class has it.
        """
        try:
            return lookup_type(Block, key)
        except KeyError:
            pass
        plugins.load_prefect_collections()  # an installed package may have it
        try:
            return lookup_type(Block, key)
        except KeyError:
            raise UnknownBlockType(
                f"No block class found for slug {key!r}. Import the module that defines it (installing the integration "
                "that it belongs to, if need be) before the block is loaded."
            ) from None

    def get_block_placeholder(self) -> str:
        """The text that stands for the saved block in job configurations: `prefect.blocks.{type}.{name}`.

        Raises:
            BlockNotSavedError: the block is not saved.
        """
        if not self._block_document_name:
            raise BlockNotSavedError("Could not generate block placeholder for unsaved block. Call `save` first.")
        return f"prefect.blocks.{self.get_block_type_slug()}.{self._block_document_name}"

    # ── saved blocks ────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def _from_block_document(cls, block_document: BlockDocument) -> Self:
        return _documents.from_document(cls, block_document, validate=True)  # type: ignore[return-value]

    @classmethod
    async def aload(cls, name: str, validate: bool = True, client: Client = None) -> Self:
        """`load` for asynchronous code."""
        async with async_client(client) as api:
            return await _documents.load(cls, api, name, validate)  # type: ignore[return-value]

    @classmethod
    def load(cls, name: str, validate: bool = True, client: Client = None, *, _sync: bool | None = None) -> Self:
        """Load a saved block.

        Args:
            name: its name; with `Block` itself, `type/name`.
            validate: check the saved values; without, values that do not fit are taken as they are.
            client: the API client to use.

        Raises:
            ValueError: there is no such block.
            RuntimeError: the saved values do not fit the class.
        """
        return _load(cls, name, validate, client, _sync=_sync)

    @classmethod
    async def aload_from_ref(
        cls, ref: str | UUID | dict[str, Any], validate: bool = True, client: Client = None
    ) -> Self:
        """`load_from_ref` for asynchronous code."""
        async with async_client(client) as api:
            return await _documents.load_from_ref(cls, api, ref, validate)  # type: ignore[return-value]

    @classmethod
    def load_from_ref(
        cls,
        ref: str | UUID | dict[str, Any],
        validate: bool = True,
        client: Client = None,
        *,
        _sync: bool | None = None,
    ) -> Self:
        """Load a saved block by reference.

        Args:
            ref: its id; `type/name`; or a dictionary with `block_document_id` or `block_document_slug`.
            validate: check the saved values.
            client: the API client to use.

        Raises:
            ValueError: there is no such block.
            RuntimeError: the saved values do not fit the class.
        """
        return _load_from_ref(cls, ref, validate, client, _sync=_sync)

    @classmethod
    async def aregister_type_and_schema(cls, client: Client = None) -> None:
        """`register_type_and_schema` for asynchronous code."""
        cls._require_subclass()
        async with async_client(client) as api:
            await _documents.register(cls, api)

    @classmethod
    def register_type_and_schema(cls, client: Client = None, *, _sync: bool | None = None) -> Any:
        """Make the block type known to the server.

        Raises:
            InvalidBlockRegistration: this is `Block` itself.
        """
        return _register(cls, client, _sync=_sync)

    @classmethod
    def _require_subclass(cls) -> None:
        if cls._is_base():
            raise InvalidBlockRegistration(
                "`register_type_and_schema` should be called on a Block subclass and not on the Block class directly."
            )

    async def asave(self, name: str | None = None, overwrite: bool = False, client: Client = None) -> UUID:
        """`save` for asynchronous code."""
        async with async_client(client) as api:
            return await _documents.save(self, api, name, overwrite)

    @async_dispatch(asave)
    def save(self, name: str | None = None, overwrite: bool = False, client: Client = None) -> UUID:
        """Save the block's values.

        Args:
            name: under which name; by default that which it was loaded from or saved under.
            overwrite: replace the values saved under that name.
            client: the API client to use.

        Returns:
            the id of the saved document.

        Raises:
            ValueError: there is no name, or it is in use and `overwrite` is not set.
        """
        with sync_client(client) as api:
            return run(_documents.save(self, api, name, overwrite))

    @classmethod
    async def adelete(cls, name: str, client: Client = None) -> None:
        """`delete` for asynchronous code."""
        async with async_client(client) as api:
            await _documents.delete(cls, api, name)

    @classmethod
    def delete(cls, name: str, client: Client = None, *, _sync: bool | None = None) -> Any:
        """Delete a saved block.

        Args:
            name: its name; with `Block` itself, `type/name`.
            client: the API client to use.

        Raises:
            ValueError: there is no such block.
        """
        return _delete(cls, name, client, _sync=_sync)


def from_document(document: BlockDocument) -> Block:
    """The block that a document holds, of the class of its type.

    Raises:
        UnknownBlockType: no class has that type.
        ValidationError: it does not fit the class.
    """
    return _documents.from_document(Block, document, validate=True)


def document_id(block: Block) -> UUID | None:
    """The id that a block is saved under; None when it is not."""
    return block._block_document_id


def document_name(block: Block) -> str | None:
    """The name that a block is saved under; None when it is not."""
    return block._block_document_name


# the class methods above as functions of the class, so that they can be dispatched by the running loop


@async_dispatch(lambda cls, *args: cls.aload(*args))
def _load(cls: type[Block], name: str, validate: bool, client: Any) -> Block:
    with sync_client(client) as api:
        return run(_documents.load(cls, api, name, validate))


@async_dispatch(lambda cls, *args: cls.aload_from_ref(*args))
def _load_from_ref(cls: type[Block], ref: Any, validate: bool, client: Any) -> Block:
    with sync_client(client) as api:
        return run(_documents.load_from_ref(cls, api, ref, validate))


@async_dispatch(lambda cls, *args: cls.aregister_type_and_schema(*args))
def _register(cls: type[Block], client: Any) -> None:
    cls._require_subclass()
    with sync_client(client) as api:
        run(_documents.register(cls, api))


@async_dispatch(lambda cls, *args: cls.adelete(*args))
def _delete(cls: type[Block], name: str, client: Any) -> None:
    with sync_client(client) as api:
        run(_documents.delete(cls, api, name))
