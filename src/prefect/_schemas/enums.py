"""Enumerations whose values are text."""

from __future__ import annotations

from enum import Enum

from prefect._schemas.auto_enum import AutoEnum


class RunType(AutoEnum):
    """What kind of run."""

    FLOW_RUN = "flow_run"
    TASK_RUN = "task_run"


class ConcurrencyLimitStrategy(AutoEnum):
    """What happens to a run of a deployment that has as many runs as it may."""

    ENQUEUE = "ENQUEUE"
    """It waits for a slot."""
    CANCEL_NEW = "CANCEL_NEW"
    """It is cancelled."""


class BranchingScheduleHandling(str, Enum):  # noqa: UP042
    """What becomes of the schedules when a deployment is branched."""

    KEEP = "keep"
    REMOVE = "remove"
    INACTIVE = "inactive"


class DeploymentStatus(AutoEnum):
    """Whether something takes the runs of a deployment."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    DISABLED = "DISABLED"


class WorkPoolStatus(AutoEnum):
    """Whether a worker of the pool is online."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"

    @property
    def display_name(self) -> str:
        """How to write it for people."""
        return self.name.replace("_", " ").capitalize()


class WorkQueueStatus(AutoEnum):
    """Whether a worker polls the queue."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkerStatus(AutoEnum):
    """Whether a worker sends heartbeats."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


class SetStateStatus(AutoEnum):
    """What an API answers to a proposed state."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    ABORT = "ABORT"
    WAIT = "WAIT"


class Operator(AutoEnum):
    """How the conditions of a filter are joined."""

    and_ = "and_"
    or_ = "or_"
