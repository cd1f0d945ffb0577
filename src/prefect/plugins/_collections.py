"""Packages that bring blocks and workers."""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Iterable
from typing import Any

from prefect.logging.loggers import get_logger

GROUP = "prefect.collections"

_loaded: dict[str, Any] | None = None
_lock = threading.Lock()


def safe_load_entrypoints(entrypoints: Iterable[importlib.metadata.EntryPoint]) -> dict[str, Any]:
    """Load entry points; what one raises does not keep the others from being loaded.

    Returns:
        by name, what was loaded, or the exception.
    """
    found: dict[str, Any] = {}
    for entry in entrypoints:
        try:
            found[entry.name] = entry.load()
        except Exception as exc:  # it is another package's code: anything may happen
            found[entry.name] = exc
    return found


def load_prefect_collections() -> dict[str, Any]:
    """Import all installed packages that bring blocks and workers, once.

    Returns:
        by name, the module, or the exception that it raised, which is logged.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = safe_load_entrypoints(importlib.metadata.entry_points(group=GROUP))
            for name, module in _loaded.items():
                if isinstance(module, Exception):
                    get_logger("plugins").warning("The package %r could not be loaded: %r", name, module)
        return _loaded
