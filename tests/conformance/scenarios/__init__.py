"""Everything the API can be asked, by noun."""

from __future__ import annotations

import inspect
from types import ModuleType

from conformance.scenarios import (
    artifacts,
    automations,
    blocks,
    dashboards,
    deployments,
    events,
    flow_runs,
    flows,
    limits,
    orchestration,
    searching,
    server,
    streams,
    task_runs,
    variables,
    words,
    work,
)
from conformance.script import Scenario

_MODULES = (
    artifacts, automations, blocks, dashboards, deployments, events, flow_runs, flows, limits, orchestration, searching,
    server, task_runs, variables, words, work,
)  # fmt: skip


def _of(*modules: ModuleType) -> dict[str, Scenario]:
    return {
        name: function
        for module in modules
        for name, function in vars(module).items()
        if inspect.isgeneratorfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }


SCENARIOS = _of(*_MODULES)
"""All scenarios by name. Each has objects of its own, so that one database can carry them all, in any order."""

STREAMS = _of(streams)
"""Those that need websockets."""
