"""Task runs that are submitted: begun here and now, carried out on another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prefect._bridge import run as run_now
from prefect._engine import failing, generators, inputs, task_run
from prefect._engine.frames import TaskFrame
from prefect._engine.port import ASYNC, SYNC
from prefect._lazy import lazy_module
from prefect._parameters import mapping
from prefect._rules.states import CANCELLED, RunState

if TYPE_CHECKING:
    import asyncio

    from prefect import futures
    from prefect._engine import reading
else:
    asyncio = lazy_module("asyncio")
    futures = lazy_module("prefect.futures")
    reading = lazy_module("prefect._engine.reading")

_loops = threading.local()


def begin(task: Any, parameters: dict[str, Any], wait_for: Any) -> TaskFrame:
    """Make and record a task run that another thread will carry out."""
    return task_run.begin(task, parameters, wait_for=wait_for)


def when_inputs_are_there(upstream: Sequence[Any], start: Callable[..., None], *args: Any) -> None:
    """Call `start(*args)` when all upstream futures have finished. No thread is kept waiting for them."""
    if not upstream:
        start(*args)
        return
    lock = threading.Lock()
    remaining = len(upstream)

    def one_is_there(_: Any) -> None:
        nonlocal remaining
        with lock:
            remaining -= 1
            last = remaining == 0
        if last:
            start(*args)

    for future in upstream:
        future.add_done_callback(one_is_there)


def carry_out(future: Any) -> None:
    """Live the life of a submitted task run on this thread, in the context it was submitted from."""
    frame: TaskFrame = future.frame
    try:
        if frame.task.isgenerator:
            _collect(frame)
        elif frame.task.isasync:
            _loop().run_until_complete(task_run.run(ASYNC, frame))
        else:
            run_now(task_run.run(SYNC, frame))
    except BaseException as exc:
        if frame.exception is None:
            frame.exception = exc
        if not frame.state.is_final:  # type: ignore[union-attr]
            failing.crash(frame, exc)
    finally:
        frame.parameters = frame.call_parameters = {}  # thousands of futures must not keep their arguments alive
        future.set_done()


def _collect(frame: TaskFrame) -> None:
    """Run a generator task to its end; its result is the list of what it yielded."""
    frame.collect = True
    try:
        if frame.task.isasync:
            _loop().run_until_complete(_exhaust(frame))
        else:
            generators.exhaust(task_run.iterate(SYNC, frame, False))
    except Exception as exc:
        if frame.exception is not exc:
            raise


async def _exhaust(frame: TaskFrame) -> None:
    async for _ in task_run.iterate(ASYNC, frame, True):
        pass


def _loop() -> Any:
    """This thread's event loop for asynchronous tasks, kept from one task to the next."""
    loop = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = asyncio.new_event_loop()
    return loop


def abandon(future: Any, why: str = "The flow run ended before this task run began.") -> None:
    """End a task run that will not be carried out, because its flow run has ended or no thread can be had."""
    frame: TaskFrame = future.frame
    if not frame.state.is_final:  # type: ignore[union-attr]
        frame.recorder.task_state(frame, RunState(CANCELLED, message=why))
    future.set_done()


def expand(task: Any, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of each run of a map: see `TaskRunner.map`.

    A future or state given as one whole argument is replaced by its result: what is mapped over is what it made.
    """
    for name, value in mapping.explode_variadic(task.spec, parameters).items():
        if isinstance(value, futures.PrefectFuture) or inputs.is_state(value):
            parameters = {**mapping.explode_variadic(task.spec, parameters), name: _whole_result(value)}
    return mapping.expand_mapping(task.spec, parameters)


def _whole_result(value: Any) -> Any:
    if isinstance(value, futures.PrefectFuture):
        return value.result()
    return reading.read(value)
