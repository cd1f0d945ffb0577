"""Serving deployments: this process runs their runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prefect._bridge import in_running_loop
from prefect._deploying.runner_deployment import RunnerDeployment
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect.runner import runner as runners
    from prefect.runner.runner import Runner
else:
    runners = lazy_module("prefect.runner.runner")


def checked(deployments: Sequence[Any]) -> list[RunnerDeployment]:
    """Deployments, if they are some.

    Raises:
        TypeError: something else is among them.
        ValueError: there are none, or two of one name.
    """
    for deployment in deployments:
        if not isinstance(deployment, RunnerDeployment):
            raise TypeError(f"{deployment!r} is no deployment; make one of a flow with `flow.to_deployment('a-name')`.")
    if not deployments:
        raise ValueError(
            "There is nothing to serve: give at least one deployment, made with `flow.to_deployment(...)`."
        )
    names = [deployment.full_name for deployment in deployments]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Deployments need names of their own; there are several of {', '.join(map(repr, twice))}.")
    return list(deployments)


async def serve(
    deployments: Sequence[Any],
    *,
    pause_on_shutdown: bool,
    say: bool,
    limit: int | None,
    webserver: bool = False,
    **options: Any,
) -> None:
    """Make the deployments known and run their runs, until interrupted.

    Args:
        deployments: made with `flow.to_deployment`.
        pause_on_shutdown: pause their schedules when this ends.
        say: print how to run them.
        limit: how many runs at once.
        webserver: answer questions after the health of this process.
        options: for the `Runner`.
    """
    served = checked(deployments)
    if limit is not None:
        options["limit"] = limit
    runner: Runner = runners.Runner(pause_on_shutdown=pause_on_shutdown, webserver=webserver, **_named(options, served))
    for deployment in served:
        await runner.aadd_deployment(deployment)
    if say:
        print(starting_message(served), flush=True)
    await runner.start()


def _named(options: dict[str, Any], served: list[RunnerDeployment]) -> dict[str, Any]:
    return options if "name" in options or len(served) != 1 else {**options, "name": served[0].name}


def serve_sync(deployments: Sequence[Any], **options: Any) -> None:
    """`serve`, from synchronous code. Ctrl-C ends it quietly.

    Raises:
        RuntimeError: this thread is running an event loop.
    """
    if in_running_loop():
        raise RuntimeError("Cannot call `serve` in an asynchronous context. Use `await aserve(...)` instead.")
    try:
        asyncio.run(serve(deployments, **options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped serving.", flush=True)


def starting_message(served: list[RunnerDeployment]) -> str:
    """What the user needs to know who has just begun to serve."""
    if len(served) == 1:
        what, its = f"Flow {served[0].flow_name!r} is being served", "it"
    else:
        what, its = f"{len(served)} deployments are being served", "one of them"
    commands = [f"    prefect deployment run '{deployment.full_name}'" for deployment in served]
    return "\n".join([f"{what}, until you press Ctrl-C. To run {its}:", "", *commands, ""])
