"""Loading a flow from where its code is kept."""

from __future__ import annotations

import asyncio
import atexit
import os
from pathlib import Path
from typing import Any

from prefect._entrypoints import (
    load_flow_arguments_from_entrypoint,
    load_flow_from_entrypoint,
    parameter_schema_from_entrypoint,
)
from prefect._scripts import on_path
from prefect._storage.folders import BlockStorageAdapter, LocalStorage, RunnerStorage, remove_base, temporary_base
from prefect._storage.sources import create_storage_from_source

__all__ = ["is_placeholder", "load", "load_from_source", "load_from_storage", "name_at", "schema_at"]


def load(entrypoint: str) -> Any:
    """The flow at an entrypoint; one whose file cannot be run here is described by its source."""
    return load_flow_from_entrypoint(entrypoint)


def is_placeholder(flow: Any) -> bool:
    """Whether a flow stands for one whose file could not be run."""
    return flow.fn.__module__ == load_flow_from_entrypoint.__module__


def schema_at(entrypoint: str) -> dict[str, Any]:
    """The schema of the parameters of the flow at an entrypoint, told by its source."""
    return parameter_schema_from_entrypoint(entrypoint).model_dump_for_openapi()


def name_at(entrypoint: str) -> str:
    """The name of the flow at an entrypoint, told by its source.

    Raises:
        ValueError: the source does not define it.
        OSError, ImportError: there is no such file or module.
    """
    return load_flow_arguments_from_entrypoint(entrypoint, {"name"})["name"]


async def load_from_source(source: str | Path | RunnerStorage | Any, entrypoint: str) -> Any:
    """The flow at an entrypoint of code that is kept elsewhere.

    Args:
        source: an address, a path, storage, or a storage block.
        entrypoint: `path/to/file.py:flow` within it.

    Raises:
        TypeError: the source is none of these.
    """
    if isinstance(source, (str, Path)):
        storage: Any = create_storage_from_source(source)
    elif isinstance(source, RunnerStorage):
        storage = source
    elif hasattr(source, "get_directory"):
        storage = BlockStorageAdapter(source)
    else:
        raise TypeError(
            f"Unsupported source type {type(source).__name__!r}. Please provide a URL to remote storage, "
            "a storage object, or a block that can `get_directory`."
        )
    return await load_from_storage(storage, entrypoint)


async def load_from_storage(storage: RunnerStorage, entrypoint: str) -> Any:
    """Fetch code and load a flow from it. The flow knows where it comes from."""
    if not isinstance(storage, LocalStorage):
        # kept until the program ends: a flow may import more of its code while it runs
        base = temporary_base()
        atexit.register(_remove, base, os.getpid())
        storage.set_base_path(base)
    await storage.pull_code()
    return await asyncio.to_thread(_load_at, storage, entrypoint)


def _load_at(storage: RunnerStorage, entrypoint: str) -> Any:
    place, colon, name = entrypoint.rpartition(":")
    if colon and (place.endswith(".py") or (storage.destination / place).is_file()):
        flow = load_flow_from_entrypoint(f"{storage.destination / place}:{name}")
    else:
        with on_path(str(storage.destination)):
            flow = load_flow_from_entrypoint(entrypoint)
    flow._storage, flow._entrypoint, flow._code_folder = storage, entrypoint, storage.destination
    return flow


def _remove(base: Path, owner: int) -> None:
    if os.getpid() == owner:
        remove_base(base)
