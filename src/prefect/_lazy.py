"""Names and modules that are loaded when first used.

`import prefect` must cost next to nothing, and a run must import only what it uses. Every place that
postpones an import does it through one of the two functions below, so that they can be found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _LazyModule(ModuleType):
    """Stands in for a module until one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        module = import_module(self.__name__)
        value = getattr(module, name)
        if not name.startswith("__"):
            # later look-ups find the attribute directly; a module rarely rebinds its public names
            self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return dir(import_module(self.__name__))

    def __repr__(self) -> str:
        return f"<lazy module {self.__name__!r}>"


def lazy_module(name: str) -> Any:
    """Return a stand-in for the module `name` that imports it on first use.

    If the module is already imported it is returned as it is.
    """
    loaded = imported(name)
    return loaded if loaded is not None else _LazyModule(name)


def imported(name: str) -> Any:
    """The module `name` if it has been imported, else None.

    A module that another thread is in the middle of importing counts as not imported: it may lack anything.
    """
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded.__spec__, "_initializing", False):
        return None
    return loaded


def lazy_attributes(
    module: str, table: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make `__getattr__`, `__dir__` and `__all__` for a module whose names live elsewhere (PEP 562).

    Args:
        module: the name of the module that offers the names (its `__name__`).
        table: public name -> `"package.module"` (same name there), `"package.module:other_name"`,
            or `"package.module:"` for the module itself.
    """
    namespace = sys.modules[module].__dict__

    def __getattr__(name: str) -> Any:
        try:
            target = table[name]
        except KeyError:
            raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
        path, colon, attribute = target.partition(":")
        loaded = import_module(path)
        value = loaded if colon and not attribute else getattr(loaded, attribute or name)
        namespace[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*namespace, *table})

    return __getattr__, __dir__, sorted(table)
