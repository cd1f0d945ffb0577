"""Getting what a process reports to the server: in order, together, acknowledged, and kept while the server is away.

Two kinds of things are handed in. *Units* (`commit`) are answered before the caller goes on: the beginning of a flow
run, a state that it is to enter, an artifact that it leaves. *Records* (`task_runs`, `logs`, `events`) may wait a tenth
of a second, and those of a task run that has not ended by then another tenth: most end, and are recorded once. Whoever needs an answer takes the lock and sends everything that is pending, its own unit last; the threads
that waited meanwhile find their units already answered. A background thread exists only while records wait, or the
server is away.

When the server does not answer, who has a unit that cannot do without waits a while (the client's retries); then the
server counts as away: messages go to the spool, and units are not answered (`Unit.answer` stays None: the caller decides
by itself). The spool is sent first once the server answers again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._engine.frames import TaskFrame
from prefect._engine.recording import messages
from prefect._engine.recording.messages import Message, TaskItem
from prefect._engine.recording.spool import Spool
from prefect._engine.recording.units import OF_UNITS, Refused, Unit, answer_all
from prefect._lazy import lazy_module
from prefect._transport.direct import ServerUnreachable
from prefect._transport.retries import RetryPolicy

if TYPE_CHECKING:
    import orjson
else:
    orjson = lazy_module("orjson")

_log = logging.getLogger("prefect.recorder")

FLUSH_SECONDS = 0.1
"""How long a record waits before the background thread sends it."""
_FIRST_FLUSH_SECONDS = 0.05
"""How long one waits after a while in which there was nothing: the server has its part of the work early, then."""
_QUIET_SECONDS = 0.5
MOST_TASK_ITEMS = 4_000
MOST_RECORDS = 4_000
"""How much goes into one message, at most."""
_FIRST_CONTACT_ATTEMPTS = 3
_LONGEST_REST = 15.0


class Outbox:
    """Sends what a process reports.

    Args:
        post: sends one message and returns the answer; raises `ServerUnreachable` or `Refused`.
        disconnect: lets go of the connection.
        shown: the address of the server, as it may be printed.
        folder: where messages are kept while the server is away.
        policy: how often, and after how long, it is tried again.
    """

    def __init__(
        self,
        post: Callable[[bytes], dict[str, Any]],
        disconnect: Callable[[], None],
        shown: str,
        folder: Path,
        policy: RetryPolicy,
    ) -> None:
        self._post = post
        self._disconnect = disconnect
        self._shown = shown
        self._policy = policy
        self.spool = Spool(folder)
        self.task_items: list[TaskItem] = []
        self.logs: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.contacted = False
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._units: deque[Unit] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._sending = False
        self._away: ServerUnreachable | Refused | None = None
        self._away_since = 0.0
        self._attempts = 0
        self._retry_at = 0.0
        self._kept = 0
        self._left = 0
        """So many of the task items were there when the background thread sent records, and were left for the next time."""
        self._told_of_loss = False
        self._looked_for_abandoned = False

    # -- handing in --------------------------------------------------------------------------------------------------

    def commit(self, unit: Unit) -> None:
        """Send a unit, and all that was recorded before it; returns when it is answered or kept.

        Raises:
            ServerUnreachable: the server has never answered.
            Refused: it does not take this unit.
        """
        self._units.append(unit)
        with self._lock:
            if not unit.done:
                self._drain()
        if unit.error is not None:
            raise unit.error

    def flush(self) -> None:
        """Send everything that is pending, or keep it in the spool."""
        with self._lock:
            self._drain(now=True)

    def keep(self, message: Message) -> None:
        """Have a message sent later, that could not be sent now."""
        with self._lock:
            self._append(message, durable=True)
        self.notify()

    def notify(self) -> None:
        """Say that there are records; they are sent after `FLUSH_SECONDS`, or twice as long."""
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start_thread()

    # -- in the background -------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._background, name="prefect-recorder", daemon=True)
                self._thread.start()

    def _background(self) -> None:
        wake, sent = self._wake, 0.0
        while True:
            wake.wait(max(self._retry_at - time.monotonic(), 0.01) if self._away is not None else None)
            if self._wake is not wake:
                return  # closed; one that is used again has another event and another thread
            if self._away is None:
                # let a batch gather; a unit in the meantime takes it along
                time.sleep(_FIRST_FLUSH_SECONDS if time.monotonic() - sent > _QUIET_SECONDS else FLUSH_SECONDS)
            else:
                time.sleep(min(max(self._retry_at - time.monotonic(), FLUSH_SECONDS), 1.0))
            wake.clear()
            with self._lock:
                if self._wake is not wake:
                    return
                try:
                    self._drain(leave_open=True)
                    self._send_abandoned()
                except Exception:  # the thread must go on; what was not sent is kept
                    _log.exception("What was recorded could not be sent, and it is tried again:")
            sent = time.monotonic()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _drain(self, *, now: bool = False, leave_open: bool = False) -> None:
        """Send all that is pending. Called with the lock held.

        Args:
            now: whether the server is away or not.
            leave_open: all but what has come in since the last time about task runs that have not ended.
        """
        if self._sending:
            return  # something that is logged on the way
        self._sending = True
        units: list[Unit] = []
        try:
            while self._units:
                if not self._units[0].done:
                    units.append(self._units[0])  # in this order: a signal in between must not lose a unit
                self._units.popleft()
            while len(self.task_items) > MOST_TASK_ITEMS or len(self.logs) > MOST_RECORDS:
                self._deliver(self._take(), [], now=now)
            message = self._take(leave_open=leave_open and not units)
            for unit in units:
                for kind, record in unit.records():
                    message[kind].append(record)
            if any(message.values()) or self.spool:
                self._deliver(message, units, now=now)
        except BaseException as exc:
            for unit in units:
                unit.error = unit.error or exc
            if not isinstance(exc, (ServerUnreachable, Refused)):
                raise
        finally:
            for unit in units:
                unit.done = True
            self._sending = False

    def _take(self, *, leave_open: bool = False) -> Message:
        """Take the records that are pending, as a message. (The lists are never replaced: others append meanwhile.)"""
        items = self._take_items(leave_open=leave_open)
        logs = self.logs[:MOST_RECORDS]
        del self.logs[: len(logs)]
        events = self.events[:MOST_RECORDS]
        del self.events[: len(events)]
        message: Message = {kind: [] for kind in messages.KINDS}
        message.update(task_runs=messages.task_runs(items), logs=logs, events=events)
        return message

    def _take_items(self, *, leave_open: bool) -> list[TaskItem]:
        items = self.task_items[:MOST_TASK_ITEMS]
        waited = {item[0] for item in items[: self._left]}
        # whether a run has ended is asked once, for all its items: others go on meanwhile
        stays = (
            {frame for frame in {item[0] for item in items} - waited if not _has_ended(frame)} if leave_open else set()
        )
        left = [item for item in items if item[0] in stays]
        self.task_items[: len(items)] = left
        self._left = len(left)
        if left:
            self.notify()
        return [item for item in items if item[0] not in stays] if stays else items

    def _deliver(self, message: Message, units: list[Unit], *, now: bool) -> None:
        """Send a message; or keep it, when the server is away."""
        line = messages.encode({kind: records for kind, records in message.items() if records})
        try:
            answer = self._send(line, units, now=now)
        except ServerUnreachable as exc:
            if not self.contacted and any(not unit.patient for unit in units):
                self._away = None
                self._give_back(message)
                raise self._never_reached(exc) from exc
            self._keep(message, exc)
        except Refused as exc:
            if exc.is_about_us and self.contacted:
                self._keep(message, exc)
            elif exc.is_about_us:
                self._give_back(message)
                raise
            else:
                self._deliver_apart(message, units, exc)
        except BaseException:  # a signal: nothing of it must be lost
            self._give_back(message)
            raise
        else:
            answer_all(units, answer)

    def _give_back(self, message: Message) -> None:
        """Keep the records of a message in memory. Task runs are as good as sent: they go to the spool."""
        self.logs[:0] = message["logs"]
        self.events[:0] = message["events"]
        if message["task_runs"]:
            self._append({"task_runs": message["task_runs"]}, durable=False)

    def _send(self, line: bytes, units: list[Unit], *, now: bool) -> dict[str, Any]:
        """Send a message, after what is in the spool; again for a while, when somebody waits for the answer."""
        waits = not now and any(unit.waits or not self.contacted for unit in units)
        while True:
            if self._away is not None and not now and not (waits and self._is_worth_waiting()):
                if time.monotonic() < self._retry_at:
                    raise self._away
            elif self._away is not None and waits:
                time.sleep(max(self._retry_at - time.monotonic(), 0))
            try:
                if self.spool:
                    self._send_spool(self.spool)
                answer = self._post(line) if len(line) > 2 else {}
            except ServerUnreachable as exc:
                self._not_answered(exc)
                if not waits or not self._is_worth_waiting():
                    raise
            else:
                self._answered()
                return answer

    def _is_worth_waiting(self) -> bool:
        return self._attempts < (self._policy.most if self.contacted else _FIRST_CONTACT_ATTEMPTS)

    def _not_answered(self, exc: ServerUnreachable) -> None:
        if self._away is None:
            self._away_since = time.monotonic()
            self._attempts = 0
        rest = self._policy.after_failure(min(self._attempts, self._policy.most - 1)) or _LONGEST_REST
        self._attempts += 1
        self._retry_at = time.monotonic() + max(exc.retry_after or 0.0, min(rest, _LONGEST_REST))
        if self._away is None:
            _log.info("%s It is tried again.", exc)
        self._away = exc
        if self.spool.is_removed:
            self._tell_of_loss(
                logging.WARNING,
                "%s has been removed. What is reported until %s answers is kept while this process lives, and lost if "
                "it ends before that.", self.spool.path, self._shown,
            )  # fmt: skip
        self.notify()  # somebody must try again when nobody has anything to say

    def _answered(self) -> None:
        if self._away is not None and self._kept:
            _log.info("%s answers again, and has been told what happened meanwhile.", self._shown)
        self._away = None
        self._kept = 0
        self._told_of_loss = False
        if not self.contacted:
            self.contacted = True
            self._look_for_abandoned()

    def _never_reached(self, exc: ServerUnreachable) -> ServerUnreachable:
        return ServerUnreachable(
            f"{exc} PREFECT_API_URL is {self._shown}. Start a server there (`prefect server start`), or unset "
            "PREFECT_API_URL to record runs in a local database.",
            exc.retry_after,
        )

    # -- what is refused ---------------------------------------------------------------------------------------------

    def _deliver_apart(self, message: Message, units: list[Unit], refusal: Refused) -> None:
        """Find what a server refuses of a message, and send the rest: it must not keep what comes after it waiting."""
        for kind in messages.KINDS:
            records = message[kind]
            while records:
                records = self._send_part(kind, records, units, refusal)

    def _send_part(
        self, kind: str, records: list[dict[str, Any]], units: list[Unit], refusal: Refused
    ) -> list[dict[str, Any]]:
        """Send the longest beginning of some records that is taken; returns those that are left."""
        size = 1 if kind in OF_UNITS else len(records)
        while True:
            part = records[:size]
            of_part = [unit for unit in units if unit.has(part[0])]
            try:
                answer_all(of_part, self._send(messages.encode({kind: part}), of_part, now=False))
            except ServerUnreachable as exc:
                self._keep({**_EMPTY, kind: records}, exc)
                return []
            except Refused as exc:
                if size > 1:
                    size = (size + 1) // 2
                    continue
                self._put_aside(kind, part[0], exc)
                for unit in of_part:
                    unit.error = exc
            return records[size:]

    def _put_aside(self, kind: str, record: dict[str, Any], refusal: Refused) -> None:
        path = self.spool.folder / "refused.jsonl"
        _log.error(
            "The server refused one of the %s of this process (%s): %s. It is kept in %s.",
            kind.replace("_", " "), record.get("id") or record.get("flow_run_id"), refusal, path,
        )  # fmt: skip
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:
                file.write(messages.encode({"refused": str(refusal), kind: [record]}) + b"\n")
        except OSError as exc:
            _log.error("What the server refused cannot be kept: %s", exc)

    # -- the spool ---------------------------------------------------------------------------------------------------

    def _keep(self, message: Message, exc: ServerUnreachable | Refused) -> None:
        """Keep a message until the server answers again."""
        if not any(message.values()):
            return
        self._away = self._away or exc  # type: ignore[assignment]
        for proposal in message["proposals"]:
            proposal["decided"] = True  # by the time it is sent, the run has gone on
        ended = any(proposal["state"]["type"] in _ENDED for proposal in message["proposals"])
        first, self._kept = not self._kept, self._kept + 1
        self._append(message, durable=ended)
        if first:
            _log.warning(
                "%s Runs go on; what they report is kept in %s, and sent when the server answers: by this process, or "
                "by the next one that runs flows with the same PREFECT_HOME and PREFECT_API_URL.",
                exc, self.spool.path,
            )  # fmt: skip

    def _append(self, message: Any, *, durable: bool) -> None:
        line = messages.encode({kind: records for kind, records in message.items() if records})
        try:
            self.spool.append(line, durable=durable)
        except OSError as exc:
            self._tell_of_loss(
                logging.ERROR,
                "%s cannot be written (%s). What is reported until %s answers is lost.",
                self.spool.path, exc, self._shown,
            )  # fmt: skip

    def _tell_of_loss(self, level: int, message: str, *about: Any) -> None:
        """Say what is lost, once while the server is away: each try, and each message, would say the same."""
        if not self._told_of_loss:
            self._told_of_loss = True
            _log.log(level, message, *about)

    def _send_spool(self, spool: Spool) -> None:
        """Send what is in a spool, in order, and remove it.

        Raises:
            ServerUnreachable: not everything could be sent; what was is not sent again.
        """
        for line in spool.lines():
            if not line:
                continue
            try:
                self._post(line)
            except Refused as exc:
                if exc.is_about_us:
                    raise ServerUnreachable(str(exc)) from exc
                self._send_line_apart(line, exc)
        spool.clear()

    def _send_line_apart(self, line: bytes, refusal: Refused) -> None:
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            _log.error("A line of a spool is damaged and was left out: %.200r", line)
            return
        for kind in messages.KINDS:
            for record in message.get(kind, ()):
                try:
                    self._post(messages.encode({kind: [record]}))
                except Refused as exc:
                    self._put_aside(kind, record, exc)

    def _look_for_abandoned(self) -> None:
        """See whether earlier processes left something; the background thread sends it."""
        try:
            found = any(name != self.spool.path.name for name in os.listdir(self.spool.folder))
        except OSError:
            found = False
        self._looked_for_abandoned = not found
        if found:
            self.notify()

    def _send_abandoned(self) -> None:
        """Send what processes that have ended left behind."""
        if self._looked_for_abandoned or not self.contacted or self._away is not None:
            return
        self._looked_for_abandoned = True
        for spool in self.spool.abandoned():
            try:
                self._send_spool(spool)
            except ServerUnreachable as exc:
                self._not_answered(exc)
                self._looked_for_abandoned = False
                return

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what is pending, or leave it in the spool; let go of the connection."""
        with self._lock:
            self._drain(now=True)
            self._send_abandoned()
            old, self._wake = self._wake, threading.Event()
            self._thread = None
            old.set()
            if self.spool.is_removed:
                _log.error(
                    "%s has not been told how runs of this process went, and will not be: %s was removed while it held what could "
                    "not be sent (%s).",
                    self._shown, self.spool.path, messages.contents(self.spool.lines()),
                )  # fmt: skip
            elif self.spool:
                _log.warning(
                    "%s has not been told how runs of this process went. That is kept in %s, and sent by the next "
                    "process that runs flows with the same PREFECT_HOME and PREFECT_API_URL while the server answers.",
                    self._shown, self.spool.path,
                )  # fmt: skip
            self.spool.close()
            self._disconnect()

    # -- forks -------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        for pending in (self.task_items, self.logs, self.events):
            pending.clear()
        self.spool.after_fork_in_child()
        self._reset()


def _has_ended(frame: TaskFrame) -> bool:
    return frame.state is not None and frame.state.is_final


_EMPTY: Message = {kind: [] for kind in messages.KINDS}
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
