"""The names of runs: templates and callables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect._lazy import lazy_module
from prefect._schemas.naming import shortened

if TYPE_CHECKING:
    import inspect

    from prefect.runtime import flow_run as runtime_flow_run
    from prefect.runtime import task_run as runtime_task_run
else:
    inspect = lazy_module("inspect")
    runtime_flow_run = lazy_module("prefect.runtime.flow_run")
    runtime_task_run = lazy_module("prefect.runtime.task_run")


class _Runtime:
    """`{flow_run.x}` and `{task_run.x}` in a template: looked up when the template names them."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def flow_run_name(frame: FlowFrame) -> str:
    """The name that the flow's `flow_run_name` gives a run.

    Raises:
        TypeError: it is neither a template nor a callable that returns text.
    """
    return _make(frame.flow.flow_run_name, frame.parameters, "flow_run_name", frame.flow.name)


def task_run_name(frame: TaskFrame) -> str:
    """The name that the task's `task_run_name` gives a run."""
    tokens = current_task.set(frame), current_flow.set(frame.flow_frame)
    try:
        return _make(frame.task.task_run_name, frame.call_parameters, "task_run_name", frame.task.name)
    finally:
        current_task.reset(tokens[0])
        current_flow.reset(tokens[1])


_TEMPLATE_ERRORS = (KeyError, IndexError, AttributeError, TypeError, ValueError)


def _cannot_fill(source: str, exc: Exception, parameters: dict[str, Any], option: str, owner: str) -> str:
    """What a template wants that is not there, and what there is."""
    if isinstance(exc, KeyError) and exc.args and exc.args[0] not in parameters:
        reason = f"there is no parameter {exc.args[0]!r}"
    else:
        reason = str(exc)
    names = f"The parameters are: {', '.join(parameters)}." if parameters else "There are no parameters."
    return (
        f"The {option} {source!r} of {owner!r} cannot be filled in: {reason}. {names} "
        "What prefect.runtime tells can be used as well, as in {flow_run.name}."
    )


def _make(source: str | Callable[..., Any] | None, parameters: dict[str, Any], option: str, owner: str) -> str:
    if callable(source):
        takes_parameters = "parameters" in inspect.signature(source).parameters
        name = source(parameters=parameters) if takes_parameters else source()
        if not isinstance(name, str):
            raise TypeError(
                f"The {option} callable {getattr(source, '__name__', source)!r} of {owner!r} returned type "
                f"{type(name).__name__} but a string is required."
            )
        return shortened(name)
    if isinstance(source, str):
        if "{" not in source:
            return shortened(source)
        runtime = {"flow_run": _Runtime(runtime_flow_run), "task_run": _Runtime(runtime_task_run)}
        try:
            return shortened(source.format(**{**runtime, **parameters}))
        except Exception as exc:
            if type(exc) not in _TEMPLATE_ERRORS:
                raise  # of a parameter's own
            raise type(exc)(_cannot_fill(source, exc, parameters, option, owner)) from None
    raise TypeError(f"{option} of {owner!r} must be a string or a callable, not {type(source).__name__}.")
