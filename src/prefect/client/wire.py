"""From Python to the JSON that the API takes, and back."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import pydantic
from pydantic_core import to_json

from prefect._schemas.concurrency import ConcurrencyLimitWithLeaseResponse, MinimalConcurrencyLimitResponse
from prefect._transport.port import Reply

T = TypeVar("T")


def encode(body: Any) -> bytes:
    """A body as JSON; spans of time are numbers of seconds."""
    return to_json(body, timedelta_mode="float")


def changes(model: pydantic.BaseModel, **options: Any) -> dict[str, Any]:
    """The fields of a request that were given, as JSON would have them."""
    return model.model_dump(mode="json", exclude_unset=True, **options)


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None; filters as JSON would have them, without their empty conditions."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    return (
        value.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        if isinstance(value, pydantic.BaseModel)
        else value
    )


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)


def read(kind: type[T], reply: Reply) -> T:
    """What a reply holds, as one object of a type."""
    return _adapter(kind).validate_json(reply.content)


def read_all(kind: type[T], reply: Reply) -> list[T]:
    """What a reply holds, as a list of objects of a type."""
    return _adapter(list[kind]).validate_json(reply.content)


def read_id(reply: Reply) -> UUID:
    """The id of the object that a reply holds."""
    found: Any = _adapter(dict[str, Any]).validate_json(reply.content)
    return UUID(found["id"])


def listed(items: Iterable[T] | None) -> list[T]:
    """A list of what was given, which may be nothing."""
    return list(items or ())


def as_uuid(value: UUID | str, kind: str) -> UUID:
    """An id that may be given as text.

    Raises:
        ValueError: the text is not an id.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except ValueError:
        raise ValueError(f"Invalid {kind} ID: {value!r}. It should be a UUID.") from None


@dataclass(frozen=True)
class SlotAnswer:
    """What came of a request for slots of concurrency limits."""

    limits: list[MinimalConcurrencyLimitResponse]
    """Those from which slots were taken; the names that are missing here have no limit."""
    lease_id: UUID | None = None
    retry_after: float | None = None
    """Seconds after which to ask again: nothing was taken. None: all was."""


def slot_answer(reply: Reply) -> SlotAnswer:
    """What a reply to a request for slots says."""
    if reply.status == 423:
        return SlotAnswer([], retry_after=float(reply.headers.get("retry-after", 1)))
    if reply.content.lstrip().startswith(b"["):
        return SlotAnswer(read_all(MinimalConcurrencyLimitResponse, reply))
    leased = read(ConcurrencyLimitWithLeaseResponse, reply)
    return SlotAnswer(leased.limits, leased.lease_id)
