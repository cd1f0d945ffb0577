"""Names and modules that are loaded when first used.

`import prefect` must cost next to nothing, and a run must import only what it uses. Every place that
postpones an import does it through one of the two functions below, so that they can be found.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module as _import_module
from types import ModuleType
from typing import Any

_importing: dict[int, int] = {}
"""How many lazy imports each thread is in the middle of."""
_forking = threading.Condition()
_fork_waits = False

_NEEDLESS = {"httpx": "httpx._main"}
"""Parts that packages load if they can and that nothing here uses: httpx's command line takes a fifth of a second."""

FORK_PATIENCE = 5.0
"""Seconds that a fork waits, at most, for the imports of other threads."""


def import_module(name: str) -> ModuleType:
    """Import a module, and keep a fork of this process waiting meanwhile.

    A child that is forked while another thread imports inherits the module's lock, locked for ever: its own import of
    that module would hang.
    """
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        return module
    needless = _NEEDLESS.get(name)
    if needless is not None:
        sys.modules.setdefault(needless, None)  # type: ignore[arg-type]  # "is not there", which the package allows for
    me = threading.get_ident()
    with _forking:
        if me not in _importing and _fork_waits:
            _forking.wait_for(lambda: not _fork_waits, FORK_PATIENCE)
        _importing[me] = _importing.get(me, 0) + 1
    try:
        return _import_module(name)
    finally:
        if needless is not None and sys.modules.get(needless) is None:
            sys.modules.pop(needless, None)
        with _forking:
            _importing[me] -= 1
            if not _importing[me]:
                del _importing[me]
                _forking.notify_all()


def _before_fork() -> None:
    global _fork_waits
    _forking.acquire()
    _fork_waits = True
    me = threading.get_ident()
    _forking.wait_for(lambda: not (_importing.keys() - {me}), FORK_PATIENCE)


def _after_fork_in_parent() -> None:
    global _fork_waits
    _fork_waits = False
    _forking.notify_all()
    _forking.release()


def _after_fork_in_child() -> None:
    global _forking, _fork_waits
    me = threading.get_ident()
    _forking, _fork_waits = threading.Condition(), False
    for other in _importing.keys() - {me}:
        del _importing[other]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


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
