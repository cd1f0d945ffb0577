"""What a block type says about itself: its schema, where its secrets are, its documentation."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from prefect._schemas.fields import SecretDict

if TYPE_CHECKING:
    from prefect.blocks.core import Block

# a heading of a docstring in Google's style
_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Attributes|Example|Examples|Raises|Returns|Yields|Methods|Note|Notes|Warning|Warnings|"
    r"See Also|Todo|References):[ \t]*$",
    re.MULTILINE,
)


# ── the schema ──────────────────────────────────────────────────────────────────────────────────────────────────────


def published_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that pydantic makes of a block class, in the form that is published."""
    if "$defs" in schema:
        schema["definitions"] = schema.pop("$defs")
    for part in (schema, *schema.get("definitions", {}).values()):
        for prop in part.get("properties", {}).values():
            # whether a mapping is open says nothing to those who fill it in
            prop.pop("additionalProperties", None)
    return schema


def amend_schema(schema: dict[str, Any], cls: type[Block]) -> None:
    """Add to the schema of a block class what forms and the server need."""
    schema["title"] = cls.__name__
    schema.pop("additionalProperties", None)
    description = cls.get_description()
    if description and cls.__dict__.get("_description") != "":
        schema["description"] = description
    else:
        schema.pop("description", None)
    schema["block_type_slug"] = cls.get_block_type_slug()
    schema["block_schema_references"] = references(cls)
    schema["secret_fields"] = list(secret_fields(cls))
    for position, prop in enumerate(schema.get("properties", {}).values()):
        prop["position"] = position


def references(cls: type[Block]) -> dict[str, Any]:
    """The types of the blocks that a block class holds, by field; several of one field as a list."""
    found: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        nested = [
            {
                "block_type_slug": block.get_block_type_slug(),
                "block_schema_checksum": block._calculate_schema_checksum(),
            }
            for block in blocks_in(field.annotation)
        ]
        if nested:
            found[name] = nested[0] if len(nested) == 1 else nested
    return found


def is_block_class(value: Any) -> bool:
    """Whether a value is a block class, `Block` itself included."""
    return isinstance(value, type) and hasattr(value, "get_block_type_slug") and hasattr(value, "_block_type_slug")


def blocks_in(annotation: Any) -> Iterator[type[Block]]:
    """The block classes in an annotation, in order."""
    if is_block_class(annotation):
        yield annotation
        return
    for part in get_args(annotation):
        yield from blocks_in(part)


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def secret_fields(cls: type[BaseModel], prefix: str = "", above: tuple[type, ...] = ()) -> Iterator[str]:
    """The paths of the secrets in a model, such as `credentials.token`; all values of a mapping as `headers.*`."""
    for name, field in cls.model_fields.items():
        yield from _secrets_in(f"{prefix}{name}", field.annotation, (*above, cls))


def _secrets_in(path: str, annotation: Any, above: tuple[type, ...]) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _secrets_in(path, get_args(annotation)[0], above)
        return
    kind = origin or annotation
    if isinstance(kind, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(kind, SecretDict):
            yield f"{path}.*"
            return
        if hasattr(kind, "get_secret_value"):
            yield path
        elif issubclass(kind, BaseModel):
            if kind not in above:
                yield from secret_fields(kind, f"{path}.", above)
            return
    for part in get_args(annotation):
        yield from _secrets_in(path, part, above)


# ── documentation ───────────────────────────────────────────────────────────────────────────────────────────────────


def _sections(cls: type) -> dict[str, str]:
    """The parts of a class's own docstring by their headings; what comes before them under ""."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    parts = _SECTION.split(text)
    found = {"": parts[0].strip()}
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(heading, inspect.cleandoc("\n" + _indented_part(body)).strip())
    return found


def _indented_part(body: str) -> str:
    lines = body.strip("\n").splitlines()
    end = next((i for i, line in enumerate(lines) if line and not line[0].isspace()), len(lines))
    return "\n".join(lines[:end])


def description_of(cls: type) -> str | None:
    """What the docstring of a class says before its first heading."""
    return _sections(cls)[""] or None


def example_of(cls: type) -> str | None:
    """What the docstring of a class has under `Example:`."""
    sections = _sections(cls)
    return sections.get("Example") or sections.get("Examples") or None
