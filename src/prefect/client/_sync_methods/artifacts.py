"""Made from `_methods/artifacts.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from prefect._schemas.actions.records import ArtifactCreate, ArtifactUpdate
from prefect._schemas.artifacts import Artifact, ArtifactCollection
from prefect._schemas.filters.artifacts import ArtifactCollectionFilter, ArtifactFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.sorting import ArtifactCollectionSort, ArtifactSort
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import changes, given, read, read_all

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ArtifactReadParams(TypedDict, total=False):
    """Which artifacts to read, in which order."""

    artifact_filter: ArtifactFilter | None
    flow_run_filter: FlowRunFilter | None
    task_run_filter: TaskRunFilter | None
    sort: ArtifactSort | None
    limit: int | None
    offset: int


class ArtifactCollectionReadParams(TypedDict, total=False):
    """Which latest artifacts to read, in which order."""

    artifact_filter: ArtifactCollectionFilter | None
    flow_run_filter: FlowRunFilter | None
    task_run_filter: TaskRunFilter | None
    sort: ArtifactCollectionSort | None
    limit: int | None
    offset: int


class ArtifactMethods(Asking):
    """Artifacts: what runs leave behind for people to look at."""

    def create_artifact(self, artifact: ArtifactCreate) -> Artifact:
        """Leave an artifact."""
        return read(Artifact, self._call("POST", "/artifacts/", changes(artifact), repeatable=False))

    def update_artifact(self, artifact_id: UUID, artifact: ArtifactUpdate) -> None:
        """Change an artifact.

        Raises:
            ObjectNotFound: there is no such artifact.
        """
        self._call("PATCH", "/artifacts/{id}", changes(artifact), id=artifact_id)

    def delete_artifact(self, artifact_id: UUID) -> None:
        """Delete an artifact.

        Raises:
            ObjectNotFound: there is no such artifact.
        """
        self._call("DELETE", "/artifacts/{id}", id=artifact_id)

    def read_artifacts(self, **kwargs: Unpack[ArtifactReadParams]) -> list[Artifact]:
        """The artifacts that match, a page of them.

        Args:
            **kwargs: `artifact_filter`, `flow_run_filter` and `task_run_filter` are conditions that all must hold;
                `sort` is the order, `limit` how many at most, `offset` how many to leave out first.
        """
        return read_all(Artifact, self._call("POST", "/artifacts/filter", _query(**kwargs)))

    def read_latest_artifacts(self, **kwargs: Unpack[ArtifactCollectionReadParams]) -> list[ArtifactCollection]:
        """Of the artifacts with a key, the latest of each key that matches; see `read_artifacts`."""
        return read_all(ArtifactCollection, self._call("POST", "/artifacts/latest/filter", _query(**kwargs)))


def _query(
    artifact_filter: ArtifactFilter | ArtifactCollectionFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    sort: ArtifactSort | ArtifactCollectionSort | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> dict[str, object]:
    return given(
        artifacts=artifact_filter, flow_runs=flow_run_filter, task_runs=task_run_filter,
        sort=sort, limit=limit, offset=offset,
    )  # fmt: skip
