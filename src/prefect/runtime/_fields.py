"""How the modules of `prefect.runtime` come to their attributes: environment first, then the run that asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect._engine.frames import FlowFrame, current_flow, current_task
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import json
else:
    json = lazy_module("json")

_YES = ("1", "true", "t", "yes", "y", "on")


def current_flow_frame() -> FlowFrame | None:
    """The flow run that asks: the current one, or that of the current task run."""
    task = current_task.get()
    return task.flow_frame if task is not None and task.flow_frame is not None else current_flow.get()


def runtime_attributes(
    module: str, fields: Mapping[str, Callable[[], Any]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a module of `prefect.runtime`.

    Args:
        module: its name.
        fields: name -> function that looks the value up.
    """
    prefix = f"PREFECT__RUNTIME__{module.rpartition('.')[2].upper()}__"

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        variable = prefix + name.upper()
        mocked = os.environ.get(variable)
        look_up = fields.get(name)
        if mocked is not None:
            return mocked if look_up is None else _like(look_up(), mocked, variable)
        if look_up is None:
            raise AttributeError(f"{module} has no attribute {name!r}; it has: {', '.join(sorted(fields))}")
        return look_up()

    return __getattr__, lambda: sorted(fields)


def _like(real: Any, mocked: str, variable: str) -> Any:
    """The text of an environment variable as a value of the same type as the real one."""
    if real is None or isinstance(real, str):
        return mocked
    if isinstance(real, bool):
        return mocked.lower() in _YES
    try:
        if isinstance(real, (int, float)):
            return type(real)(mocked)
        if isinstance(real, datetime):
            moment = datetime.fromisoformat(mocked)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        value = json.loads(mocked)
    except ValueError as error:
        raise ValueError(f"{variable}={mocked!r} is not a value that this attribute can have: {error}") from error
    if not isinstance(value, type(real)):
        raise ValueError(f"{variable}={mocked!r} must be a JSON {'object' if isinstance(real, dict) else 'array'}")
    return value
