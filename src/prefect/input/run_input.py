"""Typed values that flow runs are sent.

A value of any type can be sent and received. One that is a `RunInput` also knows who sent it, and can be answered.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypedDict, TypeVar, cast, overload
from uuid import UUID, uuid4

import pydantic
from pydantic import ConfigDict, PrivateAttr

from prefect._bridge import async_dispatch, run
from prefect.client.utilities import async_client, sync_client
from prefect.input import _records
from prefect.input._receiving import GetAutomaticInputHandler, GetInputHandler

if TYPE_CHECKING:
    from typing import Self

    from prefect._schemas.flow_runs import FlowRunInput
    from prefect._schemas.states import State

__all__ = [
    "AutomaticRunInput",
    "BaseRunInput",
    "GetAutomaticInputHandler",
    "GetInputHandler",
    "Keyset",
    "RunInput",
    "RunInputMetadata",
    "asend_input",
    "keyset_from_base_key",
    "keyset_from_paused_state",
    "receive_input",
    "run_input_subclass_from_type",
    "send_input",
]

R = TypeVar("R", bound="RunInput")
T = TypeVar("T")

_SENDER = "prefect.flow-run."


class Keyset(TypedDict):
    """The keys under which a question to a person and the answer are kept."""

    description: str
    response: str
    schema: str


def keyset_from_paused_state(state: State[Any]) -> Keyset:
    """The keys of a pause.

    Raises:
        RuntimeError: the state is not a pause.
    """
    if not state.is_paused():
        raise RuntimeError(f"{state.type.value!r} is unsupported: only the pause of a flow run has inputs.")
    return keyset_from_base_key(f"{(state.name or 'paused').lower()}-{state.state_details.pause_key}")


def keyset_from_base_key(base_key: str) -> Keyset:
    """The keys that begin with a base key."""
    return {
        "description": f"{base_key}-description",
        "response": f"{base_key}-response",
        "schema": f"{base_key}-schema",
    }


class RunInputMetadata(pydantic.BaseModel):
    """Where a value came from.

    Attributes:
        key: under which it was sent.
        sender: who sent it: `prefect.flow-run.<id>` for a flow run.
        receiver: the flow run that it was sent to.
    """

    key: str
    sender: str | None = None
    receiver: UUID


class BaseRunInput(pydantic.BaseModel):
    """A value that flow runs are sent."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    _description: ClassVar[str | None] = None
    _metadata: RunInputMetadata | None = PrivateAttr(None)

    @property
    def metadata(self) -> RunInputMetadata:
        """Where the value came from.

        Raises:
            AttributeError: it was not received.
        """
        if self._metadata is None:
            raise AttributeError(f"This {type(self).__name__} was not received: it has no metadata.")
        return self._metadata

    @classmethod
    def keyset_from_type(cls) -> Keyset:
        """The keys for values of this type."""
        return keyset_from_base_key(cls.__name__.lower())

    # ── asking for a value ──────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    async def asave(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
        """`save` for asynchronous code."""
        async with async_client() as api:
            await _save(cls, api, keyset, flow_run_id)

    @classmethod
    def save(cls, keyset: Keyset, flow_run_id: UUID | None = None, *, _sync: bool | None = None) -> Any:
        """Keep what a value of this type looks like, and its description, for those who are to send one.

        Args:
            keyset: the keys to keep it under.
            flow_run_id: of the run that asks; the current one unless given.
        """
        return _save_now(cls, keyset, flow_run_id, _sync=_sync)

    @classmethod
    async def aload(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Self:
        """`load` for asynchronous code."""
        async with async_client() as api:
            return await _load(cls, api, keyset, flow_run_id)

    @classmethod
    def load(cls, keyset: Keyset, flow_run_id: UUID | None = None, *, _sync: bool | None = None) -> Any:
        """The value that was sent in answer.

        Args:
            keyset: the keys of the question.
            flow_run_id: of the run that asked; the current one unless given.

        Raises:
            pydantic.ValidationError: the answer does not fit, or there is none and the fields have no defaults.
        """
        return _load_now(cls, keyset, flow_run_id, _sync=_sync)

    @classmethod
    def load_from_flow_run_input(cls, flow_run_input: FlowRunInput) -> Self:
        """The value that the API keeps in `flow_run_input`."""
        value = cls.model_validate_json(flow_run_input.value)
        value._metadata = RunInputMetadata(
            key=flow_run_input.key, sender=flow_run_input.sender, receiver=flow_run_input.flow_run_id
        )
        return value

    @classmethod
    def with_initial_data(cls, description: str | None = None, **kwargs: Any) -> type[Self]:
        """The type with other defaults, which a form shows to those who fill it in.

        Args:
            description: Markdown, shown above the form.
            **kwargs: the defaults, by field.
        """
        fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            known = cls.model_fields.get(name)
            fields[name] = (type(value) if known is None else known.annotation, value)
        made = cast(
            "type[Self]", pydantic.create_model(cls.__name__, __base__=cls, __module__=cls.__module__, **fields)
        )
        if description is not None:
            made._description = description
        return made

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def arespond(self, run_input: Any, sender: str | None = None, key_prefix: str | None = None) -> None:
        """`respond` for asynchronous code."""
        await asend_input(run_input, _sending_run(self), sender, key_prefix)

    @async_dispatch(arespond)
    def respond(self, run_input: Any, sender: str | None = None, key_prefix: str | None = None) -> None:
        """Send a value to the flow run that sent this one.

        Args:
            run_input: the value.
            sender: who sends it; the current flow run unless given.
            key_prefix: how its key begins.

        Raises:
            RuntimeError: this value was not sent by a flow run.
        """
        send_input(run_input, _sending_run(self), sender, key_prefix, _sync=True)

    async def asend_to(self, flow_run_id: UUID, sender: str | None = None, key_prefix: str | None = None) -> None:
        """`send_to` for asynchronous code."""
        await asend_input(self, flow_run_id, sender, key_prefix)

    @async_dispatch(asend_to)
    def send_to(self, flow_run_id: UUID, sender: str | None = None, key_prefix: str | None = None) -> None:
        """Send this value to a flow run.

        Args:
            flow_run_id: of the run.
            sender: who sends it; the current flow run unless given.
            key_prefix: how its key begins.
        """
        send_input(self, flow_run_id, sender, key_prefix, _sync=True)


class RunInput(BaseRunInput):
    """A value that flow runs are sent: subclass it and declare its fields."""

    @classmethod
    def receive(
        cls,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        key_prefix: str | None = None,
        flow_run_id: UUID | None = None,
    ) -> GetInputHandler[Self]:
        """The values of this type that a flow run is sent, as they come. To be iterated, synchronously or not.

        Args:
            timeout: seconds to wait for the next one; None for as long as it takes.
            poll_interval: seconds between two looks, where the API does not tell by itself.
            raise_timeout_error: whether to raise a `TimeoutError` when none came, instead of ending the iteration.
            exclude_keys: leave out what was sent under these keys.
            key_prefix: how the keys begin; made from the type unless given.
            flow_run_id: of the run; the current one unless given.
        """
        return GetInputHandler(
            run_input_cls=cls,
            key_prefix=key_prefix or _automatic_prefix(cls),
            timeout=timeout,
            poll_interval=poll_interval,
            raise_timeout_error=raise_timeout_error,
            exclude_keys=exclude_keys,
            flow_run_id=flow_run_id,
        )

    @classmethod
    def subclass_from_base_model_type(cls, model_cls: type[pydantic.BaseModel]) -> type[RunInput]:
        """The type of run inputs with the fields of a model."""
        return type(f"{model_cls.__name__}RunInput", (RunInput, model_cls), {"__module__": model_cls.__module__})


class AutomaticRunInput(BaseRunInput, Generic[T]):
    """A value of any type that flow runs are sent.

    Attributes:
        value: the value.
    """

    value: T

    @classmethod
    def subclass_from_type(cls, _type: type[T]) -> type[AutomaticRunInput[T]]:
        """The type of run inputs for values of a type."""
        name = getattr(_type, "__name__", None) or "".join(filter(str.isalnum, str(_type)))
        fields: dict[str, Any] = {"value": (_type, ...)}
        # List[int] is called list, as the values are
        made = pydantic.create_model(
            f"{name.lower() if hasattr(_type, '__origin__') else name}AutomaticRunInput",
            __base__=AutomaticRunInput,
            __module__=__name__,
            **fields,
        )
        return cast("type[AutomaticRunInput[T]]", made)

    @classmethod
    def receive(
        cls,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        key_prefix: str | None = None,
        flow_run_id: UUID | None = None,
        with_metadata: bool = False,
    ) -> GetAutomaticInputHandler[T]:
        """The values that a flow run is sent, as they come; see `RunInput.receive`.

        Args:
            with_metadata: give the inputs, which know where they came from, instead of the bare values.
        """
        return GetAutomaticInputHandler(
            run_input_cls=cls,
            key_prefix=key_prefix or _automatic_prefix(cls),
            timeout=timeout,
            poll_interval=poll_interval,
            raise_timeout_error=raise_timeout_error,
            exclude_keys=exclude_keys,
            flow_run_id=flow_run_id,
            with_metadata=with_metadata,
        )


def run_input_subclass_from_type(_type: Any) -> type[BaseRunInput]:
    """The type of run inputs for values of a type.

    Args:
        _type: a `RunInput`, a pydantic model, or any other type.
    """
    if inspect.isclass(_type):
        if issubclass(_type, BaseRunInput):
            return _type
        if issubclass(_type, pydantic.BaseModel):
            return RunInput.subclass_from_base_model_type(_type)
    return AutomaticRunInput.subclass_from_type(_type)


async def asend_input(
    run_input: Any, flow_run_id: UUID, sender: str | None = None, key_prefix: str | None = None
) -> None:
    """`send_input` for asynchronous code."""
    async with async_client() as api:
        await _send(api, run_input, flow_run_id, sender, key_prefix)


@async_dispatch(asend_input)
def send_input(run_input: Any, flow_run_id: UUID, sender: str | None = None, key_prefix: str | None = None) -> None:
    """Send a value to a flow run.

    Args:
        run_input: the value.
        flow_run_id: of the run.
        sender: who sends it; the current flow run unless given.
        key_prefix: how its key begins; made from its type unless given.
    """
    with sync_client() as api:
        run(_send(api, run_input, flow_run_id, sender, key_prefix))


@overload
def receive_input(  # pyright: ignore[reportOverlappingOverload]
    input_type: type[R],
    timeout: float | None = 3600,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,
    exclude_keys: set[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: UUID | None = None,
    with_metadata: bool = False,
) -> GetInputHandler[R]: ...
@overload
def receive_input(
    input_type: type[T],
    timeout: float | None = 3600,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,
    exclude_keys: set[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: UUID | None = None,
    with_metadata: bool = False,
) -> GetAutomaticInputHandler[T]: ...
def receive_input(
    input_type: Any,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,
    exclude_keys: set[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: UUID | None = None,
    with_metadata: bool = False,
) -> Any:
    """The values of a type that a flow run is sent, as they come. To be iterated, synchronously or not.

    Args:
        input_type: a `RunInput`, a pydantic model, or any other type.
        timeout: seconds to wait for the next one; None for as long as it takes.
        poll_interval: seconds between two looks, where the API does not tell by itself.
        raise_timeout_error: whether to raise a `TimeoutError` when none came, instead of ending the iteration.
        exclude_keys: leave out what was sent under these keys.
        key_prefix: how the keys begin; made from the type unless given.
        flow_run_id: of the run; the current one unless given.
        with_metadata: give inputs, which know where they came from, instead of bare values; a `RunInput` always knows.
    """
    options: dict[str, Any] = {
        "timeout": timeout,
        "poll_interval": poll_interval,
        "raise_timeout_error": raise_timeout_error,
        "exclude_keys": exclude_keys,
        "key_prefix": key_prefix,
        "flow_run_id": flow_run_id,
    }
    kind: Any = run_input_subclass_from_type(input_type)
    if issubclass(kind, AutomaticRunInput):
        options["with_metadata"] = with_metadata
    return kind.receive(**options)


# ── what asks the API: one body for both kinds of client ────────────────────────────────────────────────────────────


async def _save(cls: type[BaseRunInput], api: Any, keyset: Keyset, flow_run_id: UUID | None) -> None:
    await _records.create(api, keyset["schema"], cls.model_json_schema(), flow_run_id)
    if cls._description is not None:
        await _records.create(api, keyset["description"], cls._description, flow_run_id)


async def _load(cls: Any, api: Any, keyset: Keyset, flow_run_id: UUID | None) -> Any:
    flow_run_id = _records.ensure_flow_run_id(flow_run_id)
    answer = await _records.read(api, keyset["response"], flow_run_id)
    value = cls.model_validate(answer or {})
    value._metadata = RunInputMetadata(key=keyset["response"], sender=None, receiver=flow_run_id)
    return value


async def _send(api: Any, value: Any, flow_run_id: UUID, sender: str | None, key_prefix: str | None) -> None:
    kind = run_input_subclass_from_type(type(value))
    if isinstance(value, BaseRunInput):
        model: pydantic.BaseModel = value
    elif isinstance(value, pydantic.BaseModel):
        model = kind.model_validate(value.model_dump())
    else:
        model = kind.model_validate({"value": value})
    key = f"{key_prefix or _automatic_prefix(kind)}-{uuid4()}"
    await _records.create_from_model(api, key, model, flow_run_id, sender)


def _automatic_prefix(cls: type[BaseRunInput]) -> str:
    return f"{cls.__name__.lower()}-auto"


def _sending_run(value: BaseRunInput) -> UUID:
    sender = value.metadata.sender or ""
    if not sender.startswith(_SENDER):
        raise RuntimeError("Cannot respond to an input that was not sent by a flow run.")
    return UUID(sender.removeprefix(_SENDER))


@async_dispatch(lambda cls, *args: cls.asave(*args))
def _save_now(cls: type[BaseRunInput], *args: Any) -> None:
    with sync_client() as api:
        run(_save(cls, api, *args))


@async_dispatch(lambda cls, *args: cls.aload(*args))
def _load_now(cls: type[BaseRunInput], *args: Any) -> Any:
    with sync_client() as api:
        return run(_load(cls, api, *args))
