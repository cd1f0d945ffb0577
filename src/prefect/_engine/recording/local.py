"""Runs recorded in a local database, by this process itself.

Task runs, logs and events are records: appended to a list here, written by the writer within a tenth of a second or with the
next commit, whichever is first. Flow runs change state by commits: the caller goes on when the change is on disk, and
everything recorded before it is on disk with it. Records are idempotent by id, so a batch may be written again.

When the database cannot be written (a full disk, a read-only folder) the user's code goes on: what is to be recorded
is kept and tried again with every later commit and at exit, and one error says what is happening and what to do.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect._clock import now_us
from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._engine.recording.values import clean, data_json, details_json, tags_json, to_json
from prefect._ids import new_id
from prefect._lazy import lazy_module
from prefect._rules.states import RUNNING, TERMINAL, RunState
from prefect._rules.transitions import Verdict, decide
from prefect._store import state_events
from prefect._store import statements as sql
from prefect._store.owners import Owner
from prefect._store.reconciling import reconcile
from prefect._store.sqlite import DatabaseUnavailable
from prefect._store.writer import Writer

if TYPE_CHECKING:
    import orjson

    from prefect._parameters import serialization
else:
    orjson = lazy_module("orjson")
    serialization = lazy_module("prefect._parameters.serialization")

_log = logging.getLogger("prefect.recorder")

_LOOK_SECONDS = 0.25

MAX_PENDING = 20_000
"""Records that may wait; a thread that records more writes them itself first, so memory stays bounded."""


class RecordStream:
    """Records on their way to the database.

    The list is never replaced: a thread that has just looked it up to append a record must not append to one that was
    written meanwhile.
    """

    def __init__(self) -> None:
        self.pending: list[tuple[Any, ...]] = []

    def take(self) -> Any | None:
        batch = self.pending[:]
        del self.pending[: len(batch)]
        return batch or None

    def restore(self, batch: Any) -> None:
        self.pending[:0] = batch


class TaskRunStream(RecordStream):
    """Task runs and their states.

    Args:
        create: writes the row of a flow run that is missing; tells whether it could.
    """

    def __init__(self, create: Callable[[sqlite3.Connection, FlowFrame], bool]) -> None:
        super().__init__()
        self._create = create

    def write(self, connection: sqlite3.Connection, batch: Any) -> None:
        try:
            self._write(connection, batch)
        except sqlite3.IntegrityError:  # a flow run that could not be written yet, or was deleted under our feet
            known = {
                frame: self._create(connection, frame)
                for frame in dict.fromkeys(item[0].flow_frame for item in batch)
                if frame is not None
            }
            self._write(connection, [item for item in batch if known.get(item[0].flow_frame, True)])

    def _write(self, connection: sqlite3.Connection, batch: Any) -> None:
        newest: dict[TaskFrame, Any] = {}
        states = []
        for item in batch:
            frame, state = item[0], item[1]
            newest[frame] = item
            states.append((
                state.id, frame.id, state.timestamp, state.type, clean(state.name), clean(state.message),
                details_json(state), data_json(state),
            ))  # fmt: skip
        connection.executemany(sql.UPSERT_TASK_RUN, [_task_run_row(*item) for item in newest.values()])
        connection.executemany(sql.INSERT_TASK_RUN_STATE, states)


def _task_run_row(
    frame: TaskFrame,
    state: RunState,
    run_count: int,
    start_us: int | None,
    end_us: int | None,
    total_us: int,
    expected_us: int | None,
) -> tuple[Any, ...]:
    task, flow_frame = frame.task, frame.flow_frame
    return (
        frame.id, frame.created_us, state.timestamp, clean(frame.name), frame.flow_run_id, task.task_key, frame.dynamic_key,
        frame.cache_key, frame.cache_expiration_us, task.version, flow_frame.run_count if flow_frame else 0,
        task.policy_json, to_json(frame.inputs) if frame.inputs else "{}", tags_json(frame.tags), "{}", state.id, state.type,
        state.name, state.timestamp, run_count, expected_us, state.details.get("scheduled_time"), start_us, end_us,
        total_us,
    )  # fmt: skip


class LogStream(RecordStream):
    """Log lines."""

    def write(self, connection: sqlite3.Connection, batch: Any) -> None:
        connection.executemany(sql.INSERT_LOG, batch)


class EventStream(RecordStream):
    """Events, each with the resources it has to do with."""

    def write(self, connection: sqlite3.Connection, batch: Any) -> None:
        for event, resources in batch:
            if connection.execute(sql.INSERT_EVENT, event).rowcount:  # one that is there keeps the resources it has
                connection.executemany(sql.INSERT_EVENT_RESOURCE, resources)


class LocalRecorder:
    """Records the runs of this process in one local database: see `port.Recorder`."""

    waits = False

    def __init__(self, path: str) -> None:
        self.writer = Writer(path)
        self.owner = Owner(path)
        self._task_runs = TaskRunStream(self._create_missing)
        self._logs = LogStream()
        self._events = EventStream()
        self.writer.add_stream(self._task_runs)
        self.writer.add_stream(self._logs)
        self.writer.add_stream(self._events)
        self._reconciled = False
        self._late: deque[Callable[[sqlite3.Connection], None]] = deque()
        self._outage_reported = False

    # -- task runs, logs, events --------------------------------------------------------------------------------

    def task_state(self, frame: TaskFrame, state: RunState) -> None:
        """Enter `state` and record it."""
        frame.enter(state)
        flow_frame = frame.flow_frame
        if flow_frame is not None:
            (flow_frame.open_runs.discard if state.type in TERMINAL else flow_frame.open_runs.add)(frame)
        self._task_runs.pending.append((
            frame, state, frame.run_count, frame.start_us, frame.end_us, frame.total_us, frame.expected_us,
        ))  # fmt: skip
        self._more(len(self._task_runs.pending))

    def write_task_state(self, connection: sqlite3.Connection, record: tuple[Any, ...]) -> None:
        """Record a state in a transaction of the caller's, together with what else it writes.

        Args:
            connection: in the transaction.
            record: the frame, the state, and of the run its count, start, end, total and expected time.
        """
        self._task_runs.write(connection, [record])

    def crash_task_run(self, task_run_id: str, message: str) -> bool:
        """End a task run that another process began and cannot end any more; False when it has not begun.

        Raises:
            DatabaseUnavailable: that could not be written.
        """

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT state_type FROM task_run WHERE id = ?", (task_run_id,)).fetchone()
            if row is not None and row[0] not in TERMINAL:
                sql.crash_task_run(connection, task_run_id, message)
            return row is not None

        return self.writer.commit(work)

    def log(self, record: tuple[str, int, str, int, str | None, str | None, str | None]) -> None:
        """Record a log line: (logger, level, message, timestamp_us, flow_run_id, task_run_id, worker_id)."""
        name, level, message, timestamp, flow_run_id, task_run_id, worker_id = record
        row = (new_id(), now_us(), name, level, clean(message), timestamp, flow_run_id, task_run_id, worker_id)
        self._logs.pending.append(row)
        self._more(len(self._logs.pending))

    def event(self, event: tuple[Any, ...], resources: list[tuple[Any, ...]]) -> None:
        """Record an event: a row of `event` and its rows of `event_resource`, in the order of their columns."""
        self._events.pending.append((event, resources))
        self._more(len(self._events.pending))

    def _more(self, pending: int) -> None:
        self.writer.notify()
        if pending >= MAX_PENDING and pending % 64 == 0:  # (threads may jump over an exact number)
            try:
                self.writer.flush(now=False)
            except DatabaseUnavailable as exc:
                self._report_outage(exc)

    # -- flow runs ----------------------------------------------------------------------------------------------

    def begin_flow_run(self, frame: FlowFrame) -> None:
        """Be told of a new flow run; it is written with its first change of state."""

    def flow_id_of(self, name: str) -> str | None:
        """The id of the flow of that name, None when none has been recorded or the database cannot be read."""
        try:
            row = self.writer.read(lambda connection: connection.execute(sql.FLOW_ID_BY_NAME, (name,)).fetchone())
        except DatabaseUnavailable:
            return None
        return row[0] if row is not None else None

    def flow_state(self, frame: FlowFrame, proposed: RunState, *, force: bool = False) -> Verdict:
        """Propose a state for a flow run; return the verdict when it is on disk.

        The first proposal also creates the run. On a verdict that is not WAIT the frame has entered its state.
        """
        previous, before = frame.state, frame.moment()

        def work(connection: sqlite3.Connection) -> Verdict:
            return self._decide_and_write(connection, frame, previous, proposed, force)

        try:
            self._write_late()
            verdict = self.writer.commit(work)
        except DatabaseUnavailable as exc:
            frame.go_back(before)  # what the transaction did is undone
            frame.enter(proposed)
            self._late.append(self._as_it_is(frame, previous or proposed))
            self._report_outage(exc)
            return Verdict("ACCEPT", proposed)
        except BaseException:
            frame.go_back(before)
            raise
        self._reconciled = self.owner.recorded = True
        self._outage_reported = False
        return verdict

    def _as_it_is(self, frame: FlowFrame, first: RunState) -> Callable[[sqlite3.Connection], None]:
        """Work that writes the state the run is in now, whenever that becomes possible."""
        state = frame.state
        assert state is not None
        row = self._state_row(frame, state)

        def work(connection: sqlite3.Connection) -> None:
            known = connection.execute(sql.FLOW_RUN_STATE, (frame.id,)).fetchone()
            if known is None:
                self._create(connection, frame, first)
            for entered in (first, state):
                self._insert_state(connection, frame.id, entered)
            # what somebody else wrote after this stays
            if known is None or known[4] <= state.timestamp:
                connection.execute(
                    sql.UPDATE_FLOW_RUN_STATE,
                    (now_us(), *row, self._owner_of(connection, state), clean(frame.name), frame.id),
                )

        return work

    def _write_late(self, *, now: bool = False) -> None:
        """Write what an outage kept from being written, in order. Writing a state twice does no harm."""
        while self._late:
            work = self._late[0]
            try:
                self.writer.commit(work, now=now)
            except DatabaseUnavailable:
                raise
            except Exception:
                _log.error("A state that could not be written during an outage cannot be written now:", exc_info=True)
            try:
                self._late.remove(work)
            except ValueError:  # another thread was at it, too
                pass

    def _decide_and_write(
        self,
        connection: sqlite3.Connection,
        frame: FlowFrame,
        previous: RunState | None,
        proposed: RunState,
        force: bool,
    ) -> Verdict:
        if not self._reconciled:
            reconcile(connection, self.writer.path)
        if not frame.created:
            self._create(connection, frame, previous or proposed)
            current = previous
        else:
            current = self._recorded_state(connection, frame, previous)
        verdict = decide(current, proposed, now_us=now_us(), force=force)
        if verdict.kind == "WAIT" or verdict.state is None:
            return verdict
        if frame.state is not verdict.state:
            frame.enter(verdict.state)
        if verdict.state is not current:
            self._write_flow_state(connection, frame, verdict.state)
        return verdict

    def _recorded_state(
        self, connection: sqlite3.Connection, frame: FlowFrame, known: RunState | None
    ) -> RunState | None:
        """The state on disk: the one this process knows, unless somebody else changed it meanwhile."""
        row = connection.execute(sql.FLOW_RUN_STATE, (frame.id,)).fetchone()
        if row is None:  # deleted under our feet: write it again rather than lose it
            self._create(connection, frame, known or RunState("PENDING"))
            return known
        type_, name, message, details, timestamp, state_id = row
        if known is not None and known.id == state_id:
            return known
        return RunState(type_, name, message, None, orjson.loads(details), timestamp, state_id)

    def recorded_flow_state(self, flow_run_id: str) -> RunState | None:
        """The state of any flow run in the database, or None when there is no such run."""
        row = self.writer.read(lambda connection: connection.execute(sql.FLOW_RUN_STATE, (flow_run_id,)).fetchone())
        if row is None:
            return None
        type_, name, message, details, timestamp, state_id = row
        return RunState(type_, name, message, None, orjson.loads(details), timestamp, state_id)

    def next_flow_state(
        self, flow_run_id: str, seen: str | None, seconds: float, poll_interval: float
    ) -> RunState | None:
        """The state of any flow run, as soon as it is another one than `seen`; the latest when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            known = self.recorded_flow_state(flow_run_id)
            rest = deadline - time.monotonic()
            if known is None or known.id != seen or rest <= 0:
                return known
            time.sleep(min(rest, poll_interval, _LOOK_SECONDS))

    def propose_for(self, flow_run_id: str, proposed: RunState, *, force: bool = False) -> Verdict | None:
        """Propose a state for a flow run of any process (pause, resume, cancel); None when there is no such run."""

        def work(connection: sqlite3.Connection) -> Verdict | None:
            row = connection.execute(sql.FLOW_RUN_STATE, (flow_run_id,)).fetchone()
            if row is None:
                return None
            type_, name, message, details, timestamp, state_id = row
            current = RunState(type_, name, message, None, orjson.loads(details), timestamp, state_id)
            verdict = decide(current, proposed, now_us=now_us(), force=force)
            if verdict.kind != "WAIT" and verdict.state is not None and verdict.state is not current:
                self._overwrite(connection, flow_run_id, current, verdict.state)
            return verdict

        return self.writer.commit(work)

    def _overwrite(self, connection: sqlite3.Connection, flow_run_id: str, current: RunState, state: RunState) -> None:
        connection.execute(
            sql.SET_FLOW_RUN_STATE,
            {
                "id": flow_run_id, "now": state.timestamp, "state": state.id, "type": state.type, "name": state.name,
                "ran": current.type == "RUNNING", "final": state.type in TERMINAL,
                "scheduled": state.details.get("scheduled_time"),
            },
        )  # fmt: skip
        self._insert_state(connection, flow_run_id, state)

    def _create(self, connection: sqlite3.Connection, frame: FlowFrame, state: RunState) -> None:
        flow = frame.flow
        frame.flow_id = self._flow_id(connection, flow.name)
        connection.execute(
            sql.INSERT_FLOW_RUN,
            (
                frame.id, frame.created_us, now_us(), clean(frame.name), frame.flow_id, flow.version,
                to_json(serialization.dump_parameters(frame.parameters)) if frame.parameters else "{}",
                flow.policy_json, tags_json(frame.tags), to_json(frame.labels) if frame.labels else "{}",
                frame.parent_task_run_id, frame.parent_flow_run_id, state.id, state.type, state.name, state.timestamp,
                frame.expected_us, self.owner.ensure(connection),
            ),
        )  # fmt: skip
        self._insert_state(connection, frame.id, state)
        frame.created = True

    def _create_missing(self, connection: sqlite3.Connection, frame: FlowFrame) -> bool:
        """Write the row of a flow run that its task runs need; False for a run that is another process's to write."""
        if connection.execute(sql.FLOW_RUN_STATE, (frame.id,)).fetchone() is not None:
            return True
        if frame.detached or frame.state is None:
            return False
        self._create(connection, frame, frame.state)
        return True

    @staticmethod
    def _flow_id(connection: sqlite3.Connection, name: str) -> str:
        row = connection.execute(sql.FLOW_ID_BY_NAME, (name,)).fetchone()
        if row is None:
            now = now_us()
            connection.execute(sql.INSERT_FLOW, (new_id(), now, now, name, "[]"))
            row = connection.execute(sql.FLOW_ID_BY_NAME, (name,)).fetchone()
        return row[0]

    def _owner_of(self, connection: sqlite3.Connection, state: RunState) -> str | None:
        return None if state.type in TERMINAL else self.owner.ensure(connection)

    @staticmethod
    def _state_row(frame: FlowFrame, state: RunState) -> tuple[Any, ...]:
        return (
            state.id, state.type, clean(state.name), state.timestamp, frame.run_count, frame.start_us, frame.end_us,
            frame.total_us, state.details.get("scheduled_time"),
        )  # fmt: skip

    def _write_flow_state(self, connection: sqlite3.Connection, frame: FlowFrame, state: RunState) -> None:
        connection.execute(
            sql.UPDATE_FLOW_RUN_STATE,
            (
                now_us(), *self._state_row(frame, state), self._owner_of(connection, state), clean(frame.name),
                frame.id,
            ),
        )  # fmt: skip
        self._insert_state(connection, frame.id, state)
        if state.details.get("pause_reschedule"):  # who goes on with the run must know which pauses it has been through
            keys = sorted({state.details.get("pause_key") or "", *frame.pauses} - {"", "counter"})
            connection.execute(sql.SET_PAUSE_KEYS, (to_json(keys), frame.id))
        if frame.adopted is not None and state.type == RUNNING:  # who made the run did not know the flow
            connection.execute(sql.MERGE_POLICY, (frame.flow.policy_json, frame.id))
        if frame.adopted is not None and frame.parent_task_run_id is not None:
            self._mirror(connection, frame, state)

    @staticmethod
    def _mirror(connection: sqlite3.Connection, frame: FlowFrame, state: RunState) -> None:
        """The task run that stands for a sub-flow run, in a parent of another process, is in the state of the run."""
        id, details = new_id(), to_json({"child_flow_run_id": frame.id})
        known = connection.execute(
            sql.SET_TASK_RUN_STATE,
            {
                "id": frame.parent_task_run_id, "now": state.timestamp, "state": id, "type": state.type,
                "name": clean(state.name), "final": state.type in TERMINAL,
            },
        ).rowcount  # fmt: skip
        if known:
            row = (id, frame.parent_task_run_id, state.timestamp, state.type, clean(state.name), clean(state.message))
            connection.execute(sql.INSERT_TASK_RUN_STATE, (*row, details, None))

    @staticmethod
    def _insert_state(connection: sqlite3.Connection, flow_run_id: str, state: RunState) -> None:
        connection.execute(
            sql.INSERT_FLOW_RUN_STATE,
            (
                state.id, flow_run_id, state.timestamp, state.type, clean(state.name), clean(state.message),
                details_json(state), data_json(state),
            ),
        )  # fmt: skip
        state_events.flow_run_entered(connection, flow_run_id, state)

    # -- the end ------------------------------------------------------------------------------------------------

    @property
    def holds_back(self) -> bool:
        """Whether states are kept in memory because the database could not be written."""
        return bool(self._late)

    def flush(self) -> None:
        """Have everything recorded so far on disk, or report that it cannot be."""
        try:
            self._write_late(now=True)
            self.writer.flush()
            self._outage_reported = False
        except DatabaseUnavailable as exc:
            self._report_outage(exc)

    def _report_outage(self, exc: DatabaseUnavailable) -> None:
        if not self._outage_reported:
            self._outage_reported = True
            _log.error("%s Runs go on; what they report is kept in memory and written when that is possible.", exc)

    def close(self) -> None:
        """Write what is pending, give the owner's lock back, close the file."""
        self.flush()
        lost = len(self._task_runs.pending) + len(self._late)
        if lost:
            _log.error("%d state changes could not be written to %s.", lost, self.writer.path)
        self.writer.close()
        self.owner.release()

    def before_fork(self) -> None:
        self.writer.before_fork()

    def after_fork_in_parent(self) -> None:
        self.writer.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        self.writer.after_fork_in_child()
        self.owner.after_fork_in_child()
        self.owner = Owner(self.writer.path)
        self._late = deque()
