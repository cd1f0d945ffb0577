"""In which order a list is returned."""

from __future__ import annotations

from enum import auto

from prefect._schemas.auto_enum import AutoEnum

__all__ = [
    "ArtifactCollectionSort",
    "ArtifactSort",
    "AutomationSort",
    "BlockDocumentSort",
    "DeploymentSort",
    "FlowRunSort",
    "FlowSort",
    "LogSort",
    "TaskRunSort",
    "VariableSort",
]


class FlowRunSort(AutoEnum):
    """Orders of flow runs."""

    ID_DESC = auto()
    START_TIME_ASC = auto()
    START_TIME_DESC = auto()
    EXPECTED_START_TIME_ASC = auto()
    EXPECTED_START_TIME_DESC = auto()
    NAME_ASC = auto()
    NAME_DESC = auto()
    NEXT_SCHEDULED_START_TIME_ASC = auto()
    END_TIME_DESC = auto()


class TaskRunSort(AutoEnum):
    """Orders of task runs."""

    ID_DESC = auto()
    EXPECTED_START_TIME_ASC = auto()
    EXPECTED_START_TIME_DESC = auto()
    NAME_ASC = auto()
    NAME_DESC = auto()
    NEXT_SCHEDULED_START_TIME_ASC = auto()
    END_TIME_DESC = auto()


class LogSort(AutoEnum):
    """Orders of log lines."""

    TIMESTAMP_ASC = auto()
    TIMESTAMP_DESC = auto()


class FlowSort(AutoEnum):
    """Orders of flows."""

    CREATED_DESC = auto()
    UPDATED_DESC = auto()
    NAME_ASC = auto()
    NAME_DESC = auto()


class DeploymentSort(AutoEnum):
    """Orders of deployments."""

    CREATED_DESC = auto()
    UPDATED_DESC = auto()
    NAME_ASC = auto()
    NAME_DESC = auto()
    CONCURRENCY_LIMIT_ASC = auto()
    CONCURRENCY_LIMIT_DESC = auto()


class ArtifactSort(AutoEnum):
    """Orders of artifacts."""

    CREATED_DESC = auto()
    UPDATED_DESC = auto()
    ID_DESC = auto()
    KEY_DESC = auto()
    KEY_ASC = auto()


class ArtifactCollectionSort(AutoEnum):
    """Orders of artifact collections."""

    CREATED_DESC = auto()
    UPDATED_DESC = auto()
    ID_DESC = auto()
    KEY_DESC = auto()
    KEY_ASC = auto()


class AutomationSort(AutoEnum):
    """Orders of automations."""

    CREATED_DESC = auto()
    UPDATED_DESC = auto()
    NAME_ASC = auto()
    NAME_DESC = auto()


class VariableSort(AutoEnum):
    """Orders of variables."""

    CREATED_DESC = auto()
    UPDATED_DESC = auto()
    NAME_DESC = auto()
    NAME_ASC = auto()


class BlockDocumentSort(AutoEnum):
    """Orders of block documents."""

    NAME_DESC = auto()
    NAME_ASC = auto()
    BLOCK_TYPE_AND_NAME_ASC = auto()
