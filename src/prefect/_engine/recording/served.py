"""Runs recorded by a server.

The hot path is that of a local database: a task state or a log line is appended to a list; a flow state is sent at once,
and takes everything that is pending along, in one request over a connection that is kept. See `outbox` for what
happens while the server is away.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prefect import __version__
from prefect._clock import now, now_us
from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._engine.recording import messages, spool
from prefect._engine.recording.holding import Held
from prefect._engine.recording.outbox import Outbox
from prefect._engine.recording.units import Refused, Unit
from prefect._ids import new_id
from prefect._lazy import lazy_module
from prefect._rules.states import RUNNING, TERMINAL, RunState, pending
from prefect._rules.transitions import Verdict, decide
from prefect._transport.direct import Address, Answer, Connection, ServerUnreachable
from prefect._transport.port import API_VERSION
from prefect._transport.retries import PASSING, RetryPolicy, retry_after
from prefect.logging.sink import LogRow

if TYPE_CHECKING:
    import orjson

    from prefect._engine.recording import published
else:
    orjson = lazy_module("orjson")
    published = lazy_module("prefect._engine.recording.published")

_log = logging.getLogger("prefect.recorder")

MAX_PENDING = 20_000
"""Records that may wait; a thread that records more sends them itself first, so memory stays bounded."""


class ServedRecorder:
    """Records the runs of this process with a server: see `port.Recorder`.

    Args:
        settings: which server, and how it is spoken to.
    """

    waits = True

    def __init__(self, settings: Any) -> None:
        self.address = Address(settings, f"prefect/{__version__} (API {API_VERSION})")
        self._connection = Connection(self.address)
        self._policy = RetryPolicy(
            settings.client.max_retries,
            settings.client.retry_jitter_factor,
            frozenset(settings.client.retry_extra_codes),
        )
        self._published: published.Published | None = None
        self.held = Held(self.ask)
        self.outbox = Outbox(
            self._post,
            self._connection.close,
            self.address.shown,
            spool.folder_of(settings.home, self.address.shown),
            self._policy,
        )

    # -- requests ----------------------------------------------------------------------------------------------------

    def _request(self, connection: Connection, method: str, route: str, body: bytes | None = None) -> Answer:
        """Send a request; an answer that says "not now" is none.

        Raises:
            ServerUnreachable: there is no answer for now.
        """
        answer = connection.send(method, route, body)
        if answer.status in PASSING or answer.status in self._policy.extra_statuses:
            wait = retry_after(answer.headers.get("Retry-After"), now())
            raise ServerUnreachable(f"{self.address.shown} answered with status {answer.status}.", wait)
        return answer

    def _post(self, line: bytes) -> dict[str, Any]:
        """Send one message, in the way that this server understands."""
        if self._published is None:
            answer = self._request(self._connection, "POST", "/runs/record", line)
            if answer.status not in (404, 405):
                return read_answer(answer, self.address.shown)
            self._published = published.Published(self._ask_in_turn)
        return self._published.record(orjson.loads(line))

    def _ask_in_turn(self, method: str, route: str, body: Any = None) -> Any:
        """A request of whoever holds the outbox."""
        content = messages.encode(body) if body is not None else None
        return read_answer(self._request(self._connection, method, route, content), self.address.shown)

    def ask(
        self, method: str, route: str, body: Any = None, *, patient: bool = True, on: Connection | None = None
    ) -> Any:
        """Send a request that is not a record, and return what JSON the answer holds.

        Args:
            method, route: what is asked for.
            body: anything that JSON knows.
            patient: try again while the server does not answer.
            on: a connection of the caller's; unless given, one for this request alone.

        Raises:
            ServerUnreachable: there is no answer.
            Refused: the answer is an error.
        """
        content = messages.encode(body) if body is not None else None
        connection, attempt = on if on is not None else Connection(self.address), 0
        try:
            while True:
                try:
                    return read_answer(self._request(connection, method, route, content), self.address.shown)
                except ServerUnreachable as exc:
                    wait = self._policy.after_failure(attempt) if patient else None
                    if wait is None:
                        raise
                    attempt += 1
                    time.sleep(max(wait, exc.retry_after or 0.0))
        finally:
            if on is None:
                connection.close()

    # -- records -----------------------------------------------------------------------------------------------------

    def task_state(self, frame: TaskFrame, state: RunState) -> None:
        """Enter `state` and record it."""
        frame.enter(state)
        flow_frame = frame.flow_frame
        if flow_frame is not None:
            (flow_frame.open_runs.discard if state.type in TERMINAL else flow_frame.open_runs.add)(frame)
        pending_items = self.outbox.task_items
        pending_items.append((
            frame, state, frame.run_count, frame.start_us, frame.end_us, frame.total_us, frame.expected_us,
        ))  # fmt: skip
        self._more(len(pending_items))

    def log(self, record: LogRow) -> None:
        """Record a log line."""
        self.outbox.logs.append(messages.log(record, new_id()))
        self._more(len(self.outbox.logs))

    def event(self, event: tuple[Any, ...], resources: list[tuple[Any, ...]]) -> None:
        """Record an event."""
        self.outbox.events.append(messages.event(event, resources))
        self._more(len(self.outbox.events))

    def artifact(self, artifact: dict[str, Any], *, in_run: bool) -> str:
        """Leave an artifact; returns its id when the server has it, or when it is in the spool.

        Args:
            artifact: as `messages.KINDS` has it, with an id.
            in_run: whether a run leaves it, which goes on when the server has never been reached.

        Raises:
            ServerUnreachable: there has never been an answer.
            Refused: the server does not take it.
        """
        self.outbox.commit(Unit(artifact=artifact, patient=in_run))
        return self._published.id_of(artifact["id"]) if self._published is not None else artifact["id"]

    def change_artifact(self, change: dict[str, Any], *, in_run: bool) -> bool:
        """Change an artifact, now or when the server answers again; False when there is none with that id.

        Args:
            change: the artifact's id, and what is to be different.
            in_run, and what is raised: as for `artifact`.
        """
        unit = Unit(artifact_change=change, patient=in_run)
        self.outbox.commit(unit)
        return unit.answer is None or not unit.answer["missing"]

    def _more(self, pending: int) -> None:
        self.outbox.notify()
        if pending >= MAX_PENDING and pending % 64 == 0:  # (threads may jump over an exact number)
            self.outbox.flush()

    # -- flow runs ---------------------------------------------------------------------------------------------------

    def begin_flow_run(self, frame: FlowFrame) -> None:
        """Make sure, before the first flow run begins, that there is a server; and tell it of the run, which is held from then on.

        Raises:
            ServerUnreachable: there is none.
            Refused: it does not want to hear of this run.
        """
        if self.outbox.contacted and self._published is None:
            return  # it is told with the first proposal
        first = frame.state or pending()
        # the state that it is made in is proposed as well: the answer has the lease, by which a process is missed that
        # is killed before the run begins
        unit = self._commit(frame, first, {**self._proposal(frame, first, False), "holder": self.held.holder})
        self._hold_or_let_go(frame, unit)
        if self._published is not None:
            frame.id = self._published.id_of(frame.id)

    def _commit(self, frame: FlowFrame, first: RunState, proposal: dict[str, Any] | None) -> Unit:
        made = messages.flow_run(frame, first) if not frame.created else None
        unit = Unit(flow_run=made, proposal=proposal, patient=frame.created)
        self.outbox.commit(unit)
        frame.created = True
        frame.flow_id = unit.flow_id or frame.flow_id
        return unit

    def flow_state(self, frame: FlowFrame, proposed: RunState, *, force: bool = False) -> Verdict:
        """Propose a state for a flow run; return the verdict when the server has it, or when it is in the spool."""
        previous = frame.state
        unit = self._commit(frame, previous or proposed, self._proposal(frame, proposed, force))
        if unit.answer is None:  # nobody could be asked
            verdict = decide(previous, proposed, now_us=now_us(), force=force)
        elif unit.answer.get("flow_run_status") == "unknown":
            _log.warning("Flow run %r (%s) has been deleted on the server; it goes on here.", frame.name, frame.id)
            verdict = Verdict("ACCEPT", proposed)
        else:
            verdict = messages.read_verdict(unit.answer, proposed)
        if verdict.kind != "WAIT" and verdict.state is not None and frame.state is not verdict.state:
            frame.enter(verdict.state)
        self._hold_or_let_go(frame, unit)
        return verdict

    def _proposal(self, frame: FlowFrame, proposed: RunState, force: bool) -> dict[str, Any]:
        said = messages.proposal(frame, proposed, force)
        if proposed.type == RUNNING and frame.lease_token is None:
            said["holder"] = self.held.holder
            if frame.adopted is not None and os.environ.get("PREFECT__FLOW_RUN_ID") == frame.id:
                claimed = os.environ.get("PREFECT__FLOW_RUN_LEASE_TOKEN")
                if claimed:  # by who started this process
                    said["lease_token"] = int(claimed)
                    said["infrastructure_pid"] = os.environ.get("PREFECT__FLOW_RUN_INFRASTRUCTURE")
        return said

    def _hold_or_let_go(self, frame: FlowFrame, unit: Unit) -> None:
        if frame.state is not None and frame.state.is_final:
            self.held.discard(frame)
        elif frame.lease_token is None:
            # who could not ask holds on to the claim that it was started with: nobody else may begin the run meanwhile
            said = unit.answer if unit.answer is not None else unit.proposal
            frame.lease_token = said.get("lease_token") if said is not None else None
            if frame.lease_token is not None or unit.answer is None:
                self.held.add(frame)

    def recorded_flow_state(self, flow_run_id: str) -> RunState | None:
        """The state of any flow run, or None when there is no such run."""
        self.outbox.flush()
        run = self._ask_for(f"/flow_runs/{flow_run_id}")
        return messages.read_state(run["state"]) if run is not None and run.get("state") else None

    def _ask_for(self, route: str) -> dict[str, Any] | None:
        """What there is at a route, None for nothing."""
        try:
            return self.ask("GET", route)
        except Refused as exc:
            if exc.status == 404:
                return None
            raise

    def next_flow_state(
        self, flow_run_id: str, seen: str | None, seconds: float, poll_interval: float
    ) -> RunState | None:
        """The state of any flow run, as soon as it is another one than `seen`; the latest when the time is over."""
        self.outbox.flush()
        if self._published is None:
            query = f"wait_seconds={max(seconds, 0.0):.3f}" + (f"&seen={seen}" if seen is not None else "")
            run = self._ask_for(f"/flow_runs/{flow_run_id}/wait?{query}")
        else:  # a Prefect server keeps nobody waiting
            run = self._ask_for(f"/flow_runs/{flow_run_id}")
            if run is not None and run["state_id"] == seen and seconds > 0:
                time.sleep(min(seconds, poll_interval))
                run = self._ask_for(f"/flow_runs/{flow_run_id}")
        return messages.read_state(run["state"]) if run is not None and run.get("state") else None

    def propose_for(self, flow_run_id: str, proposed: RunState, *, force: bool = False) -> Verdict | None:
        """Propose a state for a flow run of any process; None when there is no such run."""
        said = messages.state(proposed)
        body = {"force": force, "state": {name: said[name] for name in said if name not in ("id", "timestamp")}}
        try:
            answer = self.ask("POST", f"/flow_runs/{flow_run_id}/set_state", body)
        except Refused as exc:
            if exc.status == 404:
                return None
            raise
        return messages.read_verdict(answer, proposed)

    @property
    def is_published(self) -> bool:
        """Whether the server, as far as is known, has only the published operations."""
        return self._published is not None

    def flow_id_of(self, name: str) -> str | None:
        """The id of the flow of that name, None when there is none or nobody can be asked."""
        try:
            found = self._ask_for(f"/flows/name/{quote(name, safe='')}")
        except (ServerUnreachable, Refused):
            return None
        return found["id"] if found is not None else None

    def crash_task_run(self, task_run_id: str, message: str) -> bool:
        """End a task run that another process began and cannot end any more; False when it has not begun."""
        self.outbox.flush()
        run = self._ask_for(f"/task_runs/{task_run_id}")
        if run is not None and run.get("state_type") not in TERMINAL:
            state = {"type": "CRASHED", "name": "Crashed", "message": message}
            self.ask("POST", f"/task_runs/{task_run_id}/set_state", {"force": True, "state": state})
        return run is not None

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def holds_back(self) -> bool:
        """Whether the server has not been told of something, because it was away."""
        return bool(self.outbox.spool)

    def flush(self) -> None:
        """Have everything recorded so far with the server, or in the spool."""
        self.outbox.flush()

    def close(self) -> None:
        """Send what is pending, or leave it in the spool for another process."""
        self.outbox.close()

    def before_fork(self) -> None:
        self.outbox.before_fork()

    def after_fork_in_parent(self) -> None:
        self.outbox.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        self.outbox.after_fork_in_child()
        self.held.after_fork_in_child()


def read_answer(answer: Answer, shown: str) -> Any:
    """What a server answered.

    Raises:
        Refused: it is an error.
    """
    if 200 <= answer.status < 300:
        return orjson.loads(answer.content) if answer.content else None
    reason = f"{shown} answered with status {answer.status}: {_explanation(answer.content)}"
    if answer.status == 401:
        reason += " Set PREFECT_API_KEY or PREFECT_API_AUTH_STRING to what the server accepts."
    raise Refused(answer.status, reason)


def _explanation(content: bytes) -> str:
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content[:200].decode("utf-8", "replace")
    if isinstance(said, dict):
        said = said.get("detail") or said.get("exception_detail") or said.get("exception_message") or said
    return said if isinstance(said, str) else messages.encode(said)[:1000].decode()
