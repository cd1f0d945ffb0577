"""Results: where and how what flows and tasks return is kept.

from prefect.results import get_result_store

store = get_result_store()
store.write({"answer": 42}, key="question")
store.read("question").result
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from prefect._lazy import lazy_module
from prefect._results.defaults import (
    aget_default_result_storage,
    aresolve_result_storage,
    get_default_persist_setting,
    get_default_persist_setting_for_tasks,
    get_default_result_serializer,
    get_default_result_storage,
    get_or_create_default_task_scheduling_storage,
    resolve_result_storage,
    resolve_serializer,
)
from prefect._results.records import ResultRecord, ResultRecordMetadata
from prefect._results.store import DEFAULT_STORAGE_KEY_FN, ResultStore, default_cache

if TYPE_CHECKING:
    from prefect import filesystems
    from prefect._engine import caching, frames
else:
    # the engine makes result stores, and so imports this module
    caching = lazy_module("prefect._engine.caching")
    filesystems = lazy_module("prefect.filesystems")
    frames = lazy_module("prefect._engine.frames")

__all__ = [
    "DEFAULT_STORAGE_KEY_FN",
    "ResultRecord",
    "ResultRecordMetadata",
    "ResultStore",
    "aget_default_result_storage",
    "aresolve_result_storage",
    "default_cache",
    "get_default_persist_setting",
    "get_default_persist_setting_for_tasks",
    "get_default_result_serializer",
    "get_default_result_storage",
    "get_default_result_store",
    "get_or_create_default_task_scheduling_storage",
    "get_result_store",
    "resolve_result_storage",
    "resolve_serializer",
    "result_storage_discriminator",
    "should_persist_result",
]


def get_default_result_store() -> ResultStore:
    """A store with the storage and the serializer of the settings."""
    return ResultStore()


def get_result_store() -> ResultStore:
    """The store of the run that is current; outside a run, one with the storage and serializer of the settings."""
    task_frame = frames.current_task.get()
    if task_frame is not None:
        return caching.store_of_task(task_frame)
    flow_frame = frames.current_flow.get()
    return caching.store_of_flow(flow_frame) if flow_frame is not None else get_default_result_store()


def should_persist_result() -> bool:
    """Whether the run that is current keeps its result; outside a run, the setting `results.persist_by_default`."""
    for variable in (frames.current_task, frames.current_flow):
        frame = variable.get()
        if frame is not None and frame.persist is not None:
            return bool(frame.persist)
    return get_default_persist_setting()


def result_storage_discriminator(x: Any) -> Literal["WritableFileSystem", "NullFileSystem", "None"]:
    """Which kind of result storage a value, or its dictionary form, is."""
    if isinstance(x, dict):
        return "WritableFileSystem" if "block_type_slug" in x else "NullFileSystem"
    if isinstance(x, filesystems.WritableFileSystem):
        return "WritableFileSystem"
    return "NullFileSystem" if isinstance(x, filesystems.NullFileSystem) else "None"
