"""Artifacts: what runs leave for people to look at; those with the same key are versions of one thing."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import edits, outbox, rows
from prefect._operations.errors import NotFound
from prefect._operations.registry import operation
from prefect._schemas.actions.records import ArtifactCreate, ArtifactUpdate
from prefect._schemas.artifacts import Artifact, ArtifactCollection
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.artifacts import ArtifactCollectionFilter, ArtifactFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.moments import DateTime
from prefect._schemas.sorting import ArtifactCollectionSort, ArtifactSort
from prefect._store import catalogue, single
from prefect._store.tables import artifact, artifact_collection


class _OfRuns(PrefectBaseModel):
    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    # not kept yet: absent, or refused; never ignored
    deployments: None = None


class ArtifactSelection(_OfRuns):
    """Which artifacts: those that match, left by runs that match."""

    artifacts: ArtifactFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return catalogue.where_artifacts(
            artifacts=self.artifacts, flows=self.flows, flow_runs=self.flow_runs, task_runs=self.task_runs
        )


class LatestArtifactSelection(_OfRuns):
    """Which keys: those whose latest artifact matches, and was left by runs that match."""

    artifacts: ArtifactCollectionFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return catalogue.where_artifacts(
            artifacts=self.artifacts, flows=self.flows, flow_runs=self.flow_runs, task_runs=self.task_runs
        )


class _Page(PrefectBaseModel):
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many artifacts.")
    offset: int = Field(default=0, ge=0, description="Leave out so many artifacts first.")


class ArtifactQuery(ArtifactSelection, _Page):
    """A page of artifacts."""

    sort: ArtifactSort = ArtifactSort.ID_DESC


class LatestArtifactQuery(LatestArtifactSelection, _Page):
    """A page of the latest artifacts of keys."""

    sort: ArtifactCollectionSort = ArtifactCollectionSort.ID_DESC


class ArtifactRecord(ArtifactCreate):
    """An artifact that was left by a process which could make its id, maybe a while ago."""

    id: UUID
    created: DateTime


class ArtifactChangeRecord(ArtifactUpdate):
    """A change of an artifact by such a process."""

    id: UUID


_COLLECTIONS = artifact_collection.join(artifact, artifact_collection.c.latest_id == artifact.c.id)
_OF_LATEST = (artifact.c[name] for name in ("type", "description", "data", "metadata_", "flow_run_id", "task_run_id"))
_SELECT_LATEST = sa.select(artifact_collection, *_OF_LATEST).select_from(_COLLECTIONS)


@operation("POST", "/artifacts/", writes=True, status=201)
def create_artifact(tx: sa.Connection, body: ArtifactCreate) -> Artifact:
    """Leave an artifact; with a key, it becomes the latest of that key."""
    values = Artifact.model_validate(body.model_dump()).model_dump(exclude={"id", "created", "updated"})
    row = tx.execute(sa.insert(artifact).values(**values).returning(*artifact.c)).mappings().one()
    if body.key is not None:
        _make_latest(tx, row)
    return Artifact.model_validate(row)


def keep_artifacts(tx: sa.Connection, records: list[ArtifactRecord]) -> None:
    """Keep artifacts with the ids that they have; those that are there already stay as they are.

    Of one that comes late there may be newer versions: then it is not the latest of its key.
    """
    for record in records:
        values = Artifact.model_validate(record.model_dump()).model_dump(exclude={"updated"})
        values["created"] = values["updated"] = min(record.created, now())
        row = single.insert_new(tx, artifact, values)
        if row is not None and record.key is not None and not _is_outdated(tx, row):
            _make_latest(tx, row)


def change_artifacts(tx: sa.Connection, records: list[ArtifactChangeRecord]) -> list[UUID]:
    """Change artifacts, one after the other; returns the ids of those that are not there."""
    return [record.id for record in records if not _change(tx, record.id, record)]


def _is_outdated(tx: sa.Connection, row: sa.RowMapping) -> bool:
    """Whether a later artifact is the latest of its key."""
    latest = sa.select(artifact.c.created).select_from(_COLLECTIONS)
    created = tx.execute(latest.where(artifact_collection.c.key == row["key"])).scalar_one_or_none()
    return created is not None and created > row["created"]


def _make_latest(tx: sa.Connection, row: sa.RowMapping) -> None:
    latest = {"id": new_uuid(), "key": row["key"], "latest_id": row["id"]}
    kept = edits.upsert(tx, artifact_collection, latest, by=["key"], change=["latest_id"])
    outbox.artifact_changed(tx, kept["id"], row, "created" if kept["id"] == latest["id"] else "updated")


@operation("GET", "/artifacts/{id}")
def read_artifact(tx: sa.Connection, id: UUID) -> Artifact:
    """One artifact.

    Raises:
        NotFound: there is no such artifact.
    """
    return Artifact.model_validate(rows.one(tx, sa.select(artifact).where(artifact.c.id == id), "artifact", id))


@operation("GET", "/artifacts/{key}/latest")
def read_latest_artifact(tx: sa.Connection, key: str) -> Artifact:
    """The latest artifact of a key.

    Raises:
        NotFound: there is no artifact with that key.
    """
    statement = sa.select(artifact).select_from(_COLLECTIONS).where(artifact_collection.c.key == key)
    return Artifact.model_validate(rows.one(tx, statement, "artifact", key))


@operation("POST", "/artifacts/filter")
def read_artifacts(tx: sa.Connection, body: ArtifactQuery) -> list[Artifact]:
    """The artifacts that match, a page of them."""
    statement = sa.select(artifact).where(body.clause()).order_by(*catalogue.ARTIFACT_ORDERS[body.sort.value])
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [Artifact.model_validate(row) for row in found]


@operation("POST", "/artifacts/latest/filter")
def read_latest_artifacts(tx: sa.Connection, body: LatestArtifactQuery) -> list[ArtifactCollection]:
    """The latest artifact of each key, of those that match, a page of them."""
    statement = _SELECT_LATEST.where(body.clause()).order_by(*catalogue.ARTIFACT_COLLECTION_ORDERS[body.sort.value])
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [ArtifactCollection.model_validate(row) for row in found]


@operation("POST", "/artifacts/count")
def count_artifacts(tx: sa.Connection, body: ArtifactSelection) -> int:
    """How many artifacts match."""
    return rows.count(tx, artifact, body.clause())


@operation("POST", "/artifacts/latest/count")
def count_latest_artifacts(tx: sa.Connection, body: LatestArtifactSelection) -> int:
    """How many keys have a latest artifact that matches."""
    statement = sa.select(sa.func.count()).select_from(_COLLECTIONS).where(body.clause())
    return tx.execute(statement).scalar_one()


@operation("PATCH", "/artifacts/{id}", writes=True, status=204)
def update_artifact(tx: sa.Connection, id: UUID, body: ArtifactUpdate) -> None:
    """Change an artifact; what is not given stays as it is.

    Raises:
        NotFound: there is no such artifact.
    """
    if not _change(tx, id, body):
        raise NotFound("artifact", id)


def _change(tx: sa.Connection, id: UUID, body: ArtifactUpdate) -> bool:
    """Change an artifact; False when there is none."""
    values = {name: value for name, value in edits.changes(artifact, body).items() if name != "id"}
    if "metadata_" in values:
        values["metadata_"] = Artifact(metadata_=values["metadata_"]).metadata_
    if edits.update(tx, artifact, artifact.c.id == id, values, taken=f"Artifact '{id}' cannot be changed.") == 0:
        return False
    # the collection looks changed when what it shows has changed
    tx.execute(sa.update(artifact_collection).where(artifact_collection.c.latest_id == id).values(latest_id=id))
    return True


@operation("DELETE", "/artifacts/{id}", writes=True, status=204)
def delete_artifact(tx: sa.Connection, id: UUID) -> None:
    """Delete an artifact; the one before it becomes the latest of its key.

    Raises:
        NotFound: there is no such artifact.
    """
    row = rows.one(tx, sa.select(artifact).where(artifact.c.id == id), "artifact", id)
    key, of_latest = row["key"], artifact_collection.c.latest_id == id
    if key is not None:
        previous = _latest_but(tx, key, id)
        if previous is None:
            gone = tx.execute(sa.delete(artifact_collection).where(of_latest).returning(artifact_collection.c.id))
            for collection_id in gone.scalars().all():
                outbox.artifact_changed(tx, collection_id, row, "deleted")
        else:
            tx.execute(sa.update(artifact_collection).where(of_latest).values(latest_id=previous))
    tx.execute(sa.delete(artifact).where(artifact.c.id == id))


def _latest_but(tx: sa.Connection, key: str, id: UUID) -> UUID | None:
    others = sa.select(artifact.c.id).where(artifact.c.key == key, artifact.c.id != id)
    return tx.execute(others.order_by(artifact.c.id.desc()).limit(1)).scalar_one_or_none()
