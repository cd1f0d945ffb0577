"""A text for objects that have no JSON form and hold sets, whose pickles differ from process to process.

A set is pickled in the order in which it is iterated, and that of texts changes with every process (PEP 456). Here
sets are sorted, at any depth of an object.
"""

from __future__ import annotations

import json
from types import BuiltinFunctionType, CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._results.encoding import from_qualified_name, qualified_name

if TYPE_CHECKING:
    import pickletools
else:
    pickletools = lazy_module("pickletools")

_SET_OPCODES = {b"\x8f": "EMPTY_SET", b"\x91": "FROZENSET"}


def has_sets(pickled: bytes) -> bool:
    """Whether a pickle holds a set or frozenset."""
    if not any(opcode in pickled for opcode in _SET_OPCODES):
        return False  # the bytes may also stand for something else, but most pickles have neither
    names = set(_SET_OPCODES.values())
    return any(opcode.name in names for opcode, _, _ in pickletools.genops(pickled))


def text_of(obj: Any, pickled: bytes) -> str | bytes:
    """A text that is the same for equal objects; the given pickle where an object cannot be taken apart."""
    try:
        return _dumps(obj)
    except Exception:
        return pickled


def _dumps(obj: Any) -> str:
    return json.dumps(_plain(obj), sort_keys=True, default=_parts)


def _plain(obj: Any) -> Any:
    """Dictionaries whose keys are no texts as lists of pairs."""
    if isinstance(obj, dict):
        if all(isinstance(key, str) for key in obj):
            return {key: _plain(value) for key, value in obj.items()}
        return {"dict": sorted(([_dumps(key), _plain(value)] for key, value in obj.items()), key=lambda pair: pair[0])}
    return [_plain(value) for value in obj] if isinstance(obj, (list, tuple)) else obj


def _parts(obj: Any) -> Any:
    """What an object is made of."""
    if isinstance(obj, (set, frozenset)):
        return {type(obj).__name__: sorted(_dumps(member) for member in obj)}
    if isinstance(obj, (bytes, bytearray)):
        return {"bytes": obj.hex()}
    if isinstance(obj, CellType):
        return {"cell": _plain(obj.cell_contents)}
    if isinstance(obj, CodeType):
        return {"code": [obj.co_code, _plain(obj.co_consts), obj.co_names, obj.co_varnames, obj.co_freevars]}
    if isinstance(obj, (type, FunctionType, BuiltinFunctionType)):
        return _named(obj)
    reduced = obj.__reduce_ex__(4)
    if isinstance(reduced, str):
        return {"name": reduced, "of": qualified_name(type(obj))}
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    pieces = [arguments, state, list(items or ()), list(pairs or ())]
    return {"object": qualified_name(type(obj)), "by": function, "of": [_plain(piece) for piece in pieces]}


def _named(obj: Any) -> Any:
    """A class or function by its name, a function that has none by its code."""
    name = qualified_name(obj)
    if isinstance(obj, FunctionType):
        try:
            importable = from_qualified_name(name) is obj and obj.__module__ != "__main__"
        except (ImportError, AttributeError):
            importable = False
        if not importable:
            closure = list(obj.__closure__ or ())
            return {
                "function": name,
                "of": [obj.__code__, _plain(obj.__defaults__), _plain(obj.__kwdefaults__), closure],
            }
    return {"name": name}
