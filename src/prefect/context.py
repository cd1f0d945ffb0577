"""What is current: the flow run, the task run, the tags, the settings."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect._engine import transfer
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect._engine.tagging import tags
from prefect._lazy import lazy_attributes, lazy_module
from prefect.exceptions import MissingContextError
from prefect.settings.context import refresh_settings

if TYPE_CHECKING:
    import pickle

    import cloudpickle

    from prefect._engine import contexts
    from prefect._engine.contexts import (
        AsyncClientContext,
        ContextModel,
        EngineContext,
        FlowRunContext,
        RunContext,
        SettingsContext,
        SyncClientContext,
        TagsContext,
        TaskRunContext,
    )
    from prefect.assets import context as assets
    from prefect.assets.context import AssetContext
    from prefect.settings.profiles import use_profile
else:
    assets = lazy_module("prefect.assets.context")
    cloudpickle = lazy_module("cloudpickle")
    contexts = lazy_module("prefect._engine.contexts")
    pickle = lazy_module("pickle")

P = ParamSpec("P")
R = TypeVar("R")

_MODELS = "prefect._engine.contexts"
__getattr__, __dir__, _names = lazy_attributes(
    __name__,
    {
        "AssetContext": "prefect.assets.context",
        "AsyncClientContext": _MODELS,
        "SyncClientContext": _MODELS,
        "ContextModel": _MODELS,
        "EngineContext": _MODELS,
        "FlowRunContext": _MODELS,
        "RunContext": _MODELS,
        "SettingsContext": _MODELS,
        "TagsContext": _MODELS,
        "TaskRunContext": _MODELS,
        "flow_run_context": _MODELS,
        "task_run_context": _MODELS,
        "use_profile": "prefect.settings.profiles",
    },
)

__all__ = [
    "AssetContext",
    "AsyncClientContext",
    "ContextModel",
    "ContextVar",
    "EngineContext",
    "FlowRunContext",
    "RunContext",
    "SettingsContext",
    "SyncClientContext",
    "TagsContext",
    "TaskRunContext",
    "get_run_context",
    "get_settings_context",
    "hydrated_context",
    "refresh_global_settings_context",
    "root_settings_context",
    "serialize_context",
    "tags",
    "use_profile",
    "with_context",
]


def current_task_frame() -> TaskFrame | None:
    """The engine's view of the current task run, or None."""
    return current_task.get()


def current_flow_frame() -> FlowFrame | None:
    """The engine's view of the current flow run, or None."""
    return current_flow.get()


def get_run_context() -> FlowRunContext | TaskRunContext:
    """The context of the innermost run: that of the task run if a task is running, else that of the flow run.

    Raises:
        MissingContextError: no run is current.
    """
    task_frame, flow_frame = current_task.get(), current_flow.get()
    if task_frame is not None:
        return contexts.task_run_context(task_frame)
    if flow_frame is not None:
        return contexts.flow_run_context(flow_frame)
    raise MissingContextError(
        "No run context available. You are not in a flow or task run context: call this from a function decorated "
        "with @flow or @task, while it runs."
    )


def get_settings_context() -> SettingsContext:
    """The settings in force and the profile they come from."""
    return contexts.SettingsContext.get()


def refresh_global_settings_context() -> None:
    """Read the settings of the process from their sources again."""
    refresh_settings()


def root_settings_context() -> SettingsContext:
    """The settings of the process, without what `temporary_settings` or a profile put in their place here."""
    return contextvars.Context().run(lambda: contexts.SettingsContext.get())


def serialize_context(asset_ctx_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
    """What is current here, for another process: give it to `hydrated_context` there.

    The dict holds functions and is to be pickled with cloudpickle.

    Args:
        asset_ctx_kwargs: more for the task run there: which assets it deals with.
    """
    packed = transfer.pack()
    if asset_ctx_kwargs:
        packed["asset_context"] = dict(asset_ctx_kwargs)
    return packed


@contextmanager
def hydrated_context(serialized_context: dict[str, Any] | None = None, client: Any = None) -> Iterator[None]:
    """Make what `serialize_context` took along current in the block.

    Args:
        serialized_context: from `serialize_context`; with None, nothing changes.
        client: accepted for compatibility; runs record themselves through the settings in the context.
    """
    asset_options = (serialized_context or {}).get("asset_context")
    with transfer.unpacked(serialized_context):
        if not asset_options:
            yield
        else:
            with assets.AssetContext.from_task_and_inputs(**asset_options):
                yield


def with_context(fn: Callable[P, R]) -> Callable[P, R]:
    """A function that runs with what is current now, wherever it is called: also in another process.

    ```python
    with ProcessPoolExecutor() as pool:
        pool.map(with_context(work), items)
    ```
    """
    return _WithContext(fn, transfer.pack())  # type: ignore[return-value]


class _WithContext:
    """A call that brings its context along. Pickles by value, so that it may cross into another process."""

    def __init__(self, fn: Callable[..., Any], packed: dict[str, Any]) -> None:
        self._fn, self._packed = fn, packed
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with transfer.unpacked(self._packed):
            return self._fn(*args, **kwargs)

    def __reduce__(self) -> Any:
        # the function may be one that only cloudpickle can carry
        return _revive, (cloudpickle.dumps((self._fn, self._packed)),)


def _revive(blob: bytes) -> _WithContext:
    return _WithContext(*pickle.loads(blob))
