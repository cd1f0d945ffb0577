"""The life of a task run, written once.

    begin -> prepare -> [ready -> attempt]* -> finish

`begin` makes the frame and records it as pending; `prepare` waits for the inputs; each `attempt` runs the function in
a transaction and turns what comes of it into a state; `finish` tells the hooks. Every step works on the frame, and the
run is over when its state is final.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextvars import Token
from typing import TYPE_CHECKING, Any

from prefect._clock import now_us, to_us
from prefect._engine import failing, generators, hooks, inputs, naming
from prefect._engine.failing import run_logger
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_tags, current_task
from prefect._engine.port import SYNC, Port
from prefect._engine.recorder import get_recorder
from prefect._engine.wording import describe, describe_state, without_engine
from prefect._lazy import lazy_module
from prefect._rules.states import (
    COMPLETED,
    FAILED,
    GONE,
    PENDING,
    RUNNING,
    SCHEDULED,
    RunState,
    Value,
    pending,
    running,
)
from prefect._transactions.life import current as current_transaction
from prefect.logging.configuration import ensure_logging_setup
from prefect.settings import get_current_settings
from prefect.transactions import AsyncTransaction, Transaction

if TYPE_CHECKING:
    from prefect._engine import caching, outcome, public, tag_limits
    from prefect.logging import loggers
    from prefect.tasks import Task
else:
    caching = lazy_module("prefect._engine.caching")
    loggers = lazy_module("prefect.logging.loggers")
    outcome = lazy_module("prefect._engine.outcome")
    public = lazy_module("prefect._engine.public")
    tag_limits = lazy_module("prefect._engine.tag_limits")

_log = logging.getLogger("prefect.task_runs")

_follower: Any = None


def follow(follower: Any) -> None:
    """Have `follower.begin(frame)` called when a task run knows its inputs, and `follower.end(frame)` when it has ended.

    For a run in another process, `follower.take_along(task, id, upstream)` is called here before it is sent, with its id
    and those of the runs that its arguments come from; what it returns is called there, before the run begins.

    Which assets runs read and make is followed so, in programs that have any.
    """
    global _follower
    _follower = follower


def taken_along(task: Task[..., Any], id: str, upstream: set[str]) -> Callable[[], None] | None:
    """What is to be called in another process before it begins a run: see `follow`. It pickles."""
    return _follower.take_along(task, id, upstream) if _follower is not None else None


class TaskRunTimeoutError(TimeoutError):
    """Raised in a task that runs longer than its `timeout_seconds`."""

    __module__ = "prefect.task_engine"  # where users find it


def begin(
    task: Task[..., Any],
    parameters: dict[str, Any],
    *,
    id: str | None = None,
    wait_for: Any = None,
    flow_frame: FlowFrame | None = None,
    parent: TaskFrame | None = None,
) -> TaskFrame:
    """Make the frame of a new task run and record it as pending.

    Without `flow_frame` and `parent` the run belongs to the flow run and task run that are current.
    """
    if flow_frame is None:
        flow_frame = current_flow.get()
        parent = current_task.get()
        if flow_frame is None:
            ensure_logging_setup()
    recorder = flow_frame.recorder if flow_frame is not None else get_recorder()
    frame = TaskFrame(recorder, task, parameters, id)
    frame.name = f"{task.name}-{frame.id[-3:]}"
    frame.wait_for = wait_for
    frame.parent = parent
    if flow_frame is not None:
        frame.flow_frame = flow_frame
        frame.flow_run_id = flow_frame.id
        if flow_frame.memory is not None:
            frame.recalled = flow_frame.memory.ticket(task)
    tags = current_tags.get()
    frame.tags = task.tag_set | tags if tags else task.tag_set
    frame.log_prints = logs_prints(task, flow_frame, parent)
    frame.persist = _persist(task, flow_frame, parent)
    recorder.task_state(frame, pending())
    return frame


def logs_prints(task: Task[..., Any], flow_frame: FlowFrame | None, parent: TaskFrame | None) -> bool:
    """Whether what a run prints is logged: the task's own choice, else that of the run it is called in, else the setting."""
    if task.log_prints is not None:
        return task.log_prints
    if parent is not None:
        return parent.log_prints
    if flow_frame is not None:
        return flow_frame.log_prints
    return get_current_settings().logging.log_prints


def _persist(task: Task[..., Any], flow_frame: FlowFrame | None, parent: TaskFrame | None) -> bool:
    if task.persist_result is not None:
        return task.persist_result
    default = get_current_settings().tasks.default_persist_result
    if default is not None:
        return default
    if parent is not None and parent.persist is not None:
        return parent.persist
    if flow_frame is not None and flow_frame.persist is not None:
        return flow_frame.persist
    return get_current_settings().results.persist_by_default


# -- the two ways to drive a run ---------------------------------------------------------------------------------------


async def run(io: Port, frame: TaskFrame) -> TaskFrame:
    """Live the life of a task run. The outcome is in the frame; only signals (`BaseException`) are raised."""
    if not await prepare(io, frame):
        return frame
    while not frame.state.is_final:  # type: ignore[union-attr]
        if not await ready(io, frame):
            break
        attempt = Attempt(io, frame)
        try:
            if not await attempt.start():
                task = frame.task
                args, kwargs = task.spec.call_args(frame.call_parameters)
                if task.timeout_seconds:
                    value = await io.call_within(task.timeout_seconds, TaskRunTimeoutError, task.fn, args, kwargs)
                else:
                    value = await io.call(task.fn, args, kwargs)
                await attempt.succeed(value)
        except BaseException as exc:
            await attempt.fail(exc)
            if not isinstance(exc, Exception):
                await finish(io, frame)
                raise
        finally:
            attempt.end()
            if frame.slots is not None:
                await _give_slots_back(io, frame)
    await finish(io, frame)
    return frame


async def iterate(io: Port, frame: TaskFrame, is_async: bool) -> AsyncGenerator[Any, Any]:
    """Live the life of a generator task run, passing on what it yields and what is sent to it.

    The run is current only while its own code runs, not while the consumer has the turn.
    """
    if not await prepare(io, frame):
        outcome.value_or_raise(frame)
    while not frame.state.is_final:  # type: ignore[union-attr]
        if not await ready(io, frame):
            break
        attempt = Attempt(io, frame)
        items: list[Any] = []
        try:
            if await attempt.start():
                attempt.give_turn()
                for item in frame.value if isinstance(frame.value, list) else []:
                    yield item
            else:
                args, kwargs = frame.task.spec.call_args(frame.call_parameters)
                began = frame.state.timestamp  # type: ignore[union-attr]
                limit = generators.rest_of_limit(frame.task.timeout_seconds, began, TaskRunTimeoutError)
                steps = generators.Steps(io, frame.task.fn(*args, **kwargs), is_async, limit)
                while await steps.advance():
                    attempt.give_turn()
                    if frame.persist or frame.collect:
                        items.append(steps.item)
                    try:
                        steps.send((yield steps.item))
                    except GeneratorExit:
                        attempt.take_turn()
                        await steps.close()
                        await attempt.succeed(items if frame.persist else None)
                        await finish(io, frame)
                        raise
                    except BaseException as thrown:
                        steps.throw(thrown)
                    attempt.take_turn()
                await attempt.succeed(items if frame.persist or frame.collect else steps.returned)
        except GeneratorExit:
            raise
        except BaseException as exc:
            await attempt.fail(exc)
            if not isinstance(exc, Exception):
                await finish(io, frame)
                raise
        finally:
            attempt.end()
            if frame.slots is not None:
                await _give_slots_back(io, frame)
    await finish(io, frame)
    outcome.value_or_raise(frame)


# -- steps -------------------------------------------------------------------------------------------------------------


async def prepare(io: Port, frame: TaskFrame) -> bool:
    """Wait for the inputs and name the run; False when an upstream run did not complete."""
    try:
        return await _prepare(io, frame)
    except inputs.UpstreamNotReady as exc:
        frame.recorder.task_state(frame, RunState(PENDING, "NotReady", str(exc)))
    except Exception as exc:  # a run name that cannot be made, an argument that cannot be read
        frame.exception = without_engine(exc)
        message = f"Task run encountered an exception {describe(exc)}"
        run_logger(frame).error("The task run could not be prepared:", exc_info=exc)
        frame.recorder.task_state(frame, RunState(FAILED, None, message, Value(exc)))
    _report_end(frame)
    return False


async def _prepare(io: Port, frame: TaskFrame) -> bool:
    resolved = await inputs.resolve(io, frame.parameters, frame.wait_for, frame.flow_frame)
    frame.call_parameters = resolved.parameters
    frame.inputs = resolved.links
    if _follower is not None:
        _follower.begin(frame)
    if frame.parent is not None:
        frame.inputs = {**(frame.inputs or {}), "__parents__": [{"input_type": "task_run", "id": frame.parent.id}]}
    frame.wait_for = None
    if frame.task.task_run_name is not None:
        frame.name = naming.task_run_name(frame)
    if frame.recalled is not None and frame.flow_frame is not None:
        frame.recalled = frame.flow_frame.memory.recall(frame)
        if frame.recalled is not None and frame.recalled.found:
            _complete(
                frame, frame.recalled.value, name="Cached", message="Finished in an earlier attempt of the flow run."
            )
            _report_end(frame)
            return False
    return True


async def ready(io: Port, frame: TaskFrame) -> bool:
    """Wait for a retry to be due and enter the running state."""
    state = frame.state
    name = "Running"
    if state.type == SCHEDULED:  # type: ignore[union-attr]
        due = state.details.get("scheduled_time", 0)  # type: ignore[union-attr]
        rest = (due - now_us()) / 1e6
        if rest > 0:
            await io.sleep(rest)
        name = "Retrying"
    elif state.type == RUNNING:  # type: ignore[union-attr]
        return True  # an immediate retry has already said so
    if frame.tags and not await _take_slots(io, frame):
        return False
    frame.recorder.task_state(frame, running(name))
    return True


async def _take_slots(io: Port, frame: TaskFrame) -> bool:
    """Wait until the limits of the tags leave room; False when they never will."""
    names = [] if frame.slots is not None else tag_limits.limited(frame)
    if not names:
        return True
    try:
        frame.slots = await tag_limits.enter(io, frame, names)
    except Exception as exc:
        frame.exception = without_engine(exc)
        message = f"The task run cannot run: {describe(exc)}"
        frame.recorder.task_state(frame, RunState(FAILED, None, message, Value(exc)))
        return False
    return True


async def _give_slots_back(io: Port, frame: TaskFrame) -> None:
    if frame.state.type != RUNNING:  # type: ignore[union-attr]  # an immediate retry goes on with them
        taken, frame.slots = frame.slots, None
        await tag_limits.leave(io, taken)


_NEVER_GIVEN: Any = object()


class Attempt:
    """One call of the task's function: the context it runs in, its transaction, and what comes of it."""

    __slots__ = ("_flow_token", "_inside", "_io", "_outside", "_prints", "_task_token", "_transaction", "frame")

    def __init__(self, io: Port, frame: TaskFrame) -> None:
        self._io = io
        self.frame = frame
        self._task_token: Token[TaskFrame | None] | None = None
        self._flow_token: Token[FlowFrame | None] | None = None
        self._prints: Any = None
        self._transaction: Transaction | AsyncTransaction | None = None
        self._inside: Any = None
        self._outside: Any = _NEVER_GIVEN

    def enter(self) -> None:
        self._task_token = current_task.set(self.frame)
        self._flow_token = current_flow.set(self.frame.flow_frame)
        if self.frame.log_prints and self._prints is None:
            self._prints = loggers.patch_print()
            self._prints.__enter__()

    def leave(self) -> None:
        if self._prints is not None:
            self._prints.__exit__(None, None, None)
            self._prints = None
        if self._task_token is not None:
            _reset(current_task, self._task_token)
            _reset(current_flow, self._flow_token)
            self._task_token = self._flow_token = None

    def give_turn(self) -> None:
        """A generator gives the turn to its caller, who is in no run and no transaction of the generator's."""
        self.leave()
        self._inside = current_transaction.get()
        if self._outside is _NEVER_GIVEN:
            self._outside = self._transaction.get_parent() if self._transaction is not None else self._inside
        current_transaction.set(self._outside)

    def take_turn(self) -> None:
        self._outside = current_transaction.get()
        current_transaction.set(self._inside)
        self.enter()

    async def start(self) -> bool:
        """Make the run current and begin its transaction; True when the transaction already has a result."""
        frame = self.frame
        self.enter()
        hooks_ = frame.task.on_running_hooks
        if hooks_:
            await _tell(self._io, frame, hooks_)
        kind = Transaction if self._io is SYNC else AsyncTransaction
        transaction = caching.transaction_for(frame, kind) if _needs_key(frame) else kind()
        self._transaction = frame.transaction = transaction
        await transaction.enter_block()
        if frame.cache_key is None or not transaction.is_committed():
            return False
        record: Any = await transaction.read() if isinstance(transaction, AsyncTransaction) else transaction.read()
        expiration = record.metadata.expiration
        frame.cache_expiration_us = to_us(expiration) if expiration is not None else None
        _complete(frame, record.result, name="Cached", record=record)
        await self._leave_transaction(failed=False)
        return True

    async def succeed(self, value: Any) -> None:
        """The function returned `value`."""
        frame, transaction = self.frame, self._transaction
        task = frame.task
        record = None
        if frame.persist:
            record = caching.record_for(frame, value)
        transaction.stage(record if record is not None else value, task.on_rollback_hooks, task.on_commit_hooks)  # type: ignore[union-attr]
        if type(value) in _CERTAINLY_PLAIN:
            data = value
        elif (state := outcome.state_of(value, futures_too=False)) is not None:
            await self._leave_transaction(failed=state.type != COMPLETED)
            if state.type == FAILED:
                await failing.settle(self._io, frame, state, state.message or state.name)
            else:
                _enter_final(frame, state)
            return
        else:
            data = value
        await self._leave_transaction(failed=False)
        _complete(frame, data, record=record)

    async def _leave_transaction(self, *, failed: bool) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            try:
                await transaction.leave_block(failed)
            finally:
                if self._outside is not _NEVER_GIVEN:
                    current_transaction.set(self._outside)

    async def fail(self, exc: BaseException) -> None:
        """The function, or what belongs to its call, raised `exc`."""
        frame = self.frame
        try:
            await self._leave_transaction(failed=True)
        except BaseException as again:
            exc = again
        frame.exception = without_engine(exc)
        if isinstance(exc, TaskRunTimeoutError):
            await failing.failed(
                self._io, frame, exc, "TimedOut", f"Task run exceeded timeout of {frame.task.timeout_seconds} second(s)"
            )
        elif isinstance(exc, Exception):
            await failing.failed(self._io, frame, exc, None, f"Task run encountered an exception {describe(exc)}")
        else:
            failing.crash(frame, exc)

    def end(self) -> None:
        self.leave()


_CERTAINLY_PLAIN = frozenset({int, float, str, bool, bytes, type(None)})


def _reset(variable: Any, token: Any) -> None:
    try:
        variable.reset(token)
    except ValueError:  # a generator resumed in another context
        variable.set(None)


def _needs_key(frame: TaskFrame) -> bool:
    return bool(frame.persist) or frame.task.result_storage_key is not None


async def _tell(io: Port, frame: TaskFrame, hooks_: Any) -> None:
    model = public.task_run(frame)
    await hooks.run_hooks(io, hooks_, frame.task, model, model.state, frame.state, run_logger(frame))  # type: ignore[arg-type]


def _complete(
    frame: TaskFrame, value: Any, name: str = "Completed", message: str | None = None, record: Any = None
) -> None:
    frame.value = value
    frame.exception = None
    details: dict[str, Any] | None = None
    if frame.cache_key is not None:
        details = {"cache_key": frame.cache_key}
        if frame.cache_expiration_us is not None:
            details["cache_expiration"] = frame.cache_expiration_us
    kept = value if frame.task.cache_result_in_memory or record is None else GONE
    _enter_final(frame, RunState(COMPLETED, name, message, Value(kept, record), details))


def _enter_final(frame: TaskFrame, state: RunState) -> None:
    frame.recorder.task_state(frame, state)
    if state.type == COMPLETED:
        flow_frame = frame.flow_frame
        if flow_frame is not None:
            if type(frame.value) not in _CERTAINLY_PLAIN:
                flow_frame.link(frame.value, frame.id, "task_run")
            if frame.recalled is not None and flow_frame.memory is not None:
                flow_frame.memory.keep(frame)


async def finish(io: Port, frame: TaskFrame) -> None:
    """Tell the hooks and the log how the run ended."""
    state = frame.state
    hooks_ = getattr(frame.task, hooks.TASK_HOOKS.get(state.type, ""), None)  # type: ignore[union-attr]
    if hooks_:
        token = current_task.set(frame)
        try:
            await _tell(io, frame, hooks_)
        finally:
            _reset(current_task, token)
    if _follower is not None:
        _follower.end(frame)
    _report_end(frame)


def _report_end(frame: TaskFrame) -> None:
    level = logging.INFO if frame.state.type == COMPLETED else logging.ERROR  # type: ignore[union-attr]
    if _log.isEnabledFor(level):
        run_logger(frame).log(level, "Finished in state %s", describe_state(frame.state))  # type: ignore[arg-type]
