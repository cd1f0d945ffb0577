"""The client of a cloud's account-wide API, against a server on this machine that answers what the test says."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from prefect import exceptions
from prefect.client.cloud import CloudUnauthorizedError, get_cloud_client
from prefect.client.schemas.objects import IPAllowlist
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, PREFECT_CLOUD_API_URL, temporary_settings

from .scripted import Answer, ScriptedServer

ACCOUNT, WORKSPACE = UUID(int=1), UUID(int=2)
PLACE = f"/api/accounts/{ACCOUNT}"


@pytest.fixture
def cloud(server: ScriptedServer) -> Iterator[ScriptedServer]:
    url = f"{server.url}/accounts/{ACCOUNT}/workspaces/{WORKSPACE}"
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLOUD_API_URL: server.url, PREFECT_API_KEY: "k"}):
        yield server


def _workspace(id: UUID) -> dict[str, str]:
    names = ("account_name", "account_handle", "workspace_name", "workspace_description", "workspace_handle")
    return {"account_id": str(ACCOUNT), "workspace_id": str(id)} | dict.fromkeys(names, "x")


async def test_workspaces(cloud: ScriptedServer) -> None:
    cloud.script(Answer(200, [_workspace(UUID(int=3)), _workspace(WORKSPACE)]))
    async with get_cloud_client() as client:
        assert len(await client.read_workspaces()) == 2
        assert (await client.read_current_workspace()).workspace_id == WORKSPACE
        await client.api_healthcheck()
    assert {(one.path, one.headers["authorization"]) for one in cloud.seen} == {("/api/me/workspaces", "Bearer k")}


async def test_a_workspace_that_is_not_ours(cloud: ScriptedServer) -> None:
    cloud.script(Answer(200, []))
    async with get_cloud_client() as client:
        with pytest.raises(exceptions.ObjectNotFound, match=str(WORKSPACE)):
            await client.read_current_workspace()


async def test_accounts(cloud: ScriptedServer) -> None:
    cloud.script(
        Answer(200, {"a": 1}), Answer(204), Answer(200, {"entries": []}), Answer(204),
        Answer(200, {"allowed": True, "detail": "d"}), Answer(200, {}),
    )  # fmt: skip
    async with get_cloud_client(infer_cloud_url=True) as client:
        assert await client.read_account_settings() == {"a": 1}
        await client.update_account_settings({"a": 2})
        assert (await client.read_account_ip_allowlist()).entries == []
        await client.update_account_ip_allowlist(IPAllowlist(entries=[]))
        assert (await client.check_ip_allowlist_access()).allowed
        await client.read_worker_metadata()
    assert [(one.method, one.path.removeprefix(PLACE)) for one in cloud.seen] == [
        ("GET", "/settings"),
        ("PATCH", "/settings"),
        ("GET", "/ip_allowlist"),
        ("PUT", "/ip_allowlist"),
        ("GET", "/ip_allowlist/my_access"),
        ("GET", f"/workspaces/{WORKSPACE}/collections/work_pool_types"),
    ]


async def test_refusals(cloud: ScriptedServer) -> None:
    cloud.script(Answer(401, {"detail": "no"}))
    async with get_cloud_client() as client:
        with pytest.raises(CloudUnauthorizedError, match="no"):
            await client.get("/x")
        with pytest.raises(exceptions.PrefectHTTPStatusError):
            await client.raw_request("GET", "/x/{id}", path_params={"id": 1})
    assert cloud.seen[-1].path == "/api/x/1"


async def test_without_an_account(server: ScriptedServer) -> None:
    client = get_cloud_client(host=server.url)
    with pytest.raises(exceptions.ConfigurationError, match="names no account"):
        _ = client.account_base_url
    with pytest.raises(RuntimeError, match="async with"), client:
        pass


def test_without_an_address(home: object) -> None:
    with pytest.raises(exceptions.ConfigurationError, match="PREFECT_API_URL is not set"):
        get_cloud_client(infer_cloud_url=True)
