"""Made from `_methods/server.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._lazy import lazy_module
from prefect._schemas.admin import ServerDefaultResultStorage
from prefect._transport.port import Request
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import read

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")


class ServerMethods(Asking):
    """The API itself: is it there, which version, what is it set to."""

    _client: Any

    def request(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        path_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> httpx.Response:
        """Send any request to the API.

        Args:
            method: such as `GET`.
            path: below the address of the API, such as `/flows/{id}`.
            params: of the query string.
            path_params: what stands for the names in braces in the path.
            **kwargs: `json` for the body, and whatever else `httpx.Client.request` takes.

        Raises:
            PrefectHTTPStatusError: the API refuses.
        """
        if kwargs.keys() - {"json"}:
            target = Request(method, path, path_params or {}).target
            return self._client.request(method, target, params=params, **kwargs)
        bodies = [kwargs["json"]] if kwargs else []
        return self._respond(method, path, *bodies, query=params, **(path_params or {}))

    def api_healthcheck(self) -> Exception | None:
        """None when the API can be reached and is well, otherwise the error that says why not."""
        try:
            self._call("GET", "/health")
        except Exception as exc:
            return exc
        return None

    def hello(self) -> httpx.Response:
        """Ask the API to say hello."""
        return self._respond("GET", "/hello")

    def api_version(self) -> str:
        """The version of the server, such as `3.8.4`."""
        return read(str, self._call("GET", "/admin/version"))

    def read_worker_metadata(self) -> dict[str, Any]:
        """The types of workers that are known, by the package that has them, with their default job templates."""
        reply = self._call("GET", "/collections/views/{view}", view="aggregate-worker-metadata")
        return read(dict[str, Any], reply)

    def read_server_default_result_storage(self) -> ServerDefaultResultStorage:
        """Where results go when nothing else is said."""
        return read(ServerDefaultResultStorage, self._call("GET", "/admin/storage"))

    def update_server_default_result_storage(
        self, default_result_storage_block_id: UUID
    ) -> ServerDefaultResultStorage:
        """Change where results go when nothing else is said.

        Args:
            default_result_storage_block_id: the block of the storage.
        """
        body = {"default_result_storage_block_id": default_result_storage_block_id}
        return read(ServerDefaultResultStorage, self._call("PUT", "/admin/storage", body))

    def clear_server_default_result_storage(self) -> None:
        """Say that results go nowhere in particular when nothing else is said."""
        self._call("DELETE", "/admin/storage")
