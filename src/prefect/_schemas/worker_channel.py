# a literal in a derived model narrows the field of its base, which is never assigned to
# pyright: reportIncompatibleVariableOverride=false
"""The frames of the channel between a worker and its work pool.

A worker opens a websocket, authenticates, says hello with what it can do, and is told what was accepted with a first
picture of its pool. After that it sends heartbeats and receives new pictures and, if it can, orders to clean up.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from prefect._defaults import new_list
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.fields import NonNegativeInteger, PositiveInteger
from prefect._schemas.moments import DateTime
from prefect._schemas.work_pools import WorkPool, WorkPoolStorageConfiguration
from prefect._schemas.worker_channel_route import WORK_POOL_WORKER_CHANNEL_ROUTE

WorkerChannelVersion = Literal["work_pool_worker_channel.v1"]
WorkerChannelCapability = Literal["worker_heartbeat.v1", "work_pool_snapshot.v1", "cleanup_delivery.v1"]
CleanupKind = Literal["cancelling_timeout_teardown.v1", "pending_claim_teardown.v1"]
CleanupOperation = Literal["ack", "release", "renew"]
CleanupOperationStatus = Literal[
    "accepted", "not_current", "not_found", "expired", "invalid_token", "unauthorized", "dead_lettered", "error"
]
WorkerChannelFrameType = Literal[
    "worker.hello.v1",
    "worker.ready.v1",
    "worker.heartbeat.v1",
    "work_pool.snapshot.v1",
    "cleanup.message.v1",
    "cleanup.ack.v1",
    "cleanup.release.v1",
    "cleanup.renew.v1",
    "cleanup.operation_result.v1",
]

WORK_POOL_WORKER_CHANNEL_VERSION: WorkerChannelVersion = "work_pool_worker_channel.v1"
WORKER_CHANNEL_SUBPROTOCOL = "prefect"

WORKER_HEARTBEAT_CAPABILITY: WorkerChannelCapability = "worker_heartbeat.v1"
WORK_POOL_SNAPSHOT_CAPABILITY: WorkerChannelCapability = "work_pool_snapshot.v1"
CLEANUP_DELIVERY_CAPABILITY: WorkerChannelCapability = "cleanup_delivery.v1"
REQUIRED_WORKER_CHANNEL_CAPABILITIES: frozenset[WorkerChannelCapability] = frozenset(
    {WORKER_HEARTBEAT_CAPABILITY, WORK_POOL_SNAPSHOT_CAPABILITY}
)
OPTIONAL_WORKER_CHANNEL_CAPABILITIES: frozenset[WorkerChannelCapability] = frozenset({CLEANUP_DELIVERY_CAPABILITY})
SUPPORTED_WORKER_CHANNEL_CAPABILITIES = REQUIRED_WORKER_CHANNEL_CAPABILITIES | OPTIONAL_WORKER_CHANNEL_CAPABILITIES

CANCELLING_TIMEOUT_TEARDOWN: CleanupKind = "cancelling_timeout_teardown.v1"
PENDING_CLAIM_TEARDOWN: CleanupKind = "pending_claim_teardown.v1"
SUPPORTED_CLEANUP_KINDS: tuple[CleanupKind, ...] = (CANCELLING_TIMEOUT_TEARDOWN, PENDING_CLAIM_TEARDOWN)

_Text = Annotated[str, Field(min_length=1)]


class _Message(PrefectBaseModel):
    """Both ends speak the same version, so an unknown field is a mistake."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


# -- closing ----------------------------------------------------------------------------------------------------


class WorkerChannelCloseReason(str, Enum):  # noqa: UP042
    """Why a channel was closed."""

    AUTHENTICATION_FAILED = "authentication_failed"
    AUTHORIZATION_FAILED = "authorization_failed"
    UNSUPPORTED_VERSION = "unsupported_version"
    PROTOCOL_ERROR = "protocol_error"
    HEARTBEAT_PERSISTENCE_FAILED = "heartbeat_persistence_failed"
    TRANSIENT_SERVER_ERROR = "transient_server_error"


class WorkerChannelClosePolicy(PrefectBaseModel):
    """What closing for a reason means to a worker."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    reason: WorkerChannelCloseReason
    # RFC 6455, section 7.4
    websocket_code: int
    # the worker gives the channel up
    terminal: bool
    # the worker opens it again
    retryable: bool


def _policy(reason: WorkerChannelCloseReason, code: int, retryable: bool) -> WorkerChannelClosePolicy:
    return WorkerChannelClosePolicy(reason=reason, websocket_code=code, terminal=not retryable, retryable=retryable)


WORKER_CHANNEL_CLOSE_POLICIES: dict[WorkerChannelCloseReason, WorkerChannelClosePolicy] = {
    reason: _policy(reason, code, retryable)
    for reason, code, retryable in (
        (WorkerChannelCloseReason.AUTHENTICATION_FAILED, 1008, False),
        (WorkerChannelCloseReason.AUTHORIZATION_FAILED, 1008, False),
        (WorkerChannelCloseReason.UNSUPPORTED_VERSION, 1008, False),
        (WorkerChannelCloseReason.PROTOCOL_ERROR, 1002, False),
        (WorkerChannelCloseReason.HEARTBEAT_PERSISTENCE_FAILED, 1011, True),
        (WorkerChannelCloseReason.TRANSIENT_SERVER_ERROR, 1011, True),
    )
}


class WorkerChannelProtocolError(ValueError):
    """The channel must be closed; `close_reason` says why."""

    def __init__(self, close_reason: WorkerChannelCloseReason, message: str) -> None:
        super().__init__(message)
        self.close_reason = close_reason


# -- opening ----------------------------------------------------------------------------------------------------


class WorkerChannelAuthRequest(_Message):
    """The first message of a worker, before any frame."""

    type: Literal["auth"]
    token: str | None = None


class WorkerChannelAuthSuccess(_Message):
    """The answer that lets a worker go on."""

    type: Literal["auth_success"]


class WorkerChannelFrame(_Message):
    """What all frames have."""

    type: WorkerChannelFrameType
    id: UUID
    sent_at: DateTime


class WorkerHelloPayload(_Message):
    """Who a worker is, and what it can do."""

    # of this connection
    consumer_id: UUID
    worker_name: _Text
    worker_type: _Text
    heartbeat_interval_seconds: PositiveInteger
    supported_channel_versions: list[_Text] = Field(min_length=1)
    requested_capabilities: list[_Text] = Field(min_length=1)
    # all queues of the pool when empty
    work_queue_names: list[_Text] = Field(default_factory=new_list)
    handled_cleanup_kinds: list[CleanupKind] = Field(default_factory=new_list)
    max_cleanup_concurrency: NonNegativeInteger = 0
    create_pool_if_not_found: bool = False
    default_base_job_template: dict[str, Any] = Field(default_factory=dict)
    worker_metadata: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def default_cleanup_concurrency(cls, data: Any) -> Any:
        """A worker that can clean up but does not say how much does one thing at a time."""
        if isinstance(data, dict) and data.get("handled_cleanup_kinds"):
            return {"max_cleanup_concurrency": 1, **data}
        return data

    @model_validator(mode="after")
    def required_capabilities_are_requested(self) -> Self:
        """Check that what every worker must be able to do is there, and that cleaning up is asked for if offered."""
        if missing := REQUIRED_WORKER_CHANNEL_CAPABILITIES.difference(self.requested_capabilities):
            raise ValueError(f"Missing required channel capabilities: {sorted(missing)}")
        if CLEANUP_DELIVERY_CAPABILITY not in self.requested_capabilities:
            for name in ("handled_cleanup_kinds", "max_cleanup_concurrency"):
                if getattr(self, name):
                    raise ValueError(f"`{name}` requires `{CLEANUP_DELIVERY_CAPABILITY}`")
        return self


class WorkerHelloFrame(WorkerChannelFrame):
    """The first frame, from the worker."""

    type: Literal["worker.hello.v1"]
    payload: WorkerHelloPayload


class ResolvedWorkQueue(_Message):
    """A queue that the worker asked for, as the pool knows it."""

    id: UUID
    name: _Text


class WorkPoolSnapshot(WorkPool):
    """A pool, whole."""

    id: UUID = Field()
    base_job_template: dict[str, Any] = Field()
    is_paused: bool = Field()
    storage_configuration: WorkPoolStorageConfiguration = Field()
    default_queue_id: UUID = Field()


class WorkPoolSnapshotPayload(_Message):
    """A picture of the pool; of two, the one with the greater number is newer."""

    snapshot_sequence: PositiveInteger
    # "initial" for the first
    reason: _Text
    work_pool: WorkPoolSnapshot


class WorkPoolSnapshotFrame(WorkerChannelFrame):
    """The pool has changed."""

    type: Literal["work_pool.snapshot.v1"]
    payload: WorkPoolSnapshotPayload


class WorkerReadyPayload(_Message):
    """What was accepted of a worker's hello."""

    consumer_id: UUID
    worker_id: UUID | None
    selected_channel_version: WorkerChannelVersion
    effective_heartbeat_interval_seconds: PositiveInteger
    accepted_capabilities: list[WorkerChannelCapability] = Field(min_length=1)
    rejected_capabilities: list[_Text] = Field(default_factory=new_list)
    effective_max_cleanup_concurrency: NonNegativeInteger = 0
    resolved_work_queues: list[ResolvedWorkQueue] = Field(default_factory=new_list)
    initial_snapshot: WorkPoolSnapshotPayload

    @model_validator(mode="after")
    def validate_capability_decision(self) -> Self:
        """Check that the decision makes sense."""
        if missing := REQUIRED_WORKER_CHANNEL_CAPABILITIES.difference(self.accepted_capabilities):
            raise ValueError(f"Missing accepted required capabilities: {sorted(missing)}")
        if both := set(self.rejected_capabilities).intersection(self.accepted_capabilities):
            raise ValueError(f"Capabilities cannot be both accepted and rejected: {sorted(both)}")
        cleans_up = CLEANUP_DELIVERY_CAPABILITY in self.accepted_capabilities
        if cleans_up != bool(self.effective_max_cleanup_concurrency):
            raise ValueError(
                f"`effective_max_cleanup_concurrency` must be {'positive' if cleans_up else '0'} when "
                f"`{CLEANUP_DELIVERY_CAPABILITY}` is {'accepted' if cleans_up else 'unavailable'}"
            )
        if self.initial_snapshot.reason != "initial":
            raise ValueError("the reason of the snapshot in `worker.ready.v1` must be initial")
        return self


class WorkerReadyFrame(WorkerChannelFrame):
    """The answer to a worker's hello."""

    type: Literal["worker.ready.v1"]
    payload: WorkerReadyPayload


class WorkerHeartbeatPayload(_Message):
    """That a worker lives."""

    consumer_id: UUID
    worker_name: _Text
    heartbeat_interval_seconds: PositiveInteger


class WorkerHeartbeatFrame(WorkerChannelFrame):
    """A worker lives."""

    type: Literal["worker.heartbeat.v1"]
    payload: WorkerHeartbeatPayload


# -- cleaning up ------------------------------------------------------------------------------------------------


class PendingClaimTeardownTarget(PrefectBaseModel):
    """Infrastructure of a run that was claimed but never started."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    flow_run_id: UUID
    claim_id: UUID
    execution_id: UUID | None = None
    infrastructure_pid: str | None = None


class CancellingTimeoutTeardownTarget(PrefectBaseModel):
    """Infrastructure of a run that did not end although it was told to."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    flow_run_id: UUID
    infrastructure_pid: str | None = None


class _CleanupMessage(_Message):
    message_id: UUID
    # whoever holds it, until the lease ends, is the one to do it
    reservation_token: _Text
    lease_expires_at: DateTime
    delivery_count: PositiveInteger
    work_queue_id: UUID | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class PendingClaimCleanupMessagePayload(_CleanupMessage):
    """Clean up after a run that was claimed but never started."""

    kind: Literal["pending_claim_teardown.v1"]
    target: PendingClaimTeardownTarget


class CancellingTimeoutCleanupMessagePayload(_CleanupMessage):
    """Clean up after a run that did not end although it was told to."""

    kind: Literal["cancelling_timeout_teardown.v1"]
    target: CancellingTimeoutTeardownTarget


CleanupMessagePayload = Annotated[
    PendingClaimCleanupMessagePayload | CancellingTimeoutCleanupMessagePayload, Field(discriminator="kind")
]


class CleanupMessageFrame(WorkerChannelFrame):
    """An order to clean up."""

    type: Literal["cleanup.message.v1"]
    payload: CleanupMessagePayload


class CleanupOperationPayload(_Message):
    """Which order a worker speaks of."""

    message_id: UUID
    reservation_token: _Text


class CleanupReleasePayload(CleanupOperationPayload):
    """Which order a worker gives back, and why."""

    reason: _Text


class CleanupAckFrame(WorkerChannelFrame):
    """The order was carried out."""

    type: Literal["cleanup.ack.v1"]
    payload: CleanupOperationPayload


class CleanupReleaseFrame(WorkerChannelFrame):
    """The order is given back, for another worker."""

    type: Literal["cleanup.release.v1"]
    payload: CleanupReleasePayload


class CleanupRenewFrame(WorkerChannelFrame):
    """More time is needed for the order."""

    type: Literal["cleanup.renew.v1"]
    payload: CleanupOperationPayload


class CleanupOperationResultPayload(_Message):
    """What became of a worker's request about an order."""

    request_frame_id: UUID
    message_id: UUID
    operation: CleanupOperation
    status: CleanupOperationStatus
    # after a renewal
    lease_expires_at: DateTime | None = None
    reason: str | None = None
    detail: str | None = None

    @model_validator(mode="after")
    def validate_result_contract(self) -> Self:
        """Check that a refusal says why, and that a renewal, and nothing else, says until when."""
        if self.status != "accepted" and not self.reason:
            raise ValueError("`reason` is required for non-accepted cleanup operation results")
        renewed = self.status == "accepted" and self.operation == "renew"
        if renewed and self.lease_expires_at is None:
            raise ValueError("Accepted renew results require `lease_expires_at`")
        if not renewed and self.lease_expires_at is not None:
            raise ValueError("`lease_expires_at` is only valid for accepted renew results")
        return self


class CleanupOperationResultFrame(WorkerChannelFrame):
    """The answer to a worker's request about an order."""

    type: Literal["cleanup.operation_result.v1"]
    payload: CleanupOperationResultPayload


# -- reading ----------------------------------------------------------------------------------------------------

WorkerChannelApplicationFrame = Annotated[
    WorkerHelloFrame
    | WorkerReadyFrame
    | WorkerHeartbeatFrame
    | WorkPoolSnapshotFrame
    | CleanupMessageFrame
    | CleanupAckFrame
    | CleanupReleaseFrame
    | CleanupRenewFrame
    | CleanupOperationResultFrame,
    Field(discriminator="type"),
]
WorkerChannelApplicationFrameAdapter: TypeAdapter[WorkerChannelApplicationFrame] = TypeAdapter(
    WorkerChannelApplicationFrame, config=ConfigDict(defer_build=True)
)


def validate_worker_channel_frame(frame: Any) -> WorkerChannelApplicationFrame:
    """Read a frame from a mapping.

    Raises:
        pydantic.ValidationError: it is none of the frames above.
    """
    return WorkerChannelApplicationFrameAdapter.validate_python(frame)


def select_worker_channel_version(supported_versions: Iterable[str]) -> WorkerChannelVersion:
    """The version that both ends speak, out of those that the other end does.

    Raises:
        WorkerChannelProtocolError: there is none.
    """
    if not isinstance(supported_versions, str) and WORK_POOL_WORKER_CHANNEL_VERSION in set(supported_versions):
        return WORK_POOL_WORKER_CHANNEL_VERSION
    raise WorkerChannelProtocolError(
        WorkerChannelCloseReason.UNSUPPORTED_VERSION,
        f"No mutually supported worker channel version; this end speaks {WORK_POOL_WORKER_CHANNEL_VERSION}",
    )


class WorkerChannelContract(PrefectBaseModel):
    """What both ends of a channel may rely on."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    route: Literal["/work_pools/{work_pool_name}/workers/connect"]
    version: WorkerChannelVersion
    websocket_subprotocol: Literal["prefect"]
    auth_setup_message_type: Literal["auth"]
    auth_success_message_type: Literal["auth_success"]
    first_application_frame_type: Literal["worker.hello.v1"]
    required_capabilities: tuple[WorkerChannelCapability, ...]
    optional_capabilities: tuple[WorkerChannelCapability, ...]
    supported_cleanup_kinds: tuple[CleanupKind, ...]
    scheduled_flow_run_acquisition: Literal["rest"]
    worker_startup_rollout: Literal["opportunistic_without_user_setting"]
    worker_side_cancellation_observation: Literal["event_subscription"]
    cleanup_delivery_guarantee: Literal["at_least_once_one_active_reservation_per_message"]
    cleanup_delivery_authority: Literal["reservation_token"]
    cloud_authorization_internals: Literal["excluded_from_shared_contract"]


WORK_POOL_WORKER_CHANNEL_CONTRACT = WorkerChannelContract(
    route=WORK_POOL_WORKER_CHANNEL_ROUTE,
    version=WORK_POOL_WORKER_CHANNEL_VERSION,
    websocket_subprotocol=WORKER_CHANNEL_SUBPROTOCOL,
    auth_setup_message_type="auth",
    auth_success_message_type="auth_success",
    first_application_frame_type="worker.hello.v1",
    required_capabilities=tuple(sorted(REQUIRED_WORKER_CHANNEL_CAPABILITIES)),
    optional_capabilities=tuple(sorted(OPTIONAL_WORKER_CHANNEL_CAPABILITIES)),
    supported_cleanup_kinds=SUPPORTED_CLEANUP_KINDS,
    scheduled_flow_run_acquisition="rest",
    worker_startup_rollout="opportunistic_without_user_setting",
    worker_side_cancellation_observation="event_subscription",
    cleanup_delivery_guarantee="at_least_once_one_active_reservation_per_message",
    cleanup_delivery_authority="reservation_token",
    cloud_authorization_internals="excluded_from_shared_contract",
)
