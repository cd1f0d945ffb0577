"""Flows: functions whose runs are recorded, observed and orchestrated.

```python
@flow(log_prints=True, retries=2)
def etl(day: date, limit: int = 1000) -> int: ...
```
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

from prefect._bridge import run as run_now
from prefect._deploying.flow_methods import Deployable, afrom_source, aserve, from_source, kept_with, serve
from prefect._engine import flow_options, flow_run, generators, outcome
from prefect._engine.decorated import Decorated
from prefect._engine.options import (
    Kind,
    checked_run_name,
    count_of,
    delays_of,
    docstring_of,
    function_of,
    hooks_of,
    limit_of,
    nature_of,
    policy_json,
    refuse_reserved,
)
from prefect._engine.port import ASYNC, SYNC
from prefect._lazy import lazy_attributes, lazy_module
from prefect._parameters.binding import FunctionSpec
from prefect.settings import get_current_settings
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    from prefect import _visualize, task_runners
    from prefect._dispatch.loading import load_flow_from_flow_run
    from prefect._entrypoints import (
        is_entrypoint_async,
        load_flow_arguments_from_entrypoint,
        load_flow_from_entrypoint,
        load_function_and_convert_to_flow,
        load_placeholder_flow,
        safe_load_flow_from_entrypoint,
        select_flow,
    )
    from prefect._parameters import schema, serialization, validation
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.states import State
    from prefect.bundles.bound import InfrastructureBoundFlow, bind_flow_to_infrastructure
    from prefect.filesystems import WritableFileSystem
    from prefect.serializers import Serializer
    from prefect.task_runners import TaskRunner
    from prefect.testing import flow_testing
    from prefect.types.entrypoint import EntrypointType
else:
    _visualize = lazy_module("prefect._visualize")
    flow_testing = lazy_module("prefect.testing.flow_testing")
    schema = lazy_module("prefect._parameters.schema")
    serialization = lazy_module("prefect._parameters.serialization")
    task_runners = lazy_module("prefect.task_runners")
    validation = lazy_module("prefect._parameters.validation")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
T = TypeVar("T")


class FlowStateHook(Protocol):
    """A function that is told when a run of a flow enters a state."""

    def __call__(self, flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> Any:
        """Called with the flow, the run, and the state that it entered; may be asynchronous."""
        ...


StateHook = Callable[["Flow[..., Any]", "FlowRun", "State[Any]"], Any]
RunName = str | Callable[..., str]
WaitFor = Iterable[Any] | None

_LOADERS = "prefect._entrypoints"
__getattr__, __dir__, _loader_names = lazy_attributes(
    __name__,
    {
        "EntrypointType": "prefect.types.entrypoint",
        "is_entrypoint_async": _LOADERS,
        "load_flow_arguments_from_entrypoint": _LOADERS,
        "load_flow_from_entrypoint": _LOADERS,
        "load_flow_from_flow_run": "prefect._dispatch.loading",
        "InfrastructureBoundFlow": "prefect.bundles.bound",
        "bind_flow_to_infrastructure": "prefect.bundles.bound",
        "load_function_and_convert_to_flow": _LOADERS,
        "load_placeholder_flow": _LOADERS,
        "safe_load_flow_from_entrypoint": _LOADERS,
        "select_flow": _LOADERS,
    },
)

__all__ = [
    "EntrypointType",
    "Flow",
    "FlowDecorator",
    "FlowStateHook",
    "InfrastructureBoundFlow",
    "aserve",
    "bind_flow_to_infrastructure",
    "flow",
    "is_entrypoint_async",
    "load_flow_arguments_from_entrypoint",
    "load_flow_from_entrypoint",
    "load_flow_from_flow_run",
    "load_function_and_convert_to_flow",
    "load_placeholder_flow",
    "safe_load_flow_from_entrypoint",
    "select_flow",
    "serve",
]


class Flow(Decorated, Deployable, Generic[P, R]):
    """A function whose runs are recorded, and can be retried, timed out, observed and deployed.

    Made by the `flow` decorator; every argument is described there.
    """

    def __init__(
        self,
        fn: Callable[P, R] | classmethod[Any, P, R] | staticmethod[P, R],
        name: str | None = None,
        version: str | None = None,
        flow_run_name: RunName | None = None,
        retries: int | None = None,
        retry_delay_seconds: int | float | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        description: str | None = None,
        timeout_seconds: int | float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_storage: WritableFileSystem | str | None = None,
        result_serializer: Serializer | str | None = None,
        cache_result_in_memory: bool = True,
        log_prints: bool | None = None,
        on_completion: list[StateHook] | None = None,
        on_failure: list[StateHook] | None = None,
        on_cancellation: list[StateHook] | None = None,
        on_crashed: list[StateHook] | None = None,
        on_running: list[StateHook] | None = None,
    ) -> None:
        self.fn: Callable[P, R]
        self._kind: Kind
        self.fn, self._kind = function_of(fn, "flow")
        functools.update_wrapper(self, self.fn)
        self.isasync, self.isgenerator = nature_of(self.fn)
        self.name = flow_options.name_of(name, self.fn)
        self.spec = FunctionSpec(self.fn)
        refuse_reserved(self.spec.names, "flow")
        self.flow_run_name = checked_run_name(flow_run_name, "flow_run_name")
        self._version = version
        self._version_known = version is not None
        self.description = description or docstring_of(self.fn)
        self._retries = count_of(retries, self.name)
        self._retry_delay_seconds = delays_of(retry_delay_seconds, self.name)
        self.timeout_seconds = limit_of(timeout_seconds, self.name)
        self.should_validate_parameters = validate_parameters
        self._task_runner = flow_options.checked_runner(task_runner, self.name)
        self.persist_result = (
            persist_result if persist_result is not None else flow_options.keeps(result_storage, result_serializer)
        )
        self.result_storage = result_storage
        self.result_serializer = result_serializer
        self.cache_result_in_memory = cache_result_in_memory
        self.log_prints = log_prints
        self.on_completion_hooks = hooks_of(on_completion, "on_completion", self.name)
        self.on_failure_hooks = hooks_of(on_failure, "on_failure", self.name)
        self.on_cancellation_hooks = hooks_of(on_cancellation, "on_cancellation", self.name)
        self.on_crashed_hooks = hooks_of(on_crashed, "on_crashed", self.name)
        self.on_running_hooks = hooks_of(on_running, "on_running", self.name)

    @property
    def retries(self) -> int:
        """How often a failed run is tried again: the option, or the setting `flows.default_retries`."""
        return self._retries if self._retries is not None else get_current_settings().flows.default_retries

    @property
    def retry_delay_seconds(self) -> Any:
        """Seconds before a retry: the option, or the setting `flows.default_retry_delay_seconds`."""
        delays = self._retry_delay_seconds
        return delays if delays is not None else get_current_settings().flows.default_retry_delay_seconds

    @property
    def version(self) -> str | None:
        """The version given, or a fingerprint of the file that defines the flow, or None where there is no file."""
        if not self._version_known:
            self._version_known = True
            self._version = flow_options.file_fingerprint(self.fn)
        return self._version

    @version.setter
    def version(self, version: str | None) -> None:
        self._version, self._version_known = version, True

    @property
    def task_runner(self) -> TaskRunner[Any]:
        """Where submitted tasks run; each run of the flow uses a duplicate."""
        if self._task_runner is None:
            self._task_runner = task_runners.ThreadPoolTaskRunner()
        elif isinstance(self._task_runner, type):
            self._task_runner = self._task_runner()
        return self._task_runner

    @task_runner.setter
    def task_runner(self, runner: TaskRunner[Any]) -> None:
        self._task_runner = runner

    @functools.cached_property
    def parameters(self) -> Any:
        """The JSON schema of the parameters."""
        return schema.parameter_schema(self.fn)

    @functools.cached_property
    def policy_json(self) -> str:
        """The retry options in the form in which runs record them."""
        return policy_json(self.retries, self.retry_delay_seconds)

    # -- methods -----------------------------------------------------------------------------------------------------

    # a checker takes `@classmethod` for a function whose first parameter is a class
    @overload
    def __get__(self: Flow[Concatenate[type[Any], Q], R], instance: None, owner: type | None = None) -> Flow[Q, R]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self: Flow[Concatenate[Any, Q], R], instance: object, owner: type | None = None) -> Flow[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A flow in a class becomes a flow of the instance (or, for a class method, of the class) it is asked of."""
        return self._bound_to(instance, owner)

    # -- parameters --------------------------------------------------------------------------------------------------

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Check and coerce parameters by the function's annotations.

        Args:
            parameters: the arguments by name.

        Raises:
            ParameterTypeError: a parameter does not fit; all that do not are named.
        """
        return validation.validate(self.spec, parameters, self.name)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Parameters in a form that JSON can carry; a value that it cannot becomes a short description of it."""
        return serialization.dump_parameters(parameters)

    # -- calling -----------------------------------------------------------------------------------------------------

    @overload
    def __call__(self: Flow[P, NoReturn], *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def __call__(self: Flow[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self: Flow[P, Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[True],
        wait_for: WaitFor = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(
        self: Flow[P, R], *args: Any, return_state: Literal[True], wait_for: WaitFor = None, **kwargs: Any
    ) -> State[R]: ...
    @overload
    def __call__(
        self: Flow[P, R], *args: Any, return_state: Literal[False], wait_for: WaitFor = None, **kwargs: Any
    ) -> R: ...
    @overload
    def __call__(self: Flow[P, R], *args: Any, wait_for: WaitFor, **kwargs: Any) -> R: ...
    def __call__(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Run the flow here and now; inside another run, as its sub-flow.

        Args:
            return_state: return the run's final state instead of its result; a failure is then not raised.
            wait_for: futures, states or values of other runs to wait for.

        Raises:
            ParameterBindError: the arguments do not fit the function.
            ParameterTypeError: a parameter does not fit its annotation.
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
        frame = run_now(flow_run.run(SYNC, flow_run.begin(SYNC, self, parameters, wait_for=wait_for)))
        return outcome.public_state(frame) if return_state else outcome.value_or_raise(frame)

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow in isolation, with a database of its own, to look at what it does.

        ```python
        with my_flow.test(x=1) as run:
            assert run.state.is_completed()
            assert run.result() == 2
            assert [t.name for t in run.task_runs()]
            assert "loaded" in run.log_text
        ```

        Args:
            args, kwargs: the flow's arguments. Without any, and for a flow that needs some, call the object that the
                block gives: `with my_flow.test() as test: run = test(x=1)`.

        Returns:
            A context manager (also for `async with`); nothing it does touches your own database.
        """
        return flow_testing.FlowTest(self, args, kwargs)

    # -- pictures ----------------------------------------------------------------------------------------------------

    async def avisualize(self, *args: Any, **kwargs: Any) -> None:
        """`visualize` for asynchronous code."""
        await _visualize.avisualize(self, *args, **kwargs)

    def visualize(self, *args: Any, **kwargs: Any) -> Any:
        """Draw which tasks depend on which, without running them, and open the picture.

        Tasks return their `viz_return_value` meanwhile. Needs the `graphviz` extra and its program; see
        `generate_mermaid_graph` for a form that needs neither.
        """
        return _visualize.visualize(self, *args, **kwargs)

    async def agenerate_mermaid_graph(self, *args: Any, **kwargs: Any) -> str:
        """`generate_mermaid_graph` for asynchronous code."""
        return await _visualize.agenerate_mermaid_graph(self, *args, **kwargs)

    def generate_mermaid_graph(self, *args: Any, **kwargs: Any) -> Any:
        """The picture of `visualize` as Mermaid text."""
        return _visualize.generate_mermaid_graph(self, *args, **kwargs)

    # -- elsewhere ---------------------------------------------------------------------------------------------------

    from_source = staticmethod(from_source)
    afrom_source = staticmethod(afrom_source)

    # -- variations --------------------------------------------------------------------------------------------------

    def with_options(
        self,
        *,
        name: str | None = None,
        version: str | None = None,
        retries: int | None = None,
        retry_delay_seconds: int | float | None = None,
        description: str | None = None,
        flow_run_name: RunName | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        timeout_seconds: int | float | None = None,
        validate_parameters: bool | None = None,
        persist_result: bool | type[NotSet] | None = NotSet,
        result_storage: WritableFileSystem | str | type[NotSet] | None = NotSet,
        result_serializer: Serializer | str | type[NotSet] | None = NotSet,
        cache_result_in_memory: bool | None = None,
        log_prints: bool | type[NotSet] | None = NotSet,
        on_completion: list[StateHook] | None = None,
        on_failure: list[StateHook] | None = None,
        on_cancellation: list[StateHook] | None = None,
        on_crashed: list[StateHook] | None = None,
        on_running: list[StateHook] | None = None,
    ) -> Flow[P, R]:
        """A flow like this one with some options changed; the arguments are those of the decorator."""
        options = flow_options.varied(
            self, locals(), version=self._version if self._version_known else None, task_runner=self._task_runner
        )
        return kept_with(type(self)(**options), self)

    def on_completion(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(flow, flow_run, state)` when a run has completed."""
        self.on_completion_hooks.append(fn)
        return fn

    def on_failure(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(flow, flow_run, state)` when a run has failed."""
        self.on_failure_hooks.append(fn)
        return fn

    def on_cancellation(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(flow, flow_run, state)` when a run has been cancelled."""
        self.on_cancellation_hooks.append(fn)
        return fn

    def on_crashed(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(flow, flow_run, state)` when a run has crashed."""
        self.on_crashed_hooks.append(fn)
        return fn

    def on_running(self, fn: StateHook) -> StateHook:
        """Register a function to be called as `fn(flow, flow_run, state)` when a run begins to run."""
        self.on_running_hooks.append(fn)
        return fn

    def __repr__(self) -> str:
        return f"<Flow {self.name!r}>"


async def _call_async(flow: Flow[..., Any], parameters: dict[str, Any], wait_for: Any, return_state: bool) -> Any:
    frame = await flow_run.run(ASYNC, flow_run.begin(ASYNC, flow, parameters, wait_for=wait_for))
    return outcome.public_state(frame) if return_state else outcome.value_or_raise(frame)


def _iterate_sync(flow: Flow[..., Any], parameters: dict[str, Any], wait_for: Any) -> Any:
    life = flow_run.begin(SYNC, flow, parameters, wait_for=wait_for)
    return (yield from generators.drive(flow_run.iterate(SYNC, life, False), lambda: life.frame.value))


def _iterate_async(flow: Flow[..., Any], parameters: dict[str, Any], wait_for: Any) -> Any:
    return generators.pass_on(
        lambda: flow_run.iterate(ASYNC, flow_run.begin(ASYNC, flow, parameters, wait_for=wait_for), True)
    )


class FlowDecorator:
    """The type of `flow`: used bare as `@flow` or with options as `@flow(...)`."""

    @overload
    def __call__(self, __fn: Callable[P, R]) -> Flow[P, R]: ...
    @overload
    def __call__(
        self,
        __fn: None = None,
        *,
        name: str | None = None,
        version: str | None = None,
        flow_run_name: RunName | None = None,
        retries: int | None = None,
        retry_delay_seconds: int | float | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        description: str | None = None,
        timeout_seconds: int | float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_storage: WritableFileSystem | str | None = None,
        result_serializer: Serializer | str | None = None,
        cache_result_in_memory: bool = True,
        log_prints: bool | None = None,
        on_completion: list[StateHook] | None = None,
        on_failure: list[StateHook] | None = None,
        on_cancellation: list[StateHook] | None = None,
        on_crashed: list[StateHook] | None = None,
        on_running: list[StateHook] | None = None,
    ) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
    def __call__(
        self,
        __fn: Any = None,
        *,
        name: str | None = None,
        version: str | None = None,
        flow_run_name: RunName | None = None,
        retries: int | None = None,
        retry_delay_seconds: int | float | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        description: str | None = None,
        timeout_seconds: int | float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_storage: WritableFileSystem | str | None = None,
        result_serializer: Serializer | str | None = None,
        cache_result_in_memory: bool = True,
        log_prints: bool | None = None,
        on_completion: list[StateHook] | None = None,
        on_failure: list[StateHook] | None = None,
        on_cancellation: list[StateHook] | None = None,
        on_crashed: list[StateHook] | None = None,
        on_running: list[StateHook] | None = None,
    ) -> Any:
        """Make a flow of a function.

        Args:
            name: the flow's name; default the function's, with hyphens for underscores.
            version: the version of the code, recorded with each run; default a fingerprint of the file.
            flow_run_name: the name of each run: a template over the parameters (`"load {day}"`) or a callable.
            retries: how often a failed run is tried again. Task runs that finished are not repeated.
            retry_delay_seconds: seconds before a retry.
            task_runner: where submitted tasks run; default `ThreadPoolTaskRunner()`.
            description: what it does; default the function's docstring.
            timeout_seconds: fail an attempt that runs longer.
            validate_parameters: check and coerce arguments by the function's annotations.
            persist_result: keep the results of the flow, and of its tasks that do not say otherwise, in storage.
            result_storage: where: a filesystem block, or the name of one as `type/name`.
            result_serializer: how they are written: `"pickle"`, `"json"`, `"compressed/pickle"`, or a serializer.
            cache_result_in_memory: keep the result in memory too, for what comes after in this process.
            log_prints: send what the flow and its tasks print to the runs' logs.
            on_completion, on_failure, on_cancellation, on_crashed, on_running: functions called as
                `fn(flow, flow_run, state)` when a run enters the state.
        """
        options = {key: value for key, value in locals().items() if key != "self" and not key.endswith("__fn")}
        if __fn is None:
            return lambda fn: Flow(fn, **options)
        return Flow(__fn, **options)

    from_source = staticmethod(from_source)


flow = FlowDecorator()
