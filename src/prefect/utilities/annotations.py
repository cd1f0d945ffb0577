"""Marks that a caller puts on an argument to say how a run must treat it.

`unmapped`, `allow_failure`, `quote`, `opaque` and `freeze` each wrap one value. They are small plain objects: equal
when their class and value are equal, hashable when their value is, picklable, and unchangeable by convention.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from typing import Self

    import pydantic_core
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import core_schema
else:
    pydantic_core = lazy_module("pydantic_core")
    core_schema = lazy_module("pydantic_core.core_schema")

__all__ = ["BaseAnnotation", "NotSet", "Quote", "allow_failure", "freeze", "opaque", "quote", "unmapped"]

T = TypeVar("T")


class BaseAnnotation(Generic[T]):
    """A value together with an instruction about it; the base of every annotation.

    Args:
        value: the value to mark.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    @property
    def value(self) -> T:
        """The marked value."""
        return self._value

    def unwrap(self) -> T:
        """Return the value without its mark."""
        return self._value

    def rewrap(self, value: Any) -> Self:
        """Return a mark of the same kind around another value."""
        return type(self)(value)

    def __iter__(self) -> Iterator[T]:
        yield self._value

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return bool(self._value == other._value)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value!r})"


def _restore(cls: type[BaseAnnotation[Any]], value: Any) -> BaseAnnotation[Any]:
    """Rebuild an annotation without running its checks again."""
    annotation = cls.__new__(cls)
    annotation._value = value
    return annotation


class unmapped(BaseAnnotation[T]):
    """Give the same value to every task run made by `Task.map`, also when it could be iterated over.

    Args:
        value: the value, passed whole to each run.
    """

    __slots__ = ()

    def __getitem__(self, _: object) -> T:
        # whatever the position asked for, the answer is the one value
        return self._value


class allow_failure(BaseAnnotation[T]):
    """Let a run start although the run that gives it this argument has failed.

    Without the mark, a task that depends on a failed one ends in `NotReady`. With it, the argument is the
    exception that the upstream run raised.

    Args:
        value: a future, a state, or a collection of them.
    """

    __slots__ = ()


class quote(BaseAnnotation[T]):
    """Keep a collection from being searched for futures and states.

    A task that is given a large array or table need not look inside it; quoted, it is passed on as it is. Futures
    in a quoted value are neither waited for nor resolved, and no dependency is recorded for them.

    Args:
        value: the value to pass on untouched.
    """

    __slots__ = ()

    def unquote(self) -> T:
        """Return the quoted value."""
        return self._value


class Quote(quote[T]):
    """The deprecated name of `quote`."""

    __slots__ = ()

    def __init__(self, expr: T) -> None:
        warnings.warn("`Quote` is deprecated; write `quote`.", DeprecationWarning, stacklevel=2)
        super().__init__(expr)


class opaque(BaseAnnotation[T]):
    """Resolve a future or state itself, but do not search the value it holds.

    Args:
        value: the value whose inside is left alone.
    """

    __slots__ = ()


class freeze(BaseAnnotation[T]):
    """Fix a parameter of a deployment: the value is stored as given and is not offered for change.

    Args:
        value: a value with a JSON form.

    Raises:
        ValueError: the value has no JSON form.
    """

    __slots__ = ()

    def __init__(self, value: T) -> None:
        if value is not None and type(value) not in (str, int, float, bool):
            try:
                pydantic_core.to_json(value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"A frozen value must have a JSON form; {value!r} has none: {error}") from error
        super().__init__(value)

    def unfreeze(self) -> T:
        """Return the frozen value."""
        return self._value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate `freeze[X]` by validating an X, wrapped or not, and wrapping the outcome."""
        arguments = getattr(source, "__args__", ())
        inner = handler.generate_schema(arguments[0]) if arguments else core_schema.any_schema()
        return core_schema.no_info_before_validator_function(
            lambda value: value.unfreeze() if isinstance(value, freeze) else value,
            core_schema.no_info_after_validator_function(cls, inner),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda frozen: frozen.unfreeze()),
        )


class NotSet:
    """Stands for "no value was given" where `None` is itself a possible value; used as a class, never made."""
