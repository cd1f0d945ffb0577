"""The NUL character, which JSON can carry and no text in PostgreSQL can have.

Programs say it now and then, in a line of a log or in the message of an error: what they tell is kept, with the
character written out as `\\x00`. Where it is part of a name, a value or a filter, the request is refused, on each database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from prefect._operations.registry import Operation
from prefect.server.api.errors import BadRequest

_NUL = rb"\u0000"
_ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_SPELLED_OUT = rb"\1\\\\x00"
_TOLD = frozenset({
    "/logs/", "/events", "/artifacts/", "/runs/record", "/task_runs/record", "/flow_runs/", "/task_runs/",
    "/flow_runs/{id}/set_state", "/task_runs/{id}/set_state", "/flow_runs/bulk_set_state",
})  # fmt: skip
"""Operations by which programs tell what they did."""


def spelled_out(body: bytes) -> bytes:
    """JSON without NUL characters: each is written out."""
    return _ESCAPED.sub(_SPELLED_OUT, body) if _NUL in body else body


def storable(operation: Operation, body: bytes) -> bytes:
    """A body that every database can keep.

    Raises:
        BadRequest: it has a NUL character where that is part of what is asked for.
    """
    if _NUL not in body:
        return body
    if operation.path in _TOLD:
        return spelled_out(body)
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return body  # whoever parses it tells
    place = next(_places(given, ()), None)
    if place is None:
        return body
    raise BadRequest([problem("body", *place)], body)


def problem(*place: str | int) -> dict[str, Any]:
    """What is said of a NUL character."""
    message = "Text cannot contain the NUL character (U+0000)."
    return {"type": "value_error", "loc": list(place), "msg": message, "input": None}


def _places(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, str):
        if "\0" in value:
            yield place
    elif isinstance(value, dict):
        for name, part in value.items():
            if "\0" in name:
                yield (*place, name)
            yield from _places(part, (*place, name))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _places(part, (*place, position))
