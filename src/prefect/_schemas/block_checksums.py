"""The identity of a block schema.

It is SHA-256 of the canonical JSON (sorted keys, ASCII) of `[[schema], {}]`, the schema without its lists of secret
fields. Blocks inside a block count by their own checksums (in `block_schema_references`), so the definitions of their
fields are left out. Every client and server of the API has to arrive at the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def schema_checksum(fields: dict[str, Any]) -> str:
    """`sha256:...` of the fields of a block schema, as JSON schema.

    Raises:
        TypeError: a value in it has no JSON form.
    """
    counted = _without(fields, "secret_fields")
    definitions = counted.pop("definitions", {})
    plain = {name: part for name, part in definitions.items() if part and "block_type_slug" not in part}
    if plain:
        counted["definitions"] = plain
    text = json.dumps([[counted], {}], sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(part, key) for name, part in value.items() if name != key}
    return [_without(part, key) for part in value] if isinstance(value, list) else value
