"""Walk through nested values: find or replace what is inside lists, dicts, models, dataclasses and annotations."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from prefect._lazy import imported, lazy_module
from prefect.utilities.annotations import BaseAnnotation, opaque

if TYPE_CHECKING:
    import dataclasses
else:
    dataclasses = lazy_module("dataclasses")

PLAIN_SCALARS = frozenset(
    (
        *(int, str, float, bool, bytes, bytearray, complex, range, type(None), type(Ellipsis)),
        *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
    )
)
"""Types whose instances hold nothing to be found. Membership is by exact type: a subclass may carry more."""

_CONTAINERS = frozenset((list, tuple, dict, set, frozenset))
_PLAIN_OR_CONTAINERS = PLAIN_SCALARS | _CONTAINERS
_DEPTH_LOOKED_AT = 8


class StopVisiting(BaseException):
    """Raised by the function given to `visit_collection` to leave a value as it is and not to look inside it."""


def contains_only_plain(expr: Any, depth: int = _DEPTH_LOOKED_AT) -> bool:
    """Whether a value is a builtin scalar, or builtin containers of nothing but such scalars.

    It asks for exact types only, at a few nanoseconds an element, so that most arguments need no walk at all. False
    means "walk to find out": it is also the answer for containers nested more than `depth` deep (hence for
    containers that contain themselves).
    """
    kind = type(expr)
    if kind in PLAIN_SCALARS:
        return True
    if kind is dict:
        return _all_plain(expr, depth) and _all_plain(expr.values(), depth)
    return kind in _CONTAINERS and _all_plain(expr, depth)


def _all_plain(items: Iterable[Any], depth: int) -> bool:
    kinds = set(map(type, items))
    if kinds <= PLAIN_SCALARS:
        return True
    if depth <= 0 or not kinds <= _PLAIN_OR_CONTAINERS:
        return False
    return all(contains_only_plain(item, depth - 1) for item in items if type(item) in _CONTAINERS)


def pydantic_model_type() -> type | None:
    """`pydantic.BaseModel` if pydantic is imported; without it no value can be a model."""
    module = imported("pydantic.main")
    return getattr(module, "BaseModel", None)


def visit_collection(
    expr: Any,
    visit_fn: Callable[..., Any],
    *,
    return_data: bool = False,
    max_depth: int = -1,
    context: dict[str, Any] | None = None,
    remove_annotations: bool = False,
    _seen: Any = None,
) -> Any:
    """Call a function on a value and, from the outside in, on everything inside it.

    Looked into are lists, tuples, sets, dicts (keys and values) and their subclasses, dataclasses, pydantic models (extra
    fields too) and annotations. Generators and other iterators are never consumed. The value of an `opaque` annotation is
    visited, its inside is not.

    Args:
        expr: the value.
        visit_fn: called as `visit_fn(value)`, or `visit_fn(value, context)` when a context is given. What it returns takes the
            place of the value (and is then looked into) if `return_data`. It may raise `StopVisiting` to leave the value
            and its inside alone.
        return_data: build and return the changed value. What did not change is not copied: without any change the
            very same object is returned.
        max_depth: how many levels to go down; 0 visits `expr` alone, a negative number goes all the way.
        context: handed to `visit_fn`, which may change it: a level sees the changes made above it, not beside
            it. Inside an annotation it has the key `annotation`.
        remove_annotations: replace annotations by the values they mark (only with `return_data`).

    Returns:
        The value with replacements if `return_data`, else None.
    """
    walk = _Walk(visit_fn, return_data, remove_annotations)
    if _seen is not None:
        walk.seen.update((id(item), item) for item in _seen if not isinstance(item, int))
    result = walk.visit(expr, max_depth, context)
    return result if return_data else None


class _Walk:
    """One walk: its options, and what it has been in."""

    __slots__ = ("remove_annotations", "return_data", "seen", "visit_fn")

    def __init__(self, visit_fn: Callable[..., Any], return_data: bool, remove_annotations: bool) -> None:
        self.visit_fn = visit_fn
        self.return_data = return_data
        self.remove_annotations = remove_annotations
        # By identity, and holding on to each object so that no other can get its identity meanwhile. A walk that returns
        # data keeps the way down to the present value, to stop at cycles; one that does not keeps all it has
        # been in, to enter shared values once.
        self.seen: dict[int, Any] = {}

    def visit(self, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
        try:
            if context is None:
                result = self.visit_fn(expr)
            else:
                context = dict(context) if self.seen else context
                result = self.visit_fn(expr, context)
        except StopVisiting:
            return expr
        value = result if self.return_data else expr
        if depth == 0:
            if self.remove_annotations and isinstance(value, BaseAnnotation):
                return value.unwrap()
            return value
        kind = type(value)
        if kind in PLAIN_SCALARS or id(value) in self.seen:
            return value
        enter = _entrance(kind)
        if enter is None:
            return value
        self.seen[id(value)] = value
        try:
            return enter(self, value, depth - 1, context)
        finally:
            if self.return_data:
                del self.seen[id(value)]

    def each(self, items: Iterable[Any], depth: int, context: dict[str, Any] | None) -> tuple[list[Any], bool]:
        """Visit the items; return them and whether any has changed."""
        results, changed = [], False
        for item in items:
            result = self.visit(item, depth, context)
            changed = changed or result is not item
            results.append(result)
        return results, changed and self.return_data

    def attributes(self, named: dict[str, Any], depth: int, context: dict[str, Any] | None) -> dict[str, Any]:
        """Visit the values of a dict of attributes; return those that have changed."""
        values, changed = self.each(named.values(), depth, context)
        if not changed:
            return {}
        return {name: new for (name, old), new in zip(named.items(), values, strict=True) if new is not old}


def _enter_list(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    # a copy is visited, so that a visit may change the list itself
    items, changed = walk.each(list(expr), depth, context)
    if not changed:
        return expr
    if type(expr) is list:
        return items
    renewed = copy.copy(expr)
    renewed[:] = items
    return renewed


def _enter_tuple(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    items, changed = walk.each(expr, depth, context)
    if not changed:
        return expr
    make = getattr(type(expr), "_make", None)  # a named tuple
    return make(items) if make else type(expr)(items)


def _enter_set(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    items, changed = walk.each(list(expr), depth, context)
    return type(expr)(items) if changed else expr


def _enter_dict(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    pairs, changed = walk.each((item for pair in list(expr.items()) for item in pair), depth, context)
    if not changed:
        return expr
    renewed = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if type(expr) is dict:
        return renewed
    subclass = copy.copy(expr)  # keeps what a subclass adds, such as the factory of a defaultdict
    subclass.clear()
    subclass.update(renewed)
    return subclass


def _enter_annotation(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    if context is not None:
        context = {**context, "annotation": expr}
    value = expr.unwrap()
    result = walk.visit(value, 0 if isinstance(expr, opaque) else depth, context)
    if walk.remove_annotations and walk.return_data:
        return result
    return expr if result is value or not walk.return_data else expr.rewrap(result)


def _enter_dataclass(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    fields = dataclasses.fields(expr)
    named = {field.name: getattr(expr, field.name) for field in fields if hasattr(expr, field.name)}
    changed = walk.attributes(named, depth, context)
    if not changed:
        return expr
    arguments = {field.name for field in fields if field.init}
    try:
        # runs `__post_init__`, which may work out other fields from the new values
        renewed = dataclasses.replace(expr, **{name: changed[name] for name in changed if name in arguments})
        rest = [name for name in changed if name not in arguments]
    except (TypeError, ValueError):  # an `__init__` that asks for more than the fields hold (InitVar, one of its own)
        renewed, rest = copy.copy(expr), list(changed)
    for name in rest:
        object.__setattr__(renewed, name, changed[name])
    return renewed


def _enter_model(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    extra = expr.__pydantic_extra__ or {}
    changed = walk.attributes({**expr.__dict__, **extra}, depth, context)
    if not changed:
        return expr
    # not validated again: a replacement may stand where the declared type cannot, such as a future's placeholder
    renewed = expr.model_copy()
    for name, value in changed.items():
        (renewed.__pydantic_extra__ if name in extra else renewed.__dict__)[name] = value
    return renewed


_Entrance = Callable[[_Walk, Any, int, "dict[str, Any] | None"], Any]
_ENTRANCES: tuple[tuple[type, _Entrance], ...] = (
    (list, _enter_list),
    (dict, _enter_dict),
    (tuple, _enter_tuple),
    (set, _enter_set),
    (BaseAnnotation, _enter_annotation),
)


def _entrance(kind: type) -> _Entrance | None:
    """How to look inside instances of a class; None if there is nothing to look into."""
    for base, enter in _ENTRANCES:
        if issubclass(kind, base):
            return enter
    model = pydantic_model_type()
    if model is not None and issubclass(kind, model):
        return _enter_model
    return _enter_dataclass if hasattr(kind, "__dataclass_fields__") else None
