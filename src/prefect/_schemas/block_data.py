"""The values of a block: where its secrets are, and where other blocks are held.

A schema lists its secrets as paths (`secret_fields`): names joined by dots, `*` for every member. Another block is
held by an object of one member, `{"$ref": {"block_document_id": "..."}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

MASK = "********"
"""What stands in the place of a secret that may not be read. Sent back, it means: as it was."""

_ABSENT = object()


def redact(data: Any, secret_fields: Iterable[str]) -> Any:
    """A copy of a block's values with a mask in the place of each secret that has a value."""
    for path in secret_fields:
        data = _at(data, path.split("."), lambda value, _: value if value is None else MASK)
    return data


def keep_masked(new: Any, old: Any, secret_fields: Iterable[str]) -> Any:
    """A copy of new values in which a mask sent back has become the secret that it stands for."""

    def kept(value: Any, before: Any) -> Any:
        return before if value == MASK and before is not _ABSENT else value

    for path in secret_fields:
        new = _at(new, path.split("."), kept, old)
    return new


def _at(value: Any, path: list[str], change: Callable[[Any, Any], Any], other: Any = _ABSENT) -> Any:
    """A copy of nested data, changed at a path; `change` also gets what `other` has there."""
    if not path:
        return change(value, other)
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        names = value if first == "*" else [first] if first in value else []
        return value | {name: _at(value[name], rest, change, _member(other, name)) for name in names}
    if isinstance(value, list):
        below = rest if first == "*" else path
        return [_at(item, below, change, _member(other, index)) for index, item in enumerate(value)]
    return value


def _member(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(key, _ABSENT)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return _ABSENT


def reference(value: Any) -> UUID | None:
    """The id of the block document that a value stands for, if it does.

    Raises:
        ValueError: it looks like a reference, and names no id.
    """
    if not isinstance(value, dict) or value.keys() != {"$ref"}:
        return None
    target = value["$ref"]
    try:
        return UUID(target["block_document_id"])
    except (TypeError, KeyError, ValueError, AttributeError):
        raise ValueError(
            f'{target!r} refers to no block document: expected {{"$ref": {{"block_document_id": "<id>"}}}}.'
        ) from None


def references(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, UUID]]:
    """The blocks that values hold: path (its parts joined by dots) and id of each.

    Raises:
        ValueError: something looks like a reference, and names no id.
    """
    held = reference(data)
    if held is not None:
        yield ".".join(path), held
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from references(value, (*path, str(name)))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from references(value, (*path, str(index)))


def resolve(data: Any, find: Callable[[UUID], Any]) -> Any:
    """A copy of values with the blocks that they hold put in; one that is not there any more is left out.

    Args:
        find: the values of a block document by its id; None when there is none.
    """
    if isinstance(data, dict):
        return {
            name: value for name, value in ((n, _resolve(v, find)) for n, v in data.items()) if value is not _ABSENT
        }
    if isinstance(data, list):
        return [value for value in (_resolve(item, find) for item in data) if value is not _ABSENT]
    return data


def _resolve(value: Any, find: Callable[[UUID], Any]) -> Any:
    held = reference(value)
    if held is None:
        return resolve(value, find)
    found = find(held)
    return _ABSENT if found is None else found
