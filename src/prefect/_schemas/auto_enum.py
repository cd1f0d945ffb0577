"""The enumeration that most others are made of; by itself, since those of transactions are part of every flow run."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any


class AutoEnum(str, Enum):  # noqa: UP042 (its text is `Class.MEMBER`, that of a StrEnum its value)
    """An enumeration of strings in which `auto()` gives each member its own name as value."""

    __module__ = "prefect.utilities.collections"  # where users find it

    @staticmethod
    def _generate_next_value_(name: str, *_: object, **__: object) -> str:
        return name

    @staticmethod
    def auto() -> Any:
        """The same as `enum.auto()`."""
        return auto()

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.value}"

    # the format of a plain Enum, the same in every version of Python
    __str__ = Enum.__str__
    __format__ = Enum.__format__  # type: ignore[assignment]
