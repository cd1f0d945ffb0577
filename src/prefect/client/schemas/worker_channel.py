"""The frames of the channel between a worker and its work pool."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._schemas.worker_channel import *  # noqa: F403

_NAMES = (
    "CANCELLING_TIMEOUT_TEARDOWN CLEANUP_DELIVERY_CAPABILITY CancellingTimeoutCleanupMessagePayload "
    "CancellingTimeoutTeardownTarget CleanupAckFrame CleanupKind CleanupMessageFrame CleanupMessagePayload "
    "CleanupOperation CleanupOperationPayload CleanupOperationResultFrame CleanupOperationResultPayload "
    "CleanupOperationStatus CleanupReleaseFrame CleanupReleasePayload CleanupRenewFrame "
    "OPTIONAL_WORKER_CHANNEL_CAPABILITIES PENDING_CLAIM_TEARDOWN PendingClaimCleanupMessagePayload "
    "PendingClaimTeardownTarget REQUIRED_WORKER_CHANNEL_CAPABILITIES ResolvedWorkQueue "
    "SUPPORTED_CLEANUP_KINDS SUPPORTED_WORKER_CHANNEL_CAPABILITIES WORKER_CHANNEL_CLOSE_POLICIES "
    "WORKER_CHANNEL_SUBPROTOCOL WORKER_HEARTBEAT_CAPABILITY WORK_POOL_SNAPSHOT_CAPABILITY "
    "WORK_POOL_WORKER_CHANNEL_CONTRACT WORK_POOL_WORKER_CHANNEL_ROUTE WORK_POOL_WORKER_CHANNEL_VERSION "
    "WorkPoolSnapshot WorkPoolSnapshotFrame WorkPoolSnapshotPayload WorkerChannelApplicationFrame "
    "WorkerChannelApplicationFrameAdapter WorkerChannelAuthRequest WorkerChannelAuthSuccess "
    "WorkerChannelCapability WorkerChannelClosePolicy WorkerChannelCloseReason WorkerChannelContract "
    "WorkerChannelFrame WorkerChannelFrameType WorkerChannelProtocolError WorkerChannelVersion "
    "WorkerHeartbeatFrame WorkerHeartbeatPayload WorkerHelloFrame WorkerHelloPayload WorkerReadyFrame "
    "WorkerReadyPayload select_worker_channel_version validate_worker_channel_frame"
)

__getattr__, __dir__, __all__ = lazy_attributes(
    __name__, dict.fromkeys(_NAMES.split(), "prefect._schemas.worker_channel")
)
