"""The client of a cloud's account-wide API, against a server on this machine that answers what the test says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from uuid import UUID

import pytest
from pydantic import BaseModel

from prefect import exceptions, get_client
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


class Limit(BaseModel):
    """A service level, as packages describe them."""

    name: str
    severity: str = "high"
    duration: int


async def test_service_levels(cloud: ScriptedServer) -> None:
    levels = [Limit(name="quick", duration=5), {"name": "fresh", "stale_after": 3600.0}]
    owner = f"prefect.deployment.{UUID(int=9)}"
    wanted = [{"name": "quick", "duration": 5}, {"name": "fresh", "stale_after": 3600.0}]
    with get_client(sync_client=True) as sync_client:
        async with get_client() as client:
            for apply in (client.apply_slas_for_deployment, sync_client.apply_slas_for_deployment):
                cloud.script(Answer(200, {"created": ["quick"], "updated": [], "deleted": ["old"]}))
                made = apply(UUID(int=9), levels)
                made = await made if inspect.isawaitable(made) else made
                assert (made.created, made.updated, made.deleted) == (["quick"], [], ["old"])
                [sent] = [one for one in cloud.seen if one.method == "POST"]
                assert sent.path.endswith(f"/slas/apply-resource-slas/{owner}")
                assert sent.body == [{**one, "owner_resource": owner} for one in wanted]
            with pytest.raises(TypeError, match="mapping or a model, not 5"):
                await client.apply_slas_for_deployment(UUID(int=9), [5])  # type: ignore[list-item]


async def test_a_server_without_service_levels(server: ScriptedServer) -> None:
    server.script(Answer(404, {"detail": "Not Found"}))
    with temporary_settings({PREFECT_API_URL: server.url}):
        async with get_client() as client:
            with pytest.raises(exceptions.PrefectHTTPStatusError, match="/slas/apply-resource-slas") as caught:
                await client.apply_slas_for_deployment(UUID(int=9), [])
    assert caught.value.__notes__ == ["Service levels are kept by Prefect Cloud; a server has none."]
