"""What the engine asks of whatever records runs."""

from __future__ import annotations

from typing import Any, Protocol

from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._rules.states import RunState
from prefect._rules.transitions import Verdict
from prefect.logging.sink import LogRow


class Recorder(Protocol):
    """Writes down the runs of this process. Usable from any thread."""

    waits: bool
    """Whether a flow state may take long enough to write that an event loop should not wait for it itself."""

    @property
    def holds_back(self) -> bool:
        """Whether something is kept here that could not be written where others read it."""
        ...

    # -- records: written in order, soon, acknowledged with the next flow state or `flush` -----------------------------

    def task_state(self, frame: TaskFrame, state: RunState) -> None:
        """Enter `state` and record it."""

    def log(self, record: LogRow) -> None:
        """Record a log line."""

    def event(self, event: tuple[Any, ...], resources: list[tuple[Any, ...]]) -> None:
        """Record an event: a row of `event` and its rows of `event_resource`, in the order of their columns."""

    # -- flow runs: recorded when the call returns ---------------------------------------------------------------------

    def begin_flow_run(self, frame: FlowFrame) -> None:
        """Be told of a new flow run that is about to be prepared; its id may change here, and never after.

        Raises:
            ServerUnreachable: runs cannot be recorded at all.
        """

    def flow_state(self, frame: FlowFrame, proposed: RunState, *, force: bool = False) -> Verdict:
        """Propose a state for a flow run; return the verdict when it is recorded.

        The first proposal also creates the run. On a verdict that is not WAIT the frame has entered its state.
        """
        ...

    def recorded_flow_state(self, flow_run_id: str) -> RunState | None:
        """The state of any flow run, or None when there is no such run."""
        ...

    def next_flow_state(
        self, flow_run_id: str, seen: str | None, seconds: float, poll_interval: float
    ) -> RunState | None:
        """The state of any flow run, as soon as it is another one than `seen`; the latest when the time is over.

        Args:
            flow_run_id: of the run.
            seen: the id of a state.
            seconds: how long to wait for another one, at most.
            poll_interval: seconds between two looks, at most, where nobody tells of a change.
        """
        ...

    def propose_for(self, flow_run_id: str, proposed: RunState, *, force: bool = False) -> Verdict | None:
        """Propose a state for a flow run of any process (pause, resume, cancel); None when there is no such run."""
        ...

    def flow_id_of(self, name: str) -> str | None:
        """The id of the flow of that name, None when none has been recorded or nobody can be asked."""
        ...

    def crash_task_run(self, task_run_id: str, message: str) -> bool:
        """End a task run that another process began and cannot end any more; False when it has not begun.

        Raises:
            DatabaseUnavailable, ServerUnreachable: that could not be written.
        """
        ...

    # -- the end -------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Have everything recorded so far written, or report that it cannot be."""

    def close(self) -> None:
        """Write what is pending and let go of what is held. A recorder that is used again opens itself again."""

    # -- forks ---------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Hold still, with nothing open that two processes must not share."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Start afresh: what was pending is the parent's to write."""
