"""The options of a task: checked when it is made, merged when it is varied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from prefect._lazy import imported
from prefect.exceptions import ReservedArgumentError
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    from prefect.tasks import Task

MAX_RETRY_DELAYS = 50
RESERVED = ("return_state", "wait_for")
_HOOKS = ("on_completion", "on_failure", "on_running", "on_rollback", "on_commit")
_PLAIN_OPTIONS = (
    "name", "description", "version", "cache_key_fn", "cache_expiration", "task_run_name", "retries",
    "retry_delay_seconds", "retry_jitter_factor", "persist_result", "result_storage", "result_serializer",
    "result_storage_key", "cache_result_in_memory", "timeout_seconds", "log_prints", "refresh_cache",
    "retry_condition_fn", "viz_return_value", "asset_deps",
)  # fmt: skip
_KEPT_AS = {"retries": "_retries", "retry_delay_seconds": "_retry_delay_seconds"}
_NONE_IS_A_CHOICE = frozenset({
    "task_run_name", "retries", "retry_delay_seconds", "retry_jitter_factor", "persist_result", "result_storage",
    "result_serializer", "result_storage_key", "log_prints", "refresh_cache",
})  # fmt: skip


def varied(task: Task[..., Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The arguments that make a task like `task`, with those in `changes` that say something put in."""

    def chosen(option: str, mine: Any) -> Any:
        value = changes.get(option, NotSet)
        if value is NotSet or (value is None and option not in _NONE_IS_A_CHOICE):
            return mine
        return value

    options = {option: chosen(option, getattr(task, _KEPT_AS.get(option, option))) for option in _PLAIN_OPTIONS}
    for hook in _HOOKS:
        options[hook] = chosen(hook, list(getattr(task, f"{hook}_hooks")))
    options["fn"] = task.fn
    options["tags"] = chosen("tags", set(task.tags))
    if changes.get("cache_key_fn") is not None:
        options["cache_policy"] = NotSet
    elif changes.get("cache_policy", NotSet) is not NotSet:
        options["cache_policy"], options["cache_key_fn"] = changes["cache_policy"], None
    else:
        options["cache_policy"] = NotSet if task.cache_key_fn is not None else task._cache_policy
    return options


def tags_of(tags: Iterable[str] | None) -> set[str]:
    if tags is None:
        return set()
    return {tags} if isinstance(tags, str) else set(tags)


def checked_run_name(name: str | Callable[..., str] | None) -> str | Callable[..., str] | None:
    if name is not None and not isinstance(name, str) and not callable(name):
        raise TypeError(f"Expected string or callable for 'task_run_name'; got {type(name).__name__} instead.")
    return name


def delays_of(delays: Any, retries: int | None) -> Any:
    if callable(delays):
        delays = delays(retries or 0)
    if isinstance(delays, (list, tuple)):
        if len(delays) > MAX_RETRY_DELAYS:
            raise ValueError(f"Can not configure more than {MAX_RETRY_DELAYS} retry delays per task.")
        return list(delays)
    return delays


def is_no_cache(policy: Any) -> bool:
    return type(policy).__name__ == "_None" or policy is getattr(imported("prefect.cache_policies"), "NO_CACHE", NotSet)


def refuse_reserved(names: tuple[str, ...]) -> None:
    """Raise for parameters whose names the call of a task uses itself.

    Raises:
        ReservedArgumentError: one of them is among `names`.
    """
    for name in RESERVED:
        if name in names:
            raise ReservedArgumentError(f"{name!r} is a reserved argument name and cannot be used in task functions.")
