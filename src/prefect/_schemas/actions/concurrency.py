"""Requests about limits on how much runs at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from prefect._schemas.base import ActionBaseModel
from prefect._schemas.fields import Name, NonNegativeFloat, NonNegativeInteger, Short, ShortText


class ConcurrencyLimitCreate(ActionBaseModel):
    """Limit the task runs with a tag."""

    tag: ShortText
    concurrency_limit: int


class ConcurrencyLimitV2Create(ActionBaseModel):
    """Make a global concurrency limit, with its counters."""

    active: bool = True
    name: Annotated[Name, Short]
    limit: NonNegativeInteger
    active_slots: NonNegativeInteger = 0
    denied_slots: NonNegativeInteger = 0
    # slots that come free each second without being given back
    slot_decay_per_second: NonNegativeFloat = 0


class ConcurrencyLimitV2Update(ActionBaseModel):
    """Change a global concurrency limit, or its counters."""

    active: bool | None = None
    name: Annotated[Name, Short] | None = None
    limit: NonNegativeInteger | None = None
    active_slots: NonNegativeInteger | None = None
    denied_slots: NonNegativeInteger | None = None
    slot_decay_per_second: NonNegativeFloat | None = None


class GlobalConcurrencyLimitCreate(ActionBaseModel):
    """Make a global concurrency limit."""

    name: Annotated[Name, Short]
    limit: NonNegativeInteger
    active: bool | None = True
    active_slots: NonNegativeInteger | None = 0
    slot_decay_per_second: NonNegativeFloat | None = Field(default=0.0)


class GlobalConcurrencyLimitUpdate(ActionBaseModel):
    """Change a global concurrency limit."""

    name: Annotated[Name, Short] | None = None
    limit: NonNegativeInteger | None = None
    active: bool | None = None
    active_slots: NonNegativeInteger | None = None
    slot_decay_per_second: NonNegativeFloat | None = None
