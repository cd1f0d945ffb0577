"""Following a run that somebody else carries out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from prefect._clock import now
from prefect.cli import _console, _output, _runs

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import SyncPrefectClient

_INTERVAL = 1.0


def follow(api: SyncPrefectClient, id: UUID, *, interval: float | None = None, timeout: float | None = None) -> FlowRun:
    """Print the states that a flow run goes through until it has ended, and return it.

    Args:
        api: whom to ask.
        id: of the flow run.
        interval: seconds between two looks.
        timeout: seconds after which the command gives up.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    out, seen = _output.console(), 0
    while True:
        states = api.read_flow_run_states(id)
        for state in states[seen:]:
            told = f"  {state.message}" if state.message else ""
            out.print(
                _output.time_text(state.timestamp), _runs.state_text(state.type, state.name), told, soft_wrap=True
            )
        seen = len(states)
        if states and states[-1].is_final():
            return api.read_flow_run(id)
        if deadline is not None and time.monotonic() >= deadline:
            last = states[-1].name if states else "without a state"
            _console.fail(f"After {timeout:g} s the flow run is still {last}; it goes on ({now():%H:%M:%S} UTC).")
        time.sleep(max(interval or _INTERVAL, 0.1))


def fail_unless_completed(run: FlowRun) -> None:
    """End the command with status 1 when a run did not end well."""
    if run.state is None or not run.state.is_completed():
        message = run.state.message if run.state is not None else None
        _console.fail(f"Flow run {run.name!r} ended as {run.state_name}{f': {message}' if message else '.'}")
