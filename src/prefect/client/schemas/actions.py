"""Requests to make or change something."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._schemas.actions.blocks import *  # noqa: F403
    from prefect._schemas.actions.concurrency import *  # noqa: F403
    from prefect._schemas.actions.deployments import *  # noqa: F403
    from prefect._schemas.actions.records import *  # noqa: F403
    from prefect._schemas.actions.runs import *  # noqa: F403
    from prefect._schemas.actions.work_pools import *  # noqa: F403

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._schemas.actions.blocks": (
        "BlockDocumentCreate BlockDocumentReferenceCreate BlockDocumentUpdate BlockSchemaCreate BlockTypeCreate "
        "BlockTypeUpdate"
    ),
    "prefect._schemas.actions.concurrency": (
        "ConcurrencyLimitCreate ConcurrencyLimitV2Create ConcurrencyLimitV2Update GlobalConcurrencyLimitCreate "
        "GlobalConcurrencyLimitUpdate"
    ),
    "prefect._schemas.actions.deployments": (
        "DeploymentBranch DeploymentCreate DeploymentScheduleCreate DeploymentScheduleUpdate DeploymentUpdate"
    ),
    "prefect._schemas.actions.records": (
        "ArtifactCreate ArtifactUpdate SavedSearchCreate VariableCreate VariableUpdate"
    ),
    "prefect._schemas.actions.runs": (
        "DeploymentFlowRunCreate FlowCreate FlowRunCreate FlowRunUpdate FlowUpdate LogCreate StateCreate "
        "TaskRunCreate TaskRunUpdate"
    ),
    "prefect._schemas.actions.work_pools": "WorkPoolCreate WorkPoolUpdate WorkQueueCreate WorkQueueUpdate",
}

__getattr__, __dir__, __all__ = lazy_attributes(
    __name__, {name: module for module, names in _WHERE.items() for name in names.split()}
)
