"""Lists of models."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

T = TypeVar("T", bound=BaseModel)

__all__ = ["validate_list"]


def validate_list(model: type[T], input: Any) -> list[T]:
    """Read a list of models.

    Args:
        model: their class.
        input: a list of mappings or of models.

    Raises:
        pydantic.ValidationError: it is not.
    """
    return TypeAdapter(list[model]).validate_python(input)  # pyright: ignore[reportInvalidTypeForm]
