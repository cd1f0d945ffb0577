"""`prefect cloud`: connect to a workspace of Prefect Cloud, or of a server that speaks its API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output
from prefect.settings import get_current_settings
from prefect.settings import profiles as store

if TYPE_CHECKING:
    from prefect._schemas.admin import Workspace
    from prefect.client import cloud
else:
    cloud = lazy_module("prefect.client.cloud")

app = App(name="cloud", help="Connect to a workspace of Prefect Cloud.")
workspaces = App(name="workspace", help="See the workspaces, and choose one.")
app.command(workspaces, name=["workspace", "workspaces"])

WorkspaceOption = Annotated[
    str | None, Parameter(name=["--workspace", "-w"], help="The workspace, as account/workspace, or its id.")
]


@app.command
def login(
    *,
    key: Annotated[str | None, Parameter(name=["--key", "-k"], help="An API key.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Keep an API key and a workspace in the active profile."""
    key = key or _console.ask("API key", secret=True)
    if not key:
        _console.usage("Give an API key with --key.")
    found = _read_workspaces(key)
    chosen = _choose(found, workspace)
    store.update_current_profile({"PREFECT_API_KEY": key, "PREFECT_API_URL": chosen.api_url()})
    print(f"Connected to workspace {chosen.handle}.")


@app.command
def logout() -> None:
    """Take the API key and the address of the workspace out of the active profile."""
    profile = store.active_profile()
    held = profile.to_environment_variables()
    if "PREFECT_API_KEY" not in held:
        _console.fail(f"Profile {profile.name!r} holds no API key.")
    gone = ["PREFECT_API_KEY"]
    if held.get("PREFECT_API_URL", "").startswith(get_current_settings().cloud.api_url):
        gone.append("PREFECT_API_URL")
    store.update_current_profile(dict.fromkeys(gone))
    print(f"Logged out: profile {profile.name!r} holds no key any more.")


@workspaces.command(name="ls")
def ls_workspaces(*, output: Output = None) -> None:
    """List the workspaces that the API key may use; * is the one in use."""
    found = _read_workspaces(_key())
    current = get_current_settings().api.url or ""
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("The key may use no workspace.")
    else:
        rows = [("*" if str(one.workspace_id) in current else "", one.handle, str(one.workspace_id)) for one in found]
        _output.print_table(("", "Workspace", "ID"), rows, cut=["Workspace"])


@workspaces.command(name="set")
def set_workspace(*, workspace: WorkspaceOption = None) -> None:
    """Use a workspace from now on."""
    chosen = _choose(_read_workspaces(_key()), workspace)
    store.update_current_profile({"PREFECT_API_URL": chosen.api_url()})
    print(f"Connected to workspace {chosen.handle}.")


def _key() -> str:
    key = get_current_settings().api.key
    return key.get_secret_value() if key else _not_logged_in()


def _not_logged_in() -> NoReturn:
    _console.fail("There is no API key; `prefect cloud login` keeps one in the active profile.")


def _read_workspaces(key: str) -> list[Workspace]:
    async def read() -> list[Workspace]:
        async with cloud.get_cloud_client(api_key=key, httpx_settings={"timeout": 30}) as client:
            return await client.read_workspaces()

    try:
        return asyncio.run(read())
    except cloud.CloudUnauthorizedError:
        where = get_current_settings().cloud.api_url
        return _console.fail(f"{where} does not accept the API key; `prefect cloud login` keeps another one.")


def _choose(found: list[Workspace], wanted: str | None) -> Workspace:
    """The workspace that is named, or asked for, or the only one."""
    if not found:
        _console.fail("The key may use no workspace.")
    if wanted is None and len(found) > 1:
        for number, one in enumerate(found, 1):
            print(f"{number:3}  {one.handle}")
        answer = _console.ask("Which workspace")
        if not answer:
            _console.usage("Say which workspace with --workspace.")
        wanted = found[int(answer) - 1].handle if answer.isdigit() and 0 < int(answer) <= len(found) else answer
    if wanted is None:
        return found[0]
    named = [one for one in found if wanted in (one.handle, str(one.workspace_id), one.workspace_handle)]
    return named[0] if len(named) == 1 else _api.not_found("workspace", wanted, [one.handle for one in found])
