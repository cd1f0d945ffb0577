"""Limits on how much runs at once."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from prefect._defaults import new_list
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel
from prefect._schemas.enums import ConcurrencyLimitStrategy

_GRACE = Field(default=None, ge=60, le=86_400)


class ConcurrencyLimit(ObjectBaseModel):
    """How many task runs with a tag may run at once."""

    tag: str
    concurrency_limit: int
    # the task runs that hold a slot
    active_slots: list[UUID] = Field(default_factory=new_list)


class GlobalConcurrencyLimit(ObjectBaseModel):
    """How many slots of a name can be held at once, anywhere."""

    name: str
    limit: int
    active: bool | None = True
    active_slots: int | None = 0
    # slots that come free each second without being given back, which makes it a rate limit
    slot_decay_per_second: float | None = 0.0


class ConcurrencyLimitV2(ObjectBaseModel):
    """A global concurrency limit with its counters, as a server keeps it."""

    active: bool = True
    name: str
    limit: int = Field(ge=0)
    active_slots: int = Field(default=0, ge=0)
    denied_slots: int = Field(default=0, ge=0)
    slot_decay_per_second: float = Field(default=0, ge=0)
    # how long slots have been held, on average
    avg_slot_occupancy_seconds: float = Field(default=2.0, ge=0)


class ConcurrencyLimitConfig(PrefectBaseModel):
    """How many runs of a deployment may run at once, and what becomes of one more."""

    limit: int
    collision_strategy: ConcurrencyLimitStrategy = ConcurrencyLimitStrategy.ENQUEUE
    # seconds in which infrastructure must start before its slot is given to another
    grace_period_seconds: int | None = _GRACE


class ConcurrencyOptions(PrefectBaseModel):
    """What becomes of a run of a deployment that has as many runs as it may."""

    collision_strategy: ConcurrencyLimitStrategy
    grace_period_seconds: int | None = _GRACE


class ConcurrencyLeaseHolder(PrefectBaseModel):
    """Who holds a lease on slots."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    type: Literal["flow_run", "task_run", "deployment"]
    id: UUID


class GlobalConcurrencyLimitResponse(ObjectBaseModel):
    """A global concurrency limit, as it is read."""

    active: bool = True
    name: str
    limit: int
    active_slots: int
    slot_decay_per_second: float = 2.0


class MinimalConcurrencyLimitResponse(PrefectBaseModel):
    """Which limit slots were taken from."""

    id: UUID
    name: str
    limit: int


class ConcurrencyLimitWithLeaseResponse(PrefectBaseModel):
    """Slots that were taken, and the lease on them, to be renewed while they are needed."""

    lease_id: UUID
    limits: list[MinimalConcurrencyLimitResponse]
