"""Run a task from a task runner's side: what distributed runners call in their workers."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from prefect._bridge import run as run_now
from prefect._engine import generators, outcome, task_run, transfer
from prefect._engine.port import ASYNC, SYNC
from prefect._engine.task_run import TaskRunTimeoutError

if TYPE_CHECKING:
    from prefect._schemas.task_runs import TaskRun
    from prefect.futures import PrefectFuture
    from prefect.tasks import Task

ReturnType = Literal["state", "result"]

__all__ = [
    "TaskRunTimeoutError",
    "run_generator_task_async",
    "run_generator_task_sync",
    "run_task",
    "run_task_async",
    "run_task_sync",
]


def _id(task_run_id: UUID | None, task_run: TaskRun | None) -> str | None:
    given = task_run_id or (task_run.id if task_run is not None else None)
    return str(given) if given is not None else None


def run_task(
    task: Task[..., Any],
    task_run_id: UUID | None = None,
    task_run: TaskRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    dependencies: dict[str, set[Any]] | None = None,
    context: dict[str, Any] | None = None,
) -> Any | Coroutine[Any, Any, Any]:
    """Run a task of any kind.

    Args:
        task: the task.
        task_run_id: the id its run is to have; by default a new one.
        task_run: the run, where it exists already; its id is used.
        parameters: its arguments by name.
        wait_for: futures or states to wait for.
        return_type: `"result"` to return the result or raise, `"state"` to return the final state.
        dependencies: the runs it depends on, where they are known already.
        context: from `prefect.context.serialize_context`, when this is another process.

    Returns:
        The result or state; for an asynchronous task a coroutine; for a generator task a generator.
    """
    arguments = (task, task_run_id, task_run, parameters, wait_for, return_type, dependencies, context)
    if task.isgenerator:
        return (run_generator_task_async if task.isasync else run_generator_task_sync)(*arguments)
    return (run_task_async if task.isasync else run_task_sync)(*arguments)


def run_task_sync(
    task: Task[..., Any],
    task_run_id: UUID | None = None,
    task_run: TaskRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    dependencies: dict[str, set[Any]] | None = None,
    context: dict[str, Any] | None = None,
) -> Any:
    """Run a synchronous task: see `run_task`."""
    with transfer.unpacked(context):
        frame = _begin(task, _id(task_run_id, task_run), parameters, wait_for)
        try:
            run_now(_run(SYNC, frame))
        finally:
            if context:
                frame.recorder.flush()
        return outcome.public_state(frame) if return_type == "state" else outcome.value_or_raise(frame)


async def run_task_async(
    task: Task[..., Any],
    task_run_id: UUID | None = None,
    task_run: TaskRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    dependencies: dict[str, set[Any]] | None = None,
    context: dict[str, Any] | None = None,
) -> Any:
    """Run an asynchronous task: see `run_task`."""
    with transfer.unpacked(context):
        frame = _begin(task, _id(task_run_id, task_run), parameters, wait_for)
        try:
            await _run(ASYNC, frame)
        finally:
            if context:
                frame.recorder.flush()
        return outcome.public_state(frame) if return_type == "state" else outcome.value_or_raise(frame)


_run = task_run.run
_begin_frame = task_run.begin


def _begin(task: Task[..., Any], id: str | None, parameters: dict[str, Any] | None, wait_for: Any) -> Any:
    return _begin_frame(task, parameters or {}, id=id, wait_for=wait_for)


def run_generator_task_sync(
    task: Task[..., Any],
    task_run_id: UUID | None = None,
    task_run: TaskRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    dependencies: dict[str, set[Any]] | None = None,
    context: dict[str, Any] | None = None,
) -> Any:
    """Run a synchronous generator task: see `run_task`."""
    if return_type != "result":
        raise ValueError("The return_type for a generator task must be 'result'.")
    with transfer.unpacked(context):
        frame = _begin(task, _id(task_run_id, task_run), parameters, wait_for)
        return (yield from generators.drive(_iterate(SYNC, frame, False), lambda: frame.value))


def run_generator_task_async(
    task: Task[..., Any],
    task_run_id: UUID | None = None,
    task_run: TaskRun | None = None,
    parameters: dict[str, Any] | None = None,
    wait_for: Iterable[PrefectFuture[Any]] | None = None,
    return_type: ReturnType = "result",
    dependencies: dict[str, set[Any]] | None = None,
    context: dict[str, Any] | None = None,
) -> Any:
    """Run an asynchronous generator task: see `run_task`."""
    if return_type != "result":
        raise ValueError("The return_type for a generator task must be 'result'.")
    return generators.pass_on(
        lambda: _iterate(ASYNC, _begin(task, _id(task_run_id, task_run), parameters, wait_for), True)
    )


_iterate = task_run.iterate
