"""JSON in a database: as fast as it can be written and read, and with numbers of any size.

`orjson` knows integers of 64 bits. Python has longer ones, and JSON does not mind: they are kept as they are.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import orjson

_LONG = re.compile(r"\d{19}")
_LONG_BYTES = re.compile(rb"\d{19}")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def json_text(value: Any) -> str:
    """A value as JSON.

    Raises:
        TypeError: it is not a JSON value.
    """
    return json_bytes(value, orjson.OPT_NON_STR_KEYS).decode()


def json_bytes(value: Any, option: int) -> bytes:
    """A value as JSON, in UTF-8.

    Args:
        value: the value.
        option: how, as for `orjson.dumps`.

    Raises:
        TypeError: it is not a JSON value.
    """
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return orjson.dumps(_spelled_out(value), option=option)


def json_value(text: str | bytes) -> Any:
    """The value that JSON is of."""
    return json.loads(text) if has_long_numbers(text) else orjson.loads(text)


def jsonb_value(text: str | bytes) -> Any:
    """The value that PostgreSQL keeps as `jsonb`: it tells large floats as integers of many digits."""
    return json.loads(text, parse_int=_number) if has_long_numbers(text) else orjson.loads(text)


def has_long_numbers(text: str | bytes) -> bool:
    """Whether JSON has numbers that `orjson` may not know; or digits that look so."""
    return (_LONG.search(text) if isinstance(text, str) else _LONG_BYTES.search(text)) is not None


def _number(digits: str) -> int | float:
    # of an integer that a float is written as, nobody could tell whether it was one: they are equal
    try:
        number = float(digits)
        return number if abs(number) > _LARGEST and Decimal(repr(number)) == Decimal(digits) else int(digits)
    except OverflowError:
        return int(digits)


def _spelled_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spelled_out(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled_out(one) for one in value]
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return orjson.Fragment(str(value))
    return value
