"""Check parameters against the JSON schema of a flow's parameters."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from prefect._json_schema import (
    Checker,
    CircularReferenceError,
    SchemaError,
    UnknownReferenceError,
    schema_faults,
)
from prefect.utilities.schema_tools.hydration import HydrationError, Placeholder

__all__ = [
    "CircularSchemaRefError",
    "ValidationError",
    "build_error_obj",
    "is_valid",
    "is_valid_schema",
    "preprocess_schema",
    "prioritize_placeholder_errors",
    "process_properties",
    "validate",
]


class CircularSchemaRefError(Exception):
    """References in the schema lead in a circle."""


class ValidationError(Exception):
    """The parameters do not fit the schema."""


def _of_placeholder(value: Any) -> list[str] | None:
    """What is wrong with a placeholder; one whose value is yet to come fits anything."""
    if not isinstance(value, Placeholder):
        return None
    return [value.message] if isinstance(value, HydrationError) else []


def validate(
    obj: Any,
    schema: dict[str, Any],
    raise_on_error: bool = False,
    preprocess: bool = True,
    ignore_required: bool = False,
    allow_none_with_default: bool = False,
) -> list[SchemaError]:
    """Check parameters, hydrated or not.

    Args:
        obj: the parameters.
        schema: the schema.
        raise_on_error: raise the first error instead of returning all.
        preprocess: let parameters that are not required be null; see `preprocess_schema`.
        ignore_required: let required parameters be missing.
        allow_none_with_default: let parameters with a default be null, too.

    Returns:
        What is wrong; nothing if the parameters fit.

    Raises:
        CircularSchemaRefError: references in the schema lead in a circle.
        ValidationError: the parameters do not fit, and `raise_on_error` is set; or the schema refers to what it does not hold.
    """
    if preprocess:
        schema = preprocess_schema(schema, allow_none_with_default)
    checker = Checker(schema, ignore_required=ignore_required, stand_in=_of_placeholder)
    try:
        errors = checker.errors(obj)
    except CircularReferenceError as error:
        raise CircularSchemaRefError(str(error)) from error
    except UnknownReferenceError as error:
        raise ValidationError(f"Validation failed. Failure reason: {error}") from error
    if raise_on_error and errors:
        worst = min(errors, key=lambda error: len(error.path))
        place = f" for field {'.'.join(map(str, worst.path))!r}" if worst.path else ""
        raise ValidationError(f"Validation failed{place}. Failure reason: {worst.message}")
    return errors


def is_valid(obj: Any, schema: dict[str, Any]) -> bool:
    """Whether parameters fit a schema as it is."""
    return not validate(obj, schema, preprocess=False)


def is_valid_schema(schema: dict[str, Any], preprocess: bool = True) -> None:
    """Check a schema itself.

    Args:
        schema: the schema.
        preprocess: check it as `validate` would use it.

    Raises:
        ValueError: the schema is faulty; says where.
    """
    fault = next(schema_faults(schema), None)
    if fault is None and preprocess:
        fault = next(schema_faults(preprocess_schema(schema)), None)
    if fault is not None:
        place = f" (at {'.'.join(map(str, fault.path))})" if fault.path else ""
        raise ValueError(f"Invalid schema: {fault.message}{place}")


def preprocess_schema(schema: dict[str, Any], allow_none_with_default: bool = False) -> dict[str, Any]:
    """Return a copy of a schema in which properties that are not required may be null.

    Args:
        schema: the schema; its definitions are treated alike.
        allow_none_with_default: also those with a default.
    """
    schema = deepcopy(schema)
    for part in (schema, *schema.get("definitions", {}).values()):
        if isinstance(part, dict) and isinstance(part.get("properties"), dict):
            process_properties(part["properties"], part.get("required", []), allow_none_with_default)
    return schema


def process_properties(
    properties: dict[str, Any], required_fields: list[str], allow_none_with_default: bool = False
) -> None:
    """Let properties be null that are not required; the dict is changed, and those of objects within.

    Args:
        properties: name -> schema.
        required_fields: the names of those that must be given.
        allow_none_with_default: let those with a default be null, too.
    """
    for name, schema in properties.items():
        if not isinstance(schema, dict):
            continue
        if isinstance(schema.get("properties"), dict):
            process_properties(schema["properties"], schema.get("required", []), allow_none_with_default)
        optional = name not in required_fields and ("default" not in schema or allow_none_with_default)
        if optional and "type" in schema:
            alternatives = [{"type": schema.pop("type")}, {"type": "null"}]
            if "anyOf" in schema:  # both must hold
                schema["allOf"] = [*schema.get("allOf", []), {"anyOf": schema.pop("anyOf")}]
            schema["anyOf"] = alternatives


def prioritize_placeholder_errors(errors: Iterable[SchemaError]) -> list[SchemaError]:
    """Leave out what is said of a place for whose value there is a `HydrationError`, but for that."""
    errors = list(errors)
    of_placeholders = {error.path for error in errors if error.validator == "placeholder"}
    return [error for error in errors if error.validator == "placeholder" or error.path not in of_placeholders]


def build_error_obj(errors: Iterable[SchemaError]) -> dict[str, Any]:
    """Arrange errors by where they are, for a form.

    Returns:
        `{"valid": bool, "errors": [...]}`. An error is a text, or what is wrong inside a property or item:
        `{"property": name, "errors": [...]}`, `{"index": number, "errors": [...]}`.
    """
    tree: list[Any] = []
    for error in prioritize_placeholder_errors(errors):
        # a missing property is told at its own place
        path = (*error.path, error.validator_value) if error.validator == "required" else error.path
        level = tree
        for at, step in enumerate(path):
            key = "index" if isinstance(step, int) else "property"
            last = at == len(path) - 1
            level = _entry(level, key, step, of_texts=last)
        level.append(error.message)
    return {"errors": tree, "valid": not tree}


def _entry(level: list[Any], key: str, step: str | int, of_texts: bool) -> list[Any]:
    """The errors of a place: those of the place itself, or those inside it."""
    for entry in level:
        if isinstance(entry, dict) and entry.get(key) == step and isinstance(entry["errors"][0], str) is of_texts:
            return entry["errors"]
    level.append({key: step, "errors": []})
    return level[-1]["errors"]
