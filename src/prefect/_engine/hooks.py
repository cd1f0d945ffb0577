"""State hooks: the user's functions that are told when a run enters a state."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from prefect._engine.port import Port
from prefect._rules.states import CANCELLED, CANCELLING, COMPLETED, CRASHED, FAILED, RUNNING, RunState

FLOW_HOOKS = {
    COMPLETED: "on_completion_hooks",
    FAILED: "on_failure_hooks",
    CANCELLED: "on_cancellation_hooks",
    CANCELLING: "on_cancellation_hooks",
    CRASHED: "on_crashed_hooks",
    RUNNING: "on_running_hooks",
}
TASK_HOOKS = {
    COMPLETED: "on_completion_hooks",
    FAILED: "on_failure_hooks",
    RUNNING: "on_running_hooks",
}


def hook_name(hook: Any) -> str:
    return getattr(hook, "__name__", None) or getattr(getattr(hook, "func", None), "__name__", None) or repr(hook)


async def run_hooks(
    io: Port,
    hooks: Iterable[Any],
    owner: Any,
    run: Any,
    state: Any,
    light: RunState,
    logger: logging.LoggerAdapter[Any],
) -> None:
    """Call each hook with (flow or task, run, state). A hook that fails is reported and does not change the run."""
    for hook in hooks:
        name = hook_name(hook)
        try:
            logger.info("Running hook %r in response to entering state %r", name, light.name)
            await io.invoke(hook, owner, run, state)
        except Exception:
            logger.error("An error was encountered while running hook %r", name, exc_info=True)
        else:
            logger.info("Hook %r finished running successfully", name)
