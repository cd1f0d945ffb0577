"""Decide without pydantic that a value has the type its parameter asks for.

Most flows are called with values whose exact types are those annotated. For these pydantic would answer with the same value
(a fresh list or dict with the same items, for containers), so that it need not be imported, nor a model be built.
What is not sure here is left to pydantic; nothing is refused here.
"""

from __future__ import annotations

import datetime
import sys
import typing
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Union
from uuid import UUID

UNSURE: Any = object()
"""The answer of a check that leaves the value to pydantic."""

Check = Callable[[Any], Any]
Accepted = dict[type, "Check | None"]
"""Exact type -> how to check and copy the value further; None when the type says it all."""

ANYTHING: Accepted = {}
"""Marks an annotation that any value fits; compare by identity."""

_AS_THEY_ARE = frozenset((int, str, float, bool, bytes, NoneType))
_STANDARD_AS_THEY_ARE = frozenset((datetime.datetime, datetime.date, datetime.timedelta, datetime.time, UUID))
_BUILTIN_BASES = (int, str, float, bytes, list, tuple, dict, set, frozenset, bytearray, complex)
_LARGEST_EXACT_FLOAT = 2**53


def accepted_types(annotation: Any) -> Accepted | None:
    """Work out which values fit an annotation for sure.

    Returns:
        The exact types with their checks, `ANYTHING`, or None when only pydantic can tell.
    """
    if annotation is Any or annotation is object:
        return ANYTHING
    if annotation is None:
        return {NoneType: None}
    if annotation is float:
        return {float: None, int: _int_to_float}
    if isinstance(annotation, type) and annotation in _COPIES:
        return {annotation: _COPIES[annotation]}
    origin = typing.get_origin(annotation)
    if origin is Union or origin is UnionType:
        return _union(typing.get_args(annotation))
    if origin is typing.Literal:
        return _literal(typing.get_args(annotation))
    if origin in _COPIES:
        return _container(origin, typing.get_args(annotation))
    if origin is None and isinstance(annotation, type) and _is_left_alone(annotation):
        return {annotation: None}
    return None


def _is_left_alone(cls: type) -> bool:
    """Whether pydantic gives back an instance of exactly this class as it is."""
    if cls in _AS_THEY_ARE or cls in _STANDARD_AS_THEY_ARE:
        return True
    if issubclass(cls, _BUILTIN_BASES) or cls.__module__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return False
    # a class that says itself how it is validated
    hooks = ("__get_pydantic_core_schema__", "__get_validators__", "__pydantic_validator__", "__pydantic_config__")
    return not any(hasattr(cls, hook) for hook in hooks)


def _int_to_float(value: int) -> Any:
    return float(value) if abs(value) <= _LARGEST_EXACT_FLOAT else UNSURE


_COPIES: dict[Any, Check] = {list: list.copy, dict: dict.copy, set: set.copy, tuple: tuple, frozenset: frozenset}


def _union(members: tuple[Any, ...]) -> Accepted | None:
    merged: Accepted = {}
    for member in members:
        accepted = accepted_types(member)
        if accepted is ANYTHING or accepted is None:
            return accepted
        for kind, check in accepted.items():
            if kind not in merged or merged[kind] is _int_to_float:
                merged[kind] = check
            elif merged[kind] is not check and check is not _int_to_float:
                return None  # two members look at the same type: `list[int] | list[str]`
    return merged


def _literal(values: tuple[Any, ...]) -> Accepted | None:
    if not all(type(value) in (str, int) for value in values):
        return None
    by_type = {kind: frozenset(value for value in values if type(value) is kind) for kind in map(type, values)}
    return {kind: lambda value, among=among: value if value in among else UNSURE for kind, among in by_type.items()}


def _container(origin: Any, arguments: tuple[Any, ...]) -> Accepted | None:
    if origin is tuple:
        if len(arguments) != 2 or arguments[1] is not Ellipsis:
            return _fixed_tuple(arguments)
        arguments = arguments[:1]
    inner = [accepted_types(argument) for argument in arguments]
    if any(accepted is None for accepted in inner):
        return None
    if origin is dict:
        keys, values = (_items_check(accepted) for accepted in inner)  # type: ignore[arg-type]

        def check_dict(value: dict[Any, Any]) -> Any:
            new_keys, new_values = keys(value), values(value.values())
            return (
                UNSURE if new_keys is UNSURE or new_values is UNSURE else dict(zip(new_keys, new_values, strict=True))
            )

        return {dict: check_dict}
    items = _items_check(inner[0])  # type: ignore[arg-type]

    def check_items(value: Any) -> Any:
        result = items(value)
        return UNSURE if result is UNSURE else origin(result)

    return {origin: check_items}


def _fixed_tuple(arguments: tuple[Any, ...]) -> Accepted | None:
    inner = [accepted_types(argument) for argument in arguments]
    if any(accepted is None for accepted in inner):
        return None

    def check(value: tuple[Any, ...]) -> Any:
        if len(value) != len(inner):
            return UNSURE
        results = tuple(check_value(accepted, item) for accepted, item in zip(inner, value, strict=True))  # type: ignore[arg-type]
        return UNSURE if any(result is UNSURE for result in results) else results

    return {tuple: check}


def _items_check(accepted: Accepted) -> Check:
    """A check of all items of a collection; gives the items, new where a check makes new ones."""
    if accepted is ANYTHING:
        return lambda items: items
    if not any(accepted.values()):
        kinds = frozenset(accepted)
        return lambda items: items if kinds.issuperset(map(type, items)) else UNSURE

    def each(items: Any) -> Any:
        results = [check_value(accepted, item) for item in items]
        return UNSURE if any(result is UNSURE for result in results) else results

    return each


def check_value(accepted: Accepted, value: Any) -> Any:
    """Return the value as pydantic would, or `UNSURE`."""
    if accepted is ANYTHING:
        return value
    check = accepted.get(type(value), UNSURE)
    if check is None or check is UNSURE:
        return value if check is None else UNSURE
    return check(value)
