"""The resources that the current run adds to an event: the runs, the flow, their tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect._engine.recorder import get_recorder
from prefect._schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, RelatedResource


def tags_as_related_resources(tags: Iterable[str]) -> list[RelatedResource]:
    """Tags as related resources in the role `tag`, each once, in alphabetical order."""
    return [_resource("tag", tag, "tag") for tag in sorted(set(tags))]


def object_as_related_resource(kind: str, role: str, object: Any) -> RelatedResource:
    """An object of the API as a related resource.

    Args:
        kind: what it is, as in `flow-run`.
        role: what it has to do with the event.
        object: anything with an `id` and a `name`.
    """
    return _resource(kind, object.id, role, object.name)


def of_current_run(exclude: Iterable[str] = ()) -> list[RelatedResource]:
    """The current flow run, task run, flow and their tags, those that there are.

    Args:
        exclude: ids of resources to leave out.
    """
    excluded = frozenset(exclude)
    return [resource for resource in _of_current_run() if resource.id not in excluded]


def _of_current_run() -> Iterator[RelatedResource]:
    task_frame, flow_frame = current_task.get(), current_flow.get()
    flow_run_id = _flow_run_id(flow_frame, task_frame)
    if flow_run_id is not None:
        yield _resource("flow-run", flow_run_id, "flow-run", flow_frame.name if flow_frame is not None else None)
    if task_frame is not None:
        yield _resource("task-run", task_frame.id, "task-run", task_frame.name)
    flow_id = _flow_id(flow_frame)
    if flow_frame is not None and flow_id is not None:
        yield _resource("flow", flow_id, "flow", flow_frame.flow.name)
    yield from tags_as_related_resources(
        tag for frame in (flow_frame, task_frame) if frame is not None for tag in frame.tags
    )


def _flow_run_id(flow_frame: FlowFrame | None, task_frame: TaskFrame | None) -> str | None:
    # a task worker runs tasks of flow runs that are in another process
    if flow_frame is not None:
        return flow_frame.id
    return task_frame.flow_run_id if task_frame is not None else None


def _flow_id(frame: FlowFrame | None) -> str | None:
    if frame is None or frame.flow_id is not None:
        return frame.flow_id if frame is not None else None
    # in another process than the flow run, nobody has looked it up yet
    frame.flow_id = get_recorder().flow_id_of(frame.flow.name)
    return frame.flow_id


def _resource(kind: str, id: object, role: str, name: str | None = None) -> RelatedResource:
    labels = {RESOURCE_ID: f"prefect.{kind}.{id}", RESOURCE_ROLE: role}
    if name:
        labels[RESOURCE_NAME] = name
    return RelatedResource(labels)
