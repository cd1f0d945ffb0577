"""Deferred runs of a server: queued, claimed, carried out under a lease, and waited for."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from prefect._background import claims, payloads
from prefect._background.claims import GivenBack
from prefect._clock import now_us, to_us
from prefect._engine.frames import TaskFrame
from prefect._engine.recorder import get_recorder
from prefect._engine.recording import messages
from prefect._engine.recording.served import ServedRecorder
from prefect._engine.recording.units import Refused
from prefect._rules.states import FAILED, PENDING, RUNNING, SCHEDULED, TERMINAL, RunState
from prefect._store import deferred_queue as queue
from prefect._store.deferred_queue import Claim, ClaimLost
from prefect._transport.direct import Connection, ServerUnreachable
from prefect.logging.loggers import get_logger

_log = get_logger("task_worker")

WAIT_SECONDS = 20.0
"""How long the server keeps a question for work, at most."""
RENEW_SECONDS = 15.0
_REST_SECONDS = 0.5
_MOST = 500


def recorder() -> ServedRecorder:
    """The recorder of the current settings, which name a server."""
    found: Any = get_recorder()
    return found


def put(runs: Iterable[tuple[TaskFrame, RunState]]) -> None:
    """Have the server keep runs that have entered the scheduled state, all or none.

    Raises:
        ServerUnreachable: it does not answer.
        Refused: it does not take them.
    """
    server = recorder()
    server.flush()  # the flow run that defers them comes first
    items = [(frame, state, 0, None, None, 0, frame.expected_us) for frame, state in runs]
    records = messages.task_runs(items)
    if not server.is_published:
        try:
            answer = server.ask("POST", "/task_runs/record", {"task_runs": records})
        except Refused as exc:
            if exc.status not in (404, 405):
                raise
        else:
            if answer["orphans"]:
                raise Refused(409, "The flow run that defers these task runs has been deleted on the server.")
            return
    for record in records:
        _create(server, record)


def _create(server: ServedRecorder, record: dict[str, Any]) -> None:
    """Make one scheduled run by the published operation."""
    names = ("id", "name", "flow_run_id", "task_key", "dynamic_key", "task_version", "tags", "task_inputs")
    state = {name: record["states"][0].get(name) for name in ("type", "name", "state_details")}
    body = {name: record[name] for name in names if record.get(name) is not None}
    server.ask("POST", "/task_runs/", {**body, "state": state})


class ServedSource:
    """The deferred runs of a server.

    Args:
        by_key: the tasks, by what they are called in records.
    """

    unavailable = (ServerUnreachable, Refused)

    def __init__(self, by_key: dict[str, Any]) -> None:
        self._recorder = recorder()
        self._keys = list(by_key)
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._connection = Connection(self._recorder.address)
        self._changed = threading.Event()
        self._asking = False
        self._lock = threading.Lock()
        self._held: dict[str, Claim] = {}
        self._renewing: threading.Thread | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        self._closed.clear()

    def claim(self, limit: int) -> list[Claim]:
        if limit <= 0:
            self.rest(_REST_SECONDS)
            return []
        body = {
            "worker": self._name, "task_keys": self._keys, "limit": min(limit, _MOST), "wait_seconds": WAIT_SECONDS,
        }  # fmt: skip
        with self._lock:
            if self._changed.is_set():
                self._changed.clear()
                return []
            self._asking = True
        try:
            return self._take(self._recorder.ask("POST", "/task_runs/claim", body, patient=False, on=self._connection))
        except ServerUnreachable:
            if not self._changed.is_set():
                raise
            return []  # it was told to stop waiting
        finally:
            with self._lock:
                self._asking = False
                self._changed.clear()

    def _take(self, answer: list[dict[str, Any]]) -> list[Claim]:
        taken = [_claim_of(each) for each in answer]
        with self._lock:
            self._held.update((claim.id, claim) for claim in taken)
            if taken and self._renewing is None:
                self._renewing = threading.Thread(target=self._renew, name="prefect-task-leases", daemon=True)
                self._renewing.start()
        return taken

    def claim_one(self, task_run_id: str) -> Claim | None:
        body = {"worker": self._name, "task_keys": self._keys, "task_run_ids": [task_run_id]}
        taken = self._take(self._recorder.ask("POST", "/task_runs/claim", body))
        return taken[0] if taken else None

    def wake(self) -> None:
        with self._lock:
            self._changed.set()
            asking = self._asking
        if asking:
            self._connection.interrupt()

    def rest(self, seconds: float) -> None:
        self._changed.wait(seconds)
        self._changed.clear()

    def frame_of(self, claim: Claim, task: Any, parameters: dict[str, Any], wait_for: Any) -> TaskFrame:
        return claims.frame_of(ServedClaimRecorder(self._recorder, claim), claim, task, parameters, wait_for)

    def give_back(self, claim: Claim) -> None:
        details = queue.scheduled_details(claim.parameters, now_us())
        record = _bare_record(claim, RunState(SCHEDULED, details=details))
        self._recorder.outbox.keep({"task_runs": [record]})

    def ended(self, claim: Claim) -> None:
        with self._lock:
            self._held.pop(claim.id, None)
            waits = not self._asking
        if waits:  # a question on its way may go on: there is more room than it asked for
            self._changed.set()

    def abandon(self, left: list[Claim]) -> None:
        for claim in left:
            message = f"The task worker that ran this task run ({self._name}) was told to end at once."
            self._recorder.outbox.keep({"task_runs": [_bare_record(claim, RunState("CRASHED", None, message))]})

    def drain(self) -> None:
        self._recorder.flush()

    def close(self) -> None:
        self._closed.set()
        self._renewing = None
        self._connection.close()

    def _renew(self) -> None:
        while not self._closed.wait(RENEW_SECONDS):
            with self._lock:
                leases = [{"task_run_id": claim.id, "token": claim.token} for claim in self._held.values()]
            try:
                if leases:
                    self._recorder.ask("POST", "/task_runs/leases/renew", {"leases": leases}, patient=False)
            except (ServerUnreachable, Refused) as exc:
                _log.debug("The leases of task runs were not renewed: %s", exc)


def _claim_of(said: dict[str, Any]) -> Claim:
    run = said["task_run"]
    return Claim(
        id=run["id"], token=said["token"], owner=None, task_key=run["task_key"], place="", due=now_us(),
        name=run["name"], created_us=_us(run["created"]) or now_us(), flow_run_id=run["flow_run_id"],
        dynamic_key=run["dynamic_key"], tags=frozenset(run["tags"]), run_count=run["run_count"],
        start_us=_us(run["start_time"]), total_us=round(run["total_run_time"] * 1e6),
        expected_us=_us(run["expected_start_time"]), policy=run["empirical_policy"], unbegun=said["unbegun"],
        parameters=said["task_parameters_id"], dependencies=run["task_inputs"],
    )  # fmt: skip


def _us(moment: str | None) -> int | None:
    return None if moment is None else to_us(datetime.fromisoformat(moment))


def _bare_record(claim: Claim, state: RunState) -> dict[str, Any]:
    """A record of a run of which this process has no frame."""
    record: dict[str, Any] = {
        "id": claim.id, "name": claim.name, "flow_run_id": claim.flow_run_id, "task_key": claim.task_key,
        "dynamic_key": claim.dynamic_key, "empirical_policy": claim.policy, "run_count": claim.run_count,
        "tags": sorted(claim.tags), "task_inputs": claim.dependencies, "lease_token": claim.token,
        "total_run_time": claim.total_us / 1e6, "states": [messages.state(state)],
    }  # fmt: skip
    for name, moment in (("start_time", claim.start_us), ("expected_start_time", claim.expected_us)):
        record[name] = messages.moment(moment)
    record["next_scheduled_start_time"] = messages.moment(state.details.get("scheduled_time"))
    if state.type in TERMINAL:
        record["end_time"] = messages.moment(state.timestamp)
    return record


class ServedClaimRecorder:
    """Records the states of one claimed run: as `claims.ClaimRecorder`, with a server.

    Args:
        recorder: the recorder of this process.
        claim: the claim.
    """

    def __init__(self, recorder: ServedRecorder, claim: Claim) -> None:
        self._recorder = recorder
        self._claim = claim
        self._over = False

    def task_state(self, frame: TaskFrame, state: RunState) -> None:
        """Enter `state` and have it recorded.

        Raises:
            ClaimLost: the run is not this worker's any more.
            GivenBack: the state was a retry to wait for.
            ServerUnreachable: there is no answer, and the run has not begun.
        """
        if self._over:
            return
        if state.type == FAILED:
            state = claims.with_stored_exception(frame, state)
        if self._claim.dependencies:
            frame.inputs = {**self._claim.dependencies, **(frame.inputs or {})}
        given_back = state.type == SCHEDULED
        if given_back:  # any worker may have it when it is due
            details = queue.scheduled_details(self._claim.parameters, state.details.get("scheduled_time", now_us()))
            state = RunState(state.type, state.name, state.message, None, details, state.timestamp, state.id)
        frame.enter(state)
        # a run whose inputs failed stays pending: nothing more will come of it
        self._over = given_back or state.type in TERMINAL or state.type == PENDING
        self._write(frame, state)
        if self._over and not given_back and self._claim.parameters is not None:
            payloads.forget(self._claim.parameters)
        if given_back:
            raise GivenBack()

    def _write(self, frame: TaskFrame, state: RunState) -> None:
        item = (frame, state, frame.run_count, frame.start_us, frame.end_us, frame.total_us, frame.expected_us)
        record = {**messages.task_runs([item])[0], "lease_token": self._claim.token}
        # the lines that were logged before it come along
        self._recorder.flush()
        try:
            answer = self._recorder.ask("POST", "/task_runs/record", {"task_runs": [record]})
        except ServerUnreachable as exc:
            if state.type == RUNNING and frame.run_count == 1:
                raise
            _log.error("%s Task run %r goes on; its state is sent when the server answers.", exc, frame.name)
            self._recorder.outbox.keep({"task_runs": [record]})
            return
        if answer["fenced"]:
            raise ClaimLost(
                f"Task run {frame.name!r} ({frame.id}) was taken away from this worker: it was claimed again elsewhere. "
                "What this worker has to report of it is not recorded."
            )

    def log(self, record: Any) -> None:
        """As that of the process."""
        self._recorder.log(record)

    def flush(self) -> None:
        self._recorder.flush()
