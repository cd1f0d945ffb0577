"""`prefect experimental`: what may still change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _output, plugins
from prefect.cli._options import Output

if TYPE_CHECKING:
    from prefect import exceptions
    from prefect.client.orchestration import SyncPrefectClient
else:
    exceptions = lazy_module("prefect.exceptions")

app = App(name="experimental", help="What may still change.")
app.command(plugins.app)
storage = App(name="result-storage", help="Where the server says that results go when nothing else is said.")
app.command(storage)


@storage.command(name="inspect")
def inspect_storage(*, output: Output = None) -> None:
    """Show the block of the default result storage."""
    with _api.client() as api:
        id = api.read_server_default_result_storage().default_result_storage_block_id
        slug = None if id is None else _slug(api, id)
    if output == "json":
        _output.print_plain_json({"default_result_storage_block_id": id and str(id), "block": slug})
    elif id is None:
        print("There is no default result storage.")
    else:
        print(f"Results go to {slug} ({id}).")


@storage.command(name="set")
def set_storage(
    *,
    block: Annotated[str | None, Parameter(help="The block, as type/name.")] = None,
    id: Annotated[UUID | None, Parameter(help="Id of the block.")] = None,
) -> None:
    """Let results go to a block."""
    _api.one_of({"--block": block, "--id": id}, of="block")
    with _api.client() as api:
        if id is None:
            type_slug, _, name = str(block).partition("/")
            try:
                id = api.read_block_document_by_name(name, type_slug, include_secrets=False).id
            except exceptions.ObjectNotFound:
                _api.not_found("block", str(block), [])
        api.update_server_default_result_storage(id)
        slug = _slug(api, id)
    print(f"Results go to {slug} ({id}).")


@storage.command(name="clear")
def clear_storage() -> None:
    """Let results go nowhere in particular."""
    with _api.client() as api:
        api.clear_server_default_result_storage()
    print("There is no default result storage any more.")


def _slug(api: SyncPrefectClient, id: UUID) -> str:
    found = api.read_block_document(id, include_secrets=False)
    return f"{found.block_type.slug if found.block_type else found.block_type_name}/{found.name}"
