"""Conditions on work pools, their queues and workers."""

from __future__ import annotations

from pydantic import Field

from prefect._schemas.enums import WorkerStatus
from prefect._schemas.filters.conditions import AnyId, AnyText, Condition, Moments, OperatorMixin


class WorkPoolFilterId(AnyId):
    """On the id of a work pool."""


class WorkPoolFilterName(AnyText):
    """On the name of a work pool."""


class WorkPoolFilterType(AnyText):
    """On the type of a work pool."""


class WorkPoolFilter(OperatorMixin):
    """Which work pools."""

    id: WorkPoolFilterId | None = None
    name: WorkPoolFilterName | None = None
    type: WorkPoolFilterType | None = None


class WorkQueueFilterId(AnyId):
    """On the id of a work queue."""


class WorkQueueFilterName(AnyText):
    """On the name of a work queue."""

    startswith_: list[str] | None = Field(default=None, description="Begins with one of these, in any case")


class WorkQueueFilter(OperatorMixin):
    """Which work queues."""

    id: WorkQueueFilterId | None = None
    name: WorkQueueFilterName | None = None


class WorkerFilterWorkPoolId(AnyId):
    """On the pool of a worker."""


class WorkerFilterLastHeartbeatTime(Moments):
    """On when a worker was last heard of."""


class WorkerFilterStatus(Condition):
    """On whether a worker is online."""

    any_: list[WorkerStatus] | None = Field(default=None, description="Is one of these")
    not_any_: list[WorkerStatus] | None = Field(default=None, description="Is none of these")


class WorkerFilter(OperatorMixin):
    """Which workers."""

    last_heartbeat_time: WorkerFilterLastHeartbeatTime | None = None
    status: WorkerFilterStatus | None = None
