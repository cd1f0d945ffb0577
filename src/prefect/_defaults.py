"""What the fields of models start out with."""

from __future__ import annotations

from typing import Any


def new_list() -> list[Any]:
    """An empty list.

    For `default_factory` of pydantic's fields, in place of `list`: pydantic asks for the signature of what makes a default, and
    that of `list` is a text to be parsed. It takes fifteen times as long as for a function, for each field of each model; and
    while CPython before 3.13 parses in one thread, parsing in another can fail ("AST constructor recursion depth mismatch").
    """
    return []
