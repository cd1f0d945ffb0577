"""How the engine speaks of exceptions and states: to users, in messages and logs."""

from __future__ import annotations

import os
from types import TracebackType

from prefect._rules.states import RunState
from prefect.exceptions import Abort, Pause, TerminationSignal

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def describe(exc: BaseException) -> str:
    """`Type: message`, or the type alone where there is no message."""
    text = str(exc)
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def describe_state(state: RunState) -> str:
    """`Name('message', type=...)`, the type only where the name does not tell it."""
    first, *more = (state.message or "").split("\n", 1)
    parts = [repr(first + " ..." if more else first)] if state.message else []
    if state.name.upper() != state.type:
        parts.append(f"type={state.type}")
    return f"{state.name}({', '.join(parts)})"


def crash_message(exc: BaseException) -> str:
    """What to say of a run that was ended from outside."""
    kind = type(exc).__name__
    if kind == "CancelledError":
        return "Execution was cancelled by the runtime environment."
    if isinstance(exc, KeyboardInterrupt):
        return "Execution was aborted by an interrupt signal."
    if isinstance(exc, TerminationSignal):
        return "Execution was aborted by a termination signal."
    if isinstance(exc, SystemExit):
        return "Execution was aborted by Python system exit call."
    if isinstance(exc, (Abort, Pause)):
        return f"Execution was stopped by {kind}: {exc}"
    return f"Execution was interrupted by an unexpected exception: {describe(exc)}"


def made_by_engine(exc: BaseException) -> bool:
    """Whether an exception was raised by this package and passed through no code of anybody else."""
    traceback = exc.__traceback__
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_HERE):
            return False
        traceback = traceback.tb_next
    return True


def without_engine(exc: BaseException) -> BaseException:
    """The exception with a traceback that shows the user's code and what it called, not how we called it."""
    kept = []
    traceback = exc.__traceback__
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_HERE):
            kept.append(traceback)
        traceback = traceback.tb_next
    if not kept:
        return exc  # raised by the engine itself
    chain: TracebackType | None = None
    for entry in reversed(kept):
        chain = TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return exc.with_traceback(chain)
