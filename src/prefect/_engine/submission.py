"""Task runs that are submitted: begun here and now, carried out on another thread."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from prefect._bridge import run as run_now
from prefect._engine import task_run
from prefect._engine.frames import TaskFrame
from prefect._engine.port import ASYNC, SYNC
from prefect._lazy import lazy_module
from prefect._rules.states import CANCELLED, RunState
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable
from prefect.utilities.annotations import BaseAnnotation, allow_failure, quote, unmapped

if TYPE_CHECKING:
    import asyncio

    from prefect import futures
else:
    asyncio = lazy_module("asyncio")
    futures = lazy_module("prefect.futures")

_loops = threading.local()


def begin(task: Any, parameters: dict[str, Any], wait_for: Any) -> TaskFrame:
    """Make and record a task run that another thread will carry out."""
    return task_run.begin(task, parameters, wait_for=wait_for)


def when_inputs_are_there(
    upstream: Sequence[Any], start: Callable[..., None], context: contextvars.Context, *args: Any
) -> None:
    """Call `start(context, *args)` when all upstream futures have finished. No thread is kept waiting for them."""
    if not upstream:
        start(context, *args)
        return
    lock = threading.Lock()
    remaining = len(upstream)

    def one_is_there(_: Any) -> None:
        nonlocal remaining
        with lock:
            remaining -= 1
            last = remaining == 0
        if last:
            start(context, *args)

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
            task_run.crash(frame, exc)
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
            life = task_run.iterate(SYNC, frame, False)
            while True:
                try:
                    run_now(life.asend(None))  # type: ignore[arg-type]
                except StopAsyncIteration:
                    return
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


def abandon(future: Any) -> None:
    """End a task run that will not be carried out because its flow run has ended."""
    frame: TaskFrame = future.frame
    if not frame.state.is_final:  # type: ignore[union-attr]
        frame.recorder.task_state(frame, RunState(CANCELLED, message="The flow run ended before this task run began."))
    future.set_done()


# -- map ---------------------------------------------------------------------------------------------------------------


def expand(task: Any, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters of each run of a map: see `TaskRunner.map`."""
    spec = task.spec
    parameters = futures.resolve_futures_to_results(_explode(spec.var_keyword, parameters))
    iterables: dict[str, Any] = {}
    static: dict[str, Any] = {}
    annotations: dict[str, Callable[[Any], Any]] = {}
    for name, value in parameters.items():
        if isinstance(value, (allow_failure, quote)):
            annotations[name] = value.rewrap
            value = value.unwrap()
        if isinstance(value, unmapped):
            static[name] = value.value
        elif _is_mappable(value):
            iterables[name] = list(value)
        else:
            static[name] = value
    if not iterables:
        raise MappingMissingIterable(
            f"No iterable parameters were received. Parameters for map must include at least one iterable. "
            f"Parameters: {parameters}"
        )
    lengths = {name: len(value) for name, value in iterables.items()}
    if len(set(lengths.values())) > 1:
        raise MappingLengthMismatch(
            "Expected iterable parameters to all have the same length, got "
            f"{lengths}. Wrap a value that is the same for all runs in unmapped()."
        )
    for index in range(next(iter(lengths.values()))):
        call = {name: values[index] for name, values in iterables.items()} | static
        for name, default in spec.defaults.items():
            call.setdefault(name, default)
        for name, rewrap in annotations.items():
            call[name] = rewrap(call[name])
        yield _collapse(spec, call, parameters)


def _is_mappable(value: Any) -> bool:
    if isinstance(value, (str, bytes, dict, BaseAnnotation)):
        return False
    return hasattr(value, "__iter__") or hasattr(value, "__getitem__") and hasattr(value, "__len__")


def _explode(var_keyword: str | None, parameters: dict[str, Any]) -> dict[str, Any]:
    """Spread `**kwargs` so that each of them may be mapped."""
    if var_keyword is None or var_keyword not in parameters:
        return dict(parameters)
    return {name: value for name, value in parameters.items() if name != var_keyword} | dict(parameters[var_keyword])


def _collapse(spec: Any, call: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    if spec.var_keyword is None:
        return {name: call[name] for name in spec.names if name in call}
    known = {name: call[name] for name in spec.names if name in call}
    known[spec.var_keyword] = {name: value for name, value in call.items() if name not in spec.names}
    return known
