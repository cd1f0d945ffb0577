"""Write the parameters of a run down for the database.

What is written is for people, filters and forms to read: it is never loaded back as an argument of the run at hand, so
what has no JSON form is named (`<DataFrame>`) instead of refused. Attributes of arbitrary objects are not written: they may
be large, or secret.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any
from uuid import UUID

from prefect._collections import pydantic_model_type
from prefect._lazy import imported
from prefect.utilities.annotations import BaseAnnotation

_LEAST, _GREATEST = -(2**63), 2**64 - 1  # what a JSON writer of fixed-size integers takes
_DEEPEST = 100


def dump_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-able form of a run's parameters: only dicts with text keys, lists, text, numbers, booleans and None.

    Never raises for a value. A value without a JSON form, and a collection that contains itself, becomes `<ClassName>`;
    bytes that are not UTF-8 and half surrogates in text are escaped; integers beyond 64 bits become text.
    """
    return {name: _jsonable(value, _DEEPEST) for name, value in parameters.items()}


def _jsonable(value: Any, depth: int) -> Any:
    write = _WRITERS.get(type(value))
    if write is None:
        write = _writer(value)
        if write is None:
            return _placeholder(value)
    return write(value, depth)


def _placeholder(value: Any) -> str:
    return f"<{type(value).__name__}>"


def _as_it_is(value: Any, _: int) -> Any:
    return value


def _text(value: str, _: int) -> str:
    value = str(value)  # of a subclass, too
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _integer(value: int, _: int) -> Any:
    return value if _LEAST <= value <= _GREATEST else str(value)


def _number(value: float, _: int) -> Any:
    # JSON has no words for these
    return value if value - value == 0 else str(value)


def _bytes(value: Any, _: int) -> str:
    return bytes(value).decode("utf-8", "backslashreplace")


def _list(value: Iterable[Any], depth: int) -> Any:
    if depth <= 0:
        return _placeholder(value)
    return [_jsonable(item, depth - 1) for item in value]


def _set(value: Iterable[Any], depth: int) -> Any:
    items = _list(value, depth)
    try:
        return sorted(items)
    except TypeError:
        return items


def _dict(value: Mapping[Any, Any], depth: int) -> Any:
    if depth <= 0:
        return _placeholder(value)
    return {_key(key): _jsonable(item, depth - 1) for key, item in value.items()}


def _key(key: Any) -> str:
    if type(key) is str:
        return _text(key, 0)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    written = _jsonable(key, 3)
    return written if isinstance(written, str) else str(written)


def _isoformat(value: Any, _: int) -> str:
    return value.isoformat()


def _shown(value: Any, _: int) -> str:
    return _text(str(value), 0)


def _seconds(value: datetime.timedelta, _: int) -> float:
    return value.total_seconds()


def _enum(value: Enum, depth: int) -> Any:
    return _jsonable(value.value, depth - 1)


def _marked(value: BaseAnnotation[Any], depth: int) -> Any:
    return _jsonable(value.unwrap(), depth - 1) if depth > 0 else _placeholder(value)


def _fields(value: Any, depth: int) -> Any:
    if depth <= 0:
        return _placeholder(value)
    fields = type(value).__dataclass_fields__
    return {name: _jsonable(getattr(value, name, None), depth - 1) for name in fields}


def _model(value: Any, depth: int) -> Any:
    try:
        # the model's own rules: secrets are masked, fields may be excluded
        return _jsonable(value.model_dump(mode="json"), depth - 1)
    except Exception:  # serialisers are code of any kind; a run must not fail for what is written about it
        pass
    try:
        return _jsonable(value.model_dump(mode="python"), depth - 1)
    except Exception:  # as above
        return _placeholder(value)


def _old_model(value: Any, depth: int) -> Any:
    try:
        return _jsonable(value.dict(), depth - 1)
    except Exception:  # see `_model`
        return _placeholder(value)


Writer = Callable[[Any, int], Any]
_WRITERS: dict[type, Writer] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _as_it_is,
    type(None): _as_it_is,
    list: _list,
    tuple: _list,
    set: _set,
    frozenset: _set,
    dict: _dict,
    bytes: _bytes,
    bytearray: _bytes,
    datetime.datetime: _isoformat,
    datetime.date: _isoformat,
    datetime.time: _isoformat,
    datetime.timedelta: _seconds,
    UUID: _shown,
}
# paths, decimal numbers, URLs, secrets (masked by their own str): known by name, for few programs import their modules
_SHOWN_FROM = frozenset(
    ("decimal", "pydantic.types", "pydantic.v1.types", "pydantic.networks", "pydantic_core._pydantic_core")
)
_BASES: tuple[tuple[type, Writer], ...] = (
    (Enum, _enum),
    (BaseAnnotation, _marked),
    (str, _text),
    (bool, _as_it_is),
    (int, lambda value, depth: _integer(int(value), depth)),
    (float, lambda value, depth: _number(float(value), depth)),
    (dict, _dict),
    (list, _list),
    (tuple, _list),
    (set, _set),
    (frozenset, _set),
    (datetime.date, _isoformat),
)


def _writer(value: Any) -> Writer | None:
    """How to write a value whose exact type has no entry of its own; None if it has no JSON form."""
    kind = type(value)
    for base, write in _BASES:
        if issubclass(kind, base):
            return write
    model = pydantic_model_type()
    if model is not None and issubclass(kind, model):
        return _model
    old = imported("pydantic.v1.main")
    if old is not None and issubclass(kind, old.BaseModel):
        return _old_model
    if hasattr(kind, "__dataclass_fields__"):
        return _fields
    if hasattr(kind, "__fspath__") or kind.__module__ in _SHOWN_FROM:
        return _shown
    return None
