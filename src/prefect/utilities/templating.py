"""Placeholders in configurations: `{{ name }}`, `{{ $ENVIRONMENT_VARIABLE }}`.

`apply_values` leaves what the API resolves, `{{ prefect.blocks.secret.x }}` and `{{ prefect.variables.y }}`, as it is;
`resolve_block_document_references` and `resolve_variables` are for those.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect._lazy import lazy_module
from prefect.logging.loggers import get_logger
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    from prefect._deploying import references
    from prefect.client.orchestration import PrefectClient
else:
    references = lazy_module("prefect._deploying.references")

PLACEHOLDER_CAPTURE_REGEX = re.compile(r"({{\s*([\w\.\-\[\]$]+)\s*}})")
BLOCK_DOCUMENT_PLACEHOLDER_PREFIX = "prefect.blocks."
VARIABLE_PLACEHOLDER_PREFIX = "prefect.variables."
ENV_VAR_PLACEHOLDER_PREFIX = "$"

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


class PlaceholderType(enum.Enum):
    """What a placeholder stands for."""

    STANDARD = "standard"
    BLOCK_DOCUMENT = "block_document"
    VARIABLE = "variable"
    ENV_VAR = "env_var"


class Placeholder(NamedTuple):
    """A placeholder found in a template."""

    full_match: str
    """The placeholder as it is written, with its braces."""
    name: str
    """What stands between the braces."""
    type: PlaceholderType
    """What kind it is."""


def determine_placeholder_type(name: str) -> PlaceholderType:
    """What a placeholder of this name stands for."""
    if name.startswith(BLOCK_DOCUMENT_PLACEHOLDER_PREFIX):
        return PlaceholderType.BLOCK_DOCUMENT
    if name.startswith(VARIABLE_PLACEHOLDER_PREFIX):
        return PlaceholderType.VARIABLE
    if name.startswith(ENV_VAR_PLACEHOLDER_PREFIX):
        return PlaceholderType.ENV_VAR
    return PlaceholderType.STANDARD


def find_placeholders(template: Any) -> set[Placeholder]:
    """Find all placeholders in a template.

    Args:
        template: a text, or a dictionary, list, tuple or set of such at any depth; the keys of dictionaries are no
            templates.
    """
    if isinstance(template, str):
        found = PLACEHOLDER_CAPTURE_REGEX.findall(template)
        return {Placeholder(full, name, determine_placeholder_type(name)) for full, name in found}
    if isinstance(template, Mapping):
        template = template.values()
    elif not isinstance(template, (list, tuple, set, frozenset)):
        return set()
    return set().union(*map(find_placeholders, template))


def apply_values(
    template: Any,
    values: Mapping[str, Any],
    remove_notset: bool = True,
    warn_on_notset: bool = False,
    skip_prefixes: Iterable[str] | None = None,
) -> Any:
    """Put values in the place of the placeholders of a template.

    A text that is nothing but one placeholder becomes the value itself, of whatever type; in a longer text values are
    written as `str` writes them. `{{ job.env[0] }}` looks into dictionaries and lists.

    Args:
        template: a text, or a dictionary or list of such at any depth.
        values: the values by name.
        remove_notset: leave out keys of dictionaries whose value is missing, and put nothing in a longer text;
            otherwise these placeholders stay.
        warn_on_notset: log a warning for each value that is missing.
        skip_prefixes: placeholders whose name begins so are left as they are (`ctx` for `ctx` and `ctx.name`).

    Returns:
        The template with the values; `NotSet` for a text that is one placeholder whose value is missing.

    Raises:
        ValueError: the template holds something that is neither text, number, dictionary nor list.
    """
    return _Filler(values, remove_notset, warn_on_notset, tuple(skip_prefixes or ())).fill(template)


async def resolve_variables(template: Any, client: PrefectClient | None = None) -> Any:
    """Put the values of variables in the place of `{{ prefect.variables.name }}`.

    Args:
        template: a text, or a dictionary or list of such at any depth.
        client: for the API; one of the current settings unless given.

    Returns:
        The template with the values; empty text for a variable that is not there.
    """
    return await references.resolve_variables(template, client)


async def resolve_block_document_references(
    template: Any,
    client: PrefectClient | None = None,
    value_transformer: Callable[[str, Any], Any] | None = None,
) -> Any:
    """Put the values of saved blocks in the place of `{{ prefect.blocks.type.name }}`.

    Of a block with nothing but a `value` (such as `secret`) this is the value; of others, a dictionary, of which
    `{{ prefect.blocks.type.name.key }}` means one entry.

    Args:
        template: a text, or a dictionary or list of such at any depth; `{"$ref": {"block_document_id": ...}}` stands for a
            block, too.
        client: for the API; one of the current settings unless given.
        value_transformer: makes something else of each value, given the placeholder's name and the value.

    Raises:
        ValueError: there is no such block, or it has no such entry.
    """
    return await references.resolve_blocks(template, client, value_transformer)


class _Filler:
    """One call of `apply_values`."""

    def __init__(self, values: Mapping[str, Any], remove: bool, warn: bool, skip: tuple[str, ...]) -> None:
        self.values = values
        self.remove = remove
        self.warn = warn
        self.skip = skip

    def fill(self, template: Any) -> Any:
        if template is NotSet or template is None or isinstance(template, (int, float, bool)):
            return template
        if isinstance(template, str):
            return self._fill_text(template)
        if isinstance(template, dict):
            filled = {key: self.fill(value) for key, value in template.items()}
            if self.remove:
                return {key: value for key, value in filled.items() if value is not NotSet}
            return {key: template[key] if value is NotSet else value for key, value in filled.items()}
        if isinstance(template, list):
            return [value for item in template if (value := self.fill(item)) is not NotSet]
        raise ValueError(f"Unexpected template type {type(template).__name__!r}")

    def _fill_text(self, template: str) -> Any:
        whole = PLACEHOLDER_CAPTURE_REGEX.fullmatch(template.strip())
        if whole is not None:
            if self._is_kept(whole[2]):
                return template
            value = self._value(whole[2])
            is_variable = determine_placeholder_type(whole[2]) is PlaceholderType.ENV_VAR
            return template if value is NotSet and is_variable else value
        return PLACEHOLDER_CAPTURE_REGEX.sub(self._write, template)

    def _write(self, match: re.Match[str]) -> str:
        if self._is_kept(match[2]):
            return match[0]
        value = self._value(match[2])
        if value is not NotSet:
            return str(value)
        return "" if self.remove else match[0]

    def _is_kept(self, name: str) -> bool:
        if determine_placeholder_type(name) in (PlaceholderType.BLOCK_DOCUMENT, PlaceholderType.VARIABLE):
            return True
        return any(name == prefix or name.startswith((prefix + ".", prefix + "[")) for prefix in self.skip)

    def _value(self, name: str) -> Any:
        if name.startswith(ENV_VAR_PLACEHOLDER_PREFIX):
            value = os.environ.get(name[1:], NotSet)
            # a variable that is not set is empty, as in a shell
            return "" if value is NotSet and self.remove else value
        value = _look_up(self.values, name)
        if value is NotSet and self.warn:
            get_logger("utilities.templating").warning(
                "Value for placeholder %r not found in provided values. Please ensure that the placeholder is spelled "
                "correctly and that the corresponding value is provided.",
                name,
            )
        return value


def _look_up(values: Any, path: str) -> Any:
    """The value at a path such as `job.env[0]`; `NotSet` when there is none."""
    if isinstance(values, Mapping) and path in values:
        return values[path]
    for key, index in _STEP.findall(path):
        try:
            values = values[int(index)] if index else values[key]
        except (LookupError, TypeError):
            return NotSet
    return values
