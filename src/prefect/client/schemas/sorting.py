"""In which order a list is returned."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._schemas.sorting import *  # noqa: F403

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._schemas.sorting": (
        "ArtifactCollectionSort ArtifactSort AutomationSort BlockDocumentSort DeploymentSort FlowRunSort FlowSort "
        "LogSort TaskRunSort VariableSort"
    ),
}

__getattr__, __dir__, __all__ = lazy_attributes(
    __name__, {name: module for module, names in _WHERE.items() for name in names.split()}
)
