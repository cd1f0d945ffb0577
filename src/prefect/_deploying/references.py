"""Placeholders that the API resolves: `{{ prefect.blocks.secret.x }}` and `{{ prefect.variables.y }}`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from prefect.client import orchestration
    from prefect.client.orchestration import PrefectClient
    from prefect.utilities import templating
else:
    orchestration = lazy_module("prefect.client.orchestration")
    templating = lazy_module("prefect.utilities.templating")

Resolve = Callable[[str], Awaitable[Any]]
_REF = "$ref"
_KEY = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


class MissingValueError(ValueError):
    """A placeholder stands for something that is not there."""


@asynccontextmanager
async def client_or_new(client: PrefectClient | None) -> AsyncIterator[PrefectClient]:
    """The given client, or one of the current settings."""
    if client is not None:
        yield client
        return
    async with orchestration.get_client() as new:
        yield new


async def resolve_variables(template: Any, client: PrefectClient | None, *, strict: bool = False) -> Any:
    """Put the values of variables in the place of `{{ prefect.variables.name }}`.

    Args:
        template: a text, or a dictionary or list of such at any depth.
        client: for the API.
        strict: a variable that is not there is an error; otherwise it is left empty.

    Raises:
        MissingValueError: `strict` is set, and there is no such variable.
    """
    kind = templating.PlaceholderType.VARIABLE
    if not _has(template, kind):
        return template
    known: dict[str, Any] = {}
    async with client_or_new(client) as api:

        async def value_of(name: str) -> Any:
            key = name.removeprefix(templating.VARIABLE_PLACEHOLDER_PREFIX)
            if key not in known:
                variable = await api.read_variable_by_name(key)
                if variable is None and strict:
                    raise MissingValueError(
                        f"There is no variable {key!r}, which {{{{ {name} }}}} asks for. "
                        f"Set it with `prefect variable set {key} VALUE`."
                    )
                known[key] = "" if variable is None else variable.value
            return known[key]

        return await _replace(template, kind, value_of)


async def resolve_blocks(
    template: Any,
    client: PrefectClient | None,
    value_transformer: Callable[[str, Any], Any] | None = None,
) -> Any:
    """Put the values of saved blocks in the place of `{{ prefect.blocks.type.name }}`, and of `$ref` objects.

    Of a block with nothing but a `value` this is the value; of others, a dictionary, of which
    `{{ prefect.blocks.type.name.key }}` means one entry.

    Args:
        template: a text, or a dictionary or list of such at any depth.
        client: for the API.
        value_transformer: makes something else of each (given the placeholder's name and the value).

    Raises:
        MissingValueError: there is no such block, or it has no such entry.
    """
    kind = templating.PlaceholderType.BLOCK_DOCUMENT
    if not _has(template, kind) and not _has_ref(template):
        return template
    async with client_or_new(client) as api:

        async def value_of(name: str) -> Any:
            value = await _block_value(api, name)
            return value_transformer(name, value) if value_transformer is not None else value

        resolved = await _replace_refs(template, api)
        return await _replace(resolved, kind, value_of)


async def _block_value(api: PrefectClient, name: str) -> Any:
    path = name.removeprefix(templating.BLOCK_DOCUMENT_PLACEHOLDER_PREFIX)
    slug, _, rest = path.partition(".")
    parts = re.split(r"[.\[]", rest, maxsplit=1)
    document_name, keys = parts[0], rest[len(parts[0]) :]
    if not slug or not document_name:
        raise MissingValueError(
            f"{{{{ {name} }}}} names no block; write {{{{ prefect.blocks.<type>.<name> }}}}, "
            "as in {{ prefect.blocks.secret.my-token }}."
        )
    try:
        document = await api.read_block_document_by_name(name=document_name, block_type_slug=slug)
    except ObjectNotFound as error:
        raise MissingValueError(
            f"There is no block {document_name!r} of the type {slug!r}, which {{{{ {name} }}}} asks for. "
            "`prefect block ls` lists the blocks that there are."
        ) from error
    value: Any = document.data
    if not keys:
        return value["value"] if isinstance(value, Mapping) and set(value) == {"value"} else value
    for key, index in _KEY.findall(keys):
        try:
            value = value[int(index)] if index else value[key]
        except (LookupError, TypeError) as error:
            raise MissingValueError(
                f"The block {slug}/{document_name} has no entry {keys.lstrip('.')!r}, which {{{{ {name} }}}} asks for."
            ) from error
    return value


# ── walking ──


def _has(template: Any, kind: Any) -> bool:
    return any(placeholder.type is kind for placeholder in templating.find_placeholders(template))


def _has_ref(template: Any) -> bool:
    if isinstance(template, dict):
        return set(template) == {_REF} or any(map(_has_ref, template.values()))
    return isinstance(template, list) and any(map(_has_ref, template))


async def _replace_refs(template: Any, api: PrefectClient) -> Any:
    if isinstance(template, dict):
        reference = template.get(_REF) if set(template) == {_REF} else None
        if isinstance(reference, dict) and reference.get("block_document_id"):
            return (await api.read_block_document(reference["block_document_id"])).data
        return {key: await _replace_refs(value, api) for key, value in template.items()}
    if isinstance(template, list):
        return [await _replace_refs(item, api) for item in template]
    return template


async def _replace(template: Any, kind: Any, value_of: Resolve) -> Any:
    """Replace the placeholders of one kind; a text that is nothing else becomes the value itself."""
    if isinstance(template, dict):
        return {key: await _replace(value, kind, value_of) for key, value in template.items()}
    if isinstance(template, list):
        return [await _replace(item, kind, value_of) for item in template]
    if not isinstance(template, str):
        return template
    for placeholder in templating.find_placeholders(template):
        if placeholder.type is not kind:
            continue
        value = await value_of(placeholder.name)
        if template.strip() == placeholder.full_match:
            return value
        template = template.replace(placeholder.full_match, str(value))
    return template
