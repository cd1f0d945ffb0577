"""Waiting for a flow run."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from prefect._operations import flow_runs
from prefect._operations.registry import NotYet, operation
from prefect._schemas.flow_runs import FlowRun


@operation("GET", "/flow_runs/{id}/wait")
def wait_for_flow_run(
    tx: sa.Connection, id: UUID, seen: UUID | None = None, wait_seconds: float = 0
) -> FlowRun | NotYet:
    """A flow run, once it has ended, or once the time to wait is over.

    With `seen`, the id of a state: once it has ended or entered another state than that.

    Raises:
        NotFound: there is no such flow run.
    """
    run = flow_runs.flow_run_of(tx, id)
    ended = run.state is not None and run.state.is_final()
    if ended or (seen is not None and run.state_id != seen) or wait_seconds <= 0:
        return run
    return NotYet(run, (f"flow_run:{id}",))
