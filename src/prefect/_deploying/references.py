"""Placeholders that the API resolves: `{{ prefect.blocks.secret.x }}` and `{{ prefect.variables.y }}`."""

from __future__ import annotations

import os
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
    from prefect.utilities.templating import PlaceholderType
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


class Values:
    """Looks up what placeholders stand for, each once.

    Args:
        api: for the API.
        strict: a variable that is not there is an error; otherwise it is left empty.
        transform: makes something else of each block's value, given the placeholder's name and the value.
    """

    def __init__(
        self, api: PrefectClient, *, strict: bool = False, transform: Callable[[str, Any], Any] | None = None
    ) -> None:
        self._api = api
        self._strict = strict
        self._transform = transform
        self._variables: dict[str, Any] = {}

    async def variable(self, name: str) -> Any:
        """The value of the variable that a placeholder names.

        Raises:
            MissingValueError: there is no such variable, and that is an error.
        """
        key = name.removeprefix(templating.VARIABLE_PLACEHOLDER_PREFIX)
        if key not in self._variables:
            variable = await self._api.read_variable_by_name(key)
            if variable is None and self._strict:
                raise MissingValueError(
                    f"There is no variable {key!r}, which {{{{ {name} }}}} asks for. "
                    f"Set it with `prefect variable set {key} VALUE`."
                )
            self._variables[key] = "" if variable is None else variable.value
        return self._variables[key]

    async def block(self, name: str) -> Any:
        """The value of the block, or of the entry of it, that a placeholder names.

        Raises:
            MissingValueError: there is no such block, or it has no such entry.
        """
        value = await _block_value(self._api, name)
        return self._transform(name, value) if self._transform is not None else value


async def environment_variable(name: str) -> str:
    """The value of an environment variable; one that is not set is empty, as in a shell."""
    return os.environ.get(name.removeprefix(templating.ENV_VAR_PLACEHOLDER_PREFIX), "")


async def fill_in(template: Any, value_of: Mapping[PlaceholderType, Resolve]) -> Any:
    """Replace placeholders by their values, in one pass: what looks like a placeholder in a value is left alone.

    Args:
        template: a text, or a dictionary or list of such at any depth. A text that is nothing but one placeholder
            becomes the value itself, of whatever type.
        value_of: looks up the values, by the kind of placeholder; other kinds stay.
    """
    if isinstance(template, Mapping):
        return {key: await fill_in(value, value_of) for key, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [await fill_in(item, value_of) for item in template]
    return await _fill_text(template, value_of) if isinstance(template, str) else template


async def _fill_text(text: str, value_of: Mapping[PlaceholderType, Resolve]) -> Any:
    parts: list[str] = []
    at = 0
    for found in templating.PLACEHOLDER_CAPTURE_REGEX.finditer(text):
        look_up = value_of.get(templating.determine_placeholder_type(found[2]))
        if look_up is None:
            continue
        value = await look_up(found[2])
        if found[0] == text.strip():
            return value
        parts += [text[at : found.start()], str(value)]
        at = found.end()
    return "".join([*parts, text[at:]])


async def resolve_variables(template: Any, client: PrefectClient | None) -> Any:
    """See `prefect.utilities.templating.resolve_variables`."""
    kind = templating.PlaceholderType.VARIABLE
    if not _has(template, kind):
        return template
    async with client_or_new(client) as api:
        return await fill_in(template, {kind: Values(api).variable})


async def resolve_blocks(
    template: Any,
    client: PrefectClient | None,
    value_transformer: Callable[[str, Any], Any] | None = None,
) -> Any:
    """See `prefect.utilities.templating.resolve_block_document_references`."""
    kind = templating.PlaceholderType.BLOCK_DOCUMENT
    if not _has(template, kind) and not _has_ref(template):
        return template
    async with client_or_new(client) as api:
        return await _replace_refs(await fill_in(template, {kind: Values(api, transform=value_transformer).block}), api)


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
