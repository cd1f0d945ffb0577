"""Taking what is current to another process: the run, its tags, the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_tags, current_task
from prefect._engine.recorder import get_recorder
from prefect._rules.states import RunState
from prefect.logging.configuration import ensure_logging_setup
from prefect.settings.context import get_current_settings, pop_settings, push_settings


def pack() -> dict[str, Any]:
    """What is current here, as a dict that pickles (with cloudpickle)."""
    flow_frame, task_frame = current_flow.get(), current_task.get()
    settings = get_current_settings()
    return {
        "flow_run_context": _pack_flow(flow_frame) if flow_frame is not None else {},
        "task_run_context": _pack_task(task_frame) if task_frame is not None else {},
        "tags_context": {"current_tags": sorted(current_tags.get())},
        "settings_context": {"settings": settings, "home": os.fspath(settings.home)},
    }


@contextmanager
def unpacked(context: dict[str, Any] | None) -> Iterator[None]:
    """Make what `pack` took along current in the block."""
    if not context:
        yield
        return
    settings = (context.get("settings_context") or {}).get("settings")
    pushed = push_settings(settings) if settings is not None and not isinstance(settings, dict) else None
    ensure_logging_setup()
    tokens: list[tuple[Any, Any]] = []
    flow_frame: FlowFrame | None = None
    try:
        tags = (context.get("tags_context") or {}).get("current_tags")
        if tags is not None:
            tokens.append((current_tags, current_tags.set(frozenset(tags))))
        if context.get("flow_run_context"):
            flow_frame = _unpack_flow(context["flow_run_context"])
            tokens.append((current_flow, current_flow.set(flow_frame)))
        if context.get("task_run_context"):
            task_frame = _unpack_task(context["task_run_context"], flow_frame)
            tokens.append((current_task, current_task.set(task_frame)))
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)
        if flow_frame is not None and flow_frame.task_runner is not None:
            flow_frame.task_runner.__exit__(None, None, None)
        if pushed is not None:
            pop_settings(pushed)


_COMMON = ("id", "name", "tags", "run_count", "log_prints", "persist", "start_us", "created_us")


def _common(frame: Any) -> dict[str, Any]:
    data = {name: getattr(frame, name) for name in _COMMON}
    data["state"] = frame.state.__getstate__()[:3] if frame.state is not None else None
    return data


def _restore(frame: Any, data: dict[str, Any]) -> None:
    for name in _COMMON:
        setattr(frame, name, data[name])
    if data["state"] is not None:
        frame.state = RunState(*data["state"])


def _pack_flow(frame: FlowFrame) -> dict[str, Any]:
    return _common(frame) | {"flow": frame.flow, "parameters": frame.parameters, "flow_id": frame.flow_id}


def _unpack_flow(data: dict[str, Any]) -> FlowFrame:
    frame = FlowFrame(get_recorder(), data["flow"], data["parameters"], data["id"])
    _restore(frame, data)
    frame.flow_id = data["flow_id"]
    frame.created = frame.detached = True
    return frame


def _pack_task(frame: TaskFrame) -> dict[str, Any]:
    return _common(frame) | {
        "task": frame.task, "flow_run_id": frame.flow_run_id, "dynamic_key": frame.dynamic_key,
    }  # fmt: skip


def _unpack_task(data: dict[str, Any], flow_frame: FlowFrame | None) -> TaskFrame:
    frame = TaskFrame(get_recorder(), data["task"], {}, data["id"])
    _restore(frame, data)
    frame.flow_frame, frame.flow_run_id, frame.dynamic_key = flow_frame, data["flow_run_id"], data["dynamic_key"]
    return frame
