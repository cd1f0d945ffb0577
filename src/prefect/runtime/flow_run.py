"""The current flow run (in a task: the flow run it belongs to).

Attributes:
    id: its id, as text; outside a run that of the environment variable `PREFECT__FLOW_RUN_ID`, or None.
    name: its name.
    tags: its tags, a sorted list.
    run_count: how often it has begun to run, this time included; 0 outside a run.
    scheduled_start_time: when it was to begin (UTC); outside a run: now.
    flow_name, flow_version: of its flow.
    parameters: what its function was called with, by name.
    parent_flow_run_id: the flow run that called it, also by `run_deployment`; None for one that was not called by another.
    root_flow_run_id: the outermost of the flow runs that it is part of.
    parent_deployment_id: the deployment of the flow run that called it.
    job_variables: of the infrastructure it runs on, None outside a run.
    api_url, ui_url: its address in the API and in the UI; None without an API.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from prefect._clock import from_us, now
from prefect._engine.frames import FlowFrame
from prefect._lazy import lazy_module
from prefect.runtime import _recorded
from prefect.runtime._fields import current_flow_frame, runtime_attributes

urls = lazy_module("prefect.utilities.urls")

id: str | None
tags: list[str]
scheduled_start_time: datetime
name: str | None
flow_name: str | None
flow_version: str | None
parameters: dict[str, Any]
parent_flow_run_id: str | None
parent_deployment_id: str | None
root_flow_run_id: str | None
run_count: int
api_url: str | None
ui_url: str | None
job_variables: dict[str, Any] | None


def get_id() -> str | None:
    """The id of the flow run."""
    frame = current_flow_frame()
    return frame.id if frame is not None else os.environ.get("PREFECT__FLOW_RUN_ID") or None


def get_name() -> str | None:
    """The name of the flow run."""
    frame = current_flow_frame()
    return frame.name if frame is not None else None


def get_tags() -> list[str]:
    """The tags of the flow run."""
    frame = current_flow_frame()
    return sorted(frame.tags) if frame is not None else []


def get_run_count() -> int:
    """How often the flow run has begun to run."""
    frame = current_flow_frame()
    return frame.run_count if frame is not None else 0


def get_scheduled_start_time() -> datetime:
    """When the flow run was to begin."""
    frame = current_flow_frame()
    return now() if frame is None or frame.expected_us is None else from_us(frame.expected_us)


def get_flow_name() -> str | None:
    """The name of the flow."""
    frame = current_flow_frame()
    return frame.flow_name if frame is not None else None


def get_flow_version() -> str | None:
    """The version of the flow."""
    frame = current_flow_frame()
    return frame.flow.version if frame is not None else None


def get_parameters() -> dict[str, Any]:
    """The parameters of the flow run."""
    frame = current_flow_frame()
    return dict(frame.parameters) if frame is not None else {}


def get_parent_flow_run_id() -> str | None:
    """The id of the flow run that called this one."""
    frame = current_flow_frame()
    return _parent_of(frame) if frame is not None else None


def get_root_flow_run_id() -> str | None:
    """The id of the outermost flow run that this one is part of."""
    frame = current_flow_frame()
    if frame is None:
        return get_id()
    while frame.parent is not None:
        frame = frame.parent
    root, caller = frame.id, _parent_of(frame)
    while caller is not None:  # carried out by another process
        root, task_run = caller, _recorded.origin(caller).parent_task_run_id
        caller = _recorded.flow_run_of_task_run(task_run) if task_run is not None else None
    return root


def get_parent_deployment_id() -> str | None:
    """The id of the deployment of the flow run that called this one."""
    frame = current_flow_frame()
    if frame is None:
        return None
    if frame.parent is not None:
        return frame.parent.deployment_id
    caller = _parent_of(frame)
    return _recorded.origin(caller).deployment_id if caller is not None else None


def _parent_of(frame: FlowFrame) -> str | None:
    """The flow run that called another, also when that was made for it by a deployment."""
    if frame.parent_flow_run_id is None and frame.parent_task_run_id is not None:
        frame.parent_flow_run_id = _recorded.flow_run_of_task_run(frame.parent_task_run_id)
    return frame.parent_flow_run_id


def get_job_variables() -> dict[str, Any] | None:
    """The variables of the infrastructure that the flow run runs on."""
    frame = current_flow_frame()
    return dict(getattr(frame, "job_variables", None) or {}) if frame is not None else None


def get_flow_run_api_url() -> str | None:
    """The address of the flow run in the API."""
    run_id = get_id()
    return urls.url_for("flow-run", run_id, url_type="api") if run_id is not None else None


def get_flow_run_ui_url() -> str | None:
    """The address of the flow run in the UI."""
    run_id = get_id()
    return urls.url_for("flow-run", run_id, url_type="ui") if run_id is not None else None


_FIELDS = {
    "id": get_id,
    "tags": get_tags,
    "scheduled_start_time": get_scheduled_start_time,
    "name": get_name,
    "flow_name": get_flow_name,
    "flow_version": get_flow_version,
    "parameters": get_parameters,
    "parent_flow_run_id": get_parent_flow_run_id,
    "parent_deployment_id": get_parent_deployment_id,
    "root_flow_run_id": get_root_flow_run_id,
    "run_count": get_run_count,
    "api_url": get_flow_run_api_url,
    "ui_url": get_flow_run_ui_url,
    "job_variables": get_job_variables,
}
__all__ = list(_FIELDS)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__, __dir__ = runtime_attributes(__name__, _FIELDS)
