"""`prefect task`: serve tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console

if TYPE_CHECKING:
    from prefect import _entrypoints, exceptions, task_worker, tasks
    from prefect.tasks import Task
else:
    _entrypoints = lazy_module("prefect._entrypoints")
    exceptions = lazy_module("prefect.exceptions")
    task_worker = lazy_module("prefect.task_worker")
    tasks = lazy_module("prefect.tasks")

app = App(name="task", help="Serve tasks.")


@app.command
def serve(
    entrypoints: Annotated[
        list[str] | None,
        Parameter(help="Tasks as path/to/file.py:task or package.module:task.", negative=()),
    ] = None,
    *,
    module: Annotated[
        list[str] | None,
        Parameter(name=["--module", "-m"], help="Serve all tasks of this module. May be repeated.", negative=()),
    ] = None,
    limit: Annotated[int, Parameter(help="How many runs at a time; 0 for no limit.")] = 10,
) -> None:
    """Carry out deferred runs of tasks until stopped.

    Of a file without a task's name, all tasks are served.
    """
    served = [task for text in entrypoints or () for task in _load(text)]
    for name in module or ():
        served += _load(f"{name}:")
    if not served:
        _console.fail("Name a task to serve, such as path/to/file.py:task, or a module with --module.")
    if limit < 0:
        _console.fail(f"--limit must be 0 (no limit) or more, not {limit}.")
    task_worker.serve(*dict.fromkeys(served), limit=limit or None)


def _load(text: str) -> list[Task[..., Any]]:
    """The tasks that an entrypoint names; all of a file or module when it names none."""
    try:
        target = _entrypoints.Entrypoint(text)
        module = target.module()
    except (ImportError, FileNotFoundError, ValueError) as problem:
        _console.fail(str(problem))
    except exceptions.ScriptError as problem:
        _console.fail(f"{text!r} could not be loaded: {type(problem.user_exc).__name__}: {problem.user_exc}")
    if not target.name:
        every = [value for value in vars(module).values() if isinstance(value, tasks.Task)]
        return every or _console.fail(f"There are no tasks in {target.place!r}.")
    try:
        task = target.find(module)
    except AttributeError:
        _console.fail(f"There is no task {target.name!r} in {target.place!r}.")
    if not isinstance(task, tasks.Task):
        _console.fail(
            f"{target.name!r} in {target.place!r} is not a task. Make sure that it is decorated with '@task'."
        )
    return [task]
