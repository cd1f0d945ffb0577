"""Spread the arguments of `Task.map` over the calls it makes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from prefect._parameters.binding import FunctionSpec
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable
from prefect.utilities.annotations import allow_failure, quote, unmapped


def explode_variadic(spec: FunctionSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    """Put the items of `**kwargs` beside the other parameters."""
    if spec.var_keyword is None or spec.var_keyword not in parameters:
        return dict(parameters)
    exploded = dict(parameters)
    exploded.update(exploded.pop(spec.var_keyword))
    return exploded


def collapse_variadic(spec: FunctionSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    """Undo `explode_variadic`: gather what is not a parameter of its own under the name of `**kwargs`.

    Raises:
        ValueError: there is something to gather and the function takes no `**kwargs`.
    """
    collapsed = {name: value for name, value in parameters.items() if name in spec.names}
    rest = {name: value for name, value in parameters.items() if name not in spec.names}
    if rest:
        if spec.var_keyword is None:
            raise ValueError(
                f"{spec.name!r} has no parameters {', '.join(map(repr, rest))} and takes no others by keyword (`**kwargs`)."
            )
        collapsed[spec.var_keyword] = rest
    return collapsed


def expand_mapping(spec: FunctionSpec, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each call that a map over `parameters` makes.

    Iterables give one item to each call; text, bytes, what is not iterable and what is `unmapped` goes to all. An
    `allow_failure` or `quote` around an iterable goes around each item. The items of `**kwargs` are spread one by one.

    Args:
        spec: the function that is mapped.
        parameters: the arguments by name; defaults are filled in and are never iterated over.

    Raises:
        MappingMissingIterable: nothing is iterable.
        MappingLengthMismatch: the iterables differ in length.
    """
    wraps: dict[str, Callable[[Any], Any]] = {}
    iterables: dict[str, list[Any]] = {}
    same: dict[str, Any] = {}
    for name, value in explode_variadic(spec, parameters).items():
        if isinstance(value, (allow_failure, quote)):
            wraps[name] = value.rewrap
            value = value.unwrap()
        if isinstance(value, unmapped):
            same[name] = value.value
        elif isinstance(value, Iterable) and not isinstance(value, (str, bytes, io.IOBase)):
            iterables[name] = list(value)
        else:
            same[name] = value
    if not iterables:
        raise MappingMissingIterable(
            "No iterable parameters were received. Parameters for map must include at least one iterable. "
            f"Parameters: {parameters}"
        )
    lengths = {name: len(items) for name, items in iterables.items()}
    if len(set(lengths.values())) > 1:
        raise MappingLengthMismatch(
            "Received iterable parameters with different lengths. Parameters for map must all be the same length. "
            f"Got lengths: {lengths}. Put what is the same for all calls in `unmapped()`."
        )
    calls = []
    for index in range(next(iter(lengths.values()))):
        call = {name: items[index] for name, items in iterables.items()} | same
        for name, rewrap in wraps.items():
            call[name] = rewrap(call[name])
        for name, default in spec.defaults.items():
            call.setdefault(name, default)
        calls.append(collapse_variadic(spec, call))
    return calls
