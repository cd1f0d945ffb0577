"""What a worker does with a claimed run: the frame it runs in, and the recorder that holds on to the claim.

The engine lives the life of the run as that of any other. It writes states through the frame's recorder, and here that
is one whose every write also checks the claim and keeps the queue in step, in one transaction that is on disk before
the engine goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prefect._background import bells, payloads
from prefect._clock import now_us
from prefect._engine import task_run
from prefect._engine.frames import TaskFrame, current_flow, current_task
from prefect._engine.recording.local import LocalRecorder
from prefect._lazy import lazy_module
from prefect._rules.states import (
    FAILED,
    PENDING,
    RUNNING,
    SCHEDULED,
    TERMINAL,
    RunState,
    Value,
    awaiting_retry,
    pending,
)
from prefect._store import deferred_queue as queue
from prefect._store.deferred_queue import Claim, ClaimLost
from prefect._store.sqlite import DatabaseUnavailable
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect._engine import caching
else:
    caching = lazy_module("prefect._engine.caching")

_log = get_logger("task_worker")

__all__ = ["ClaimLost", "ClaimRecorder", "GivenBack", "frame_of"]

Unit = Callable[[sqlite3.Connection], Any]


class GivenBack(Exception):
    """The run has a retry to wait for; it is in the queue again, and no worker is kept busy with waiting."""


class ClaimRecorder:
    """Records the states of one claimed run.

    Args:
        recorder: the recorder of this process.
        claim: the claim.
        postpone: takes a unit that could not be written and has it written when that is possible.
    """

    def __init__(self, recorder: LocalRecorder, claim: Claim, postpone: Callable[[Unit], None]) -> None:
        self._recorder = recorder
        self._claim = claim
        self._postpone = postpone
        self._over = False

    def task_state(self, frame: TaskFrame, state: RunState) -> None:
        """Enter `state` and have it on disk.

        Raises:
            ClaimLost: the run is not this worker's any more.
            GivenBack: the state was a retry to wait for.
            DatabaseUnavailable: the database cannot be written, and the run has not begun.
        """
        if self._over:
            return
        if state.type == FAILED:
            state = with_stored_exception(frame, state)
        if self._claim.dependencies:
            frame.inputs = {**self._claim.dependencies, **(frame.inputs or {})}
        frame.enter(state)
        record = (frame, state, frame.run_count, frame.start_us, frame.end_us, frame.total_us, frame.expected_us)
        given_back = state.type == SCHEDULED
        # a run whose inputs failed stays pending: nothing more will come of it
        self._over = given_back or state.type in TERMINAL or state.type == PENDING
        unit = _Unit(self._claim, record, self._over, given_back, self._recorder)
        try:
            self._recorder.writer.commit(unit)
        except DatabaseUnavailable as exc:
            if state.type == RUNNING and frame.run_count == 1:
                raise
            _log.error("%s Task run %r goes on; its state is written when that is possible.", exc, frame.name)
            self._postpone(unit)
        else:
            unit.tell()
        if given_back:
            raise GivenBack()

    def flush(self) -> None:
        self._recorder.flush()


class _Unit:
    """One state of a claimed run, to be written."""

    def __init__(self, claim: Claim, record: Any, over: bool, given_back: bool, recorder: LocalRecorder) -> None:
        self._claim, self._record, self._over, self._given_back = claim, record, over, given_back
        self._recorder = recorder
        self._somebody_waits = False

    def __call__(self, connection: sqlite3.Connection) -> None:
        claim, state = self._claim, self._record[1]
        queue.check(connection, claim)
        self._recorder.write_task_state(connection, self._record)
        if self._given_back:
            queue.give_back(connection, claim, state.details["scheduled_time"])
        elif self._over:
            self._somebody_waits = queue.end(connection, claim.id)

    def tell(self) -> None:
        """After the commit: wake those who wait for it."""
        if self._over and not self._given_back:
            if self._claim.parameters is not None:
                payloads.forget(self._claim.parameters)
            bells.ring(self._recorder.writer.path, bells.DONE, self._claim.id)
        if self._given_back or self._somebody_waits:
            bells.ring(self._recorder.writer.path, bells.WORK)


def with_stored_exception(frame: TaskFrame, state: RunState) -> RunState:
    """The state with its exception kept as a result, so that whoever waits elsewhere can raise it."""
    data = state.data
    if not (
        isinstance(data, Value) and data.record is None and isinstance(data.value, BaseException) and frame.persist
    ):
        return state
    store = caching.store_of_task(frame)
    try:
        record = store.create_result_record(data.value)
        store.persist_result_record(record)
    except Exception as exc:  # the run has failed in any case; its message tells the reason
        _log.debug("The exception of task run %r cannot be stored: %s", frame.name, exc)
        return state
    data.record = record
    return state


def frame_of(recorder: Any, claim: Claim, task: Any, parameters: dict[str, Any], wait_for: Any) -> TaskFrame:
    """The frame of a claimed run, recorded by `recorder`. What is current belongs to the run: see `payloads.keep`."""
    frame = TaskFrame(recorder, task, parameters, claim.id)
    frame.name, frame.tags, frame.dynamic_key = claim.name, claim.tags, claim.dynamic_key
    frame.created_us, frame.expected_us, frame.start_us = claim.created_us, claim.expected_us, claim.start_us
    frame.flow_frame, frame.parent = current_flow.get(), current_task.get()
    frame.flow_run_id = claim.flow_run_id
    frame.wait_for = wait_for
    frame.log_prints = task_run.logs_prints(task, frame.flow_frame, frame.parent)
    # whoever holds a future is in another process: without a stored result there would be nothing to give out
    frame.persist = task.persist_result if task.persist_result is not None else True
    frame.run_count = frame.attempt = claim.run_count
    frame.total_us = claim.total_us
    # the engine calls what follows a wait for a retry "Retrying"
    frame.state = awaiting_retry(now_us()) if claim.run_count else pending()
    return frame


def fail_unread(make: Callable[[Claim], TaskFrame], claim: Claim, exc: Exception) -> None:
    """Record that a run failed because its parameters cannot be had.

    Args:
        make: makes a frame for the claim.
        claim: the claim.
        exc: why they cannot.
    """
    message = (
        f"The parameters of task run {claim.name!r} cannot be read by the task worker: {type(exc).__name__}: {exc}. "
        "The worker needs the storage in which they are kept and the modules that define their types."
    )
    _log.error(message)
    frame = make(replace(claim, run_count=0))
    frame.run_count = claim.run_count
    frame.recorder.task_state(frame, RunState(FAILED, message=message, data=Value(RuntimeError(message))))
