"""The public models of what is current: the run, its tags, the settings. Made from frames when asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from prefect._clock import from_us, now
from prefect._engine import caching, public
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_tags, current_task
from prefect._engine.recorder import get_recorder
from prefect._lazy import lazy_module
from prefect._schemas.states import from_public
from prefect.settings.context import get_current_settings, pop_settings, push_settings

if TYPE_CHECKING:
    from prefect.client import orchestration
    from prefect.settings import profiles
else:
    orchestration = lazy_module("prefect.client.orchestration")
    profiles = lazy_module("prefect.settings.profiles")


class ContextModel(BaseModel):
    """Something that is current in a block: enter an instance to make it so, `get` what is.

    A subclass declares its fields and a `__var__ = ContextVar("name")`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    __var__: ClassVar[ContextVar[Any]]
    _token: Token[Any] | None = PrivateAttr(None)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError(
                f"This {type(self).__name__} has already been entered; enter a copy (`model_copy()`) instead."
            )
        self._token = self.__var__.set(self.to_frame())
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._token is None:
            raise RuntimeError("A context must be entered before it is left: was it entered in another one?")
        self.__var__.reset(self._token)
        self._token = None

    def to_frame(self) -> Any:
        """What the engine has for this context."""
        return self

    @classmethod
    def get(cls) -> Self | None:
        """What is current here, or None."""
        return cls.__var__.get(None)

    def model_copy(self, *, update: Any = None, deep: bool = False) -> Self:
        """A copy that can be entered."""
        new = super().model_copy(update=update, deep=deep)
        new._token = None
        return new

    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
        """The fields that were set, for another process."""
        return self.model_dump(exclude_unset=True, context={"include_secrets": include_secrets})


_MADE_LATE = frozenset({"task_runner", "result_store"})


class RunContext(ContextModel):
    """What flow runs and task runs have in common."""

    start_time: datetime = Field(default_factory=now)
    input_keyset: dict[str, dict[str, str]] | None = None
    client: Any = None


class EngineContext(RunContext):
    """The flow run that is current.

    Attributes:
        flow: the flow.
        flow_run: its run.
        task_runner: where its submitted tasks run.
        log_prints: whether prints go to the run's log.
        parameters: the run's parameters.
        result_store: where results are kept.
        persist_result: whether they are.
        detached: whether this is a copy in another process.
    """

    __var__: ClassVar[ContextVar[Any]] = current_flow

    flow: Any = None
    flow_run: Any = None
    log_prints: bool = False
    parameters: dict[str, Any] | None = None
    detached: bool = False
    persist_result: bool = False
    task_run_dynamic_keys: dict[str, Any] = Field(default_factory=dict)
    observed_flow_pauses: dict[str, int] = Field(default_factory=dict)
    run_results: dict[int, Any] = Field(default_factory=dict)
    task_run_assets: dict[Any, Any] = Field(default_factory=dict)
    events: Any = None
    flow_run_suspension_request: Any = None
    task_runner: Any = None
    result_store: Any = None
    _frame: FlowFrame | None = PrivateAttr(None)

    def __getattribute__(self, name: str) -> Any:
        """The runner and the store are made when first asked for."""
        value = super().__getattribute__(name)
        if value is None and name in _MADE_LATE:
            frame = (super().__getattribute__("__pydantic_private__") or {}).get("_frame")
            if frame is not None:
                value = frame.runner() if name == "task_runner" else caching.store_of_flow(frame)
                if name == "result_store":
                    object.__setattr__(self, name, value)
        return value

    @classmethod
    def get(cls) -> Self | None:
        frame = current_flow.get()
        return flow_run_context(frame) if frame is not None else None  # type: ignore[return-value]

    def to_frame(self) -> Any:
        if self._frame is None:
            self._frame = _flow_frame_of(self)
        return self._frame


class FlowRunContext(EngineContext):
    """The flow run that is current: see `EngineContext` for its fields."""


class TaskRunContext(RunContext):
    """The task run that is current.

    Attributes:
        task: the task.
        task_run: its run.
        parameters: the run's parameters.
        log_prints: whether prints go to the run's log.
        result_store: where its result is kept.
        persist_result: whether it is.
    """

    __var__: ClassVar[ContextVar[Any]] = current_task

    task: Any
    task_run: Any
    parameters: dict[str, Any] = Field(default_factory=dict)
    log_prints: bool = False
    persist_result: bool = False
    result_store: Any = None
    _frame: TaskFrame | None = PrivateAttr(None)

    def __getattribute__(self, name: str) -> Any:
        """The store is made when first asked for."""
        value = super().__getattribute__(name)
        if value is None and name == "result_store":
            frame = (super().__getattribute__("__pydantic_private__") or {}).get("_frame")
            if frame is not None:
                value = caching.store_of_task(frame)
                object.__setattr__(self, name, value)
        return value

    @classmethod
    def get(cls) -> Self | None:
        frame = current_task.get()
        return task_run_context(frame) if frame is not None else None  # type: ignore[return-value]

    def to_frame(self) -> Any:
        if self._frame is None:
            self._frame = _task_frame_of(self)
        return self._frame


class TagsContext(ContextModel):
    """The tags in force.

    Attributes:
        current_tags: the tags.
    """

    __var__: ClassVar[ContextVar[Any]] = current_tags

    current_tags: set[str] = Field(default_factory=set)

    @classmethod
    def get(cls) -> Self:
        return cls(current_tags=set(current_tags.get()))

    def to_frame(self) -> Any:
        return frozenset(self.current_tags)


class SyncClientContext(ContextModel):
    """A synchronous client of the API that is open in a block, for all who need one there.

    Attributes:
        client: the client.
    """

    __var__: ClassVar[ContextVar[Any]] = ContextVar("prefect_sync_client")

    client: Any

    def __init__(self, httpx_settings: dict[str, Any] | None = None, **kwargs: Any) -> None:
        client = kwargs.pop("client", None)
        if client is None:
            client = orchestration.get_client(httpx_settings=httpx_settings, sync_client=True)
        super().__init__(client=client, **kwargs)

    def __enter__(self) -> Self:
        self.client.__enter__()
        return super().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        self.client.__exit__(*exc_info)

    @classmethod
    @contextmanager
    def get_or_create(cls) -> Iterator[Self]:
        """The context that is open here, or one that is open in the block."""
        around = cls.get()
        if around is not None:
            yield around
        else:
            with cls() as fresh:
                yield fresh


class AsyncClientContext(ContextModel):
    """An asynchronous client of the API that is open in a block, for all who need one there.

    Attributes:
        client: the client.
    """

    __var__: ClassVar[ContextVar[Any]] = ContextVar("prefect_async_client")

    client: Any

    def __init__(self, httpx_settings: dict[str, Any] | None = None, **kwargs: Any) -> None:
        client = kwargs.pop("client", None)
        super().__init__(client=client or orchestration.get_client(httpx_settings=httpx_settings), **kwargs)

    def __enter__(self) -> Self:
        raise TypeError("An AsyncClientContext is entered with `async with`; see SyncClientContext for `with`.")

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        return super().__enter__()

    async def __aexit__(self, *exc_info: Any) -> None:
        super().__exit__(*exc_info)
        await self.client.__aexit__(*exc_info)

    @classmethod
    @asynccontextmanager
    async def get_or_create(cls) -> AsyncIterator[Self]:
        """The context that is open here, or one that is open in the block."""
        around = cls.get()
        if around is not None:
            yield around
        else:
            async with cls() as fresh:
                yield fresh


class SettingsContext(ContextModel):
    """The settings in force, and the profile they come from.

    Attributes:
        profile: the profile.
        settings: the settings.
    """

    __var__: ClassVar[ContextVar[Any]] = ContextVar("prefect_settings_context")

    profile: Any
    settings: Any
    _pushed: Any = PrivateAttr(None)

    def __enter__(self) -> Self:
        self._pushed = push_settings(self.settings, self.profile)
        return self

    def __exit__(self, *exc_info: object) -> None:
        pop_settings(self._pushed)

    @classmethod
    def get(cls) -> Self:
        return cls(profile=profiles.load_current_profile(), settings=get_current_settings())


def flow_run_context(frame: FlowFrame) -> FlowRunContext:
    """The public context of a flow run, made once and kept up to date."""
    model = frame.context_model
    if model is None:
        model = frame.context_model = FlowRunContext(
            flow=frame.flow,
            flow_run=None,
            parameters=frame.parameters,
            log_prints=frame.log_prints,
            persist_result=bool(frame.persist),
            start_time=from_us(frame.start_us or frame.created_us),
            detached=frame.detached,
            observed_flow_pauses=frame.pauses,
        )
        model._frame = frame
    model.flow_run = public.flow_run(frame)
    return model


def task_run_context(frame: TaskFrame) -> TaskRunContext:
    """The public context of a task run, made once and kept up to date."""
    model = frame.context_model
    if model is None:
        model = frame.context_model = TaskRunContext(
            task=frame.task,
            task_run=public.task_run(frame),
            parameters=frame.call_parameters,
            log_prints=frame.log_prints,
            persist_result=bool(frame.persist),
            start_time=from_us(frame.start_us or frame.created_us),
        )
        model._frame = frame
    model.task_run = public.task_run(frame)
    model.parameters = frame.call_parameters
    return model


def _flow_frame_of(model: EngineContext) -> FlowFrame:
    run = model.flow_run
    frame = FlowFrame(get_recorder(), model.flow, model.parameters or {}, str(run.id) if run is not None else None)
    if run is not None:
        frame.name = run.name
        frame.tags = frozenset(run.tags or ())
        frame.run_count = run.run_count or 0
        frame.created = True
        if run.state is not None:
            frame.state = from_public(run.state)
    frame.log_prints, frame.persist, frame.detached = model.log_prints, model.persist_result, model.detached
    frame.result_store = model.result_store
    frame.task_runner = model.task_runner
    frame.context_model = model
    return frame


def _task_frame_of(model: TaskRunContext) -> TaskFrame:
    run = model.task_run
    frame = TaskFrame(get_recorder(), model.task, model.parameters, str(run.id) if run is not None else None)
    if run is not None:
        frame.name = run.name or ""
        frame.flow_run_id = str(run.flow_run_id) if run.flow_run_id else None
        frame.tags = frozenset(run.tags or ())
        frame.run_count = run.run_count or 0
        if run.state is not None:
            frame.state = from_public(run.state)
    frame.flow_frame = current_flow.get()
    frame.log_prints, frame.persist = model.log_prints, model.persist_result
    frame.result_store = model.result_store
    frame.context_model = model
    return frame
