"""Waiting for runs that other processes carry out for a server: one thread, which the server tells of their ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from prefect._background.served import WAIT_SECONDS, recorder
from prefect._engine.recording import messages
from prefect._engine.recording.served import ServedRecorder
from prefect._engine.recording.units import Refused
from prefect._rules.states import TERMINAL
from prefect._schemas import states as models
from prefect._transport.direct import Connection, ServerUnreachable
from prefect.logging.loggers import get_logger

_log = get_logger("task_runs")

Told = Callable[[Any], None]

_REST_SECONDS = 1.0
_MOST = 200


def state_now(task_run_id: str) -> tuple[Any, bool] | None:
    """A run's state now, and whether it is its last one; None when there is no such run."""
    server = recorder()
    server.flush()
    try:
        run = server.ask("GET", f"/task_runs/{task_run_id}")
    except Refused as exc:
        if exc.status == 404:
            return None
        raise
    return (_public(run), _is_over(run)) if run.get("state") else None


def _is_over(run: dict[str, Any]) -> bool:
    # a run that never became ready stays pending
    return run["state_type"] in TERMINAL or run["state_name"] == "NotReady"


def _public(run: dict[str, Any]) -> Any:
    state = messages.read_state(run["state"])
    return models.to_public(state, flow_run_id=run["flow_run_id"], task_run_id=run["id"])


def get_waiter(waiters: dict[str, Any], lock: threading.Lock) -> ServedWaiter:
    """The waiter for the server of the current settings."""
    server = recorder()
    with lock:
        waiter = waiters.get(server.address.shown)
        if waiter is None or waiter.server is not server:
            waiter = waiters[server.address.shown] = ServedWaiter(server)
        return waiter


class ServedWaiter:
    """Tells when runs have ended.

    Args:
        server: what speaks to the server.
    """

    def __init__(self, server: ServedRecorder) -> None:
        self.server = server
        self._connection = Connection(server.address)
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Told]] = {}
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()
        self._keeps = True

    def add(self, task_run_id: str, told: Told) -> None:
        """Call `told(state)` when the run has ended, on the thread of this waiter."""
        with self._lock:
            self._waiting.setdefault(task_run_id, []).append(told)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prefect-waiter", daemon=True)
                self._thread.start()
                return
        self._interrupt()

    def discard(self, task_run_id: str, told: Told) -> None:
        """Do not call it after all."""
        with self._lock:
            callbacks = self._waiting.get(task_run_id, [])
            if told in callbacks:
                callbacks.remove(told)
            if not callbacks:
                self._waiting.pop(task_run_id, None)
            empty = not self._waiting
        if empty:
            self._interrupt()

    def clear(self) -> None:
        """Forget everybody who waits."""
        with self._lock:
            self._waiting.clear()
        self._interrupt()

    def _interrupt(self) -> None:
        """Let the question that is on its way be asked again, about others."""
        self._changed.set()
        self._connection.interrupt()

    def _run(self) -> None:
        reported = False
        while True:
            with self._lock:
                self._changed.clear()
                if not self._waiting:
                    self._thread = None
                    return
                ids = list(self._waiting)
            try:
                for run in self._ask(ids):
                    self._tell(run)
                reported = False
            except Exception as exc:  # whatever it is, those who wait must not wait for ever
                if self._changed.is_set():
                    continue
                if not reported:
                    reported = True
                    known = isinstance(exc, (ServerUnreachable, Refused))
                    _log.error(
                        "It cannot be seen now whether task runs have ended, and is tried again: %s",
                        exc, exc_info=None if known else exc,
                    )  # fmt: skip
                self._changed.wait(_REST_SECONDS)

    def _ask(self, ids: list[str]) -> list[dict[str, Any]]:
        """The runs among these that have ended; the server answers when there are any."""
        if self._keeps:
            try:
                body = {"ids": ids, "wait_seconds": WAIT_SECONDS}
                return self.server.ask("POST", "/task_runs/wait", body, patient=False, on=self._connection)
            except Refused as exc:
                if exc.status not in (404, 405):
                    raise
                self._keeps = False  # a Prefect server keeps nobody waiting
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), _MOST):
            wanted = {"task_runs": {"id": {"any_": ids[start : start + _MOST]}}, "limit": _MOST}
            found += self.server.ask("POST", "/task_runs/filter", wanted, patient=False, on=self._connection)
        ended = [run for run in found if _is_over(run)]
        if not ended:
            self._changed.wait(_REST_SECONDS)
        return ended

    def _tell(self, run: dict[str, Any]) -> None:
        with self._lock:
            callbacks = self._waiting.pop(run["id"], [])
        state = _public(run) if callbacks else None
        for told in callbacks:
            try:
                told(state)
            except Exception:
                _log.exception("A callback for the end of task run %s raised:", run["id"])
