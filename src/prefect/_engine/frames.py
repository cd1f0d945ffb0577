"""What the engine knows of a run while it lasts.

A frame is to a run what a stack frame is to a call: made when it begins, current while its function runs, and gone
after. The public models (`FlowRun`, `TaskRun`, `FlowRunContext`, ...) are made from it when somebody asks.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from prefect._bridge import tell_run_kind
from prefect._clock import now_us
from prefect._ids import new_id
from prefect._rules.states import PAUSED, RUNNING, TERMINAL, RunState

if TYPE_CHECKING:
    from prefect._engine.recording.port import Recorder
    from prefect.flows import Flow
    from prefect.tasks import Task

current_flow: ContextVar[FlowFrame | None] = ContextVar("prefect_flow_run", default=None)
current_task: ContextVar[TaskFrame | None] = ContextVar("prefect_task_run", default=None)
current_tags: ContextVar[frozenset[str]] = ContextVar("prefect_tags", default=frozenset())

_UNTRACKABLE = (bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented))
_STRONG_LIMIT = 128


class RunFrame:
    """The part that flow runs and task runs share: identity, state and times (microseconds)."""

    __slots__ = (
        "__weakref__",
        "context_model",
        "created_us",
        "end_us",
        "exception",
        "expected_us",
        "id",
        "log_prints",
        "logger",
        "model",
        "name",
        "parameters",
        "persist",
        "recorder",
        "result_store",
        "run_count",
        "start_us",
        "state",
        "tags",
        "total_us",
        "value",
    )

    def __init__(self, recorder: Recorder, parameters: dict[str, Any], id: str | None = None) -> None:
        self.id = id or new_id()
        self.name = ""
        self.recorder = recorder
        self.parameters = parameters
        self.tags: frozenset[str] = frozenset()
        self.state: RunState | None = None
        self.run_count = 0
        self.created_us = now_us()
        self.expected_us: int | None = self.created_us
        self.start_us: int | None = None
        self.end_us: int | None = None
        self.total_us = 0
        self.log_prints = False
        self.persist: bool | None = None
        self.result_store: Any = None
        self.logger: Any = None
        self.value: Any = None
        self.exception: BaseException | None = None
        self.model: Any = None
        self.context_model: Any = None

    def enter(self, state: RunState) -> None:
        """Enter a state and keep the counts and times that follow from it."""
        previous, self.state = self.state, state
        if previous is not None:
            if state.timestamp < previous.timestamp:
                # made long ago, or the clock was set back: of two states the one with the later time counts
                state.timestamp = max(previous.timestamp, now_us())
            if previous.type == RUNNING:
                self.total_us += state.timestamp - previous.timestamp
        if state.type == RUNNING and (previous is None or previous.type != PAUSED):  # a pause is no new attempt
            self.run_count += 1
            if self.start_us is None:
                self.start_us = state.timestamp
        self.end_us = state.timestamp if state.type in TERMINAL else None
        if state.type == "SCHEDULED":
            self.expected_us = state.details.get("scheduled_time", self.expected_us)
        self.model = None

    def moment(self) -> tuple[Any, ...]:
        """The state and all that entering another one changes."""
        return self.state, self.run_count, self.total_us, self.start_us, self.end_us, self.expected_us

    def go_back(self, moment: tuple[Any, ...]) -> None:
        """Be as at that moment: entering what came after it was undone."""
        self.state, self.run_count, self.total_us, self.start_us, self.end_us, self.expected_us = moment
        self.model = None


class FlowFrame(RunFrame):
    """A flow run."""

    __slots__ = (
        "_results",
        "adopted",
        "created",
        "deployment_id",
        "deployment_name",
        "deployment_version",
        "detached",
        "flow",
        "flow_id",
        "job_variables",
        "labels",
        "lease_token",
        "memory",
        "open_runs",
        "parent",
        "parent_flow_run_id",
        "parent_task_run_id",
        "pauses",
        "stopping",
        "task_runner",
        "wait_for",
        "whereabouts",
    )

    def __init__(self, recorder: Recorder, flow: Flow[..., Any], parameters: dict[str, Any], id: str | None = None):
        super().__init__(recorder, parameters, id)
        self.flow = flow
        self.flow_id: str | None = None
        self.parent: FlowFrame | None = None
        self.parent_flow_run_id: str | None = None
        self.parent_task_run_id: str | None = None
        self.task_runner: Any = None
        self.wait_for: Any = None
        self.labels: dict[str, Any] = {}
        # of a run that existed before this process took it on
        self.adopted: Any = None
        self.deployment_id: str | None = None
        self.deployment_name: str | None = None
        self.deployment_version: str | None = None
        self.job_variables: dict[str, Any] | None = None
        # the right to speak for the run, where runs are held by leases
        self.lease_token: int | None = None
        # why the run is to stop, once somebody wants that; and where it runs: see `stopping`
        self.stopping: str | None = None
        self.whereabouts: Any = None
        self.created = False
        self.detached = False
        self.memory: Any = None
        # task runs that have begun and not ended: none may be left open when the flow run ends
        self.open_runs: set[TaskFrame] = set()
        self.pauses: dict[str, int] = {}
        self._results: _Provenance | None = None

    def runner(self) -> Any:
        """The flow's task runner, started when first asked for."""
        if self.task_runner is None:
            runner = self.flow.task_runner.duplicate()
            runner.__enter__()
            self.task_runner = runner
        return self.task_runner

    @property
    def flow_name(self) -> str:
        return self.flow.name

    @property
    def flow_run_id(self) -> str:
        return self.id

    @property
    def flow_run_name(self) -> str:
        return self.name

    def link(self, value: Any, run_id: str, kind: str) -> None:
        """Remember which run made a value, so that the runs it is passed to are known to depend on that run."""
        if type(value) in _UNTRACKABLE:
            return
        if self._results is None:
            self._results = _Provenance()
        self._results.add(value, run_id, kind)

    def origin(self, value: Any) -> tuple[str, str] | None:
        """The (kind, id) of the run that made this very object, if one of this flow run did."""
        return self._results.find(value) if self._results is not None else None


class TaskFrame(RunFrame):
    """A task run."""

    __slots__ = (
        "attempt",
        "cache_expiration_us",
        "cache_key",
        "call_parameters",
        "collect",
        "dynamic_key",
        "flow_frame",
        "flow_run_id",
        "inputs",
        "parent",
        "recalled",
        "retries",
        "slots",
        "task",
        "transaction",
        "wait_for",
    )

    def __init__(self, recorder: Recorder, task: Task[..., Any], parameters: dict[str, Any], id: str | None = None):
        super().__init__(recorder, parameters, id)
        self.task = task
        self.flow_frame: FlowFrame | None = None
        self.flow_run_id: str | None = None
        self.parent: TaskFrame | None = None
        self.call_parameters = parameters
        self.dynamic_key = self.id
        self.inputs: dict[str, list[Any]] | None = None
        self.cache_key: str | None = None
        self.cache_expiration_us: int | None = None
        self.retries = task.retries
        self.attempt = 0
        self.transaction: Any = None
        self.collect = False
        self.wait_for: Any = None
        self.recalled: Any = None
        self.slots: Any = None

    @property
    def task_name(self) -> str:
        return self.task.name

    @property
    def task_run_id(self) -> str:
        return self.id

    @property
    def task_run_name(self) -> str:
        return self.name

    @property
    def flow_run_name(self) -> str | None:
        return self.flow_frame.name if self.flow_frame is not None else None

    @property
    def flow_name(self) -> str | None:
        return self.flow_frame.flow.name if self.flow_frame is not None else None


class _Provenance:
    """Which run made which object, without keeping large objects alive.

    Objects that can be referred to weakly are; of the others (lists, dicts, tuples) the newest few are kept, so that
    an address is never mistaken for that of an object that is gone.
    """

    __slots__ = ("_strong", "_weak")

    def __init__(self) -> None:
        self._weak: dict[int, tuple[weakref.ref[Any], str, str]] = {}
        self._strong: OrderedDict[int, tuple[Any, str, str]] = OrderedDict()

    def add(self, value: Any, run_id: str, kind: str) -> None:
        key = id(value)
        try:
            reference = weakref.ref(value, lambda _, key=key, weak=self._weak: weak.pop(key, None))
        except TypeError:
            self._strong[key] = (value, kind, run_id)
            while len(self._strong) > _STRONG_LIMIT:
                try:
                    self._strong.popitem(last=False)
                except KeyError:  # another thread was faster
                    break
        else:
            self._weak[key] = (reference, kind, run_id)

    def find(self, value: Any) -> tuple[str, str] | None:
        key = id(value)
        entry: Any = self._strong.get(key)
        if entry is not None and entry[0] is value:
            return entry[1], entry[2]
        entry = self._weak.get(key)
        if entry is not None and entry[0]() is value:
            return entry[1], entry[2]
        return None


def _run_is_async() -> bool | None:
    task_frame = current_task.get()
    if task_frame is not None:
        return task_frame.task.isasync
    flow_frame = current_flow.get()
    return flow_frame.flow.isasync if flow_frame is not None else None


tell_run_kind(_run_is_async)


def current_frame() -> RunFrame | None:
    """The innermost run: the task run if a task is running, else the flow run, else None."""
    return current_task.get() or current_flow.get()
