"""`prefect deployment versions` and `rollback`: what a deployment was, and making it that again."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefect.cli import _api, _console, _deployments, _output
from prefect.cli._deployments import Name
from prefect.cli._options import Output, Yes

if TYPE_CHECKING:
    from uuid import UUID

    from prefect._schemas.deployments import DeploymentVersion
    from prefect.client.orchestration import SyncPrefectClient


def versions(
    name: Name,
    *,
    limit: Annotated[int, Parameter(help="Show at most so many versions.")] = 15,
    output: Output = None,
) -> None:
    """List what a deployment was after each change of it, the newest first."""
    most = _output.check_limit(limit)
    with _api.client() as api, _api.not_everywhere("versions of deployments"):
        deployment, full_name = _deployments.find(api, name)
        found = _read(api, deployment.id, most + 1)  # one more, to say what the oldest one changed
    if output == "json":
        _output.print_json(found[:most])
        return
    if not found:
        print(f"Deployment {full_name} has no versions.")
        return
    changes = [_changed(new, old) for new, old in pairwise(found)] + ["made"]
    rows = [
        (str(one.number), _output.time_text(one.created), _output.ago_text(one.created), change)
        for one, change in zip(found, changes, strict=True)
    ]
    _output.print_table(("Version", "Since", "Ago", "What changed"), rows[:most], cut=["What changed"], spare=["Ago"])


def rollback(
    name: Name,
    version: Annotated[int, Parameter(help="The number of the version, as `versions` lists it.")],
    *,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Make a deployment what it was in an earlier version, its schedules included. That is a new version."""
    with _api.client() as api, _api.not_everywhere("versions of deployments"):
        deployment, full_name = _deployments.find(api, name)
        _console.agree(f"Make {full_name} what it was in version {version}?", yes)
        now = api.roll_back_deployment(deployment.id, version)
        newest = api.read_deployment_versions(deployment.id, limit=1)
    if output == "json":
        _output.print_json(now)
        return
    number = f" (now version {newest[0].number})" if newest else ""
    print(f"Deployment {full_name} is what it was in version {version}{number}.")


def _read(api: SyncPrefectClient, id: UUID, most: int) -> list[DeploymentVersion]:
    def page(limit: int, offset: int) -> list[DeploymentVersion]:
        return api.read_deployment_versions(id, limit=limit, offset=offset)

    return list(_api.everything(page, most))


def _changed(new: DeploymentVersion, old: DeploymentVersion) -> str:
    """The fields in which two versions differ."""
    fields = sorted(
        name for name in new.content.keys() | old.content.keys() if new.content.get(name) != old.content.get(name)
    )
    said = ", ".join(name.replace("_", " ") for name in fields) or "nothing"
    return f"back to version {new.restored}: {said}" if new.restored is not None else said
