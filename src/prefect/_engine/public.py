"""The public models of runs, made from frames when the user's code asks for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect._clock import from_us
from prefect._engine import outcome
from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._rules.states import RunState
from prefect._schemas import states as models
from prefect._schemas.flow_runs import FlowRun, FlowRunPolicy
from prefect._schemas.task_runs import FlowRunResult, TaskRun, TaskRunPolicy, TaskRunResult


def _moment(microseconds: int | None) -> Any:
    return from_us(microseconds) if microseconds is not None else None


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text is not None else None


def task_run(frame: TaskFrame) -> TaskRun:
    """The public model of a task run, made anew after each change of state."""
    if frame.model is not None:
        return frame.model
    state = outcome.public_state(frame)
    kinds = {"task_run": TaskRunResult, "flow_run": FlowRunResult}
    inputs: Any = {
        name: [kinds[entry["input_type"]](id=UUID(entry["id"])) for entry in entries]
        for name, entries in (frame.inputs or {}).items()
    }
    frame.model = TaskRun(
        id=UUID(frame.id),
        created=from_us(frame.created_us),
        updated=state.timestamp,
        name=frame.name,
        flow_run_id=_uuid(frame.flow_run_id),
        task_key=frame.task.task_key,
        dynamic_key=frame.dynamic_key,
        cache_key=frame.cache_key,
        cache_expiration=_moment(frame.cache_expiration_us),
        task_version=frame.task.version,
        empirical_policy=TaskRunPolicy(
            retries=frame.retries, retry_delay=_policy_delay(frame.task.retry_delay_seconds)
        ),
        tags=sorted(frame.tags),
        labels={},
        state_id=state.id,
        task_inputs=inputs,
        state_type=state.type,
        state_name=state.name,
        state=state,
        run_count=frame.run_count,
        flow_run_run_count=frame.flow_frame.run_count if frame.flow_frame is not None else 0,
        expected_start_time=_moment(frame.expected_us),
        start_time=_moment(frame.start_us),
        end_time=_moment(frame.end_us),
        total_run_time=timedelta(microseconds=frame.total_us),
    )
    return frame.model


def _policy_delay(delays: Any) -> Any:
    if delays is None:
        return 0
    if isinstance(delays, (list, tuple)):
        return [int(delay) for delay in delays]
    return int(delays)


def flow_run(frame: FlowFrame) -> FlowRun:
    """The public model of a flow run, made anew after each change of state."""
    if frame.model is not None:
        return frame.model
    state = outcome.public_state(frame) if frame.state is not None else None
    if frame.adopted is not None:
        frame.model = frame.adopted.model_copy(update=_moving(frame, state))
        return frame.model
    frame.model = FlowRun(
        id=UUID(frame.id),
        created=from_us(frame.created_us),
        updated=state.timestamp if state is not None else None,
        name=frame.name,
        flow_id=_uuid(frame.flow_id) or UUID(int=0),
        flow_version=frame.flow.version,
        parameters=frame.parameters,
        empirical_policy=FlowRunPolicy(
            retries=frame.flow.retries, retry_delay=_policy_delay(frame.flow.retry_delay_seconds)
        ),
        tags=sorted(frame.tags),
        labels=frame.labels,
        parent_task_run_id=_uuid(frame.parent_task_run_id),
        state_id=state.id if state is not None else None,
        state_type=state.type if state is not None else None,
        state_name=state.name if state is not None else None,
        state=state,
        run_count=frame.run_count,
        expected_start_time=_moment(frame.expected_us),
        start_time=_moment(frame.start_us),
        end_time=_moment(frame.end_us),
        total_run_time=timedelta(microseconds=frame.total_us),
    )
    return frame.model


def _moving(frame: FlowFrame, state: Any) -> dict[str, Any]:
    """What changes of a flow run while it runs."""
    return {
        "name": frame.name,
        "tags": sorted(frame.tags),
        "updated": state.timestamp if state is not None else None,
        "parameters": frame.parameters,
        "state": state,
        "state_id": state.id if state is not None else None,
        "state_type": state.type if state is not None else None,
        "state_name": state.name if state is not None else None,
        "run_count": frame.run_count,
        "expected_start_time": _moment(frame.expected_us),
        "start_time": _moment(frame.start_us),
        "end_time": _moment(frame.end_us),
        "total_run_time": timedelta(microseconds=frame.total_us),
    }


def state_of_task(frame: TaskFrame, state: RunState) -> Any:
    """The public model of a state that a task run is about to enter."""
    return models.to_public(state, flow_run_id=frame.flow_run_id, task_run_id=frame.id)
