"""Conditions on artifacts and on collections of them."""

from __future__ import annotations

from prefect._schemas.filters.conditions import AnyId, AnyText, Exists, Like, NotAnyText, OperatorMixin


class ArtifactFilterId(AnyId):
    """On the id of an artifact."""


class ArtifactFilterKey(AnyText, Like, Exists):
    """On the key of an artifact."""


class ArtifactFilterFlowRunId(AnyId):
    """On the flow run that left an artifact."""


class ArtifactFilterTaskRunId(AnyId):
    """On the task run that left an artifact."""


class ArtifactFilterType(NotAnyText):
    """On the type of an artifact."""


class ArtifactFilter(OperatorMixin):
    """Which artifacts."""

    id: ArtifactFilterId | None = None
    key: ArtifactFilterKey | None = None
    flow_run_id: ArtifactFilterFlowRunId | None = None
    task_run_id: ArtifactFilterTaskRunId | None = None
    type: ArtifactFilterType | None = None


class ArtifactCollectionFilterLatestId(AnyId):
    """On the id of the latest artifact with a key."""


class ArtifactCollectionFilterKey(AnyText, Like, Exists):
    """On the key of the artifacts."""


class ArtifactCollectionFilterFlowRunId(AnyId):
    """On the flow run that left the latest artifact."""


class ArtifactCollectionFilterTaskRunId(AnyId):
    """On the task run that left the latest artifact."""


class ArtifactCollectionFilterType(NotAnyText):
    """On the type of the latest artifact."""


class ArtifactCollectionFilter(OperatorMixin):
    """Which keys of artifacts."""

    latest_id: ArtifactCollectionFilterLatestId | None = None
    key: ArtifactCollectionFilterKey | None = None
    flow_run_id: ArtifactCollectionFilterFlowRunId | None = None
    task_run_id: ArtifactCollectionFilterTaskRunId | None = None
    type: ArtifactCollectionFilterType | None = None
