"""Operations of ours for which clients have no method, asked for by the rest of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._transport.errors import error_of

if TYPE_CHECKING:
    import httpx

    from prefect._transport.port import Reply
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient


async def call(client: PrefectClient, method: str, route: str, body: Any, **options: Any) -> Reply:
    """Ask the API, and return its reply when it is a success.

    Args:
        client: asks.
        method, route: of the operation.
        body: what is sent as JSON.
        **options: `query`, `repeatable`, `allow` (statuses that are answers, not errors), and the parameters in the route.

    Raises:
        ObjectNotFound, ObjectAlreadyExists, PrefectHTTPStatusError: the API refuses.
        OperationUnavailable: the API has no such operation.
    """
    return await client._call(method, route, body, **options)


def http_client(client: SyncPrefectClient) -> httpx.Client:
    """The HTTP client underneath, for requests that are no operations."""
    return client._client


def error(client: PrefectClient, reply: Reply) -> Exception:
    """The error that a reply stands for."""
    return error_of(reply, client._transport.api_url)
