"""`prefect block`: typed configuration that is kept by the API."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, Yes, flag
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect import _scripts, exceptions
    from prefect._schemas import blocks
    from prefect._schemas.actions import blocks as actions
    from prefect._schemas.blocks import BlockDocument, BlockSchema, BlockType
    from prefect.blocks import core
    from prefect.blocks.core import Block
    from prefect.client.orchestration import SyncPrefectClient
else:
    _scripts = lazy_module("prefect._scripts")
    exceptions = lazy_module("prefect.exceptions")
    blocks = lazy_module("prefect._schemas.blocks")
    actions = lazy_module("prefect._schemas.actions.blocks")
    core = lazy_module("prefect.blocks.core")

app = App(name="block", help="Keep typed configuration.")
types = App(name="type", help="Look at the types of blocks.")
app.command(types, name=["type", "types"])

BlockSlug = Annotated[str | None, Parameter(help="The block, as type/name.")]
TypeSlug = Annotated[str, Parameter(help="Slug of the type, such as `secret`.")]


@app.command
def ls(*, output: Output = None) -> None:
    """List blocks, by type and name."""
    with _api.client() as api:
        found = sorted(_every(api), key=_slug)
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("No blocks found. `prefect block type ls` lists the types of blocks.")
    else:
        rows = [
            (str(one.id), _type_name(one), one.name or "", _slug(one), _output.ago_text(one.updated)) for one in found
        ]
        columns = ("ID", "Type", "Name", "Slug", "Changed")
        _output.print_table(columns, rows, cut=["Type", "Name"], spare=["Changed", "Name", "Type"])


@app.command
def inspect(
    slug: BlockSlug = None,
    *,
    id: Annotated[UUID | None, Parameter(help="Id of the block.")] = None,
    output: Output = None,
) -> None:
    """Show a block; secret values as asterisks."""
    with _api.client() as api:
        found = _find(api, slug, id)
    if output == "json":
        _output.print_json(found)
        return
    _output.print_fields(
        {
            "Block": _slug(found),
            "ID": found.id,
            "Type": _type_name(found),
            "Created": found.created,
            "Changed": found.updated,
            **{f"  {name}": value for name, value in found.data.items()},
        }
    )


@app.command
def create(
    block_type_slug: TypeSlug,
    *,
    name: Annotated[str | None, Parameter(help="Name of the new block.")] = None,
    field: Annotated[
        list[str] | None,
        Parameter(name=["--field", "-f"], help="A value, as name=value (JSON or text). May be repeated.", negative=()),
    ] = None,
    overwrite: Annotated[bool, flag("Change the block if there is one of this name.")] = False,
    output: Output = None,
) -> None:
    """Make a block of a type: from --name and --field, else by asking for its fields."""
    with _api.client() as api:
        type_ = _find_type(api, block_type_slug)
        schema = api.get_most_recent_block_schema_for_block_type(type_.id)
        if schema is None:
            _console.fail(f"The block type {type_.slug!r} has no schema; `prefect block register` gives it one.")
        data = _output.pairs(field, "--field")
        if name is None:
            name = _ask_for_name(type_)
            data = _ask_for_fields(schema, data)
        _check_fields(type_, schema, data)
        made = _save(api, type_, schema, name, data, overwrite)
    if output == "json":
        _output.print_json(made)
    else:
        print(f"Saved block {type_.slug}/{made.name} ({made.id}).")


@app.command
def delete(
    slug: BlockSlug = None,
    *,
    id: Annotated[UUID | None, Parameter(help="Id of the block.")] = None,
    yes: Yes = False,
) -> None:
    """Delete a block."""
    with _api.client() as api:
        found = _find(api, slug, id)
        _console.agree(f"Delete block {_slug(found)}?", yes)
        api.delete_block_document(found.id)
    print(f"Deleted block {_slug(found)}.")


@app.command
def register(
    *,
    module: Annotated[str | None, Parameter(name=["--module", "-m"], help="A module with block classes.")] = None,
    file: Annotated[Path | None, Parameter(name=["--file", "-f"], help="A Python file with block classes.")] = None,
    output: Output = None,
) -> None:
    """Make the block types of a module or a file known to the API."""
    _api.one_of({"--module": module, "--file": file}, of="block classes")
    place = str(module or file)
    classes = _block_classes(_load_module(module) if module else _load_file(Path(str(file))))
    if not classes:
        _console.fail(f"There are no block classes in {place}: a class must derive from `prefect.blocks.core.Block`.")
    with _api.client() as api:
        for one in classes:
            one.register_type_and_schema(client=api)
        found = [api.read_block_type_by_slug(one.get_block_type_slug()) for one in classes]
    if output == "json":
        _output.print_json(found)
        return
    print(f"Registered {_output.count(len(found), 'block type')} of {place}:")
    for one in found:
        print(f"  {one.slug}  ({one.name})")


@types.command(name="ls")
def ls_types(*, output: Output = None) -> None:
    """List the types of blocks."""
    with _api.client() as api:
        found = _every_type(api)
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("No block types found. `prefect block register` makes types known.")
    else:
        rows = [(one.slug, one.name, _output.one_line(one.description)) for one in found]
        _output.print_table(("Slug", "Name", "Description"), rows, cut=["Description", "Name"], spare=["Name"])


@types.command(name="inspect")
def inspect_type(slug: TypeSlug, *, output: Output = None) -> None:
    """Show a type of blocks and its fields."""
    with _api.client() as api:
        found = _find_type(api, slug)
        if output == "json":
            _output.print_json(found)
            return
        schema = api.get_most_recent_block_schema_for_block_type(found.id)
    _output.print_fields(
        {
            "Block type": found.name,
            "Slug": found.slug,
            "ID": found.id,
            "Description": found.description,
            "Documentation": found.documentation_url,
            "Built in": found.is_protected,
            "Can": schema.capabilities if schema else None,
        }
    )
    if schema and (properties := schema.fields.get("properties")):
        print()
        rows = [(name, *_described(schema, name, about)) for name, about in properties.items()]
        _output.print_table(("Field", "Type", "Required", "Description"), rows, cut=["Description"])


@types.command(name="delete")
def delete_type(slug: TypeSlug, *, yes: Yes = False) -> None:
    """Delete a type of blocks, with its blocks."""
    with _api.client() as api:
        found = _find_type(api, slug)
        _console.agree(f"Delete block type {found.slug!r} and all its blocks?", yes)
        api.delete_block_type(found.id)
    print(f"Deleted block type {found.slug!r}.")


def _every(api: SyncPrefectClient) -> list[BlockDocument]:
    return list(_api.pages(api, "/block_documents/filter", blocks.BlockDocument, include_secrets=False))


def _every_type(api: SyncPrefectClient) -> list[BlockType]:
    return list(_api.pages(api, "/block_types/filter", blocks.BlockType))


def _find(api: SyncPrefectClient, slug: str | None, id: UUID | None) -> BlockDocument:
    """The block of a slug or an id."""
    _api.one_of({"TYPE/NAME": slug, "--id": id}, of="block")
    if id is not None:
        return api.read_block_document(id, include_secrets=False)
    type_slug, slash, name = str(slug).partition("/")
    if not slash and _output.as_uuid(type_slug) is None:
        _console.usage(f"{slug!r} should look like type/name; `prefect block ls` lists the blocks.")

    def exact(_: str) -> BlockDocument:
        return api.read_block_document_by_name(name, type_slug, include_secrets=False)

    return _api.find("block", str(slug), exact, lambda: _every(api), lambda one: [_slug(one), str(one.id)])


def _find_type(api: SyncPrefectClient, slug: str) -> BlockType:
    try:
        return api.read_block_type_by_slug(slug)
    except exceptions.ObjectNotFound:
        return _api.not_found("block type", slug, [one.slug for one in _every_type(api)])


def _slug(block: BlockDocument) -> str:
    type_slug = block.block_type.slug if block.block_type else block.block_type_name
    return f"{type_slug}/{block.name}"


def _type_name(block: BlockDocument) -> str:
    return block.block_type_name or (block.block_type.name if block.block_type else "")


# -- making a block -------------------------------------------------------------------------------------------------


def _ask_for_name(type_: BlockType) -> str:
    name = _console.ask(f"Name of the new {type_.name} block")
    if name:
        return name
    pages = get_current_settings().ui_url
    where = f" Or open {pages.rstrip('/')}/blocks/catalog/{type_.slug}/create" if pages else ""
    return _console.usage(f"Name the block with --name, and give its fields with --field name=value.{where}")


def _ask_for_fields(schema: BlockSchema, given: dict[str, Any]) -> dict[str, Any]:
    """Ask for the fields that were not given; an empty answer leaves a field out."""
    data = dict(given)
    secret = set(schema.fields.get("secret_fields", ()))
    for name, about in schema.fields.get("properties", {}).items():
        if name in data:
            continue
        title = about.get("title") or name
        optional = "" if name in schema.fields.get("required", ()) else " (Enter to leave it out)"
        answer = _console.ask(f"{title}{optional}", secret=name in secret)
        if answer:
            data[name] = answer if name in secret else _output.parsed(answer)
    return data


def _check_fields(type_: BlockType, schema: BlockSchema, data: dict[str, Any]) -> None:
    known = schema.fields.get("properties", {})
    for name in data:
        if name not in known:
            _api.not_found(f"field of a {type_.slug} block", name, known)
    missing = [name for name in schema.fields.get("required", ()) if name not in data]
    if missing:
        _console.fail(f"A {type_.slug} block needs {', '.join(missing)}: give --field {missing[0]}=VALUE.")


def _save(
    api: SyncPrefectClient, type_: BlockType, schema: BlockSchema, name: str, data: dict[str, Any], overwrite: bool
) -> BlockDocument:
    fields = {"name": name, "data": data, "block_schema_id": schema.id, "block_type_id": type_.id}
    try:
        before = api.read_block_document_by_name(name, type_.slug, include_secrets=False)
    except exceptions.ObjectNotFound:
        return api.create_block_document(_api.made(actions.BlockDocumentCreate, fields))
    if not overwrite:
        _console.fail(f"There is a block {type_.slug}/{name} already; --overwrite changes it.")
    change = {"data": data, "block_schema_id": schema.id, "merge_existing_data": False}
    api.update_block_document(before.id, _api.made(actions.BlockDocumentUpdate, change))
    return api.read_block_document(before.id, include_secrets=False)


def _described(schema: BlockSchema, name: str, about: dict[str, Any]) -> tuple[str, str, str]:
    """The type of a field, whether it must be given, and what it is for."""
    kind = about.get("type") or about.get("format") or ("one of several" if "anyOf" in about else "block")
    secret = " (secret)" if name in schema.fields.get("secret_fields", ()) else ""
    required = "yes" if name in schema.fields.get("required", ()) else "no"
    return f"{kind}{secret}", required, _output.one_line(about.get("description"))


# -- classes --------------------------------------------------------------------------------------------------------


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        _console.fail(f"There is no module {problem.name!r}; is the package that has it installed here?")


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        _console.fail(f"There is no file {str(path)!r}.")
    return _scripts.load_script_as_module(str(path))


def _block_classes(module: ModuleType) -> list[type[Block]]:
    """The block classes that a module defines or offers; of `prefect` its own only."""
    return list(dict.fromkeys(_candidates(module)))


def _candidates(module: ModuleType) -> Iterator[type[Block]]:
    for value in vars(module).values():
        if (
            core.Block.is_block_class(value)
            and value is not core.Block
            and not getattr(value, "__abstractmethods__", ())
        ):
            yield value
