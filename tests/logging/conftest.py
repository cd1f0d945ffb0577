"""Fixtures: a logging tree that is put back after each test, runs, and what was recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect.logging import configuration
from prefect.logging import sink as _sink

LOGGERS = ["", *(name for name in configuration.default_logging_config()["loggers"]), "mylib"]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Take pytest's own handlers, which it adds when the test is called, off the root logger: ours respects them."""
    root = logging.getLogger()
    before = root.handlers[:]
    if "tree" in getattr(item, "fixturenames", ()):
        root.handlers[:] = []
    try:
        return (yield)
    finally:
        root.handlers[:] = before


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every logger as in a fresh process; put back afterwards."""
    before = {}
    for name in LOGGERS:
        logger = logging.getLogger(name)
        before[logger] = (logger.handlers[:], logger.level, logger.propagate, logger.disabled)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(logging.WARNING if name == "" else logging.NOTSET)
    config, ready = dict(configuration.PROCESS_LOGGING_CONFIG), configuration._ready
    configuration.PROCESS_LOGGING_CONFIG.clear()
    configuration._ready = False
    yield
    for logger, (handlers, level, propagate, disabled) in before.items():
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
        logger.disabled = disabled
    configuration.PROCESS_LOGGING_CONFIG.clear()
    configuration.PROCESS_LOGGING_CONFIG.update(config)
    configuration._ready = ready


@pytest.fixture
def rows(tree: None) -> Iterator[list[tuple[Any, ...]]]:
    """What reaches the sink."""
    found: list[tuple[Any, ...]] = []
    before = _sink._sink, _sink._flush
    _sink._waiting.clear()
    _sink.set_sink(found.append)
    yield found
    _sink.set_sink(*before)


def flow_frame(**fields: Any) -> FlowFrame:
    frame = FlowFrame(None, SimpleNamespace(name="My Flow", version="v1"), {"x": 1}, fields.pop("id", None))  # type: ignore[arg-type]
    frame.name = "fast-fox"
    for name, value in fields.items():
        setattr(frame, name, value)
    return frame


def task_frame(flow: FlowFrame | None = None, **fields: Any) -> TaskFrame:
    frame = TaskFrame(None, SimpleNamespace(name="My Task", retries=0), {"y": 2})  # type: ignore[arg-type]
    frame.name = "My Task-1a2"
    if flow is not None:
        frame.flow_frame, frame.flow_run_id = flow, flow.id
    for name, value in fields.items():
        setattr(frame, name, value)
    return frame


@pytest.fixture
def flow_run() -> Iterator[FlowFrame]:
    """A flow run that is current."""
    frame = flow_frame()
    token = current_flow.set(frame)
    yield frame
    current_flow.reset(token)


@pytest.fixture
def task_run(flow_run: FlowFrame) -> Iterator[TaskFrame]:
    """A task run that is current, in that flow run."""
    frame = task_frame(flow_run)
    token = current_task.set(frame)
    yield frame
    current_task.reset(token)
