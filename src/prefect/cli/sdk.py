"""`prefect sdk`: typed Python code for the deployments there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _deployments, _output, _sdk
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect import exceptions
    from prefect._schemas import deployments
    from prefect._schemas.deployments import DeploymentResponse
    from prefect.client.orchestration import SyncPrefectClient
else:
    exceptions = lazy_module("prefect.exceptions")
    deployments = lazy_module("prefect._schemas.deployments")

app = App(name="sdk", help="Write typed Python code for deployments.")


@app.command
def generate(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The file to write.")],
    flow: Annotated[
        list[str] | None,
        Parameter(name=["--flow", "-f"], help="Only deployments of this flow. May be repeated.", negative=()),
    ] = None,
    deployment: Annotated[
        list[str] | None,
        Parameter(
            name=["--deployment", "-d"], help="Only this deployment: flow/name, or name. May be repeated.", negative=()
        ),
    ] = None,
) -> None:
    """Write a Python module that knows the deployments and the types of their parameters.

    from my_sdk import deployments; deployments.from_name("flow/deployment").run(day="2026-01-31")
    """
    body: dict[str, Any] = {"flows": {"name": {"any_": flow}}} if flow else {}
    with _api.client() as api:
        found = list(_api.pages(api, "/deployments/filter", deployments.DeploymentResponse, **body))
        names = _deployments.full_names(api, found)
        chosen = sorted(_chosen(found, names, deployment), key=lambda one: names[one.id])
        if not chosen:
            _console.fail("There are no such deployments: there is nothing to write.")
        templates = {name: _job_variables(api, name) for name in {one.work_pool_name for one in chosen} if name}
    described = [
        _sdk.Described(
            name=names[one.id],
            description=one.description,
            parameters=one.parameter_openapi_schema or {},
            defaults=frozenset(one.parameters),
            job_variables=templates.get(one.work_pool_name or ""),
        )
        for one in chosen
    ]
    text = _sdk.module_text(described, get_current_settings().api.url or "the local database")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as problem:
        _console.fail(f"{output} cannot be written: {problem.strerror}.")
    print(f"Wrote {output}, with {_output.count(len(chosen), 'deployment')}.")


def _chosen(
    found: list[DeploymentResponse], names: dict[Any, str], wanted: list[str] | None
) -> list[DeploymentResponse]:
    if wanted is None:
        return found
    for name in wanted:
        if not any(name in (names[one.id], one.name) for one in found):
            _api.not_found("deployment", name, names.values())
    return [one for one in found if {names[one.id], one.name} & set(wanted)]


def _job_variables(api: SyncPrefectClient, work_pool: str) -> dict[str, Any] | None:
    """The schema of the variables of a work pool."""
    try:
        return api.read_work_pool(work_pool).base_job_template.get("variables")
    except exceptions.ObjectNotFound:
        return None  # deleted since
