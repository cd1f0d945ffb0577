"""Taking on a flow run that exists already: one that a deployment, a schedule or another process made."""

from __future__ import annotations

from typing import Any

from prefect._clock import to_us
from prefect._engine.frames import FlowFrame
from prefect._lazy import lazy_module
from prefect._rules.states import RunState, pending

_OWN_IDS = ("flow_run_id", "task_run_id")

models: Any = lazy_module("prefect._schemas.states")


def adopt(frame: FlowFrame, run: Any) -> None:
    """Let a frame stand for a run that is recorded already.

    Args:
        frame: a new frame with the id of the run.
        run: the `FlowRun` as it was read; a run that is not recorded after all is recorded with its first state.
    """
    frame.adopted = run
    frame.name = run.name or frame.name
    frame.tags = frozenset(run.tags or ()) | frame.tags
    frame.labels = dict(run.labels or {})
    frame.flow_id = str(run.flow_id) if run.flow_id else None
    frame.deployment_id = str(run.deployment_id) if run.deployment_id else None
    frame.deployment_version = run.deployment_version
    frame.job_variables = run.job_variables
    frame.parent_task_run_id = str(run.parent_task_run_id) if run.parent_task_run_id else None
    frame.run_count = run.run_count or 0
    frame.created_us = _us(run.created) or frame.created_us
    frame.expected_us = _us(run.expected_start_time) or frame.expected_us
    frame.start_us = _us(run.start_time)
    frame.total_us = round(run.total_run_time.total_seconds() * 1e6) if run.total_run_time else 0
    # the pauses that the attempts before this one have been through
    frame.pauses = dict.fromkeys((run.empirical_policy.pause_keys or ()) if run.empirical_policy else (), 1)
    frame.state = _known(run.state)
    frame.created = True


def _us(moment: Any) -> int | None:
    return to_us(moment) if moment is not None else None


def _known(state: Any) -> RunState:
    """The state of the run as this process is to know it."""
    if state is None:
        return pending()
    known = models.from_public(state)
    details = {name: value for name, value in known.details.items() if name not in _OWN_IDS}
    return RunState(known.type, known.name, known.message, known.data, details, known.timestamp, known.id)
