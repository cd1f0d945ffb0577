"""Tasks: the units of work of a flow.

```python
@task(retries=3, retry_delay_seconds=[1, 10, 60])
def fetch(url: str) -> bytes: ...
```
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from prefect._bridge import async_dispatch
from prefect._bridge import run as run_now
from prefect._engine import generators, outcome, task_options, task_run
from prefect._engine.decorated import Decorated
from prefect._engine.frames import current_flow
from prefect._engine.options import (
    callable_name,
    check_length,
    checked_run_name,
    count_of,
    docstring_of,
    function_of,
    hooks_of,
    limit_of,
    nature_of,
    policy_json,
    refuse_reserved,
    task_key,
)
from prefect._engine.port import ASYNC, SYNC
from prefect._lazy import lazy_attributes, lazy_module
from prefect._parameters.binding import FunctionSpec
from prefect._rules.retries import exponential_backoff
from prefect.futures import PrefectDistributedFuture, PrefectFutureList
from prefect.settings import get_current_settings
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    import inspect
    from uuid import UUID

    from prefect import cache_policies, task_worker
    from prefect._background import deferral
    from prefect._schemas.states import State
    from prefect._schemas.task_runs import TaskRun
    from prefect.assets import core as assets
    from prefect.assets.task import MaterializingTask
    from prefect.cache_policies import CachePolicy
    from prefect.context import FlowRunContext, TaskRunContext
    from prefect.filesystems import WritableFileSystem
    from prefect.futures import PrefectFuture
    from prefect.serializers import Serializer
    from prefect.transactions import Transaction
    from prefect.utilities import hashing
else:
    inspect = lazy_module("inspect")
    assets = lazy_module("prefect.assets.core")
    cache_policies = lazy_module("prefect.cache_policies")
    deferral = lazy_module("prefect._background.deferral")
    hashing = lazy_module("prefect.utilities.hashing")
    task_worker = lazy_module("prefect.task_worker")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
T = TypeVar("T")

StateHook = Callable[["Task[..., Any]", "TaskRun", "State[Any]"], Any]
RetryCondition = Callable[["Task[..., Any]", "TaskRun", "State[Any]"], Any]
RunName = str | Callable[..., str]
WaitFor = Iterable[Any] | None
RetryDelays = float | int | Sequence[float] | Callable[[int], list[float]] | None

__getattr__, __dir__, _ = lazy_attributes(__name__, {"MaterializingTask": "prefect.assets.task"})

__all__ = ["MaterializingTask", "Task", "TaskOptions", "exponential_backoff", "task", "task_input_hash"]


class TaskOptions(TypedDict, total=False):
    """The options of a task, for functions that pass them on."""

    name: str | None
    description: str | None
    tags: Iterable[str] | None
    version: str | None
    cache_policy: CachePolicy | type[NotSet]
    cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None
    cache_expiration: timedelta | None
    task_run_name: RunName | None
    retries: int | None
    retry_delay_seconds: RetryDelays
    retry_jitter_factor: float | None
    retry_condition_fn: RetryCondition | None
    persist_result: bool | None
    result_storage: WritableFileSystem | str | None
    result_serializer: Serializer | str | None
    result_storage_key: str | None
    cache_result_in_memory: bool
    timeout_seconds: int | float | None
    log_prints: bool | None
    refresh_cache: bool | None
    on_completion: list[StateHook] | None
    on_failure: list[StateHook] | None
    on_running: list[StateHook] | None
    on_rollback: list[Callable[[Transaction], None]] | None
    on_commit: list[Callable[[Transaction], None]] | None
    viz_return_value: Any
    asset_deps: list[Any] | None


def task_input_hash(context: TaskRunContext, arguments: dict[str, Any]) -> str | None:
    """A cache key from the task's code and arguments, for `cache_key_fn`.

    Returns:
        The key, or None when an argument cannot be hashed.
    """
    return hashing.hash_objects(context.task.task_key, context.task.fn.__code__.co_code.hex(), arguments)


class TaskRunNameCallbackWithParameters:
    """Tells whether a run-name callable wants the run's parameters."""

    @classmethod
    def is_callback_with_parameters(cls, callable: Callable[..., str]) -> bool:
        """Whether the callable takes an argument called `parameters`."""
        return "parameters" in inspect.signature(callable).parameters

    def __call__(self, parameters: dict[str, Any]) -> str:
        raise NotImplementedError("A protocol: write a function `name(parameters) -> str`.")


class Task(Decorated, Generic[P, R]):
    """A function whose calls are recorded, and can be retried, cached, timed out and run elsewhere.

    Made by the `task` decorator; every argument is described there.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_policy: CachePolicy | type[NotSet] | None = NotSet,
        cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
        cache_expiration: timedelta | None = None,
        task_run_name: RunName | None = None,
        retries: int | None = None,
        retry_delay_seconds: RetryDelays = None,
        retry_jitter_factor: float | None = None,
        persist_result: bool | None = None,
        result_storage: WritableFileSystem | str | None = None,
        result_serializer: Serializer | str | None = None,
        result_storage_key: str | None = None,
        cache_result_in_memory: bool = True,
        timeout_seconds: int | float | None = None,
        log_prints: bool | None = False,
        refresh_cache: bool | None = None,
        on_completion: list[StateHook] | None = None,
        on_failure: list[StateHook] | None = None,
        on_running: list[StateHook] | None = None,
        on_rollback: list[Callable[[Transaction], None]] | None = None,
        on_commit: list[Callable[[Transaction], None]] | None = None,
        retry_condition_fn: RetryCondition | None = None,
        viz_return_value: Any | None = None,
        asset_deps: list[Any] | None = None,
    ) -> None:
        self.fn, self._kind = function_of(fn, "task")
        functools.update_wrapper(self, self.fn)
        self.isasync, self.isgenerator = nature_of(self.fn)
        self.name = name or callable_name(self.fn)
        check_length(self.name, "task")
        self.description = description or docstring_of(self.fn)
        self.tags: set[str] = task_options.tags_of(tags)
        self.version = version
        self.spec = FunctionSpec(self.fn)
        refuse_reserved(self.spec.names, "task")
        self.task_key = task_key(self.fn)
        self.task_run_name = checked_run_name(task_run_name, "task_run_name")
        self._retries = count_of(retries, self.name)
        self._retry_delay_seconds = task_options.delays_of(retry_delay_seconds, self._retries, self.name)
        self.retry_jitter_factor = task_options.checked_jitter(retry_jitter_factor)
        self.retry_condition_fn = task_options.checked_condition(retry_condition_fn)
        self.timeout_seconds = limit_of(timeout_seconds, self.name)
        self.log_prints = log_prints
        self.refresh_cache = refresh_cache
        self.cache_expiration = task_options.expiration_of(cache_expiration, self.name)
        self.result_storage = result_storage
        self.result_serializer = result_serializer
        self.result_storage_key = result_storage_key
        self.cache_result_in_memory = cache_result_in_memory
        has_storage = any((result_storage_key, result_storage, result_serializer))
        self._cache_policy, self.cache_key_fn, self.persist_result = task_options.caching_of(
            self.name, cache_policy, cache_key_fn, persist_result, has_storage=has_storage
        )
        self.on_completion_hooks = hooks_of(on_completion, "on_completion", self.name)
        self.on_failure_hooks = hooks_of(on_failure, "on_failure", self.name)
        self.on_running_hooks = hooks_of(on_running, "on_running", self.name)
        self.on_rollback_hooks = hooks_of(on_rollback, "on_rollback", self.name)
        self.on_commit_hooks = hooks_of(on_commit, "on_commit", self.name)
        self.viz_return_value = viz_return_value
        self.asset_deps = assets.as_assets(asset_deps) if asset_deps else []

    @property
    def retries(self) -> int:
        """How often a failed run is tried again: the option, or the setting `tasks.default_retries`."""
        return self._retries if self._retries is not None else get_current_settings().tasks.default_retries

    @property
    def retry_delay_seconds(self) -> Any:
        """Seconds before a retry, or a list of them: the option, or the setting `tasks.default_retry_delay_seconds`."""
        delays = self._retry_delay_seconds
        return delays if delays is not None else get_current_settings().tasks.default_retry_delay_seconds

    @property
    def cache_policy(self) -> Any:
        """The policy that makes the key under which a result is found again.

        The setting `tasks.disable_caching` is above all others, `tasks.default_no_cache` holds for tasks without one.
        """
        settings = get_current_settings().tasks
        if settings.disable_caching or (self._cache_policy is NotSet and settings.default_no_cache):
            return cache_policies.NO_CACHE
        if self._cache_policy is NotSet:
            self._cache_policy = None if self.result_storage_key is not None else cache_policies.DEFAULT
        elif self._cache_policy is None:
            return cache_policies.NO_CACHE
        return self._cache_policy

    @cache_policy.setter
    def cache_policy(self, policy: Any) -> None:
        self._cache_policy = policy

    @functools.cached_property
    def policy_json(self) -> str:
        """The retry options in the form in which runs record them."""
        return policy_json(self.retries, self.retry_delay_seconds, self.retry_jitter_factor)

    @functools.cached_property
    def tag_set(self) -> frozenset[str]:
        """The task's own tags."""
        return frozenset(self.tags)

    @functools.cached_property
    def never_recalled(self) -> bool:
        """Whether a retry of the flow runs the task again although it finished before."""
        return self._cache_policy is not NotSet and (
            self._cache_policy is None or task_options.is_no_cache(self._cache_policy)
        )

    # -- methods -----------------------------------------------------------------------------------------------------

    # a checker takes `@classmethod` for a function whose first parameter is a class
    @overload
    def __get__(self: Task[Concatenate[type[Any], Q], R], instance: None, owner: type | None = None) -> Task[Q, R]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self: Task[Concatenate[Any, Q], R], instance: object, owner: type | None = None) -> Task[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A task in a class becomes a task of the instance (or, for a class method, of the class) it is asked of."""
        return self._bound_to(instance, owner)

    # -- calling -----------------------------------------------------------------------------------------------------

    @overload
    def __call__(self: Task[P, NoReturn], *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def __call__(self: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self: Task[P, Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[True],
        wait_for: WaitFor = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(
        self: Task[P, R], *args: Any, return_state: Literal[True], wait_for: WaitFor = None, **kwargs: Any
    ) -> State[R]: ...
    @overload
    def __call__(
        self: Task[P, R], *args: Any, return_state: Literal[False], wait_for: WaitFor = None, **kwargs: Any
    ) -> R: ...
    @overload
    def __call__(self: Task[P, R], *args: Any, wait_for: WaitFor, **kwargs: Any) -> R: ...
    def __call__(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Run the task here and now.

        Args:
            return_state: return the run's final state instead of its result; a failure is then not raised.
            wait_for: futures, states or values of other runs to wait for.

        Raises:
            ParameterBindError: the arguments do not fit the function.
            Exception: what the function raised.
        """
        parameters = self.spec.bind(args, kwargs)
        drawn = self._drawn(parameters)
        if drawn is not None:
            return drawn[0]
        if self.isgenerator:
            return (_iterate_async if self.isasync else _iterate_sync)(self, parameters, wait_for)
        if self.isasync:
            return _call_async(self, parameters, wait_for, return_state)
        frame = task_run.begin(self, parameters, wait_for=wait_for)
        run_now(task_run.run(SYNC, frame))
        return outcome.public_state(frame) if return_state else outcome.value_or_raise(frame)

    @overload
    def submit(self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[T]: ...
    @overload
    def submit(self: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[R]: ...
    @overload
    def submit(
        self: Task[P, Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[True],
        wait_for: WaitFor = None,
        **kwargs: Any,
    ) -> State[T]: ...
    @overload
    def submit(
        self: Task[P, R], *args: Any, return_state: Literal[True], wait_for: WaitFor = None, **kwargs: Any
    ) -> State[R]: ...
    @overload
    def submit(
        self: Task[P, Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[False],
        wait_for: WaitFor = None,
        **kwargs: Any,
    ) -> PrefectFuture[T]: ...
    @overload
    def submit(
        self: Task[P, R], *args: Any, return_state: Literal[False], wait_for: WaitFor = None, **kwargs: Any
    ) -> PrefectFuture[R]: ...
    @overload
    def submit(
        self: Task[P, Coroutine[Any, Any, T]], *args: Any, wait_for: WaitFor, **kwargs: Any
    ) -> PrefectFuture[T]: ...
    @overload
    def submit(self: Task[P, R], *args: Any, wait_for: WaitFor, **kwargs: Any) -> PrefectFuture[R]: ...
    def submit(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Have the task run by the flow's task runner, at the same time as what follows.

        Args:
            return_state: wait for the run and return its final state.
            wait_for: futures, states or values of other runs to wait for.

        Returns:
            A future; arguments may be futures of other runs, which are waited for.

        Raises:
            RuntimeError: called outside a flow run, where there is no task runner.
        """
        parameters = self.spec.bind(args, kwargs)
        drawn = self._drawn(parameters, "submit")
        if drawn is not None:
            return drawn[0]
        future = self._runner("submit").submit(self, parameters, wait_for)
        if return_state:
            future.wait()
            return future.state
        return future

    @overload
    def map(
        self: Task[P, Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[True],
        wait_for: WaitFor = None,
        deferred: bool = False,
        **kwargs: Any,
    ) -> list[State[T]]: ...
    @overload
    def map(
        self: Task[P, R],
        *args: Any,
        return_state: Literal[True],
        wait_for: WaitFor = None,
        deferred: bool = False,
        **kwargs: Any,
    ) -> list[State[R]]: ...
    @overload
    def map(
        self: Task[P, Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: WaitFor = None,
        deferred: bool = False,
        **kwargs: Any,
    ) -> PrefectFutureList[T]: ...
    @overload
    def map(
        self: Task[P, R],
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: WaitFor = None,
        deferred: bool = False,
        **kwargs: Any,
    ) -> PrefectFutureList[R]: ...
    def map(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, deferred: bool = False, **kwargs: Any
    ) -> Any:
        """Have the task run once for each element of its iterable arguments, all at the same time.

        Args:
            args, kwargs: iterables of equal length, and values that are the same for all runs: anything that is not
                iterable, strings, dicts, and what is wrapped in `unmapped`.
            return_state: wait for the runs and return the list of their final states.
            wait_for: futures, states or values of other runs to wait for.
            deferred: hand the runs to task workers instead of this flow's task runner.

        Returns:
            A `PrefectFutureList`.

        Raises:
            MappingMissingIterable: no argument is iterable.
            MappingLengthMismatch: the iterables differ in length.
        """
        parameters = self.spec.bind(args, kwargs, apply_defaults=False)
        drawn = self._drawn(parameters, "map")
        if drawn is not None:
            return drawn[0]
        futures: PrefectFutureList[Any]
        if deferred:
            frames = deferral.defer_mapped(self, parameters, wait_for)
            futures = PrefectFutureList(PrefectDistributedFuture(frame.id) for frame in frames)
        else:
            futures = self._runner("map").map(self, parameters, wait_for)
        if return_state:
            futures.wait()
            return [future.state for future in futures]
        return futures

    def _runner(self, verb: str) -> Any:
        flow_frame = current_flow.get()
        if flow_frame is None:
            raise RuntimeError(
                f"Task {self.name!r} cannot {verb} here: there is no flow run, and so no task runner. "
                f"Call {self.name}() directly, or call .{verb}() inside a flow."
            )
        return flow_frame.runner()

    # -- in the background -------------------------------------------------------------------------------------------

    @overload
    def delay(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> PrefectDistributedFuture[T]: ...
    @overload
    def delay(self: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> PrefectDistributedFuture[R]: ...
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> PrefectDistributedFuture[Any]:
        """Have a task worker run the task, with these arguments: see `apply_async`."""
        return self.apply_async(args=args, kwargs=kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        wait_for: Iterable[Any] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> PrefectDistributedFuture[Any]:
        """Have a task worker run the task; no flow is needed, and this process may end.

        Args:
            args, kwargs: the arguments; they may contain futures, whose runs are waited for.
            wait_for: futures of runs to wait for.
            dependencies: runs it depends on, by parameter, to be recorded as such.

        Returns:
            A future, at once. The run and its arguments are on disk by then.

        Raises:
            TypeError: an argument cannot be pickled.
            ParameterBindError: the arguments do not fit the function.
            DatabaseUnavailable: the run could not be recorded, and will not be carried out.
        """
        parameters = self.spec.bind(tuple(args or ()), kwargs or {})
        drawn = self._drawn(parameters, "submit")
        if drawn is not None:
            return drawn[0]
        return PrefectDistributedFuture(deferral.defer(self, [(parameters, wait_for)], dependencies=dependencies)[0].id)

    async def aserve(self) -> None:
        """`serve` for asynchronous code."""
        await task_worker.aserve(self)

    @async_dispatch(aserve)
    def serve(self) -> None:
        """Be a task worker for this task until the process is told to end: see `prefect.task_worker.serve`."""
        task_worker.serve(self, _sync=True)

    async def create_run(
        self,
        client: Any = None,
        id: UUID | None = None,
        parameters: dict[str, Any] | None = None,
        flow_run_context: FlowRunContext | None = None,
        parent_task_run_context: TaskRunContext | None = None,
        wait_for: Iterable[Any] | None = None,
        extra_task_inputs: dict[str, set[Any]] | None = None,
        deferred: bool = False,
    ) -> TaskRun:
        """Record a run of the task without carrying it out.

        Args:
            client: not used: runs are recorded in the local database.
            id: the run's id; default a new one.
            parameters: the arguments by name.
            flow_run_context, parent_task_run_context: the runs it belongs to; default those that are current.
            wait_for: futures of runs it waits for.
            extra_task_inputs: runs it depends on, by parameter, to be recorded as such.
            deferred: schedule it for task workers; else it is pending until `prefect.task_engine.run_task` runs it.

        Returns:
            The run, which is on disk.
        """
        within = (flow_run_context, parent_task_run_context)
        return deferral.create_run(self, id, parameters, within, wait_for, extra_task_inputs, deferred)

    async def create_local_run(
        self,
        client: Any = None,
        id: UUID | None = None,
        parameters: dict[str, Any] | None = None,
        flow_run_context: FlowRunContext | None = None,
        parent_task_run_context: TaskRunContext | None = None,
        wait_for: Iterable[Any] | None = None,
        extra_task_inputs: dict[str, set[Any]] | None = None,
        deferred: bool = False,
    ) -> TaskRun:
        """Make a run of the task that is not recorded until it is carried out; the arguments are those of `create_run`."""
        within = (flow_run_context, parent_task_run_context)
        return deferral.create_run(self, id, parameters, within, wait_for, extra_task_inputs, deferred, local=True)

    # -- variations --------------------------------------------------------------------------------------------------

    def with_options(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        cache_policy: CachePolicy | type[NotSet] = NotSet,
        cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
        task_run_name: RunName | type[NotSet] | None = NotSet,
        cache_expiration: timedelta | None = None,
        retries: int | type[NotSet] | None = NotSet,
        retry_delay_seconds: RetryDelays | type[NotSet] = NotSet,
        retry_jitter_factor: float | type[NotSet] | None = NotSet,
        persist_result: bool | type[NotSet] | None = NotSet,
        result_storage: WritableFileSystem | str | type[NotSet] | None = NotSet,
        result_serializer: Serializer | str | type[NotSet] | None = NotSet,
        result_storage_key: str | type[NotSet] | None = NotSet,
        cache_result_in_memory: bool | None = None,
        timeout_seconds: int | float | None = None,
        log_prints: bool | type[NotSet] | None = NotSet,
        refresh_cache: bool | type[NotSet] | None = NotSet,
        on_completion: list[StateHook] | None = None,
        on_failure: list[StateHook] | None = None,
        on_running: list[StateHook] | None = None,
        retry_condition_fn: RetryCondition | None = None,
        viz_return_value: Any | None = None,
        asset_deps: list[Any] | None = None,
    ) -> Task[P, R]:
        """A task like this one with some options changed; the arguments are those of the decorator."""
        return type(self)(**task_options.varied(self, locals(), self._cache_policy))

    def on_completion(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(task, task_run, state)` when a run has completed."""
        self.on_completion_hooks.append(fn)
        return fn

    def on_failure(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(task, task_run, state)` when a run has failed."""
        self.on_failure_hooks.append(fn)
        return fn

    def on_running(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(task, task_run, state)` when a run begins to run."""
        self.on_running_hooks.append(fn)
        return fn

    def on_commit(self, fn: Callable[[Transaction], None]) -> Callable[[Transaction], None]:
        """Register a function to be called with the transaction when a run's transaction is committed."""
        self.on_commit_hooks.append(fn)
        return fn

    def on_rollback(self, fn: Callable[[Transaction], None]) -> Callable[[Transaction], None]:
        """Register a function to be called with the transaction when a run's transaction is rolled back."""
        self.on_rollback_hooks.append(fn)
        return fn

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"


async def _call_async(task: Task[..., Any], parameters: dict[str, Any], wait_for: Any, return_state: bool) -> Any:
    frame = task_run.begin(task, parameters, wait_for=wait_for)
    await task_run.run(ASYNC, frame)
    return outcome.public_state(frame) if return_state else outcome.value_or_raise(frame)


def _iterate_sync(task: Task[..., Any], parameters: dict[str, Any], wait_for: Any) -> Any:
    frame = task_run.begin(task, parameters, wait_for=wait_for)
    return (yield from generators.drive(task_run.iterate(SYNC, frame, False), lambda: frame.value))


def _iterate_async(task: Task[..., Any], parameters: dict[str, Any], wait_for: Any) -> Any:
    return generators.pass_on(
        lambda: task_run.iterate(ASYNC, task_run.begin(task, parameters, wait_for=wait_for), True)
    )


@overload
def task(__fn: Callable[P, R]) -> Task[P, R]: ...
@overload
def task(__fn: None = None, **options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(
    __fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    cache_policy: CachePolicy | type[NotSet] = NotSet,
    cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
    cache_expiration: timedelta | None = None,
    task_run_name: RunName | None = None,
    retries: int | None = None,
    retry_delay_seconds: RetryDelays = None,
    retry_jitter_factor: float | None = None,
    persist_result: bool | None = None,
    result_storage: WritableFileSystem | str | None = None,
    result_storage_key: str | None = None,
    result_serializer: Serializer | str | None = None,
    cache_result_in_memory: bool = True,
    timeout_seconds: int | float | None = None,
    log_prints: bool | None = None,
    refresh_cache: bool | None = None,
    on_completion: list[StateHook] | None = None,
    on_failure: list[StateHook] | None = None,
    on_running: list[StateHook] | None = None,
    on_rollback: list[Callable[[Transaction], None]] | None = None,
    on_commit: list[Callable[[Transaction], None]] | None = None,
    retry_condition_fn: RetryCondition | None = None,
    viz_return_value: Any = None,
    asset_deps: list[Any] | None = None,
) -> Any:
    """Make a task of a function, as `@task` or `@task(...)`.

    Args:
        name: the task's name; default the function's.
        description: what it does; default the function's docstring.
        tags: tags of its runs, beside those of the `tags` context.
        version: the version of the code, recorded with each run.
        cache_policy: makes the key under which a result is found again: see `prefect.cache_policies`.
        cache_key_fn: a function of (context, parameters) that returns the key itself, or None for no caching.
        cache_expiration: how long a cached result is good; default for ever.
        task_run_name: the name of each run: a template over the parameters (`"load {table}"`) or a callable.
        retries: how often a failed run is tried again.
        retry_delay_seconds: seconds before a retry: one number, one for each retry, or a callable that makes the list
            from the number of retries, such as `exponential_backoff(10)`.
        retry_jitter_factor: spreads each delay up to this factor more, so that many runs do not retry at one time.
        persist_result: keep results in storage; by default when an option needs that.
        result_storage: where: a filesystem block, or the name of one as `type/name`.
        result_storage_key: a template for the key under which results are kept.
        result_serializer: how they are written: `"pickle"`, `"json"`, `"compressed/pickle"`, or a serializer.
        cache_result_in_memory: keep the result in memory too, for what comes after in this process.
        timeout_seconds: fail an attempt that runs longer.
        log_prints: send what the function prints to the run's log; default that of the flow.
        refresh_cache: run although a cached result is there, and replace it.
        on_completion, on_failure, on_running: functions called as `fn(task, task_run, state)`.
        on_rollback, on_commit: functions called with the transaction of a run when it is rolled back or committed.
        retry_condition_fn: called as `fn(task, task_run, state)` for a failed run; a false answer means no retry.
        viz_return_value: what the task is taken to return while a flow is drawn.
        asset_deps: the assets it reads.
    """
    options = {key: value for key, value in locals().items() if not key.endswith("__fn")}
    if __fn is None:
        return lambda fn: Task(fn, **options)
    return Task(__fn, **options)
