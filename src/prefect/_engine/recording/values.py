"""What runs report, in the form in which it is kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._rules.states import RunState, Value

if TYPE_CHECKING:
    import json

    import orjson
else:
    json = lazy_module("json")
    orjson = lazy_module("orjson")

_log = logging.getLogger("prefect.recorder")


def to_json(value: Any) -> str:
    """Any value as JSON; what JSON does not know is told as text."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half a surrogate pair, an integer beyond 64 bits, nesting without end
        return json.dumps(value, default=str, skipkeys=True)


def clean(text: str | None) -> str | None:
    """Text that a database takes: halves of surrogate pairs and NUL, which it does not, are replaced."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def tags_json(tags: frozenset[str]) -> str:
    """Tags, in order."""
    return to_json(sorted(tags)) if tags else "[]"


def details_json(state: RunState) -> str:
    """What belongs to a state beside its type, name and message."""
    return to_json(state.details) if state.details else "{}"


def data_json(state: RunState) -> str | None:
    """The reference to a stored result; a value that lives in memory only is not recorded."""
    data = state.data
    if type(data) is not Value or data.record is None:
        return None
    try:
        return to_json(data.stored_reference())
    except Exception:  # one odd record must not keep all others from being written
        _log.error("The reference to a stored result could not be recorded:", exc_info=True)
        return None
