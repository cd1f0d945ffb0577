"""Running one flow in isolation, to look at what it did: `flow.test()`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import run_coro_as_sync
from prefect._engine.isolation import isolated_home
from prefect._engine.recorder import get_recorder
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect import states
    from prefect._engine import reading
    from prefect._operations import flow_runs, local, logs, task_runs
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.logs import Log
    from prefect._schemas.states import State
    from prefect._schemas.task_runs import TaskRun
    from prefect.client.schemas import filters
    from prefect.flows import Flow
else:
    filters = lazy_module("prefect.client.schemas.filters")
    flow_runs = lazy_module("prefect._operations.flow_runs")
    local = lazy_module("prefect._operations.local")
    logs = lazy_module("prefect._operations.logs")
    reading = lazy_module("prefect._engine.reading")
    states = lazy_module("prefect.states")
    task_runs = lazy_module("prefect._operations.task_runs")


_ALL = 1_000_000


class TestedRun:
    """A run made by `flow.test()`: its state, its result, and everything that was recorded of it."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    def __init__(self, state: State[Any]) -> None:
        self.state = state
        self._flow_run_id = state.state_details.flow_run_id

    @property
    def flow_run_id(self) -> UUID:
        """The id of the flow run."""
        if self._flow_run_id is None:  # the flow returned a state of its own making
            self._flow_run_id = _only_root_run()
        return self._flow_run_id

    def result(self, raise_on_failure: bool = True) -> Any:
        """What the flow returned; raises what it raised (or returns that, with `raise_on_failure=False`)."""
        return reading.read(self.state, raise_on_failure=raise_on_failure)

    @property
    def flow_run(self) -> FlowRun:
        """The run as it is recorded."""
        with local.open_local() as database, database.read() as tx:
            return flow_runs.flow_run_of(tx, self.flow_run_id)

    def states(self) -> list[State[Any]]:
        """Every state the run was in, in order."""
        with local.open_local() as database, database.read() as tx:
            return flow_runs.read_flow_run_states(tx, self.flow_run_id)

    def task_runs(self, name: str | None = None) -> list[TaskRun]:
        """The runs of its tasks, in the order in which they began.

        Args:
            name: only those whose name begins so: that of a task, for example.
        """
        run_filter = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[self.flow_run_id]))
        with local.open_local() as database, database.read() as tx:
            runs = task_runs.matching_task_runs(tx, task_runs.TaskRunQuery(flow_runs=run_filter, limit=_ALL))
        runs.sort(key=lambda run: run.id.int)
        return [run for run in runs if name is None or (run.name or "").startswith(name)]

    def task_run_states(self, task_run: TaskRun) -> list[State[Any]]:
        """Every state that one of the task runs was in, in order."""
        with local.open_local() as database, database.read() as tx:
            return task_runs.read_task_run_states(tx, task_run.id)

    @property
    def logs(self) -> list[Log]:
        """Every line that the run and its tasks logged, in order."""
        log_filter = filters.LogFilter(flow_run_id=filters.LogFilterFlowRunId(any_=[self.flow_run_id]))
        with local.open_local() as database, database.read() as tx:
            return list(logs.iterate_logs(tx, log_filter))

    @property
    def log_text(self) -> str:
        """The messages of all log lines, one a line."""
        return "\n".join(log.message for log in self.logs)


def _only_root_run() -> UUID:
    with local.open_local() as database, database.read() as tx:
        runs = flow_runs.matching_flow_runs(tx, flow_runs.FlowRunQuery(limit=200))
    return next(run.id for run in runs if run.parent_task_run_id is None)


class FlowTest(AbstractContextManager[Any]):
    """The context manager that `flow.test()` returns.

    Entered, it gives a `TestedRun`: of the arguments given to `test`, or of those of a first call. It delegates to that
    run, so one name serves for both.
    """

    __test__ = False

    def __init__(self, flow: Flow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._flow, self._args, self._kwargs = flow, args, kwargs
        self._home: AbstractContextManager[Any] | None = None
        self._run: TestedRun | None = None

    def __enter__(self) -> Any:
        self._open()
        if self._called():
            self(*self._args, **self._kwargs)
        return self

    async def __aenter__(self) -> Any:
        self._open()
        if self._called():
            await self.arun(*self._args, **self._kwargs)
        return self

    def _open(self) -> None:
        self._home = isolated_home()
        self._home.__enter__()

    def _called(self) -> bool:
        """Whether the flow can be run with what was given to `test`."""
        required = [
            name
            for name in (*self._flow.spec.positional, *self._flow.spec.keyword_only)
            if name not in self._flow.spec.defaults
        ]
        return bool(self._args or self._kwargs) or not required

    def __exit__(self, *exc_info: Any) -> None:
        if self._home is not None:
            self._home.__exit__(*exc_info)
            self._home = None

    async def __aexit__(self, *exc_info: Any) -> None:
        self.__exit__(*exc_info)

    def __call__(self, *args: Any, **kwargs: Any) -> TestedRun:
        """Run the flow once more, in the same isolated home."""
        run: Callable[..., Any] = self._flow
        if self._flow.isgenerator:
            return self._finished(_exhaust(self._flow, args, kwargs))
        state = run(*args, return_state=True, **kwargs)
        return self._finished(run_coro_as_sync(state) if self._flow.isasync else state)

    async def arun(self, *args: Any, **kwargs: Any) -> TestedRun:
        """`__call__` for asynchronous flows in asynchronous tests."""
        state = self._flow(*args, return_state=True, **kwargs)
        return self._finished(await state if self._flow.isasync else state)

    def _finished(self, state: State[Any]) -> TestedRun:
        self._run = TestedRun(state)
        get_recorder().flush()  # what is looked at next must be on disk
        return self._run

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._run is None:
            raise AttributeError(
                f"There is no run yet to ask for {name!r}: flow {self._flow.name!r} needs arguments. "
                "Give them to test(...), or call the object: run = test(x=1)."
            )
        return getattr(self._run, name)


def _exhaust(flow: Flow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> State[Any]:
    """Run a generator flow to its end; its state completes with the list of what it yielded."""
    if flow.isasync:

        async def collect() -> list[Any]:
            return [item async for item in flow(*args, **kwargs)]

        return _outcome(lambda: run_coro_as_sync(collect()))
    return _outcome(lambda: list(flow(*args, **kwargs)))


def _outcome(make: Callable[[], list[Any]]) -> State[Any]:
    try:
        return states.Completed(data=make())
    except Exception as exc:
        return states.Failed(message=f"Flow run encountered an exception: {type(exc).__name__}: {exc}", data=exc)
