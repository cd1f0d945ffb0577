"""Which run is this, and running code in another context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from typing import Any
from uuid import UUID

from prefect._engine.frames import current_flow, current_task


def get_task_run_id() -> UUID | None:
    """The id of the current task run, None outside one."""
    task = current_task.get()
    return UUID(task.id) if task is not None else None


def get_flow_run_id() -> UUID | None:
    """The id of the current flow run (in a task, the one it belongs to), None outside one."""
    return get_task_and_flow_run_ids()[1]


def get_task_and_flow_run_ids() -> tuple[UUID | None, UUID | None]:
    """The ids of the current task run and of the current flow run."""
    task, flow = current_task.get(), current_flow.get()
    flow_run_id = task.flow_run_id if task is not None and task.flow_run_id is not None else flow and flow.id
    return UUID(task.id) if task is not None else None, UUID(flow_run_id) if flow_run_id is not None else None


@contextmanager
def temporary_context(context: Context) -> Iterator[None]:
    """Give every context variable the value it has in `context`, for the duration of a `with` block.

    Args:
        context: a copy made elsewhere by `contextvars.copy_context()`. Variables it does not know keep their values.
    """
    tokens: list[tuple[ContextVar[Any], Token[Any]]] = [(key, key.set(value)) for key, value in context.items()]
    try:
        yield
    finally:
        for key, token in reversed(tokens):
            key.reset(token)
