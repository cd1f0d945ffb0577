"""Checks of a value against a JSON schema (the vocabulary of draft 2020-12 that forms and job templates use).

A reference may point into the schema itself only: nothing is ever fetched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

_MAX_DEPTH = 200

_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, (list, tuple)),
    "object": lambda value: isinstance(value, dict),
}


class SchemaMismatch(ValueError):
    """A value does not fit its JSON schema; the message lists where."""


def check_against_schema(value: Any, schema: dict[str, Any], what: str = "value") -> None:
    """Check a value against a JSON schema.

    Args:
        what: how the message names the value.

    Raises:
        SchemaMismatch: it does not fit; the message names each place.
    """
    problems = list(mismatches(value, schema))
    if problems:
        listing = "; ".join(f"{path or what}: {problem}" for path, problem in problems)
        raise SchemaMismatch(f"The {what} does not fit its schema: {listing}")


def mismatches(value: Any, schema: Any, root: Any = None, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every place where a value does not fit a schema, as (path, what is wrong)."""
    root = schema if root is None else root
    if schema is True or schema == {}:
        return
    if schema is False:
        yield path, "nothing is allowed here"
        return
    if depth > _MAX_DEPTH:
        yield path, "the schema refers to itself without end"
        return
    if "$ref" in schema:
        yield from mismatches(value, _resolve(schema["$ref"], root), root, path, depth + 1)
    yield from _of_any_type(value, schema, path)
    yield from _combined(value, schema, root, path, depth)
    if isinstance(value, dict):
        yield from _of_object(value, schema, root, path, depth)
    elif isinstance(value, (list, tuple)):
        yield from _of_array(value, schema, root, path, depth)
    elif isinstance(value, str):
        yield from _of_text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _of_number(value, schema, path)


def _resolve(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        raise SchemaMismatch(f"The schema refers to {reference!r}; only references within the schema are followed")
    target = root
    for part in reference[1:].strip("/").split("/") if reference != "#" else []:
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            target = target[int(part)] if isinstance(target, list) else target[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SchemaMismatch(f"The schema refers to {reference!r}, which is not in it") from None
    return target


def _same(left: Any, right: Any) -> bool:
    """Equality as in JSON, where true is not 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _of_any_type(value: Any, schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not any(_TYPES.get(name, lambda _: True)(value) for name in names):
            yield path, f"{value!r} is not of type {' or '.join(repr(name) for name in names)}"
    if "enum" in schema and not any(_same(value, option) for option in schema["enum"]):
        yield path, f"{value!r} is not one of {schema['enum']!r}"
    if "const" in schema and not _same(value, schema["const"]):
        yield path, f"{value!r} is not {schema['const']!r}"


def _combined(value: Any, schema: dict[str, Any], root: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    def fits(part: Any) -> bool:
        return next(mismatches(value, part, root, path, depth + 1), None) is None

    for part in schema.get("allOf", ()):
        yield from mismatches(value, part, root, path, depth + 1)
    if "anyOf" in schema and not any(map(fits, schema["anyOf"])):
        yield path, f"{value!r} fits none of the {len(schema['anyOf'])} alternatives"
    if "oneOf" in schema and (count := sum(map(fits, schema["oneOf"]))) != 1:
        yield path, f"{value!r} fits {count} of the {len(schema['oneOf'])} alternatives, not exactly one"
    if "not" in schema and fits(schema["not"]):
        yield path, f"{value!r} is what is not allowed"


def _of_object(
    value: dict[str, Any], schema: dict[str, Any], root: Any, path: str, depth: int
) -> Iterator[tuple[str, str]]:
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield path, f"{name!r} is a required property"
    for name, item in value.items():
        parts = [properties[name]] if name in properties else []
        parts += [part for pattern, part in patterns.items() if re.search(pattern, name)]
        inner = f"{path}.{name}" if path else name
        if not parts:
            additional = schema.get("additionalProperties", True)
            if additional is False:
                yield path, f"{name!r} is not a known property"
                continue
            parts = [additional]
        for part in parts:
            yield from mismatches(item, part, root, inner, depth + 1)
    yield from _between(len(value), schema, "minProperties", "maxProperties", "properties", path)


def _of_array(value: Any, schema: dict[str, Any], root: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    first = schema.get("prefixItems", [])
    for index, item in enumerate(value):
        part = first[index] if index < len(first) else schema.get("items", True)
        yield from mismatches(item, part, root, f"{path}[{index}]", depth + 1)
    if schema.get("uniqueItems") and any(_same(a, b) for i, a in enumerate(value) for b in value[:i]):
        yield path, "the items are not all different"
    yield from _between(len(value), schema, "minItems", "maxItems", "items", path)


def _of_text(value: str, schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield path, f"{value!r} does not match {schema['pattern']!r}"
    yield from _between(len(value), schema, "minLength", "maxLength", "characters", path)


def _of_number(value: float, schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "minimum" in schema and value < schema["minimum"]:
        yield path, f"{value!r} is less than {schema['minimum']!r}"
    if "maximum" in schema and value > schema["maximum"]:
        yield path, f"{value!r} is more than {schema['maximum']!r}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield path, f"{value!r} is not more than {schema['exclusiveMinimum']!r}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield path, f"{value!r} is not less than {schema['exclusiveMaximum']!r}"
    if step := schema.get("multipleOf"):
        quotient = value / step
        if not math.isclose(quotient, round(quotient), abs_tol=1e-9):
            yield path, f"{value!r} is not a multiple of {step!r}"


def _between(
    count: int, schema: dict[str, Any], low: str, high: str, unit: str, path: str
) -> Iterator[tuple[str, str]]:
    if low in schema and count < schema[low]:
        yield path, f"has {count} {unit}, fewer than {schema[low]}"
    if high in schema and count > schema[high]:
        yield path, f"has {count} {unit}, more than {schema[high]}"
