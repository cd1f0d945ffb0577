"""What an API keeps: runs, states, deployments, work pools, blocks, ..."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._schemas.admin import *  # noqa: F403
    from prefect._schemas.artifacts import *  # noqa: F403
    from prefect._schemas.blocks import *  # noqa: F403
    from prefect._schemas.concurrency import *  # noqa: F403
    from prefect._schemas.deployments import *  # noqa: F403
    from prefect._schemas.enums import *  # noqa: F403
    from prefect._schemas.flow_runs import *  # noqa: F403
    from prefect._schemas.flows import *  # noqa: F403
    from prefect._schemas.logs import *  # noqa: F403
    from prefect._schemas.orchestration import *  # noqa: F403
    from prefect._schemas.states import *  # noqa: F403
    from prefect._schemas.task_runs import *  # noqa: F403
    from prefect._schemas.variables import *  # noqa: F403
    from prefect._schemas.work_pools import *  # noqa: F403

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._schemas.states": "State StateDetails StateType TERMINAL_STATES",
    "prefect._schemas.enums": (
        "BranchingScheduleHandling ConcurrencyLimitStrategy DeploymentStatus RunType WorkPoolStatus "
        "WorkQueueStatus WorkerStatus"
    ),
    "prefect._schemas.flows": "Flow",
    "prefect._schemas.orchestration": "data_discriminator",
    "prefect._schemas.flow_runs": "FlowRun FlowRunInput FlowRunPolicy",
    "prefect._schemas.task_runs": "Constant FlowRunResult Parameter RunInput TaskRun TaskRunPolicy TaskRunResult",
    "prefect._schemas.deployments": "Deployment DeploymentBranchingOptions DeploymentSchedule VersionInfo",
    "prefect._schemas.work_pools": (
        "Agent DEFAULT_AGENT_WORK_POOL_NAME Integration QueueFilter WorkPool WorkPoolStorageConfiguration "
        "WorkQueue WorkQueueHealthPolicy WorkQueueStatusDetail Worker WorkerMetadata"
    ),
    "prefect._schemas.blocks": (
        "BlockDocument BlockDocumentReference BlockSchema BlockSchemaReference BlockType DEFAULT_BLOCK_SCHEMA_VERSION"
    ),
    "prefect._schemas.artifacts": "Artifact ArtifactCollection",
    "prefect._schemas.variables": "Variable",
    "prefect._schemas.logs": "Log",
    "prefect._schemas.concurrency": (
        "ConcurrencyLeaseHolder ConcurrencyLimit ConcurrencyLimitConfig ConcurrencyOptions GlobalConcurrencyLimit"
    ),
    "prefect._schemas.admin": (
        "Configuration CsrfToken IPAllowlist IPAllowlistEntry IPAllowlistMyAccessResponse SavedSearch "
        "SavedSearchFilter ServerDefaultResultStorage ServerDefaultResultStorageUpdate Workspace"
    ),
}

_names = {name: module for module, names in _WHERE.items() for name in names.split()}

# a state whose result may be anything, under the name that its class has
__getattr__, __dir__, __all__ = lazy_attributes(__name__, {**_names, "State[Any]": "prefect._schemas.states:AnyState"})
