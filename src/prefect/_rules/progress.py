"""What entering a state does to the times and counts of a run."""

from __future__ import annotations

from typing import NamedTuple

from prefect._rules.states import RUNNING, SCHEDULED, TERMINAL, RunState


class Progress(NamedTuple):
    """Times and counts of a run; times in microseconds since the epoch."""

    run_count: int = 0
    expected_start_time: int | None = None
    next_scheduled_start_time: int | None = None
    start_time: int | None = None
    end_time: int | None = None
    total_run_time: int = 0
    """Microseconds spent running, before the current state."""


def enter(run: Progress, current: RunState | None, entered: RunState) -> Progress:
    """The times and counts of a run that goes from `current` (None: its first state) to `entered`."""
    scheduled = entered.details.get("scheduled_time") if entered.type == SCHEDULED else None
    begins = entered.type == RUNNING
    ran = current is not None and current.type == RUNNING
    expected = run.expected_start_time
    if expected is None:
        expected = scheduled if scheduled is not None else entered.timestamp
    return Progress(
        run_count=run.run_count + begins,
        expected_start_time=expected,
        next_scheduled_start_time=scheduled,
        start_time=entered.timestamp if begins and run.start_time is None else run.start_time,
        end_time=entered.timestamp if entered.type in TERMINAL else None,
        total_run_time=run.total_run_time + (max(entered.timestamp - current.timestamp, 0) if ran and current else 0),
    )
