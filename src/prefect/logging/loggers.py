"""Loggers of runs and of Prefect itself, and `print` as a logger."""

from __future__ import annotations

import builtins
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from prefect._engine.frames import FlowFrame, RunFrame, TaskFrame, current_flow, current_frame
from prefect._parsing import undisturbed
from prefect.exceptions import MissingContextError

if TYPE_CHECKING:
    from typing import Self

    from prefect.client.schemas.objects import FlowRun, TaskRun
    from prefect.context import FlowRunContext, RunContext, TaskRunContext
    from prefect.flows import Flow
    from prefect.tasks import Task

    LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    LoggerAdapter = logging.LoggerAdapter

_UNKNOWN = "<unknown>"


class PrefectLogAdapter(LoggerAdapter):
    """A logger that puts the same extra fields on every record; those given with a single call are added to them.

    Args:
        logger: what it logs to.
        extra: the fields: ids and names of the run.
    """

    extra: MutableMapping[str, Any]  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, logger: logging.Logger, extra: MutableMapping[str, Any] | None = None) -> None:
        super().__init__(logger, extra if extra is not None else {})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the extra fields into the arguments of a logging call."""
        given = kwargs.get("extra")
        kwargs["extra"] = {**self.extra, **given} if given else self.extra
        return msg, kwargs

    def getChild(self, suffix: str, extra: MutableMapping[str, Any] | None = None) -> PrefectLogAdapter:
        """The logger `suffix` below this one, with the same fields and some more.

        Args:
            suffix: the last part of its name.
            extra: the fields it has besides.
        """
        return PrefectLogAdapter(self.logger.getChild(suffix), {**self.extra, **(extra or {})})


@cache
def get_logger(name: str | None = None) -> logging.Logger:
    """A logger of Prefect: `prefect`, or one below it.

    For logging within runs use `get_run_logger`.

    Args:
        name: the name, with or without the leading `prefect.`.
    """
    if name is None or name == "prefect":
        return logging.getLogger("prefect")
    return logging.getLogger(name if name.startswith("prefect.") else f"prefect.{name}")


def get_run_logger(context: RunContext | RunFrame | None = None, **kwargs: Any) -> PrefectLogAdapter:
    """The logger of the current run: what it logs is shown and recorded with the run.

    Args:
        context: a context to take the run from; default the current one (the task run's, inside a task).
        **kwargs: more fields for every record.

    Raises:
        MissingContextError: called outside a run.
    """
    if context is None:
        frame = current_frame()
    elif isinstance(context, RunFrame):
        frame = context
    else:
        return _context_logger(context, kwargs)
    if frame is not None:
        return _frame_logger(frame, kwargs)
    if get_logger("prefect.flow_runs").disabled and get_logger("prefect.task_runs").disabled:
        return PrefectLogAdapter(get_logger("prefect.flow_runs"), kwargs)
    raise MissingContextError(
        "There is no active flow or task run context: get_run_logger() works inside functions decorated with @flow or "
        "@task. In other code use logging.getLogger(), in a new thread copy the context (contextvars.copy_context()), "
        "and to call a run's function in a test use prefect.logging.disable_run_logger()."
    )


def _frame_logger(frame: RunFrame, fields: dict[str, Any]) -> PrefectLogAdapter:
    logger: PrefectLogAdapter | None = frame.logger
    if logger is None or (logger.extra.get("task_run_name") or logger.extra.get("flow_run_name")) != frame.name:
        # a run may get its name after its first line was logged
        if isinstance(frame, TaskFrame):
            logger = task_run_logger(frame, frame.task, frame.flow_frame)
        else:
            logger = flow_run_logger(frame, frame.flow if isinstance(frame, FlowFrame) else None)
        frame.logger = logger
    return PrefectLogAdapter(logger.logger, {**logger.extra, **fields}) if fields else logger


def _context_logger(context: FlowRunContext | TaskRunContext | Any, fields: dict[str, Any]) -> PrefectLogAdapter:
    task_run = getattr(context, "task_run", None)
    if task_run is not None:
        return task_run_logger(task_run, getattr(context, "task", None), **fields)
    flow_run = getattr(context, "flow_run", None)
    if flow_run is not None or getattr(context, "flow", None) is not None:
        return flow_run_logger(flow_run, getattr(context, "flow", None), **fields)
    raise MissingContextError(
        f"The given context ({type(context).__name__}) is that of no run; "
        "pass a FlowRunContext or a TaskRunContext, or nothing for the current one."
    )


def flow_run_logger(
    flow_run: FlowRun | FlowFrame | Any | None = None,
    flow: Flow[..., Any] | None = None,
    flow_run_id: Any = None,
    **kwargs: Any,
) -> PrefectLogAdapter:
    """The logger of a flow run.

    Args:
        flow_run: the run.
        flow: its flow.
        flow_run_id: the run's id, when that is all there is.
        **kwargs: more fields for every record.
    """
    run_id = flow_run.id if flow_run is not None else flow_run_id
    name = flow.name if flow is not None else getattr(flow_run, "flow_name", None)
    return PrefectLogAdapter(
        get_logger("prefect.flow_runs"),
        {
            "flow_run_name": flow_run.name if flow_run is not None else _UNKNOWN,
            "flow_run_id": _text(run_id),
            "flow_name": name or _UNKNOWN,
            "deployment_name": getattr(flow_run, "deployment_name", None),
            **kwargs,
        },
    )


def task_run_logger(
    task_run: TaskRun | TaskFrame | Any,
    task: Task[..., Any] | None = None,
    flow_run: FlowRun | FlowFrame | Any | None = None,
    flow: Flow[..., Any] | None = None,
    **kwargs: Any,
) -> PrefectLogAdapter:
    """The logger of a task run.

    Args:
        task_run: the run.
        task: its task.
        flow_run: the flow run it belongs to; default the current one, when it is that.
        flow: the flow of that run.
        **kwargs: more fields for every record.
    """
    flow_run_id = getattr(task_run, "flow_run_id", None)
    if flow_run is None:
        current = current_flow.get()
        if current is not None and current.id == _text(flow_run_id):
            flow_run = current
    flow_name = flow.name if flow is not None else getattr(flow_run, "flow_name", None)
    return PrefectLogAdapter(
        get_logger("prefect.task_runs"),
        {
            "task_run_id": str(task_run.id),
            "flow_run_id": _text(flow_run_id),
            "task_run_name": task_run.name,
            "task_name": task.name if task is not None else getattr(task_run, "task_name", None) or _UNKNOWN,
            "flow_run_name": flow_run.name if flow_run is not None else _UNKNOWN,
            "flow_name": flow_name or _UNKNOWN,
            **kwargs,
        },
    )


def _text(id: Any) -> str | None:
    return None if id is None else str(id)


def get_worker_logger(worker: Any, name: str | None = None) -> logging.Logger | PrefectLogAdapter:
    """The logger of a worker; when the API knows the worker, what it logs is recorded with it.

    Args:
        worker: the worker.
        name: the name below `prefect`; default `workers.{type}.{name}` in lower case.
    """
    logger = get_logger(name or f"workers.{type(worker).type}.{worker.name.lower()}")
    worker_id = getattr(worker, "backend_id", None)
    return logger if worker_id is None else PrefectLogAdapter(logger, {"worker_id": str(worker_id)})


@contextmanager
def disable_logger(name: str) -> Iterator[None]:
    """Silence a logger for the duration of a `with` block, in the whole process.

    Args:
        name: the logger's name.
    """
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def disable_run_logger() -> Iterator[None]:
    """Silence the loggers of runs for the duration of a `with` block; `get_run_logger` then works outside runs too.

    For tests that call the function of a flow or task directly: `with disable_run_logger(): my_task.fn()`.
    """
    with disable_logger("prefect.flow_runs"), disable_logger("prefect.task_runs"):
        yield


# ── print ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_print: Callable[..., None] = builtins.print
_patches = 0
_patch_lock = threading.Lock()
_printing = threading.local()


def print_as_log(*args: Any, **kwargs: Any) -> None:
    """`print`, but inside a run with `log_prints` a line of the run's log (level INFO).

    What is printed to a `file` other than `sys.stdout` and `sys.stderr` goes there.
    """
    frame = current_frame()
    file = kwargs.get("file")
    if (
        frame is None
        or not frame.log_prints
        or (file is not None and file is not sys.stdout and file is not sys.stderr)
        or getattr(_printing, "busy", False)
    ):
        _print(*args, **kwargs)
        return
    buffer = io.StringIO()
    kwargs["file"] = buffer
    _print(*args, **kwargs)
    # a handler that prints would otherwise log what it prints, and so on
    _printing.busy = True
    try:
        _frame_logger(frame, {}).info(buffer.getvalue().rstrip("\n"), stacklevel=2)
    finally:
        _printing.busy = False


class patch_print:
    """Have `print` go through `print_as_log` for the duration of a `with` block.

    The block may be entered by many threads at once: the last one out gives `print` back.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        global _patches, _print
        with _patch_lock:
            _patches += 1
            if builtins.print is not print_as_log:
                _print = builtins.print
                builtins.print = print_as_log

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _patches
        with _patch_lock:
            _patches -= 1
            # somebody else may have put something in its place meanwhile, which is theirs to undo
            if _patches == 0 and builtins.print is print_as_log:
                builtins.print = _print


# ── for tests ───────────────────────────────────────────────────────────────────────────────────────────────────────


class LogEavesdropper(logging.Handler):
    """Collects what a logger logs during a `with` block.

    Args:
        eavesdrop_on: the logger's name.
        level: the lowest level to collect.
    """

    def __init__(self, eavesdrop_on: str, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.eavesdrop_on = eavesdrop_on
        self._lines: list[str] = []
        self.setFormatter(logging.Formatter("[%(levelname)s]: %(message)s"))

    def __enter__(self) -> Self:
        self._target = logging.getLogger(self.eavesdrop_on)
        self._target.addHandler(self)
        self._lines = []
        return self

    def __exit__(self, *_: object) -> None:
        self._target.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Collect one record."""
        self._lines.append(undisturbed(lambda: self.format(record)))

    def text(self) -> str:
        """What was collected, a record a line: `[LEVEL]: message`."""
        return "\n".join(self._lines)


def _after_fork_in_child() -> None:
    # another thread of the parent may have held the lock
    global _patch_lock
    _patch_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
