"""The current task run.

Attributes:
    id: its id, as text, or None.
    name: its name.
    task_name: the name of its task.
    tags: its tags, a sorted list.
    run_count: how often it has begun to run, this time included; 0 outside a task run.
    parameters: what its function was called with, by name.
    api_url, ui_url: its address in the API and in the UI; None without an API.
"""

from __future__ import annotations

from typing import Any

from prefect._engine.frames import current_task
from prefect._lazy import lazy_module
from prefect.runtime._fields import runtime_attributes

urls = lazy_module("prefect.utilities.urls")

id: str | None
tags: list[str]
name: str | None
parameters: dict[str, Any]
run_count: int
task_name: str | None
api_url: str | None
ui_url: str | None


def get_id() -> str | None:
    """The id of the task run."""
    frame = current_task.get()
    return frame.id if frame is not None else None


def get_name() -> str | None:
    """The name of the task run."""
    frame = current_task.get()
    return frame.name if frame is not None else None


def get_task_name() -> str | None:
    """The name of the task."""
    frame = current_task.get()
    return frame.task_name if frame is not None else None


def get_tags() -> list[str]:
    """The tags of the task run."""
    frame = current_task.get()
    return sorted(frame.tags) if frame is not None else []


def get_run_count() -> int:
    """How often the task run has begun to run."""
    frame = current_task.get()
    return frame.run_count if frame is not None else 0


def get_parameters() -> dict[str, Any]:
    """The parameters of the task run."""
    frame = current_task.get()
    return dict(frame.parameters) if frame is not None else {}


def get_task_run_api_url() -> str | None:
    """The address of the task run in the API."""
    run_id = get_id()
    return urls.url_for("task-run", run_id, url_type="api") if run_id is not None else None


def get_task_run_ui_url() -> str | None:
    """The address of the task run in the UI."""
    run_id = get_id()
    return urls.url_for("task-run", run_id, url_type="ui") if run_id is not None else None


_FIELDS = {
    "id": get_id,
    "tags": get_tags,
    "name": get_name,
    "parameters": get_parameters,
    "run_count": get_run_count,
    "task_name": get_task_name,
    "api_url": get_task_run_api_url,
    "ui_url": get_task_run_ui_url,
}
__all__ = list(_FIELDS)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__, __dir__ = runtime_attributes(__name__, _FIELDS)
