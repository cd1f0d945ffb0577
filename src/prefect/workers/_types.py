"""Which types of workers there are: ours, those of installed packages, and those that this program defines."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect.workers.base import BaseWorker

ENTRY_POINTS = "prefect.collections"
"""The group under which packages tell of modules that define workers, blocks and the like."""

_classes: dict[str, type[BaseWorker[Any, Any, Any]]] = {}
_loaded: set[str] = set()


def register(cls: type[BaseWorker[Any, Any, Any]]) -> None:
    """Make a class known under its type; a later one of the same type takes its place."""
    if isinstance(getattr(cls, "type", None), str):
        _classes[cls.type] = cls


def load_collections() -> None:
    """Import the modules that installed packages tell of. One that cannot be imported is reported, and left out."""
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in _loaded:
            continue
        _loaded.add(entry.name)
        try:
            entry.load()
        except Exception as exc:
            get_logger("workers").warning(
                "The integration %r could not be loaded: %s: %s", entry.name, type(exc).__name__, exc
            )


def find(type_: str) -> type[BaseWorker[Any, Any, Any]] | None:
    """The class of a type of workers, or None."""
    if type_ not in _classes:
        load_collections()
    return _classes.get(type_)


def names() -> list[str]:
    """All types there are."""
    load_collections()
    return sorted(_classes)


def forget() -> None:
    """Look at the installed packages again, some of which may be new."""
    _loaded.clear()
