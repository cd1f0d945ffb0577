"""The life of a flow run, written once.

    begin -> prepare -> [start -> attempt -> settle]* -> finish

`begin` makes the frame; `prepare` waits for the inputs, checks the parameters and names the run; each attempt runs the
function with the run as the current one and turns what comes of it into a final state; a failed attempt may be followed
by another; `finish` tells the hooks. A state change is on disk when the step that makes it returns.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from prefect._clock import now_us
from prefect._engine import generators, hooks, inputs, naming, outcome, signals, stopping
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_tags, current_task
from prefect._engine.memory import FlowMemory
from prefect._engine.port import SYNC, Port
from prefect._engine.recorder import get_recorder
from prefect._engine.wording import crash_message, describe, describe_state, without_engine
from prefect._lazy import lazy_module
from prefect._names import generate_slug
from prefect._rules import retries
from prefect._rules.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    RUNNING,
    SCHEDULED,
    RunState,
    Value,
    awaiting_retry,
    pending,
    running,
)
from prefect.exceptions import Abort, Pause, PrefectException, TerminationSignal
from prefect.logging.configuration import ensure_logging_setup
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    from prefect._engine import adopting, caching, public, standing
    from prefect._parameters import validation
    from prefect.flows import Flow
    from prefect.logging import loggers
else:
    asyncio = lazy_module("asyncio")
    adopting = lazy_module("prefect._engine.adopting")
    caching = lazy_module("prefect._engine.caching")
    loggers = lazy_module("prefect.logging.loggers")
    public = lazy_module("prefect._engine.public")
    standing = lazy_module("prefect._engine.standing")
    validation = lazy_module("prefect._parameters.validation")

_log = logging.getLogger("prefect.flow_runs")
_SHORTEST_WAIT = 0.1  # seconds between a proposal that is to wait and the next
_PLAIN = (int, float, str, bool, bytes, type(None))


class FlowRunTimeoutError(TimeoutError):
    """Raised in a flow that runs longer than its `timeout_seconds`."""

    __module__ = "prefect.flow_engine"  # where users find it


class FlowRun:
    """One flow run on its way from the call to the final state."""

    __slots__ = ("_prints", "_tokens", "frame", "io", "stand")

    def __init__(self, io: Port, frame: FlowFrame) -> None:
        self.io = io
        self.frame = frame
        self._tokens: Any = None
        self._prints: Any = None
        self.stand: standing.Stand | None = None  # of a sub-flow

    # -- the current run -----------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Make this run the current one."""
        self._tokens = current_flow.set(self.frame), current_task.set(None)
        self.frame.whereabouts = stopping.here(self.frame.flow.isasync)
        if self.frame.log_prints and self._prints is None:
            self._prints = loggers.patch_print()
            self._prints.__enter__()

    def leave(self) -> None:
        self.frame.whereabouts = None
        if self._prints is not None:
            self._prints.__exit__(None, None, None)
            self._prints = None
        if self._tokens is not None:
            for variable, token in zip((current_flow, current_task), self._tokens, strict=True):
                try:
                    variable.reset(token)
                except ValueError:  # a generator resumed in another context
                    variable.set(None)
            self._tokens = None

    # -- states --------------------------------------------------------------------------------------------------

    async def propose(self, state: RunState, force: bool = False) -> RunState:
        """Enter a state, or the one that the rules say instead; it is recorded when this returns.

        Raises:
            Abort: the run may not go on, for example because it was cancelled.
        """
        frame = self.frame
        while True:
            if frame.recorder.waits and self.io is not SYNC:
                verdict = await _uninterrupted(frame.recorder.flow_state, frame, state, force)
            else:
                verdict = frame.recorder.flow_state(frame, state, force=force)
            if verdict.kind != "WAIT":
                break
            await self.io.sleep(max(verdict.wait_seconds, _SHORTEST_WAIT))
        if verdict.kind == "ABORT":
            raise Abort(verdict.reason)
        if self.stand is not None and frame.state is not None:
            self.stand.mirror(frame.state)
        return frame.state or state

    # -- steps ---------------------------------------------------------------------------------------------------

    async def prepare(self) -> bool:
        """Wait for the inputs, check the parameters, name the run; False when the run ends here."""
        frame = self.frame
        flow = frame.flow
        if frame.adopted is not None and frame.state is not None and frame.state.is_final:
            run_logger(frame).info("The flow run has ended already, in state %s: nothing is run.", frame.state.name)
            return False
        try:
            resolved = await inputs.resolve(self.io, frame.parameters, frame.wait_for, frame.parent)
        except inputs.UpstreamNotReady as exc:
            await self.propose(RunState("PENDING", "NotReady", str(exc)))
            self._report_end()
            return False
        if self.stand is not None and resolved.links:
            self.stand.link(resolved.links)
        frame.parameters = resolved.parameters
        frame.wait_for = None
        step = "Validation of flow parameters"
        try:
            if flow.should_validate_parameters and frame.parameters:
                frame.parameters = validation.validate(flow.spec, frame.parameters, flow.name)
            if flow.flow_run_name is not None:
                step = "Naming of the flow run"
                tokens = current_flow.set(frame)
                try:
                    frame.name = naming.flow_run_name(frame)
                finally:
                    current_flow.reset(tokens)
        except Exception as exc:
            message = f"{step} failed with error: {describe(exc)}"
            run_logger(frame).error(message)
            await self._end_failed(exc, message)
            return False
        return True

    async def start(self) -> bool:
        """Wait until the run is due, enter the running state; False when the run may not start."""
        frame = self.frame
        first = frame.run_count == 0
        if frame.state is not None and frame.state.type == SCHEDULED:
            rest = (frame.state.details.get("scheduled_time", 0) - now_us()) / 1e6
            if rest > 0:
                await self.io.sleep(rest)
        try:
            state = await self.propose(running("Running" if first else "Retrying"))
        except Abort as abort:
            await self._aborted(abort)
            if frame.state is None or not frame.state.is_final:
                raise
            return False
        if state.type != RUNNING:
            return False
        if first and _log.isEnabledFor(logging.INFO):
            kind = "subflow" if self.stand is not None else "flow"
            run_logger(frame).info("Beginning %s run %r for flow %r", kind, frame.name, frame.flow.name)
        if frame.flow.on_running_hooks:
            await self.tell(frame.flow.on_running_hooks)
        return True

    async def returned(self, value: Any) -> None:
        """The function returned `value`: wait for what it consists of and enter the state that follows."""
        frame = self.frame
        state = None
        if type(value) not in _PLAIN:
            for future in inputs.find_futures([value]):
                await self.io.wait(future)
            state = outcome.state_of(value, futures_too=True)
            if state is None:
                value = outcome.futures.resolve_futures_to_states(value)
        await self.leave_runner(None)
        frame.exception = None
        if state is None:
            frame.value = value
            state = RunState(COMPLETED, data=Value(value, self._keep(value)))
        elif isinstance(state.data, Value):
            frame.value = state.data.value
            if self.frame.persist and state.data.record is None:
                state.data = Value(state.data.value, self._keep(state.data.value))
        if inputs.is_state(value) and state.type == FAILED:
            # the flow's own decision: not an accident that a retry, which a server would see to, might mend
            await self._enter_final(state, force=frame.run_count <= frame.flow.retries)
        else:
            await self.settle(state)

    def _keep(self, value: Any) -> Any:
        """Store the result where the flow keeps results; returns its record, or None when it keeps none."""
        if not self.frame.persist:
            return None
        store = caching.store_of_flow(self.frame)
        record = store.create_result_record(value)
        store.persist_result_record(record)
        return record

    async def raised(self, exc: BaseException) -> None:
        """The function, or what belongs to its call, raised `exc`."""
        frame = self.frame
        await self.leave_runner(exc)
        frame.exception = without_engine(exc)
        logger = run_logger(frame)
        if isinstance(exc, FlowRunTimeoutError):
            message = f"Flow run exceeded timeout of {frame.flow.timeout_seconds} second(s)"
            logger.error(message)
            await self.settle(RunState(FAILED, "TimedOut", message, Value(exc)))
        elif isinstance(exc, Exception):
            logger.error("Encountered an exception during execution:", exc_info=exc)
            await self.settle(RunState(FAILED, None, f"Flow run encountered an exception: {describe(exc)}", Value(exc)))
        elif isinstance(exc, Pause):
            logger.info("Suspended the flow run.")
        elif isinstance(exc, Abort) or stopping.reason_of(frame) is not None:
            await self._aborted(exc)
        elif self._is_cancelled(exc):
            logger.info("The flow run was cancelled and stops here.")
            await self._enter_final(RunState(CANCELLED, message="The flow run was cancelled.", data=Value(exc)))
        else:
            message = crash_message(exc)
            logger.error("Crash detected! %s", message)
            logger.debug("Crash details:", exc_info=exc)
            await self._enter_final(RunState(CRASHED, "Crashed", message, Value(exc)))

    def _is_cancelled(self, exc: BaseException) -> bool:
        """Whether a run is stopped from outside because it, or a run that it is part of, is to be cancelled."""
        if not isinstance(exc, TerminationSignal) and type(exc).__name__ != "CancelledError":
            return False
        frame: FlowFrame | None = self.frame
        while frame is not None:
            known = self._recorded(frame)
            if known is not None and known.type in (CANCELLING, CANCELLED):
                return True
            frame = frame.parent
        return False

    def _recorded(self, frame: FlowFrame) -> RunState | None:
        """The state of a run as others see it; None when it is deleted, or nobody can be asked."""
        try:
            return frame.recorder.recorded_flow_state(frame.id)
        except (PrefectException, OSError) as error:
            run_logger(self.frame).warning("What became of the flow run elsewhere is not known: %s", error)
            return None

    async def _aborted(self, exc: BaseException) -> None:
        """Somebody else ended the run, or wants it ended."""
        frame = self.frame
        reason = stopping.reason_of(frame) or str(exc)
        run_logger(frame).info("The flow run stops here: %s", reason)
        known = self._recorded(frame)
        is_parents = frame.stopping is None and stopping.reason_of(frame.parent) is not None
        if known is not None and known.type == CANCELLING:
            await self._enter_final(RunState(CANCELLED, message="The flow run was cancelled."))
        elif is_parents and (known is None or not known.is_final):
            message = f"The flow run that called it stops: {reason}"
            await self._enter_final(RunState(CANCELLED, message=message))
        elif known is not None:
            frame.enter(known)
        if frame.state is not None and frame.state.is_final and not isinstance(frame.exception, Exception):
            frame.exception = None  # how it ended says the state, and not what it took to stop it

    async def settle(self, state: RunState) -> None:
        """Enter the final state, or try again if it is a failure that may be retried."""
        frame = self.frame
        flow = frame.flow
        if state.type != FAILED or frame.run_count > flow.retries:
            await self._enter_final(state)
            return
        attempt = frame.run_count - 1
        delay = retries.retry_delay(flow.retry_delay_seconds, attempt)
        when = f"{delay:.3g} second(s) from now" if delay else "immediately"
        run_logger(frame).info("%s - Retry %s/%s will start %s", state.message, attempt + 1, flow.retries, when)
        await self.propose(awaiting_retry(now_us() + int(delay * 1e6), state.message))
        if frame.memory is not None:
            frame.memory.new_attempt()

    async def _enter_final(self, state: RunState, force: bool = False) -> None:
        frame = self.frame
        if state.type == COMPLETED and frame.parent is not None and type(frame.value) not in _PLAIN:
            frame.parent.link(frame.value, frame.id, "flow_run")
        self._close_task_runs()
        try:
            if (
                await self.propose(state, force)
            ).type == CANCELLING:  # it ended of its own accord, which counts as cancelled
                await self.propose(RunState(CANCELLED, message="The run was cancelled while it was finishing."))
        except Abort as abort:
            await self._aborted(abort)

    def _close_task_runs(self) -> None:
        """End the task runs that the flow left open: interrupted ones, and generators nobody exhausted."""
        for task_frame in list(self.frame.open_runs):
            if task_frame.state is None or task_frame.state.name != "NotReady":
                message = "The flow run ended before this task run did."
                task_frame.recorder.task_state(task_frame, RunState(CRASHED, message=message))

    async def _end_failed(self, exc: Exception, message: str) -> None:
        self.frame.exception = exc
        await self.propose(RunState(FAILED, None, message, Value(exc)))
        await self.finish()

    async def leave_runner(self, exc: BaseException | None) -> None:
        """Wait for the tasks that were submitted (after a failure: for those that have begun) and let the runner go."""
        runner, self.frame.task_runner = self.frame.task_runner, None
        if runner is not None:
            await self.io.block(runner.__exit__, type(exc) if exc is not None else None, exc, None)

    async def finish(self) -> None:
        """Tell the hooks and the log how the run ended."""
        frame = self.frame
        hooks_ = getattr(frame.flow, hooks.FLOW_HOOKS.get(frame.state.type, ""), None)  # type: ignore[union-attr]
        if hooks_:
            entered = self._tokens is None
            if entered:
                self.enter()
            try:
                await self.tell(hooks_)
            finally:
                if entered:
                    self.leave()
        self._report_end()

    async def tell(self, hooks_: Any) -> None:
        frame, state = self.frame, self.frame.state
        if state is not None:
            model = public.flow_run(frame)
            await hooks.run_hooks(self.io, hooks_, frame.flow, model, model.state, state, run_logger(frame))

    def _report_end(self) -> None:
        state = self.frame.state
        level = logging.INFO if state is None or state.type == COMPLETED else logging.ERROR
        if state is not None and state.type in (PAUSED, SCHEDULED):
            level = logging.INFO
        if state is not None and _log.isEnabledFor(level):
            run_logger(self.frame).log(level, "Finished in state %s", describe_state(state))


async def _uninterrupted(fn: Callable[..., Any], frame: FlowFrame, state: RunState, force: bool) -> Any:
    """Propose a state in another thread, so that the event loop goes on.

    A cancellation waits for the answer: what the run does about it must not come in between.
    """
    answer = asyncio.ensure_future(asyncio.to_thread(fn, frame, state, force=force))
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        await asyncio.wait([answer])
        raise


def begin(
    io: Port, flow: Flow[..., Any], parameters: dict[str, Any], *, wait_for: Any = None, adopt: Any = None
) -> FlowRun:
    """Make the frame of a new flow run: a sub-flow run inside another run.

    Args:
        io: how the run waits and calls.
        flow: the flow.
        parameters: its arguments by name, complete.
        wait_for: futures or states to wait for.
        adopt: a run that exists already and is to be carried out; it is what it is, and stands for itself.
    """
    ensure_logging_setup()
    parent, parent_task = current_flow.get(), current_task.get()
    recorder = parent.recorder if parent is not None else get_recorder()
    frame = FlowFrame(recorder, flow, parameters, str(adopt.id) if adopt is not None else None)
    frame.tags = current_tags.get()
    frame.wait_for = wait_for
    frame.parent = parent
    frame.log_prints = _log_prints(flow, parent, parent_task)
    frame.persist = _persist(flow, parent)
    if flow.retries:
        frame.memory = FlowMemory()
    run = FlowRun(io, frame)
    if adopt is not None:
        adopting.adopt(frame, adopt)
        return run
    frame.name = generate_slug(2)
    frame.enter(pending())
    if parent is not None or parent_task is not None:
        frame.parent_flow_run_id = parent.id if parent is not None else None
        run.stand = standing.Stand(frame, parent_task)
    recorder.begin_flow_run(frame)
    return run


def _log_prints(flow: Flow[..., Any], parent: FlowFrame | None, parent_task: TaskFrame | None) -> bool:
    if flow.log_prints is not None:
        return flow.log_prints
    outer = parent_task or parent
    return outer.log_prints if outer is not None else get_current_settings().logging.log_prints


def _persist(flow: Flow[..., Any], parent: FlowFrame | None) -> bool:
    if flow.persist_result is not None:
        return flow.persist_result
    if parent is not None and parent.persist is not None:
        return parent.persist
    return get_current_settings().results.persist_by_default


# -- the two ways to drive a run ---------------------------------------------------------------------------------------


async def run(io: Port, life: FlowRun) -> FlowFrame:
    """Live the life of a flow run. The outcome is in the frame; only signals (`BaseException`) are raised."""
    frame = life.frame
    flow = frame.flow
    with signals.termination(frame.recorder.close):
        if not await life.prepare():
            return frame
        while not frame.state.is_final:  # type: ignore[union-attr]
            if not await life.start():
                break
            life.enter()
            try:
                args, kwargs = flow.spec.call_args(frame.parameters)
                if flow.timeout_seconds:
                    value = await io.call_within(flow.timeout_seconds, FlowRunTimeoutError, flow.fn, args, kwargs)
                else:
                    value = await io.call(flow.fn, args, kwargs)
                await life.returned(value)
            except BaseException as exc:
                await life.raised(exc)
                if not isinstance(exc, Exception) and not stopping.stopped(frame):
                    await life.finish()
                    raise
            finally:
                life.leave()
        await life.finish()
    return frame


async def iterate(io: Port, life: FlowRun, is_async: bool) -> AsyncGenerator[Any, Any]:
    """Live the life of a generator flow run, passing on what it yields and what is sent to it.

    The run is current only while its own code runs, not while the consumer has the turn.
    """
    frame = life.frame
    if not await life.prepare():
        outcome.value_or_raise(frame)
    while not frame.state.is_final:  # type: ignore[union-attr]
        if not await life.start():
            break
        life.enter()
        try:
            args, kwargs = frame.flow.spec.call_args(frame.parameters)
            began = frame.state.timestamp  # type: ignore[union-attr]
            limit = generators.rest_of_limit(frame.flow.timeout_seconds, began, FlowRunTimeoutError)
            steps = generators.Steps(io, frame.flow.fn(*args, **kwargs), is_async, limit)
            while await steps.advance():
                life.leave()
                try:
                    steps.send((yield steps.item))
                except GeneratorExit:
                    life.enter()
                    await steps.close()
                    await life.returned(None)
                    await life.finish()
                    raise
                except BaseException as thrown:
                    steps.throw(thrown)
                life.enter()
            await life.returned(steps.returned)
        except GeneratorExit:
            raise
        except BaseException as exc:
            await life.raised(exc)
            if not isinstance(exc, Exception) and not stopping.stopped(frame):
                await life.finish()
                raise
        finally:
            life.leave()
    await life.finish()
    outcome.value_or_raise(frame)


def run_logger(frame: FlowFrame) -> logging.LoggerAdapter[Any]:
    """The run's logger, made once."""
    if frame.logger is None:
        frame.logger = loggers.flow_run_logger(frame, flow=frame.flow)
    return frame.logger
