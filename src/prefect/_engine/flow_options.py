"""The options of a flow: checked when it is made, merged when it is varied."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect._engine.options import Changes, callable_name, check_length
from prefect._lazy import lazy_module
from prefect.exceptions import InvalidNameError

if TYPE_CHECKING:
    import hashlib

    from prefect.flows import Flow
else:
    hashlib = lazy_module("hashlib")

_BANNED_IN_NAMES = ("/", "%", "&", ">", "<")
_HOOKS = ("on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running")
_PLAIN_OPTIONS = (
    "name", "retries", "retry_delay_seconds", "description", "flow_run_name", "timeout_seconds", "persist_result",
    "result_storage", "result_serializer", "cache_result_in_memory", "log_prints",
)  # fmt: skip
_NONE_IS_A_CHOICE = frozenset({"persist_result", "result_storage", "result_serializer", "log_prints"})


def varied(flow: Flow[..., Any], changes: dict[str, Any], *, version: str | None, task_runner: Any) -> dict[str, Any]:
    """The arguments that make a flow like `flow`, with those in `changes` that say something put in.

    Args:
        flow: the flow.
        changes: options by name.
        version, task_runner: as they were given for it; its own properties make them where nothing was.
    """
    merging = Changes(changes, _NONE_IS_A_CHOICE)
    options = merging.merged(flow, _PLAIN_OPTIONS, _HOOKS)
    options["fn"] = flow.fn
    options["version"] = merging.chosen("version", version)
    options["task_runner"] = merging.chosen("task_runner", task_runner)
    options["validate_parameters"] = merging.chosen("validate_parameters", flow.should_validate_parameters)
    return options


def name_of(name: str | None, fn: Any) -> str:
    """The name of a flow: that which is given, or the function's with hyphens for underscores.

    Raises:
        TypeError: it is no text.
        InvalidNameError: it has characters that it cannot have, is too long, or is no text that can be stored.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(
            f"Expected string for flow parameter 'name'; got {type(name).__name__} instead. "
            + ("Perhaps you meant to call it? e.g. '@flow(name=get_flow_run_name())'" if callable(name) else "")
        )
    if not name:
        name = callable_name(fn)
        name = "unknown-lambda" if name == "<lambda>" else name.replace("_", "-")
    if any(character in name for character in _BANNED_IN_NAMES):
        raise InvalidNameError(
            f"The flow name {name!r} contains an invalid character. Names cannot contain any of: {' '.join(_BANNED_IN_NAMES)}"
        )
    check_length(name, "flow")
    try:
        name.encode()
    except UnicodeEncodeError as exc:
        raise InvalidNameError(
            f"The flow name {name!r} cannot be stored: its character {exc.start + 1} is half of a pair, and no text."
        ) from None
    return name


def checked_runner(runner: Any, owner: str) -> Any:
    """Where a flow's submitted tasks run, checked.

    Raises:
        TypeError: it is neither a task runner nor a class of them.
    """
    if runner is not None and not hasattr(runner, "submit"):
        raise TypeError(
            f"Expected a task runner for 'task_runner', such as ThreadPoolTaskRunner(max_workers=4); got {runner!r} "
            f"(of {owner!r})."
        )
    return runner


def keeps(storage: Any, serializer: Any) -> bool | None:
    """Whether results are kept, where nothing says so: who says where or how wants that."""
    return True if storage is not None or serializer is not None else None


def file_fingerprint(fn: Any) -> str | None:
    """A short hash of the file that a function was written in."""
    while hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
    file = getattr(getattr(fn, "__code__", None), "co_filename", None)
    if not file or not os.path.isfile(file):
        return None
    with open(file, "rb") as source:
        return hashlib.md5(source.read(), usedforsecurity=False).hexdigest()
