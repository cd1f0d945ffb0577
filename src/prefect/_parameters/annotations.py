"""What the annotations of a function's parameters mean.

Annotations may be text, because of quotes or `from __future__ import annotations`. The names in it are looked up where the
function was defined: in its module, in its closure, and, for a function defined inside another, in that other's
variables.
"""

from __future__ import annotations

import builtins
import re
import sys
import typing
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect._parameters.binding import FunctionSpec

_NAME = re.compile(r"[^\W\d]\w*")
_FRAMES_LOOKED_AT = 12


class Unresolved:
    """Stands for an annotation that could not be evaluated.

    Attributes:
        text: the annotation as written.
        reason: why.
    """

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason


def names_around(fn: FunctionType) -> dict[str, Any] | None:
    """Keep what the names in a local function's textual annotations mean, while it is being decorated.

    The variables of the enclosing call are gone once it returns; only those that the annotations name are kept. Call it
    within the enclosing function's call.
    """
    outer = fn.__qualname__.rpartition(".<locals>.")[0]
    if not outer:
        return None
    texts = [annotation for annotation in fn.__annotations__.values() if type(annotation) is str]
    if not texts:
        return None
    globals_ = fn.__globals__
    wanted = set(_NAME.findall(" ".join(texts)))
    unknown = [name for name in wanted if name not in globals_ and not hasattr(builtins, name)]
    if not unknown:
        return None
    enclosing = outer.rpartition(".")[2]
    frame = sys._getframe(1)
    for _ in range(_FRAMES_LOOKED_AT):
        if frame.f_globals is globals_ and frame.f_code.co_name == enclosing:
            variables = frame.f_locals
            return {name: variables[name] for name in unknown if name in variables} or None
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def _definition(fn: Callable[..., Any]) -> Any:
    """The plain function behind methods, partials, wrappers and callable objects."""
    while not isinstance(fn, FunctionType) or "__wrapped__" in fn.__dict__:
        if isinstance(fn, MethodType):
            fn = fn.__func__
        elif isinstance(fn, partial):
            fn = fn.func
        elif (wrapped := getattr(fn, "__wrapped__", None)) is not None:
            fn = wrapped
        elif isinstance(fn, type):
            fn = fn.__init__  # type: ignore[misc]
            if not isinstance(fn, FunctionType):
                return fn
        elif isinstance(getattr(type(fn), "__call__", None), FunctionType):  # noqa: B004 (the method itself is wanted)
            fn = type(fn).__call__
        else:
            return fn
    return fn


def _closure(fn: FunctionType) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return cells


def resolve_annotations(spec: FunctionSpec) -> dict[str, Any]:
    """The annotations of a function's parameters by name, textual ones evaluated.

    What cannot be evaluated (a name imported only for type checkers, say) is given as an `Unresolved`.
    """
    definition = _definition(spec.fn)
    if definition is spec.fn or isinstance(spec.fn, MethodType):
        raw: dict[str, Any] = getattr(definition, "__annotations__", {})
    else:
        parameters = spec.signature.parameters.values()
        raw = {item.name: item.annotation for item in parameters if item.annotation is not item.empty}
    if not raw:
        return {}
    plain = isinstance(definition, FunctionType)
    globals_ = definition.__globals__ if plain else {}
    locals_ = {**_closure(definition), **(spec.local_names or {})} if plain else {}
    return {name: evaluate(raw[name], globals_, locals_) for name in spec.names if name in raw}


def evaluate(annotation: Any, globals_: dict[str, Any], locals_: dict[str, Any]) -> Any:
    """Return the meaning of one annotation, or an `Unresolved`."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, globals_, locals_, include_extras=True)["it"]
    except Exception as error:  # evaluating an annotation runs code of any kind
        return Unresolved(annotation if isinstance(annotation, str) else repr(annotation), str(error))
