"""Following a run that somebody else carries out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect.cli import _console, _output, _runs

if TYPE_CHECKING:
    import rich.text as rich_text

    from prefect import exceptions
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import SyncPrefectClient
else:
    rich_text = lazy_module("rich.text")
    exceptions = lazy_module("prefect.exceptions")

_INTERVAL = 1.0
_SHORTEST = 0.1
_LONGEST = 20.0


def follow(api: SyncPrefectClient, id: UUID, *, interval: float | None = None, timeout: float | None = None) -> FlowRun:
    """Print the states that a flow run goes through until it has ended, and return it.

    Args:
        api: whom to ask.
        id: of the flow run.
        interval: seconds between two looks; unless given, the API says when there is something to see.
        timeout: seconds after which the command gives up.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    out, seen = _output.console(), 0
    while True:
        states = api.read_flow_run_states(id)
        for state in states[seen:]:
            words = [_output.time_text(state.timestamp), _runs.state_text(state.type, state.name), state.message or ""]
            out.print(rich_text.Text("  ").join(map(_as_rich, words)), soft_wrap=True)
        seen = len(states)
        if states and states[-1].is_final():
            return api.read_flow_run(id)
        if deadline is not None and time.monotonic() >= deadline:
            last = states[-1].name if states else "without a state"
            _console.fail(f"After {timeout:g} s the flow run is still {last}; it goes on ({now():%H:%M:%S} UTC).")
        left = _LONGEST if deadline is None else min(_LONGEST, deadline - time.monotonic())
        _wait(api, id, states[-1].id if states else None, left if interval is None else min(left, interval))


def _wait(api: SyncPrefectClient, id: UUID, seen: UUID | None, seconds: float) -> None:
    """Wait until a flow run is in another state than the one that was seen, or so long."""
    seconds = max(seconds, _SHORTEST)
    try:
        api.wait_for_flow_run(id, seen=seen, wait_seconds=seconds)
    except exceptions.ObjectNotFound:
        api.read_flow_run(id)  # is it the run that is gone? else the server is one that does not know how to wait
        time.sleep(min(seconds, _INTERVAL))


def _as_rich(text: rich_text.Text | str) -> rich_text.Text:
    return text if isinstance(text, rich_text.Text) else rich_text.Text(text)


def fail_unless_completed(run: FlowRun) -> None:
    """End the command with status 1 when a run did not end well."""
    if run.state is None or not run.state.is_completed():
        message = run.state.message if run.state is not None else None
        _console.fail(f"Flow run {run.name!r} ended as {run.state_name}{f': {message}' if message else '.'}")
