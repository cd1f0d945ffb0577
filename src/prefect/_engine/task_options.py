"""The options of a task: checked when it is made, merged when it is varied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect._engine.options import Changes
from prefect._engine.options import delays_of as checked_delays
from prefect._lazy import imported, lazy_module
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    from prefect import cache_policies
    from prefect.logging import loggers
    from prefect.tasks import Task
else:
    cache_policies = lazy_module("prefect.cache_policies")
    loggers = lazy_module("prefect.logging.loggers")

MAX_RETRY_DELAYS = 50
_HOOKS = ("on_completion", "on_failure", "on_running", "on_rollback", "on_commit")
_PLAIN_OPTIONS = (
    "name", "description", "version", "cache_key_fn", "cache_expiration", "task_run_name", "retries",
    "retry_delay_seconds", "retry_jitter_factor", "persist_result", "result_storage", "result_serializer",
    "result_storage_key", "cache_result_in_memory", "timeout_seconds", "log_prints", "refresh_cache",
    "retry_condition_fn", "viz_return_value", "asset_deps",
)  # fmt: skip
_NONE_IS_A_CHOICE = frozenset({
    "task_run_name", "retries", "retry_delay_seconds", "retry_jitter_factor", "persist_result", "result_storage",
    "result_serializer", "result_storage_key", "log_prints", "refresh_cache",
})  # fmt: skip


def varied(task: Task[..., Any], changes: dict[str, Any], cache_policy: Any) -> dict[str, Any]:
    """The arguments that make a task like another one.

    Args:
        task: the other one.
        changes: arguments; those that say something are put in.
        cache_policy: what the other one was given.
    """

    merging = Changes(changes, _NONE_IS_A_CHOICE)
    options = merging.merged(task, _PLAIN_OPTIONS, _HOOKS)
    options["fn"] = task.fn
    options["tags"] = merging.chosen("tags", set(task.tags))
    if changes.get("cache_key_fn") is not None:
        options["cache_policy"] = NotSet
    elif changes.get("cache_policy", NotSet) is not NotSet:
        options["cache_policy"], options["cache_key_fn"] = changes["cache_policy"], None
    else:
        options["cache_policy"] = NotSet if task.cache_key_fn is not None else cache_policy
    return options


def tags_of(tags: Iterable[str] | None) -> set[str]:
    if tags is None:
        return set()
    return {tags} if isinstance(tags, str) else set(tags)


def delays_of(delays: Any, retries: int | None, owner: str) -> Any:
    """The seconds before a retry, one number or one for each retry; what is given may be a function that makes them.

    Raises:
        TypeError: there is something among them that is not a number.
        ValueError: there are too many.
    """
    if callable(delays):
        delays = delays(retries or 0)
    if isinstance(delays, (list, tuple)) and len(delays) > MAX_RETRY_DELAYS:
        raise ValueError(f"Can not configure more than {MAX_RETRY_DELAYS} retry delays per task.")
    return checked_delays(delays, owner)


def expiration_of(expiration: Any, owner: str) -> Any:
    """How long a cached result holds, checked.

    Raises:
        TypeError: it is not a `timedelta`.
    """
    if expiration is not None and not hasattr(expiration, "total_seconds"):
        raise TypeError(
            f"Expected a timedelta for 'cache_expiration'; got {type(expiration).__name__} {expiration!r} (of {owner!r})."
        )
    return expiration


def is_no_cache(policy: Any) -> bool:
    return type(policy).__name__ == "_None" or policy is getattr(imported("prefect.cache_policies"), "NO_CACHE", NotSet)


class Caching(NamedTuple):
    """What a task's options about results come to."""

    policy: Any
    cache_key_fn: Callable[..., Any] | None
    persist_result: bool | None


def caching_of(name: str, policy: Any, key_fn: Any, persist_result: bool | None, *, has_storage: bool) -> Caching:
    """Work out which policy is meant, and whether results are kept: wanting a cache means keeping results.

    Args:
        name: of the task, for warnings.
        policy: the cache policy; `NotSet` where nothing is said.
        key_fn: the function that makes keys, which goes before the policy.
        persist_result: whether to keep results; None where nothing is said.
        has_storage: whether an option says where or how results are kept.

    Raises:
        TypeError: what is given is not a cache policy.
    """
    is_a_policy = policy is not NotSet and policy is not None
    if is_a_policy and (isinstance(policy, type) or not hasattr(policy, "compute_key")):
        raise TypeError(
            f"Expected a cache policy for 'cache_policy', such as INPUTS of prefect.cache_policies; got {policy!r} "
            f"(of {name!r}). A function that makes keys is given as 'cache_key_fn'."
        )
    if persist_result is None and (key_fn or has_storage or (is_a_policy and not is_no_cache(policy))):
        persist_result = True
    if persist_result is False:
        if key_fn or (is_a_policy and not is_no_cache(policy) and policy):
            loggers.get_logger("tasks").warning(
                "Ignoring the cache policy of task %r: persist_result is False, and a cache consists of kept results.",
                name,
            )
        return Caching(None, None, False)
    if key_fn is not None:
        if is_a_policy:
            loggers.get_logger("tasks").warning(
                "Both `cache_policy` and `cache_key_fn` are set on task %r; `cache_key_fn` will be used.", name
            )
        policy = cache_policies.CachePolicy.from_cache_key_fn(key_fn)
    return Caching(policy, key_fn, persist_result)


def checked_condition(condition: Any) -> Any:
    """What decides whether to retry, checked.

    Raises:
        TypeError: it cannot be called.
    """
    if condition is not None and not callable(condition):
        raise TypeError(f"Expected `retry_condition_fn` to be callable, got {type(condition).__name__} instead.")
    return condition


def checked_jitter(factor: float | None) -> float | None:
    """How far delays are spread, checked.

    Raises:
        ValueError: it is negative.
    """
    if factor is not None and factor < 0:
        raise ValueError("`retry_jitter_factor` must be >= 0.")
    return factor
