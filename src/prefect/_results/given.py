"""What users say about where and how results are kept: options of flows and tasks, storages, templates of keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._results import defaults
from prefect._results.storage import NOWHERE, LocalStorage, Storage, storage_for

if TYPE_CHECKING:
    from prefect import runtime
    from prefect.flows import Flow
    from prefect.tasks import Task
else:
    runtime = lazy_module("prefect.runtime")


def format_storage_key(template: str) -> str:
    """A storage key from a task's template, such as `"{flow_run.name}-{parameters[day]}"`.

    The fields are those of `prefect.runtime`: `flow_run`, `task_run`, `deployment`, and the task run's `parameters`.
    """
    try:
        return template.format(
            flow_run=runtime.flow_run,
            task_run=runtime.task_run,
            deployment=runtime.deployment,
            parameters=runtime.task_run.parameters,
        )
    except (KeyError, IndexError, AttributeError) as exc:
        raise ValueError(f"The result storage key {template!r} has a field that this run lacks: {exc}") from exc


def given_storage(given: Any) -> tuple[Any, Storage | None]:
    """The public file system and the storage for what a user, or another store, gives."""
    if given is None:
        return None, None
    if isinstance(given, LocalStorage) or given is NOWHERE or type(given).__name__ == "NoStorage":
        return None, NOWHERE if not isinstance(given, LocalStorage) else given
    if isinstance(given, (str, Path)) or not hasattr(given, "read_path"):
        given = defaults.resolve_result_storage(given)
    return given, storage_for(given)


def key_storage(given: Any) -> Any:
    """The storage of cache keys: a block, a saved block's name `type/name`, or a path, which may be relative."""
    return Path(given) if isinstance(given, str) and given.count("/") != 1 else given


def said_by(made: Flow[..., Any] | Task[..., Any]) -> dict[str, Any]:
    """What the options of a flow or task say about where and how results are kept."""
    said = {
        "result_storage": made.result_storage,
        "serializer": made.result_serializer,
        "cache_result_in_memory": made.cache_result_in_memory,
    }
    return {name: value for name, value in said.items() if value is not None}
