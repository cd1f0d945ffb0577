"""Hashes of texts, files and objects: equal for equal values, in every process.

The digests of `hash_objects` name cached results on disk, so how they are made is fixed: MD5 of the JSON text
`[[args...], {kwargs...}]` with sorted keys, or of the pickled arguments where they have no JSON form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from prefect._results import structure
from prefect._results.encoding import cloud_dumps, find_culprit, json_encode, qualified_name
from prefect.exceptions import HashError


class Hash(Protocol):
    """What `hashlib`'s objects can do."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def md5(data: bytes = b"") -> Hash:
    """MD5, marked as used for naming, not for security (some systems forbid it otherwise)."""
    return hashlib.md5(data, usedforsecurity=False)


def stable_hash(*args: str | bytes, hash_algo: Callable[..., Hash] = md5) -> str:
    """The hash of texts (in UTF-8) and bytes, one after the other.

    Args:
        args: what to hash; `("a", "b")` and `("ab",)` give the same digest.
        hash_algo: makes a hash object, such as `hashlib.sha256`.

    Returns:
        the digest, in hexadecimal.
    """
    state = hash_algo()
    for arg in args:
        state.update(arg.encode() if isinstance(arg, str) else arg)
    return state.hexdigest()


def file_hash(path: str | Path, hash_algo: Callable[..., Hash] = md5) -> str:
    """The hash of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    state = hash_algo()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 18):
            state.update(chunk)
    return state.hexdigest()


def _encode(obj: Any) -> Any:
    """As for stored results, but with the members of sets in one order."""
    encoded = json_encode(obj)
    if "encoding" in encoded:
        raise TypeError("Bytes that are no text are hashed as they are pickled.")
    if isinstance(obj, (set, frozenset)):
        # a set of strings is iterated in another order in every process
        encoded["data"] = sorted(encoded["data"], key=_json)
    return encoded


def _json(obj: Any) -> str:
    return json.dumps(obj, sort_keys=True, default=_encode)


def _canonical(obj: Any) -> str | bytes:
    """A text that is the same for equal values.

    Raises:
        HashError: the value has neither a JSON nor a pickled form.
    """
    try:
        return _json(obj)
    except Exception as exc:
        json_error = exc
    try:
        pickled = cloud_dumps(obj)
    except Exception as pickle_error:
        raise HashError(f"JSON: {json_error}; pickle: {pickle_error}") from pickle_error
    return structure.text_of(obj, pickled) if structure.has_sets(pickled) else pickled


def hash_objects(
    *args: Any, hash_algo: Callable[..., Hash] = md5, raise_on_failure: bool = False, **kwargs: Any
) -> str | None:
    """The hash of any objects.

    Args:
        args, kwargs: the objects; the order of keyword arguments does not matter.
        hash_algo: makes a hash object, such as `hashlib.sha256`.
        raise_on_failure: raise, rather than return None, when an object cannot be hashed.

    Raises:
        HashError: an object has neither a JSON nor a pickled form; the error names it.
    """
    try:
        return stable_hash(_canonical((args, kwargs)), hash_algo=hash_algo)
    except HashError as exc:
        if not raise_on_failure:
            return None
        reason = str(exc)
        path, culprit = find_culprit((args, kwargs), _canonical)
        where = path.replace("[0]", "args", 1) if path.startswith("[0]") else path.replace("[1]", "kwargs", 1)
        raise HashError(
            f"{where or 'The value'}, of type {qualified_name(type(culprit))}, cannot be hashed: it has neither a JSON "
            f"nor a pickled form ({reason})."
        ) from None
