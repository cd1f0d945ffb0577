"""Values to bytes and back: JSON with type marks, and pickle.

The two formats are those in which results lie on disk, so both are fixed:

- JSON: a value that JSON lacks becomes `{"__class__": "package.Class", "data": ...}`, an exception
  `{"__exc_type__": "package.Class", "message": "..."}`.
- pickle: base64 (lines of 76 characters, RFC 2045) of a protocol 5 pickle.

Nothing heavy is imported until a value needs it: plain data never loads pydantic or cloudpickle.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.exceptions import SerializationError

if TYPE_CHECKING:
    import cloudpickle
    import pydantic
    import pydantic_core
else:
    cloudpickle = lazy_module("cloudpickle")
    pydantic = lazy_module("pydantic")
    pydantic_core = lazy_module("pydantic_core")

_SETS = (set, frozenset)
_OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)  # looking inside explains nothing


# ── names of classes ────────────────────────────────────────────────────────────────────────────────────────────────


def qualified_name(cls: Any) -> str:
    """`package.module.Outer.Inner` of a class or function."""
    return f"{cls.__module__}.{cls.__qualname__}"


def from_qualified_name(name: str) -> Any:
    """The object that `qualified_name` names.

    Raises:
        ImportError: no module on the way can be imported.
        AttributeError: the module has no such name.
    """
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:size]))
        except ModuleNotFoundError as missing:
            if missing.name is None or not ".".join(parts[:size]).startswith(missing.name):
                raise
            continue
        for part in parts[size:]:
            found = getattr(found, part)
        return found
    raise ImportError(f"{name!r} names nothing that can be imported.")


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def json_encode(obj: Any) -> Any:
    """The JSON form of a value that JSON lacks (for `json.dumps(default=...)`).

    Raises:
        TypeError: the value has no JSON form.
    """
    if isinstance(obj, BaseException):
        return {"__exc_type__": qualified_name(type(obj)), "message": str(obj)}
    cls = type(obj)
    if cls in _SETS:
        # the members are encoded one by one by the caller, and so keep their types
        return {"__class__": qualified_name(cls), "data": list(obj)}
    if cls is bytes:
        return _encode_bytes(obj)
    try:
        return {"__class__": qualified_name(cls), "data": pydantic_core.to_jsonable_python(obj)}
    except ValueError as exc:
        raise TypeError(f"{cls.__name__} has no JSON form: {exc}") from exc


def _encode_bytes(obj: bytes) -> dict[str, str]:
    try:
        return {"__class__": "builtins.bytes", "data": obj.decode()}
    except UnicodeDecodeError:
        return {"__class__": "builtins.bytes", "data": base64.b64encode(obj).decode("ascii"), "encoding": "base64"}


def json_decode(result: dict[str, Any]) -> Any:
    """The value that `json_encode` gave the form `result`; any other dictionary as it is (an `object_hook`)."""
    keys = result.keys()
    if keys == {"__exc_type__", "message"}:
        return _decode_exception(result["__exc_type__"], result["message"])
    if keys == {"__class__", "data"}:
        return _decode_class(result["__class__"], result["data"])
    if keys == {"__class__", "data", "encoding"} and result["encoding"] == "base64":
        return base64.b64decode(result["data"])
    return result


def _decode_exception(name: str, message: str) -> BaseException:
    cls = from_qualified_name(name)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        raise SerializationError(f"The stored exception is of type {name!r}, which is no exception.")
    try:
        return cls(message)
    except TypeError:
        # it wants other arguments than a message, which were not stored
        exception = cls.__new__(cls)
        exception.args = (message,)
        return exception


def _decode_class(name: str, data: Any) -> Any:
    match name:
        case "builtins.set":
            return set(data)
        case "builtins.frozenset":
            return frozenset(data)
        case "builtins.bytes":
            return data.encode()
    return pydantic.TypeAdapter(from_qualified_name(name)).validate_python(data)


def json_dumps(obj: Any, **options: Any) -> bytes:
    """`obj` as JSON text in UTF-8."""
    return json.dumps(obj, default=json_encode, **options).encode()


def json_loads(blob: bytes, **options: Any) -> Any:
    """The value whose JSON form is `blob`."""
    return json.loads(blob, object_hook=json_decode, **options)


# ── pickle ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _NotPlain(Exception):
    """A value holds something other than plain built-in data."""


class _PlainPickler(pickle.Pickler):
    """Pickles plain data, at the speed of C, and refuses the rest (which may need cloudpickle)."""

    def reducer_override(self, obj: Any) -> Any:
        raise _NotPlain


def _pickle_plain(obj: Any) -> bytes | None:
    buffer = io.BytesIO()
    try:
        _PlainPickler(buffer, 5).dump(obj)
    except _NotPlain:
        return None
    return buffer.getvalue()


def cloud_dumps(obj: Any) -> bytes:
    """The same as `cloudpickle.dumps`, which is imported only for values that are not plain data."""
    plain = _pickle_plain(obj)
    return plain if plain is not None else cloudpickle.dumps(obj)


def to_base64(blob: bytes) -> bytes:
    """Base64 in lines of 76 characters."""
    return base64.encodebytes(blob)


def from_base64(blob: bytes) -> bytes:
    """Undo `to_base64`.

    Raises:
        ValueError: the text is not base64.
    """
    try:
        return base64.decodebytes(blob)
    except binascii.Error as exc:
        raise ValueError(f"Not base64: {exc}") from exc


# ── errors that name the culprit ────────────────────────────────────────────────────────────────────────────────────


def _children(obj: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value with the text that leads to each from it."""
    if isinstance(obj, Mapping):
        for key, value in obj.items():
            yield f"[{key!r}]", value
            yield f" key {key!r}", key
    elif isinstance(obj, (list, tuple)):
        for index, value in enumerate(obj):
            yield f"[{index}]", value
    elif isinstance(obj, _SETS):
        for value in obj:
            yield f" member {value!r:.40}", value
    elif not isinstance(obj, _OPAQUE):
        yield from ((f".{name}", value) for name, value in getattr(obj, "__dict__", {}).items())
        for cls in type(obj).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(obj, name):
                    yield f".{name}", getattr(obj, name)


def find_culprit(obj: Any, attempt: Callable[[Any], object], *, depth: int = 12) -> tuple[str, Any]:
    """Find the smallest part of `obj` on which `attempt` raises.

    Returns:
        the path to it, such as `['a'][2].connection` ("" for `obj` itself), and the part.
    """
    path, part, seen = "", obj, {id(obj)}
    for _ in range(depth):
        for step, child in _children(part):
            if id(child) in seen or isinstance(child, (str, bytes, int, float, type(None))):
                continue
            seen.add(id(child))
            try:
                attempt(child)
            except Exception:
                path, part = path + step, child
                break
        else:
            break
    return path, part


def serialization_error(obj: Any, attempt: Callable[[Any], object], form: str, cause: Exception) -> SerializationError:
    """The error that tells which part of `obj` cannot be brought into `form` ("pickle", "JSON")."""
    path, culprit = find_culprit(obj, attempt)
    name = qualified_name(type(culprit))
    where = f"The value at {path.strip()}, of type {name}," if path else f"The value, of type {name},"
    whole = "" if not path else f" (inside a value of type {qualified_name(type(obj))})"
    advice = "Return something else, choose a `result_serializer` that can store it, or do not persist the result."
    return SerializationError(f"{where} has no {form} form{whole}: {cause}. {advice}")
