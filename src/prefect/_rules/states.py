"""Run states as the engine handles them: small, immutable, no validation.

`RunState` carries what `prefect.client.schemas.objects.State` carries; the public model is built from it when
somebody asks (`prefect._schemas.states.to_public`). A task run passes through three of these in some tens of
microseconds, so a pydantic model here would cost more than the rest of the run.
"""

from __future__ import annotations

from typing import Any, Final

from prefect._clock import now_us
from prefect._ids import new_id

SCHEDULED: Final = "SCHEDULED"
PENDING: Final = "PENDING"
RUNNING: Final = "RUNNING"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"
CANCELLED: Final = "CANCELLED"
CRASHED: Final = "CRASHED"
PAUSED: Final = "PAUSED"
CANCELLING: Final = "CANCELLING"

STATE_TYPES: Final = frozenset({SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, CRASHED, PAUSED, CANCELLING})
TERMINAL: Final = frozenset({COMPLETED, FAILED, CANCELLED, CRASHED})

_NO_DETAILS: dict[str, Any] = {}


class Value:
    """The result of a run: the value in memory, the record of it in storage, or both.

    Attributes:
        value: what the function returned or raised; `GONE` when it is not kept in memory.
        record: the stored result record (it tells where it is), or None when the value lives in memory only.
    """

    __slots__ = ("record", "value")

    def __init__(self, value: Any, record: Any = None) -> None:
        self.value = value
        self.record = record

    def stored_reference(self) -> Any:
        """What a database keeps of the result: where it is stored; None when it is in memory only."""
        return self.record.metadata.model_dump(mode="json") if self.record is not None else None

    def __repr__(self) -> str:
        return repr(self.value) if self.value is not GONE else repr(self.record)


class _Gone:
    def __repr__(self) -> str:
        return "GONE"

    def __reduce__(self) -> str:
        return "GONE"


GONE: Final = _Gone()
"""Stands for a value that is not in memory."""


class RunState:
    """One state of a run.

    Attributes:
        id: UUIDv7 text; records are idempotent by it.
        type: one of `STATE_TYPES`.
        name: what people read, for example `TimedOut` for a `FAILED` one.
        message: an explanation, or None.
        timestamp: when the run entered the state, microseconds since the epoch (UTC).
        details: the non-default fields of the public `StateDetails`, or an empty dict (do not mutate).
        data: the result: a value, an exception, a result record, or None.
    """

    __slots__ = ("data", "details", "id", "message", "name", "public", "timestamp", "type")

    def __init__(
        self,
        type: str,
        name: str | None = None,
        message: str | None = None,
        data: Any = None,
        details: dict[str, Any] | None = None,
        timestamp: int | None = None,
        id: str | None = None,
    ) -> None:
        self.type = type
        self.name = name or type.capitalize()
        self.message = message
        self.data = data
        self.details = details if details is not None else _NO_DETAILS
        self.timestamp = timestamp if timestamp is not None else now_us()
        self.id = id or new_id()
        self.public: Any = None

    @property
    def is_final(self) -> bool:
        return self.type in TERMINAL

    def __repr__(self) -> str:
        return f"{self.name}({self.message!r}, type={self.type})"

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.type, self.name, self.message, self.data, self.details, self.timestamp, self.id)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.type, self.name, self.message, self.data, self.details, self.timestamp, self.id = state
        self.public = None


def pending() -> RunState:
    return RunState(PENDING, "Pending")


def running(name: str = "Running") -> RunState:
    return RunState(RUNNING, name)


def awaiting_retry(at_us: int, message: str | None = None, data: Any = None) -> RunState:
    """Scheduled to run again at `at_us` (microseconds since the epoch)."""
    return RunState(SCHEDULED, "AwaitingRetry", message, data, {"scheduled_time": at_us})
