"""`prefect artifact`: what runs left for people to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, Yes, flag

if TYPE_CHECKING:
    from prefect._schemas import artifacts
    from prefect._schemas.artifacts import Artifact
    from prefect.client.orchestration import SyncPrefectClient
else:
    artifacts = lazy_module("prefect._schemas.artifacts")

app = App(name="artifact", help="Look at what runs left for people.")


@app.command
def ls(
    *,
    limit: Annotated[int, Parameter(help="Show at most so many artifacts.")] = 100,
    all: Annotated[bool, flag("Every version, not only the latest of each key.", "--all", "-a")] = False,
    output: Output = None,
) -> None:
    """List artifacts, the newest first: of each key the latest."""
    most = _output.check_limit(limit)
    with _api.client() as api:
        if all:
            found: list[Any] = list(_api.pages(api, "/artifacts/filter", artifacts.Artifact, most, sort="CREATED_DESC"))
        else:
            kind = artifacts.ArtifactCollection
            found = list(_api.pages(api, "/artifacts/latest/filter", kind, most, sort="CREATED_DESC"))
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("No artifacts found.")
    else:
        rows = [
            (
                str(getattr(one, "latest_id", one.id)),
                one.key or "",
                one.type or "",
                _output.ago_text(one.updated or one.created),
                _output.one_line(one.description),
            )
            for one in found
        ]
        columns = ("ID", "Key", "Type", "Updated", "Description")
        _output.print_table(columns, rows, cut=["Description"], spare=["Description", "Updated"])


@app.command
def inspect(
    key: Annotated[str, Parameter(help="Key of the artifact.")],
    *,
    limit: Annotated[int, Parameter(help="Show at most so many versions.")] = 10,
    output: Output = None,
) -> None:
    """Show the versions of an artifact, the latest first."""
    most = _output.check_limit(limit)
    with _api.client() as api:
        found = _versions(api, key, most)
    if output == "json":
        _output.print_json(found)
        return
    for place, one in enumerate(found):
        if place:
            print()
        _output.print_fields(
            {
                "Key": one.key,
                "ID": one.id,
                "Type": one.type,
                "Description": one.description,
                "Created": one.created,
                "Flow run": one.flow_run_id,
                "Task run": one.task_run_id,
                "Details": one.metadata_,
                "Data": _shown(one),
            }
        )


@app.command
def delete(
    key: Annotated[str | None, Parameter(help="Key of the artifact: all its versions are deleted.")] = None,
    *,
    id: Annotated[UUID | None, Parameter(help="Id of one version.")] = None,
    yes: Yes = False,
) -> None:
    """Delete an artifact, or one version of it."""
    _api.one_of({"KEY": key, "--id": id}, of="artifact")
    with _api.client() as api:
        if id is not None:
            _console.agree(f"Delete artifact {id}?", yes)
            api.delete_artifact(id)
            print(f"Deleted artifact {id}.")
            return
        assert key is not None  # `one_of` has seen to it
        found = _versions(api, key)
        _console.agree(f"Delete artifact {key!r}, {_output.count(len(found), 'version')} of it?", yes)
        for one in found:
            api.delete_artifact(one.id)
    print(f"Deleted artifact {key!r} ({_output.count(len(found), 'version')}).")


def _versions(api: SyncPrefectClient, key: str, most: int | None = None) -> list[Artifact]:
    """The artifacts with a key; there is at least one."""
    conditions = {"key": {"any_": [key]}}
    found = list(_api.pages(api, "/artifacts/filter", artifacts.Artifact, most, artifacts=conditions, sort="ID_DESC"))
    return found or _api.not_found("artifact", key, _keys(api))


def _keys(api: SyncPrefectClient) -> Iterator[str]:
    return (one.key for one in _api.pages(api, "/artifacts/latest/filter", artifacts.ArtifactCollection))


def _shown(artifact: Artifact) -> Any:
    """The data, Markdown as it is written."""
    return artifact.data if isinstance(artifact.data, str) else _output.compact_json(artifact.data)
