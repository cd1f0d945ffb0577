"""Values as bytes for another process of the same program.

Cloudpickle takes along what was defined in the program's main file or inside a function, and knows it again when it
comes back. An exception is taken along by what it holds, and not by calling its class again, which may want other
arguments than the ones that the exception shows.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import cloudpickle


def dumps(value: Any) -> bytes:
    """A value as bytes; raises what cloudpickle raises of one that cannot be pickled."""
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


def loads(blob: bytes) -> Any:
    """The value again."""
    return pickle.loads(blob)


class _Pickler(cloudpickle.Pickler):
    """Cloudpickle's, with its own way for exceptions that have no way of their own."""

    def reducer_override(self, obj: Any) -> Any:
        """How to make an object again; NotImplemented for the usual way."""
        if isinstance(obj, BaseException):
            kind = type(obj)
            if kind.__reduce__ is BaseException.__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__:
                return _exception_again, (kind, obj.args), _state_of(obj)
        return super().reducer_override(obj)


def _state_of(exc: BaseException) -> Any:
    get_state = getattr(type(exc), "__getstate__", None)
    if get_state is not None and get_state is not getattr(object, "__getstate__", None):
        return get_state(exc)
    return exc.__dict__ or None


def _exception_again(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    exc = kind.__new__(kind, *args)
    exc.args = args
    return exc
