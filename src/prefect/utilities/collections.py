"""Small tools for collections: merging, flattening, batching, and walking through nested values."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from prefect._collections import StopVisiting, visit_collection
from prefect._schemas.auto_enum import AutoEnum

__all__ = [
    "AutoEnum",
    "StopVisiting",
    "batched_iterable",
    "deep_merge",
    "deep_merge_dicts",
    "dict_to_flatdict",
    "distinct",
    "ensure_iterable",
    "extract_instances",
    "flatdict_to_dict",
    "get_from_dict",
    "isiterable",
    "listrepr",
    "remove_nested_keys",
    "set_in_dict",
    "visit_collection",
]

T = TypeVar("T")


def dict_to_flatdict(dct: dict[Any, Any]) -> dict[tuple[Any, ...], Any]:
    """Flatten nested dicts into one whose keys are the tuples of keys on the way; an empty dict is kept as a value."""
    flat: dict[tuple[Any, ...], Any] = {}
    pending: list[tuple[tuple[Any, ...], Any]] = [((key,), value) for key, value in reversed(dct.items())]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict) and value:
            pending.extend(((*path, key), inner) for key, inner in reversed(value.items()))
        else:
            flat[path] = value
    return flat


def flatdict_to_dict(dct: dict[tuple[Any, ...], Any]) -> dict[Any, Any]:
    """Undo `dict_to_flatdict`."""
    nested: dict[Any, Any] = {}
    for path, value in dct.items():
        level = nested
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = value
    return nested


def isiterable(obj: Any) -> bool:
    """Whether a value is iterable and stands for its items: not text, bytes or an open file."""
    return isinstance(obj, Iterable) and not isinstance(obj, (str, bytes, io.IOBase))


def ensure_iterable(obj: T | Iterable[T]) -> Iterable[T]:
    """Return a sequence or set (text included) as it is, and any other value as a list of one."""
    return obj if isinstance(obj, (Sequence, set, frozenset)) else [obj]  # type: ignore[list-item, return-value]


def listrepr(objs: Iterable[Any], sep: str = " ") -> str:
    """The `repr` of each object, joined by `sep`."""
    return sep.join(map(repr, objs))


def extract_instances(objects: Iterable[Any], types: type | tuple[type, ...] = object) -> Any:
    """Pick the objects that are instances of the given types.

    Returns:
        A list for one type; for several, a dict from each type that occurs to the list of its instances (an
        object counts for the first type that it fits).
    """
    wanted = types if isinstance(types, tuple) else (types,)
    found: dict[type, list[Any]] = {}
    for item in objects:
        for kind in wanted:
            if isinstance(item, kind):
                found.setdefault(kind, []).append(item)
                break
    return found.get(wanted[0], []) if len(wanted) == 1 else found


def batched_iterable(iterable: Iterable[T], size: int) -> Generator[tuple[T, ...], None, None]:
    """Yield the items in tuples of `size`; the last may be shorter.

    Raises:
        ValueError: `size` is less than 1.
    """
    if size < 1:
        raise ValueError(f"A batch must hold at least one item, not {size}.")
    iterator = iter(iterable)
    while batch := tuple(islice(iterator, size)):
        yield batch


def distinct(iterable: Iterable[T], key: Callable[[T], Hashable] | None = None) -> Iterator[T]:
    """Yield each item whose key (by default, the item itself) has not come before, in order."""
    seen: set[Hashable] = set()
    for item in iterable:
        mark: Any = item if key is None else key(item)
        if mark not in seen:
            seen.add(mark)
            yield item


def remove_nested_keys(keys_to_remove: list[Any], obj: Any) -> Any:
    """Return a dict without the given keys, at any depth of dicts in dicts; any other value as it is."""
    if not isinstance(obj, dict):
        return obj
    return {key: remove_nested_keys(keys_to_remove, value) for key, value in obj.items() if key not in keys_to_remove}


def _key_path(keys: str | list[str | int]) -> list[str | int]:
    """Read a path such as `a.b[0]`."""
    if not isinstance(keys, str):
        return list(keys)
    return [int(part) if part.isdecimal() else part for part in keys.replace("[", ".").replace("]", "").split(".")]


def get_from_dict(dct: Any, keys: str | list[str | int], default: Any = None) -> Any:
    """Look up a value in nested dicts and lists.

    Args:
        dct: the outermost dict.
        keys: the way to the value, as text (`"a.b[0].c"`) or as a list of keys and indexes.
        default: the answer when there is nothing there.
    """
    value = dct
    for key in _key_path(keys):
        if isinstance(value, dict):
            # digits in a text path may be an index or a key
            if key not in value and isinstance(key, int):
                key = str(key)
            if key not in value:
                return default
            value = value[key]
        else:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return default
    return value


def set_in_dict(dct: dict[str, Any], keys: str | list[str], value: Any) -> None:
    """Set a value in nested dicts, making the dicts on the way that are not there yet.

    Args:
        dct: the outermost dict; it is changed.
        keys: the way to the value, as text (`"a.b.c"` or `"a[b]"`) or as a list of keys.
        value: the value.

    Raises:
        TypeError: something on the way is there already and is not a dict.
        ValueError: `keys` is an empty list.
    """
    path = keys.replace("[", ".").replace("]", "").split(".") if isinstance(keys, str) else list(keys)
    if not path:
        raise ValueError("Cannot set a value in a dict at an empty path of keys.")
    level = dct
    for key in path[:-1]:
        level = level.setdefault(key, {})
        if not isinstance(level, dict):
            raise TypeError(f"Key path exists and contains a non-dict value: {path} (at {key!r})")
    level[path[-1]] = value


def deep_merge(dct: dict[str, Any], merge: dict[str, Any]) -> dict[str, Any]:
    """Return a new dict of both; where both have a dict under a key these are merged, else `merge` has precedence."""
    merged = dict(dct)
    for key, value in merge.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = deep_merge(merged[key], value) if both else value
    return merged


def deep_merge_dicts(*dicts: dict[str, Any]) -> dict[str, Any]:
    """Merge any number of dicts by `deep_merge`; a later one has precedence."""
    merged: dict[str, Any] = {}
    for dct in dicts:
        merged = deep_merge(merged, dct)
    return merged
