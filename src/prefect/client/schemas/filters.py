"""What a list is narrowed down by."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._schemas.enums import *  # noqa: F403
    from prefect._schemas.filters.artifacts import *  # noqa: F403
    from prefect._schemas.filters.blocks import *  # noqa: F403
    from prefect._schemas.filters.conditions import *  # noqa: F403
    from prefect._schemas.filters.deployments import *  # noqa: F403
    from prefect._schemas.filters.filter_set import *  # noqa: F403
    from prefect._schemas.filters.flow_runs import *  # noqa: F403
    from prefect._schemas.filters.flows import *  # noqa: F403
    from prefect._schemas.filters.logs import *  # noqa: F403
    from prefect._schemas.filters.task_runs import *  # noqa: F403
    from prefect._schemas.filters.variables import *  # noqa: F403
    from prefect._schemas.filters.work_pools import *  # noqa: F403

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._schemas.enums": "Operator",
    "prefect._schemas.filters.conditions": "OperatorMixin",
    "prefect._schemas.filters.artifacts": (
        "ArtifactCollectionFilter ArtifactCollectionFilterFlowRunId ArtifactCollectionFilterKey "
        "ArtifactCollectionFilterLatestId ArtifactCollectionFilterTaskRunId ArtifactCollectionFilterType "
        "ArtifactFilter ArtifactFilterFlowRunId ArtifactFilterId ArtifactFilterKey ArtifactFilterTaskRunId "
        "ArtifactFilterType"
    ),
    "prefect._schemas.filters.blocks": (
        "BlockDocumentFilter BlockDocumentFilterBlockTypeId BlockDocumentFilterId BlockDocumentFilterIsAnonymous "
        "BlockDocumentFilterName BlockSchemaFilter BlockSchemaFilterBlockTypeId BlockSchemaFilterCapabilities "
        "BlockSchemaFilterId BlockSchemaFilterVersion BlockTypeFilter BlockTypeFilterName BlockTypeFilterSlug"
    ),
    "prefect._schemas.filters.deployments": (
        "DeploymentFilter DeploymentFilterConcurrencyLimit DeploymentFilterId DeploymentFilterName "
        "DeploymentFilterPaused DeploymentFilterTags DeploymentFilterWorkQueueName DeploymentOrFlowNameFilter"
    ),
    "prefect._schemas.filters.filter_set": "FilterSet",
    "prefect._schemas.filters.flow_runs": (
        "FlowRunFilter FlowRunFilterCreatedBy FlowRunFilterDeploymentId FlowRunFilterEndTime "
        "FlowRunFilterExpectedStartTime FlowRunFilterFlowVersion FlowRunFilterId FlowRunFilterIdempotencyKey "
        "FlowRunFilterName FlowRunFilterNextScheduledStartTime FlowRunFilterParentFlowRunId "
        "FlowRunFilterParentTaskRunId FlowRunFilterStartTime FlowRunFilterState FlowRunFilterStateName "
        "FlowRunFilterStateType FlowRunFilterTags FlowRunFilterWorkQueueName"
    ),
    "prefect._schemas.filters.flows": "FlowFilter FlowFilterDeployment FlowFilterId FlowFilterName FlowFilterTags",
    "prefect._schemas.filters.logs": (
        "LogFilter LogFilterFlowRunId LogFilterLevel LogFilterName LogFilterTaskRunId LogFilterTextSearch "
        "LogFilterTimestamp"
    ),
    "prefect._schemas.filters.task_runs": (
        "TaskRunFilter TaskRunFilterEndTime TaskRunFilterExpectedStartTime TaskRunFilterFlowRunId TaskRunFilterId "
        "TaskRunFilterName TaskRunFilterStartTime TaskRunFilterState TaskRunFilterStateName "
        "TaskRunFilterStateType TaskRunFilterSubFlowRuns TaskRunFilterTags"
    ),
    "prefect._schemas.filters.variables": "VariableFilter VariableFilterId VariableFilterName VariableFilterTags",
    "prefect._schemas.filters.work_pools": (
        "WorkPoolFilter WorkPoolFilterId WorkPoolFilterName WorkPoolFilterType WorkQueueFilter WorkQueueFilterId "
        "WorkQueueFilterName WorkerFilter WorkerFilterLastHeartbeatTime WorkerFilterStatus WorkerFilterWorkPoolId"
    ),
}

__getattr__, __dir__, __all__ = lazy_attributes(
    __name__, {name: module for module, names in _WHERE.items() for name in names.split()}
)
