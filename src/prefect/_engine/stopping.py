"""Stopping a flow run from outside of it: because it was cancelled, or because it is somebody else's by now.

The run is told on the thread it runs on: the main thread by a signal, which also ends a wait in the operating system;
another thread by an exception that is raised when it executes Python again; an asynchronous run by the cancellation of
its asyncio task. What is raised is `Abort`, and the run asks the recorder what is to become of it.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect._bridge import in_running_loop
from prefect._engine import signals
from prefect._engine.frames import FlowFrame
from prefect._lazy import lazy_module
from prefect.exceptions import Abort

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_module("asyncio")


class Whereabouts(NamedTuple):
    """Where the code of a run is executed."""

    thread_id: int
    is_main: bool
    loop: Any
    task: Any


def here(is_async: bool) -> Whereabouts:
    """Where the caller is."""
    thread = threading.current_thread()
    loop = task = None
    if is_async and in_running_loop():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
    return Whereabouts(threading.get_ident(), thread is threading.main_thread(), loop, task)


def stop(frame: FlowFrame, reason: str) -> None:
    """Tell a run, once, to stop; from another thread than its own.

    Args:
        frame: the run.
        reason: why, as a sentence.
    """
    where = frame.whereabouts
    if frame.stopping is not None:
        return
    frame.stopping = reason
    if where is None:
        return  # between two steps of its life: the next proposal tells it
    if where.task is not None:
        where.loop.call_soon_threadsafe(where.task.cancel)
    elif not (where.is_main and signals.interrupt(Abort(reason))):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(where.thread_id), ctypes.py_object(Abort))


def stopped(frame: FlowFrame) -> bool:
    """Whether what was raised in a run, and ends with it, is only that somebody wanted it to stop; it has by now."""
    if frame.stopping is None or frame.state is None or not frame.state.is_final:
        return False
    if reason_of(frame.parent) is not None:
        return False  # what is around it stops, too
    if in_running_loop() and (task := asyncio.current_task()) is not None and task.cancelling():
        task.uncancel()
    return True


def reason_of(frame: FlowFrame | None) -> str | None:
    """Why a run, or one of those around it, is to stop; None when nobody wants it to."""
    while frame is not None:
        if frame.stopping is not None:
            return frame.stopping
        frame = frame.parent
    return None
