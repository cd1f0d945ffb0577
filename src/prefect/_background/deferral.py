"""Deferring: a task run and its parameters are on disk before `.delay()` returns."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect._background import bells, payloads
from prefect._clock import now_us
from prefect._engine import inputs, submission
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_tags, current_task
from prefect._engine.recorder import get_local_recorder, get_recorder, is_served
from prefect._ids import new_id
from prefect._lazy import lazy_module
from prefect._rules.states import SCHEDULED, RunState, pending
from prefect._store import deferred_queue as queue
from prefect.logging.configuration import ensure_logging_setup

if TYPE_CHECKING:
    from prefect._background import served
    from prefect._engine import public
    from prefect._schemas.task_runs import TaskRun
else:
    served = lazy_module("prefect._background.served")
    public = lazy_module("prefect._engine.public")

Call = tuple[dict[str, Any], Any]
"""Parameters by name, and what to wait for."""


def place_of(task: Any) -> str:
    """Where a task's function is defined, the same whether its file is run, imported or loaded by a path; or ""."""
    code = getattr(task.fn, "__code__", None)
    file = getattr(code, "co_filename", "")
    return f"{task.fn.__qualname__}@{os.path.realpath(file)}" if os.path.isfile(file) else ""


def defer(
    task: Any,
    calls: Sequence[Call],
    *,
    dependencies: Mapping[str, Iterable[Any]] | None = None,
    id: str | None = None,
) -> list[TaskFrame]:
    """Record runs of a task as scheduled and queue them for task workers, all or none.

    Args:
        task: the task.
        calls: one for each run; the parameters may contain futures.
        dependencies: runs that they depend on, by parameter, as recorded inputs.
        id: the run's id, when there is one call; default a new one.

    Returns:
        The frames of the runs; nothing runs in this process.

    Raises:
        TypeError: a parameter cannot be pickled.
        DatabaseUnavailable: the database cannot be written; nothing is queued.
        ServerUnreachable: the server does not answer.
    """
    if current_flow.get() is None:
        ensure_logging_setup()
    prepared = [_Deferred(task, parameters, wait_for, dependencies, id) for parameters, wait_for in calls]
    try:
        for run in prepared:
            run.keep()
        (_put_served if is_served() else _put_local)(prepared)
    except BaseException:
        for run in prepared:
            run.forget()
        raise
    return [run.frame for run in prepared]


def _put_local(prepared: Sequence[_Deferred]) -> None:
    recorder = get_local_recorder()

    def work(connection: sqlite3.Connection) -> None:
        for run in prepared:
            run.write(recorder, connection)

    recorder.writer.commit(work)
    bells.ring(recorder.writer.path, bells.WORK)


def _put_served(prepared: Sequence[_Deferred]) -> None:
    for run in prepared:
        run.frame.enter(run.state)
    served.put((run.frame, run.state) for run in prepared)


def new_frame(task: Any, parameters: dict[str, Any], id: str | None = None) -> TaskFrame:
    """The frame of a run called here that something else will carry out; pending and not recorded."""
    flow_frame, parent = current_flow.get(), current_task.get()
    frame = TaskFrame(flow_frame.recorder if flow_frame is not None else get_recorder(), task, parameters, id)
    frame.name = f"{task.name}-{frame.id[-3:]}"
    frame.flow_frame, frame.parent = flow_frame, parent
    frame.flow_run_id = flow_frame.id if flow_frame is not None else None
    frame.tags = task.tag_set | current_tags.get()
    frame.enter(pending())
    return frame


class _Deferred:
    """One run on its way into the queue."""

    def __init__(self, task: Any, parameters: dict[str, Any], wait_for: Any, dependencies: Any, id: str | None) -> None:
        self.frame = frame = new_frame(task, parameters, id)
        self._waits_for: list[str] = []
        self._dependencies = recorded(dependencies or {})
        links = links_of(parameters, wait_for, frame.flow_frame)
        self._parameters = {name: self._portable(value) for name, value in parameters.items()}
        self._wait_for = self._portable(list(wait_for)) if wait_for is not None else None
        frame.parameters = frame.call_parameters = self._parameters
        if frame.parent is not None:
            links["__parents__"] = [{"input_type": "task_run", "id": frame.parent.id}]
        frame.inputs = {**links, **self._dependencies} or None
        needs_keeping = bool(parameters) or wait_for is not None or frame.flow_frame is not None or current_tags.get()
        self._identifier = new_id() if needs_keeping else None
        self.state = RunState(SCHEDULED, details=queue.scheduled_details(self._identifier, now_us()))

    def _portable(self, value: Any) -> Any:
        kept, upstream = payloads.portable(value)
        self._waits_for += upstream
        return kept

    def keep(self) -> None:
        if self._identifier is not None:
            payloads.keep(self.frame.task, self._identifier, self._parameters, self._wait_for)

    def forget(self) -> None:
        if self._identifier is not None:
            payloads.forget(self._identifier)

    def write(self, recorder: Any, connection: sqlite3.Connection) -> None:
        frame, state = self.frame, self.state
        frame.enter(state)
        recorder.write_task_state(connection, (frame, state, 0, None, None, 0, frame.expected_us))
        queue.put(
            connection,
            frame.id,
            task_key=frame.task.task_key,
            place=place_of(frame.task),
            due=state.details["scheduled_time"],
            waits_for=self._waits_for,
            dependencies=self._dependencies,
            parameters=self._identifier,
        )


def recorded(dependencies: Mapping[str, Iterable[Any]]) -> dict[str, list[dict[str, str]]]:
    """Run inputs of the API in the form in which they are recorded."""
    return {
        name: [{"input_type": each.input_type, "id": str(each.id)} for each in entries]
        for name, entries in dependencies.items()
    }


def links_of(parameters: dict[str, Any], wait_for: Any, flow_frame: FlowFrame | None) -> dict[str, list[Any]]:
    """The runs that a call's arguments come from, as recorded inputs."""
    links: dict[str, list[Any]] = {}
    for name, value in (*parameters.items(), ("wait_for", wait_for)):
        entries = [{"input_type": "task_run", "id": str(each.task_run_id)} for each in inputs.find_futures([value])]
        if flow_frame is not None and (origin := flow_frame.origin(value)):
            entries.append({"input_type": origin[0], "id": origin[1]})
        if entries:
            links[name] = entries
    return links


def defer_mapped(task: Any, parameters: dict[str, Any], wait_for: Any) -> list[TaskFrame]:
    """`defer` once for each element of the iterable arguments, all in one transaction: see `Task.map`."""
    waits = list(wait_for) if wait_for is not None else None
    return defer(task, [(call, waits) for call in submission.expand(task, parameters)])


def create_run(
    task: Any,
    id: Any,
    parameters: dict[str, Any] | None,
    within: tuple[Any, Any],
    wait_for: Any,
    dependencies: Mapping[str, Iterable[Any]] | None,
    deferred: bool,
    *,
    local: bool = False,
) -> TaskRun:
    """Make a run of a task without carrying it out: see `Task.create_run`, and with `local` `Task.create_local_run`."""
    parameters, text_id = parameters or {}, str(id) if id is not None else None
    flow_token = current_flow.set(within[0].to_frame()) if within[0] is not None else None
    task_token = current_task.set(within[1].to_frame()) if within[1] is not None else None
    try:
        if deferred and not local:
            frame = defer(task, [(parameters, wait_for)], dependencies=dependencies, id=text_id)[0]
        elif deferred:
            run = _Deferred(task, parameters, wait_for, dependencies, text_id)
            run.keep()
            frame = run.frame
            frame.enter(run.state)
        else:
            frame = new_frame(task, parameters, text_id)
            links = links_of(parameters, wait_for, frame.flow_frame)
            frame.inputs = {**links, **recorded(dependencies or {})} or None
            if not local:
                frame.recorder.task_state(frame, pending())
                frame.recorder.flush()
    finally:
        if task_token is not None:
            current_task.reset(task_token)
        if flow_token is not None:
            current_flow.reset(flow_token)
    return public.task_run(frame)
