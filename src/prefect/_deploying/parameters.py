"""The parameters that a deployment is given: what its runs are called with, unless they are given others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pydantic_core

from prefect._lazy import imported, lazy_module
from prefect._schemas.json_schema import SchemaMismatch, check_against_schema

if TYPE_CHECKING:
    from prefect.blocks import core as blocks
    from prefect.blocks.core import Block
else:
    blocks = lazy_module("prefect.blocks.core")


def is_block(value: Any) -> bool:
    """Whether a value is a block, without importing them for those who have none."""
    module = imported("prefect.blocks.core")
    return module is not None and isinstance(value, module.Block)


def with_references(value: Any) -> Any:
    """Parameters in which saved blocks are references to them.

    Raises:
        ValueError: a block is not saved.
    """
    if is_block(value):
        return {"$ref": {"block_document_id": str(_id_of(value))}}
    if isinstance(value, Mapping):
        return {key: with_references(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_references(item) for item in value]
    return value


def _id_of(block: Block) -> Any:
    found = blocks.document_id(block)
    if found is None:
        raise ValueError(
            f"The parameter is a {type(block).__name__} that is not saved, and a deployment can only name one that is: "
            "call its `save('a-name')` first."
        )
    return found


def as_json(parameters: Mapping[str, Any], of: str) -> dict[str, Any]:
    """Parameters as JSON can carry them.

    Args:
        of: what they are for, in messages.

    Raises:
        ValueError: a parameter has no JSON form.
    """
    written: dict[str, Any] = {}
    for name, value in parameters.items():
        try:
            written[name] = pydantic_core.to_jsonable_python(with_references(value))
        except (pydantic_core.PydanticSerializationError, ValueError) as error:
            raise ValueError(
                f"Parameter {name!r} of {of} cannot be kept as JSON, being of type {type(value).__name__}: give what the "
                f"flow can make it from. {error}"
            ) from error
    return written


def check(parameters: Mapping[str, Any], schema: dict[str, Any] | None, of: str) -> None:
    """Check parameters against the schema of a flow's.

    Those that are missing are not missed: a run may be given them. What is filled in later (`__prefect_kind`, `$ref`) is
    checked then.

    Raises:
        ValueError: a parameter is not known, or does not fit.
    """
    if not schema:
        return
    known = schema.get("properties", {})
    unknown = sorted(set(parameters) - set(known))
    if unknown and not any("additionalProperties" in part for part in known.values()):  # **kwargs looks like that
        raise ValueError(
            f"{of} has no parameter {', '.join(map(repr, unknown))}; "
            f"{'it has ' + ', '.join(map(repr, known)) if known else 'it has none'}."
        )
    plain = {name: value for name, value in parameters.items() if not _is_later(value)}
    optional = {name: part for name, part in schema.items() if name != "required"}
    try:
        check_against_schema(plain, optional, what="set of parameters")
    except SchemaMismatch as error:
        raise ValueError(f"{of}: {error}") from error


def _is_later(value: Any) -> bool:
    return isinstance(value, dict) and ("__prefect_kind" in value or "$ref" in value)
