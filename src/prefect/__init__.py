"""Pluperfect: an independent implementation of the Prefect 3 API.

Importing this package runs nothing and loads next to nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.client.orchestration import get_client
    from prefect.context import tags
    from prefect.deployments.runner import deploy
    from prefect.flow_runs import (
        apause_flow_run,
        aresume_flow_run,
        asuspend_flow_run,
        pause_flow_run,
        resume_flow_run,
        suspend_flow_run,
    )
    from prefect.flows import Flow, aserve, flow, serve
    from prefect.logging import get_run_logger
    from prefect.states import State
    from prefect.tasks import Task, task
    from prefect.transactions import Transaction
    from prefect.utilities.annotations import allow_failure, unmapped

__version__ = "3.8.4+pluperfect.0.1.0"

_NAMES = {
    "Flow": "prefect.flows",
    "State": "prefect.states",
    "Task": "prefect.tasks",
    "Transaction": "prefect.transactions",
    "allow_failure": "prefect.utilities.annotations",
    "apause_flow_run": "prefect.flow_runs",
    "aresume_flow_run": "prefect.flow_runs",
    "asuspend_flow_run": "prefect.flow_runs",
    "aserve": "prefect.flows",
    "deploy": "prefect.deployments.runner",
    "flow": "prefect.flows",
    "get_client": "prefect.client.orchestration",
    "get_run_logger": "prefect.logging",
    "pause_flow_run": "prefect.flow_runs",
    "resume_flow_run": "prefect.flow_runs",
    "serve": "prefect.flows",
    "suspend_flow_run": "prefect.flow_runs",
    "tags": "prefect._engine.tagging",
    "task": "prefect.tasks",
    "unmapped": "prefect.utilities.annotations",
}

__all__ = [
    "Flow", "State", "Task", "Transaction", "__version__", "allow_failure", "apause_flow_run", "aresume_flow_run",
    "aserve", "asuspend_flow_run", "deploy", "flow", "get_client", "get_run_logger", "pause_flow_run", "resume_flow_run", "serve", "suspend_flow_run", "tags",
    "task", "unmapped",
]  # fmt: skip

_load, __dir__, _ = lazy_attributes(__name__, _NAMES)


def __getattr__(name: str) -> object:
    """A name of the table above, or a module of the package: `import prefect` is enough for `prefect.states`."""
    if name not in _NAMES and not name.startswith("_"):
        path = f"{__name__}.{name}"
        try:
            return import_module(path)
        except ModuleNotFoundError as exc:
            if exc.name != path:
                raise  # the module is there, and something that it needs is not
    return _load(name)
