"""The account-wide API of a cloud, beside the API of a workspace that `PrefectClient` speaks."""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from prefect import __version__
from prefect._lazy import lazy_module
from prefect.client._versions import API_VERSION
from prefect.exceptions import ConfigurationError, ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import httpx

    from prefect._schemas import admin
    from prefect._transport import http
else:
    httpx = lazy_module("httpx")
    admin = lazy_module("prefect._schemas.admin")
    http = lazy_module("prefect._transport.http")

_ACCOUNT = re.compile(r"/accounts/([0-9a-fA-F-]{36})(?:/workspaces/([0-9a-fA-F-]{36}))?")


class CloudUnauthorizedError(PrefectException):
    """The cloud does not accept the API key, or the key may not do this; check PREFECT_API_KEY."""


def get_cloud_client(
    host: str | None = None,
    api_key: str | None = None,
    httpx_settings: dict[str, Any] | None = None,
    infer_cloud_url: bool = False,
) -> CloudClient:
    """A client of the cloud that the settings name.

    Args:
        host: the address of its API; the setting `cloud.api_url` unless given.
        api_key: the setting `api.key` unless given.
        httpx_settings: arguments for the HTTP client.
        infer_cloud_url: take the address from the setting `api.url`, without its account and workspace.

    Raises:
        ConfigurationError: the address is to be taken from `api.url`, which is not set.
    """
    settings = get_current_settings()
    if host is None and infer_cloud_url:
        if not settings.api.url:
            raise ConfigurationError("PREFECT_API_URL is not set, so the address of the cloud cannot be taken from it.")
        host = _ACCOUNT.split(settings.api.url, maxsplit=1)[0]
    key = api_key or (settings.api.key.get_secret_value() if settings.api.key else "")
    return CloudClient(host=host or settings.cloud.api_url, api_key=key, httpx_settings=httpx_settings)


class CloudClient:
    """Talks to the account-wide API of a cloud. Use it with `async with`.

    The account and the workspace are those in the setting `api.url`.

    Args:
        host: the address of the API.
        api_key: for every request.
        httpx_settings: arguments for `httpx.AsyncClient`; they win over the settings.
    """

    def __init__(self, host: str, api_key: str, httpx_settings: dict[str, Any] | None = None) -> None:
        options = http.connection_options(
            auth_string="", api_key=api_key, api_version=API_VERSION, httpx_settings=httpx_settings,
            user_agent=f"prefect/{__version__} (API {API_VERSION})",
        )  # fmt: skip
        options.setdefault("base_url", f"{host.rstrip('/')}/")
        self._client = http.PrefectHttpxAsyncClient(**options)
        found = _ACCOUNT.search(get_current_settings().api.url or "")
        self._account, self._workspace = (found[1], found[2]) if found else (None, None)

    @property
    def account_base_url(self) -> str:
        """The route of the current account.

        Raises:
            ConfigurationError: the setting `api.url` names no account.
        """
        return f"accounts/{self._named(self._account, 'account')}"

    @property
    def workspace_base_url(self) -> str:
        """The route of the current workspace.

        Raises:
            ConfigurationError: the setting `api.url` names no workspace.
        """
        return f"{self.account_base_url}/workspaces/{self._named(self._workspace, 'workspace')}"

    @staticmethod
    def _named(found: str | None, kind: str) -> str:
        if found is None:
            raise ConfigurationError(
                f"PREFECT_API_URL names no {kind}: it should look like .../accounts/<id>/workspaces/<id>."
            )
        return found

    async def api_healthcheck(self) -> None:
        """Check that the cloud can be reached and accepts the key.

        Raises:
            CloudUnauthorizedError: it does not.
        """
        await self.read_workspaces()

    async def read_workspaces(self) -> list[admin.Workspace]:
        """The workspaces that the key may use."""
        return admin.Workspace.model_validate_list(await self.get("/me/workspaces"))

    async def read_current_workspace(self) -> admin.Workspace:
        """The workspace that the setting `api.url` names.

        Raises:
            ObjectNotFound: the key may not use it, or there is none.
        """
        current = self._named(self._workspace, "workspace")
        for workspace in await self.read_workspaces():
            if str(workspace.workspace_id) == current.lower():
                return workspace
        message = f"The workspace {current} is not among those that this key may use: check PREFECT_API_URL."
        raise ObjectNotFound(http_exc=LookupError(message), help_message=message)

    async def read_worker_metadata(self) -> dict[str, Any]:
        """The types of work pools that the workspace knows, with their default job templates."""
        return await self.get(f"{self.workspace_base_url}/collections/work_pool_types")

    async def read_account_settings(self) -> dict[str, Any]:
        """The settings of the account."""
        return await self.get(f"{self.account_base_url}/settings")

    async def update_account_settings(self, settings: dict[str, Any]) -> None:
        """Change settings of the account."""
        await self.request("PATCH", f"{self.account_base_url}/settings", json=settings)

    async def read_account_ip_allowlist(self) -> admin.IPAllowlist:
        """The networks from which the account may be reached."""
        return admin.IPAllowlist.model_validate(await self.get(f"{self.account_base_url}/ip_allowlist"))

    async def update_account_ip_allowlist(self, updated_allowlist: admin.IPAllowlist) -> None:
        """Replace the networks from which the account may be reached."""
        body = updated_allowlist.model_dump(mode="json")
        await self.request("PUT", f"{self.account_base_url}/ip_allowlist", json=body)

    async def check_ip_allowlist_access(self) -> admin.IPAllowlistMyAccessResponse:
        """Whether the account may be reached from here."""
        answer = await self.get(f"{self.account_base_url}/ip_allowlist/my_access")
        return admin.IPAllowlistMyAccessResponse.model_validate(answer)

    async def get(self, route: str, **kwargs: Any) -> Any:
        """Read a route; returns what it holds. See `request`."""
        return await self.request("GET", route, **kwargs)

    async def request(self, method: str, route: str, **kwargs: Any) -> Any:
        """Send a request; returns what the answer holds, None when it holds nothing.

        Args:
            method: such as `GET`.
            route: below the address of the cloud's API.
            **kwargs: of `httpx.AsyncClient.request`.

        Raises:
            CloudUnauthorizedError: the key is not accepted, or may not do this.
            PrefectHTTPStatusError: the cloud refuses for another reason.
        """
        try:
            response = await self._client.request(method, route, **kwargs)
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code in (401, 403):
                raise CloudUnauthorizedError(str(exc)) from exc
            raise
        return response.json() if response.content else None

    async def raw_request(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        path_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> httpx.Response:
        """Send a request; returns the response itself.

        Args:
            method: such as `GET`.
            path: below the address of the cloud's API; may have names in braces.
            params: of the query string.
            path_params: what stands for the names in braces.
            **kwargs: of `httpx.AsyncClient.request`.

        Raises:
            PrefectHTTPStatusError: the cloud refuses.
        """
        route = path.format(**path_params) if path_params else path
        return await self._client.request(method, route, params=params, **kwargs)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._client.__aexit__(exc_type, exc, traceback)

    def __enter__(self) -> NoReturn:
        raise RuntimeError(
            "The `CloudClient` must be entered with an async context. Use 'async with CloudClient(...)' not "
            "'with CloudClient(...)'."
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never reached: `__enter__` raises. Python looks for it before it calls that."""
