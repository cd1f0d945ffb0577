"""Parsing Python in one thread while others do so, too."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def undisturbed(make: Callable[[], T]) -> T:
    """The result of something that parses Python source, as the formatting of tracebacks does, too.

    CPython before 3.13 counts how deep a tree is in one place for all threads. If the collector of garbage lets another thread
    in while a tree is made, and that thread makes one as well, it finds the count wrong and raises `SystemError`.

    Args:
        make: called once; after a `SystemError` once more, with the collector switched off: no other thread comes in between.
    """
    try:
        return make()
    except SystemError:
        collected = gc.isenabled()
        gc.disable()
        try:
            return make()
        finally:
            if collected:
                gc.enable()
