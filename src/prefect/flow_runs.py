"""Pausing, suspending and resuming flow runs.

```python
@flow
def release():
    build()
    pause_flow_run(timeout=3600)   # goes on when somebody resumes the run
    publish()
```
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import async_dispatch
from prefect._bridge import run as run_now
from prefect._engine import pausing
from prefect._engine.port import ASYNC, SYNC
from prefect._lazy import lazy_module
from prefect.exceptions import FlowRunWaitTimeout

if TYPE_CHECKING:
    from prefect._deploying import waiting
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client import orchestration
else:
    orchestration = lazy_module("prefect.client.orchestration")
    waiting = lazy_module("prefect._deploying.waiting")

_log = logging.getLogger("prefect.flow_runs")

_LOOK_SECONDS = 1.0

__all__ = [
    "apause_flow_run",
    "aresume_flow_run",
    "asuspend_flow_run",
    "pause_flow_run",
    "resume_flow_run",
    "suspend_flow_run",
    "wait_for_flow_run",
]


async def apause_flow_run(
    wait_for_input: Any = None, timeout: int = 3600, poll_interval: int = 10, key: str | None = None
) -> Any:
    """`pause_flow_run` for asynchronous code."""
    return await pausing.pause(ASYNC, wait_for_input, timeout, poll_interval, key)


@async_dispatch(apause_flow_run)
def pause_flow_run(
    wait_for_input: Any = None, timeout: int = 3600, poll_interval: int = 10, key: str | None = None
) -> Any:
    """Pause the flow run that is current until somebody resumes it. Its process keeps waiting.

    Args:
        wait_for_input: a type of value to wait for, which who resumes the run gives; it is returned.
        timeout: seconds until the pause expires and the run fails.
        poll_interval: seconds between two looks at whether the run was resumed, at most.
        key: names the pause: the same key pauses once, also when the flow is retried.

    Raises:
        FlowPauseTimeout: nobody resumed the run in time.
        RuntimeError: called outside a flow run or inside a task.
    """
    return run_now(pausing.pause(SYNC, wait_for_input, timeout, poll_interval, key))


async def asuspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | None = None,
    timeout: int | None = 3600,
    key: str | None = None,
) -> Any:
    """`suspend_flow_run` for asynchronous code."""
    return await pausing.suspend(ASYNC, wait_for_input, flow_run_id, timeout, key)


@async_dispatch(asuspend_flow_run)
def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | None = None,
    timeout: int | None = 3600,
    key: str | None = None,
) -> Any:
    """Suspend a flow run: its process ends, and when it is resumed a new one goes on.

    Only a run of a deployment can be suspended, because only that can be started again without its caller.

    Args:
        wait_for_input: a type of value to wait for, which who resumes the run gives; it is returned.
        flow_run_id: the run; default the current one.
        timeout: seconds until the suspension expires and the run fails; None for never.
        key: names the suspension: the same key suspends once.

    Raises:
        RuntimeError: the run does not belong to a deployment.
    """
    return run_now(pausing.suspend(SYNC, wait_for_input, flow_run_id, timeout, key))


async def aresume_flow_run(flow_run_id: UUID, run_input: dict[str, Any] | None = None) -> None:
    """`resume_flow_run` for asynchronous code."""
    await pausing.resume(ASYNC, flow_run_id, run_input)


@async_dispatch(aresume_flow_run)
def resume_flow_run(flow_run_id: UUID, run_input: dict[str, Any] | None = None) -> None:
    """Let a paused flow run go on.

    Args:
        flow_run_id: the run.
        run_input: the input that it waits for, if any; needs a server.

    Raises:
        NotPausedError: the run is not paused.
        ObjectNotFound: there is no such run.
    """
    run_now(pausing.resume(SYNC, flow_run_id, run_input))


async def wait_for_flow_run(
    flow_run_id: UUID,
    timeout: int | None = 10800,
    poll_interval: int | None = None,
    client: Any = None,
    log_states: bool = False,
) -> FlowRun:
    """Wait until a flow run has finished.

    Args:
        flow_run_id: the run.
        timeout: seconds to wait at most; None for ever.
        poll_interval: seconds between two looks.
        client: accepted for compatibility.
        log_states: log each state that the run enters meanwhile.

    Returns:
        The finished run.

    Raises:
        FlowRunWaitTimeout: it did not finish in time.
        ObjectNotFound: there is no such run.
    """

    def tell(run: FlowRun) -> None:
        if log_states and run.state is not None:
            _log.info("Flow run %s is in state %s", flow_run_id, run.state.name)

    async with orchestration.get_client() as api:
        run = await waiting.until_ended(api, flow_run_id, timeout, poll_interval or _LOOK_SECONDS, tell)
    if run.state is None or not run.state.is_final():
        state = run.state.name if run.state is not None else "none"
        raise FlowRunWaitTimeout(f"Flow run {flow_run_id} exceeded the wait of {timeout} seconds in state {state}.")
    return run
