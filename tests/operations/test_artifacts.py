"""Artifacts: their versions by key, and the latest of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import artifacts
from prefect._operations.errors import NotFound
from prefect._schemas.actions.records import ArtifactCreate, ArtifactUpdate
from prefect._schemas.artifacts import Artifact
from prefect._store.tables import artifact_collection

from .conftest import World


def make(tx: sa.Connection, key: str | None = "k", data: Any = None, **fields: Any) -> Artifact:
    return artifacts.create_artifact(tx, ArtifactCreate(key=key, data=data, **fields))


def found(tx: sa.Connection, **query: Any) -> list[Any]:
    return [a.data for a in artifacts.read_artifacts(tx, artifacts.ArtifactQuery.model_validate(query))]


def latest(tx: sa.Connection, **query: Any) -> list[Any]:
    return [a.data for a in artifacts.read_latest_artifacts(tx, artifacts.LatestArtifactQuery.model_validate(query))]


def test_an_artifact_is_what_was_made_of_it(both: sa.Connection) -> None:
    made = make(both, "k-1", [{"a": 1}], type="table", description="d", metadata_={"m": "x" * 600})
    assert made.metadata_ == {"m": "x" * 500 + "..."}
    assert artifacts.read_artifact(both, made.id).model_dump() == made.model_dump()


def test_the_latest_of_a_key_is_the_one_made_last(both: sa.Connection) -> None:
    make(both, "k", 1)
    make(both, "other", 0)
    second = make(both, "k", 2)
    assert artifacts.read_latest_artifact(both, "k").id == second.id
    assert latest(both, sort="KEY_ASC") == [2, 0]
    assert found(both) == [2, 0, 1]
    [collection, _] = artifacts.read_latest_artifacts(both, artifacts.LatestArtifactQuery(sort="KEY_ASC"))  # type: ignore[arg-type]
    assert (collection.key, collection.latest_id) == ("k", second.id)


def record(key: str, data: Any, seconds_ago: float) -> artifacts.ArtifactRecord:
    created = now() - timedelta(seconds=seconds_ago)
    return artifacts.ArtifactRecord(id=new_uuid(), created=created, key=key, data=data)


def test_an_artifact_that_comes_late_is_kept_once_and_does_not_become_the_latest(both: sa.Connection) -> None:
    late = record("k", "late", 60)
    new = record("k", "new", 10)
    artifacts.keep_artifacts(both, [new])
    for _ in range(2):  # what is sent again changes nothing
        artifacts.keep_artifacts(both, [late, record("other", "first", 60)])
    assert artifacts.read_latest_artifact(both, "k").data == "new"
    kept = artifacts.read_artifact(both, late.id)
    assert (kept.created, kept.updated, kept.data) == (late.created, late.created, "late")
    assert sorted(found(both)) == ["first", "first", "late", "new"]
    artifacts.keep_artifacts(both, [record("k", "newest", 0)])
    assert artifacts.read_latest_artifact(both, "k").data == "newest"


def test_nothing_is_left_in_the_future(both: sa.Connection) -> None:
    sent = record("k", 1, -3600)
    artifacts.keep_artifacts(both, [sent])
    assert artifacts.read_artifact(both, sent.id).created <= now()


def test_changes_that_are_reported(both: sa.Connection) -> None:
    made = make(both, "k", 1, description="d")
    missing = new_uuid()
    changes = [
        artifacts.ArtifactChangeRecord(id=made.id, data=2),
        artifacts.ArtifactChangeRecord(id=missing, data=3),
        artifacts.ArtifactChangeRecord(id=made.id, data=4),
    ]
    assert artifacts.change_artifacts(both, changes) == [missing]
    read = artifacts.read_artifact(both, made.id)
    assert (read.data, read.description) == (4, "d")


def test_an_artifact_without_a_key_is_in_no_collection(both: sa.Connection) -> None:
    made = make(both, None, "x")
    assert latest(both) == []
    artifacts.delete_artifact(both, made.id)
    assert found(both) == []


def test_a_changed_latest_artifact_shows_in_its_collection(both: sa.Connection) -> None:
    made = make(both, "k", 1, description="d")
    artifacts.update_artifact(both, made.id, ArtifactUpdate(data=None, metadata_={"k": "y" * 501}))
    read = artifacts.read_artifact(both, made.id)
    assert (read.data, read.description, read.metadata_) == (None, "d", {"k": "y" * 500 + "..."})
    [collection] = artifacts.read_latest_artifacts(both, artifacts.LatestArtifactQuery())
    assert collection.data is None
    assert collection.updated is not None and made.updated is not None and collection.updated > made.updated


def test_when_the_latest_is_deleted_the_one_before_is_the_latest(both: sa.Connection) -> None:
    first, middle, last = (make(both, "k", n) for n in range(3))
    artifacts.delete_artifact(both, middle.id)
    assert latest(both) == [2]
    artifacts.delete_artifact(both, last.id)
    assert artifacts.read_latest_artifact(both, "k").id == first.id
    artifacts.delete_artifact(both, first.id)
    with pytest.raises(NotFound, match="Artifact 'k' not found"):
        artifacts.read_latest_artifact(both, "k")
    assert both.execute(sa.select(sa.func.count()).select_from(artifact_collection)).scalar_one() == 0


def test_an_absent_artifact_is_not_found(both: sa.Connection) -> None:
    id = new_uuid()
    for absent in (
        lambda: artifacts.read_artifact(both, id),
        lambda: artifacts.update_artifact(both, id, ArtifactUpdate(data=1)),
        lambda: artifacts.delete_artifact(both, id),
    ):
        with pytest.raises(NotFound):
            absent()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "d c b a"),
        ({"sort": "KEY_ASC"}, "a b c d"),
        ({"sort": "KEY_DESC"}, "c b a d"),
        ({"limit": 2, "offset": 1}, "c b"),
        ({"artifacts": {"key": {"exists_": False}}}, "d"),
        ({"artifacts": {"key": {"like_": "K-"}}}, "c b a"),
        ({"artifacts": {"type": {"not_any_": ["table"]}}}, "d c"),
        ({"artifacts": {"operator": "or_", "key": {"any_": ["k-3"]}, "type": {"any_": ["table"]}}}, "c b a"),
        ({"artifacts": {"flow_run_id": {"any_": [UUID(int=1)]}}}, "c b"),
        ({"flow_runs": {"name": {"any_": ["one"]}}}, "c b"),
        ({"flows": {"name": {"any_": ["nope"]}}}, ""),
        ({"flows": {"name": {"any_": ["etl"]}}, "task_runs": {"name": {"any_": ["t"]}}}, "b"),
    ],
)
def test_found(both: sa.Connection, query: dict[str, Any], expected: str) -> None:
    world = World(both)
    run = world.flow_run(world.flow("etl"), "one", id=UUID(int=1))
    make(both, "k-1", "a", type="table")
    make(both, "k-2", "b", type="table", flow_run_id=run, task_run_id=world.task_run(run, "t"))
    make(both, "k-3", "c", type="markdown", flow_run_id=run)
    make(both, None, "d")
    assert found(both, **query) == expected.split()
    with_key = [name for name in expected.split() if name != "d"]
    assert latest(both, **query) == (with_key if "limit" not in query else ["b", "a"])
    query = {name: value for name, value in query.items() if name not in ("sort", "limit", "offset")}
    if "limit" not in query and expected:
        counted = artifacts.count_artifacts(both, artifacts.ArtifactSelection.model_validate(query))
        assert counted == len(found(both, **query))
        counted = artifacts.count_latest_artifacts(both, artifacts.LatestArtifactSelection.model_validate(query))
        assert counted == len(latest(both, **query))
