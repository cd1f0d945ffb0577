"""Running the steps of a `prefect.yaml` or of a deployment."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from typing import Any

from prefect._deploying import steps as _steps
from prefect._deploying.steps import StepExecutionError

__all__ = ["StepExecutionError", "run_step", "run_steps"]


async def run_step(step: dict[str, Any], upstream_outputs: dict[str, Any] | None = None) -> Any:
    """Run one step.

    Args:
        step: a dictionary with one key, the dotted name of a function; its value are the function's arguments, and perhaps
            `requires`: packages to install first.
        upstream_outputs: values for placeholders such as `{{ step-id.output }}`.

    Returns:
        What the function returns.

    Raises:
        ValueError: the step is not written as it has to be, or a placeholder stands for nothing.
        Exception: what the function raised.
    """
    return await _steps.run_step(step, upstream_outputs)


async def run_steps(
    steps: list[dict[str, Any]],
    upstream_outputs: dict[str, Any] | None = None,
    print_function: Callable[..., Any] = print,
    deployment: Any | None = None,
    flow_run: Any | None = None,
    logger: Logger | None = None,
) -> dict[str, Any]:
    """Run steps, one after the other.

    Placeholders in their inputs are filled in: outputs of steps before (`{{ output }}`, `{{ step-id.output }}`), blocks
    (`{{ prefect.blocks.secret.x }}`), variables (`{{ prefect.variables.y }}`), the environment (`{{ $NAME }}`).

    Args:
        steps: each a dictionary with one key, the dotted name of its function, and the inputs.
        upstream_outputs: outputs to begin with.
        print_function: what to tell the progress with.
        deployment, flow_run: what the steps are for, if there is such.
        logger: told of the progress instead, unless there is a `print_function`.

    Returns:
        All outputs: those of each step by name, later ones over earlier ones, and those of a step with an `id` under that.

    Raises:
        StepExecutionError: a step failed; the message says which one and why.
    """
    return await _steps.run_steps(steps, upstream_outputs, print_function, deployment, flow_run, logger)
