"""Artifacts, on the local database and on a server, from synchronous and asynchronous code."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from prefect import artifacts, flow, get_client, runtime, task
from prefect.exceptions import ObjectNotFound


@pytest.fixture
def key() -> str:
    return f"k-{uuid4().hex}"


def kept(id: UUID) -> Any:
    with get_client(sync_client=True) as client:
        return next(found for found in client.read_artifacts(limit=200) if found.id == id)


@pytest.mark.usefixtures("api")
def test_each_kind_is_kept_in_its_form(key: str) -> None:
    made = [
        (artifacts.create_link_artifact("http://x", "text", key, "d"), "markdown", "[text](http://x)"),
        (artifacts.create_link_artifact("http://x"), "markdown", "[http://x](http://x)"),
        (artifacts.create_markdown_artifact("# x", key), "markdown", "# x"),
        (artifacts.create_image_artifact("http://i", key), "image", "http://i"),
        (artifacts.create_progress_artifact(3.5, key), "progress", 3.5),
        (artifacts.create_progress_artifact(350), "progress", 100.0),
        (artifacts.create_progress_artifact(-1), "progress", 0.0),
    ]
    for id, kind, data in made:
        found = kept(id)
        assert (found.type, found.data) == (kind, data)
    assert kept(made[0][0]).description == "d"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"a": [1, 2]}, {"a": [1, 2]}),
        ([{"a": float("nan"), "b": UUID(int=1)}], [{"a": None, "b": str(UUID(int=1))}]),
        ([["a"], [float("inf")], [2]], [["a"], [None], [2]]),
    ],
)
@pytest.mark.usefixtures("api")
def test_a_table_is_kept_as_json(table: Any, expected: Any) -> None:
    text = kept(artifacts.create_table_artifact(table)).data
    assert json.loads(text, parse_constant=pytest.fail) == expected


@pytest.mark.usefixtures("runs")
def test_an_artifact_belongs_to_the_runs_that_leave_it() -> None:
    @task
    def inner() -> tuple[Any, Any]:
        return artifacts.create_markdown_artifact("t"), runtime.task_run.id

    @flow
    def outer() -> Any:
        return artifacts.create_markdown_artifact("f"), inner(), runtime.flow_run.id

    in_flow, (in_task, task_run_id), flow_run_id = outer()
    assert (str(kept(in_flow).flow_run_id), kept(in_flow).task_run_id) == (flow_run_id, None)
    assert (str(kept(in_task).flow_run_id), str(kept(in_task).task_run_id)) == (flow_run_id, task_run_id)


@pytest.mark.usefixtures("api")
def test_progress_goes_on() -> None:
    id = artifacts.create_progress_artifact(0, description="first")
    assert artifacts.update_progress_artifact(id, 150) == id
    assert (kept(id).data, kept(id).description) == (100.0, "first")
    artifacts.update_progress_artifact(id, 50, "half")
    assert (kept(id).data, kept(id).description) == (50.0, "half")
    with pytest.raises(ObjectNotFound):
        artifacts.update_progress_artifact(uuid4(), 1)


@pytest.mark.usefixtures("api")
def test_the_latest_of_a_key(key: str) -> None:
    assert artifacts.Artifact.get(key) is None
    artifacts.create_markdown_artifact("old", key)
    newer = artifacts.create_markdown_artifact("new", key)
    assert artifacts.Artifact.get(key).id == newer


@pytest.mark.usefixtures("api")
def test_get_or_create(key: str) -> None:
    made, is_new = artifacts.MarkdownArtifact.get_or_create(key, "d", markdown="x")
    again, is_new_again = artifacts.MarkdownArtifact.get_or_create(key, markdown="y")
    assert (is_new, is_new_again, again.id, again.data) == (True, False, made.id, "x")
    plain, _ = artifacts.Artifact.get_or_create(f"{key}-2", data={"a": 1}, type="other")
    assert (plain.data, plain.type) == ('{"a": 1}', "other")


@pytest.mark.usefixtures("api")
async def test_from_asynchronous_code(key: str) -> None:
    await artifacts.acreate_markdown_artifact("a", key)
    id = await artifacts.create_markdown_artifact("b", key)  # type: ignore[misc]
    found = await artifacts.Artifact.aget(key)
    assert found is not None and found.id == id
    progress = await artifacts.acreate_progress_artifact(1)
    await artifacts.aupdate_progress_artifact(progress, 2)
    made, is_new = await artifacts.Artifact.aget_or_create(f"{key}-2", data=1)
    assert is_new and made.data == "1"
    assert (await artifacts.TableArtifact(table=[{"a": 1}]).create()).type == "table"  # type: ignore[misc]


@pytest.mark.usefixtures("api")
def test_a_key_has_a_form() -> None:
    with pytest.raises(ValueError, match="lowercase"):
        artifacts.create_markdown_artifact("x", "Bad Key")
