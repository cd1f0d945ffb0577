"""Waiting for a flow run, wherever it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import PrefectClient

_ONE_REQUEST = 30.0  # seconds that the API is asked to keep a request at most
_SHORTEST = 0.2  # seconds between two requests that the API does not keep


async def until_ended(
    client: PrefectClient,
    flow_run_id: UUID,
    timeout: float | None,
    poll_interval: float,
    on_state: Callable[[FlowRun], object] | None = None,
) -> FlowRun:
    """Wait until a flow run has ended.

    The API answers when that happens; an API that does not know how is asked again and again.

    Args:
        client: for the API.
        flow_run_id: the run.
        timeout: seconds to wait at most; None for ever.
        poll_interval: seconds between two looks, where the API does not answer by itself.
        on_state: told of each state that the run enters meanwhile.

    Returns:
        The run, ended or, when the time is over, as it is then.

    Raises:
        ObjectNotFound: there is no such run.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    keeps = True
    seen: UUID | None = None
    while True:
        left = _ONE_REQUEST if deadline is None else max(deadline - time.monotonic(), 0.0)
        began = time.monotonic()
        if keeps:
            try:
                run = await client.wait_for_flow_run(
                    flow_run_id, seen=seen if on_state is not None else None, wait_seconds=min(left, _ONE_REQUEST)
                )
            except ObjectNotFound:  # no such run, or no such operation: the next look tells
                keeps = False
                continue
        else:
            run = await client.read_flow_run(flow_run_id)
        if on_state is not None and run.state is not None and run.state.id != seen:
            seen = run.state.id
            on_state(run)
        if _ended(run) or (deadline is not None and time.monotonic() >= deadline):
            return run
        pause = _SHORTEST - (time.monotonic() - began) if keeps else poll_interval
        if deadline is not None:
            pause = min(pause, deadline - time.monotonic())
        if pause > 0:
            await asyncio.sleep(pause)


def _ended(run: Any) -> bool:
    return run.state is not None and run.state.is_final()
