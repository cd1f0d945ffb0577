"""What stands for a sub-flow in the run that called it: a task run that is recorded like any other and runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._engine.options import policy_json
from prefect._ids import twin_id
from prefect._rules.states import PENDING, RunState, pending

if TYPE_CHECKING:
    from prefect.flows import Flow


class _Task:
    """What a recorder asks of a task."""

    __slots__ = ("name", "policy_json", "retries", "tag_set", "task_key", "version")

    def __init__(self, flow: Flow[..., Any]) -> None:
        self.name = flow.name
        self.task_key = f"{flow.fn.__module__}.{getattr(flow.fn, '__qualname__', flow.name)}"
        self.version = flow.version
        self.retries = 0
        self.tag_set: frozenset[str] = frozenset()
        self.policy_json = policy_json(0, 0)


class Stand:
    """The task run that stands for a sub-flow in its parent; it is recorded, as pending, when this is made.

    Args:
        frame: the sub-flow; knows the flow run around it, and is told its parent task run.
        parent_task: the task run around it.
    """

    __slots__ = ("_child_id", "_frame")

    def __init__(self, frame: FlowFrame, parent_task: TaskFrame | None) -> None:
        stand = TaskFrame(frame.recorder, _Task(frame.flow), frame.parameters)  # type: ignore[arg-type]
        stand.name = f"{frame.flow.name}-{stand.id[-3:]}"
        stand.flow_frame = frame.parent
        stand.flow_run_id = frame.parent.id if frame.parent is not None else None
        stand.parent = parent_task
        if parent_task is not None:
            stand.inputs = {"__parents__": [{"input_type": "task_run", "id": parent_task.id}]}
        frame.parent_task_run_id = stand.id
        first = frame.state or pending()
        stand.recorder.task_state(stand, RunState(PENDING, timestamp=first.timestamp, id=twin_id(first.id)))
        self._frame = stand
        self._child_id = frame.id

    def link(self, inputs: dict[str, Any]) -> None:
        """Runs that the sub-flow's arguments came from."""
        self._frame.inputs = {**(self._frame.inputs or {}), **inputs}

    def mirror(self, state: RunState) -> None:
        """Enter the state that the sub-flow has entered."""
        details = {"child_flow_run_id": self._child_id}
        # a server says the same by itself: of the two, which have the same id, it keeps one
        twin = RunState(state.type, state.name, state.message, None, details, state.timestamp, twin_id(state.id))
        self._frame.recorder.task_state(self._frame, twin)
