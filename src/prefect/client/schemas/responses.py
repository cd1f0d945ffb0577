"""What an API answers."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._schemas.concurrency import *  # noqa: F403
    from prefect._schemas.deployments import *  # noqa: F403
    from prefect._schemas.enums import *  # noqa: F403
    from prefect._schemas.flow_runs import *  # noqa: F403
    from prefect._schemas.orchestration import *  # noqa: F403
    from prefect._schemas.work_pools import *  # noqa: F403

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._schemas.orchestration": (
        "HistoryResponse HistoryResponseState OrchestrationResult StateAbortDetails StateAcceptDetails "
        "StateRejectDetails StateWaitDetails"
    ),
    "prefect._schemas.enums": "SetStateStatus",
    "prefect._schemas.flow_runs": "FlowRunResponse",
    "prefect._schemas.deployments": "DeploymentResponse",
    "prefect._schemas.work_pools": (
        "FlowRunSlotSummary WorkPoolConcurrencyStatus WorkQueueConcurrencyStatus WorkQueueConcurrencyStatusDetail "
        "WorkerFlowRunResponse"
    ),
    "prefect._schemas.concurrency": (
        "ConcurrencyLimitWithLeaseResponse GlobalConcurrencyLimitResponse MinimalConcurrencyLimitResponse"
    ),
}

__getattr__, __dir__, __all__ = lazy_attributes(
    __name__, {name: module for module, names in _WHERE.items() for name in names.split()}
)
