"""Calling webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from prefect._bridge import async_dispatch
from prefect._lazy import lazy_module
from prefect._schemas.fields import SecretDict
from prefect.blocks.core import Block

if TYPE_CHECKING:
    import httpx

    from prefect.blocks import _outbound
else:
    _outbound = lazy_module("prefect.blocks._outbound")  # loads an HTTP library

__all__ = ["Webhook"]

HTTPMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Webhook(Block):
    """Calls a webhook.

    Example:
        ```python
        from prefect.blocks.webhook import Webhook

        Webhook.load("BLOCK_NAME").call({"text": "done"})
        ```
    """

    _block_type_name: ClassVar[str | None] = "Webhook"

    method: HTTPMethod = Field(default="POST", description="The method of the request.")
    url: SecretStr = Field(title="Webhook URL", description="The address.", examples=["https://hooks.example.com/XXX"])
    headers: SecretDict = Field(
        default_factory=lambda: SecretDict({}), title="Webhook Headers", description="Headers to send."
    )
    allow_private_urls: bool = Field(
        default=True, description="Whether the address may lead into a private network. Redirects are never followed."
    )
    verify: bool = Field(default=True, description="Whether the certificate of the other side is checked.")

    def _request(self, payload: dict[str, Any] | str | None) -> dict[str, Any]:
        request: dict[str, Any] = {
            "method": self.method,
            "url": self.url.get_secret_value(),
            "headers": self.headers.get_secret_value(),
        }
        if isinstance(payload, str):
            request["content"] = payload
        elif payload is not None:
            request["json"] = payload
        return request

    async def acall(self, payload: dict[str, Any] | str | None = None) -> httpx.Response:
        """`call` for asynchronous code."""
        async with _outbound.async_client(allow_private=self.allow_private_urls, verify=self.verify) as client:
            return await client.request(**self._request(payload))

    @async_dispatch(acall)
    def call(self, payload: dict[str, Any] | str | None = None) -> httpx.Response:
        """Call the webhook.

        Args:
            payload: what to send: text as it is, anything else as JSON.

        Returns:
            the answer, whatever its status.

        Raises:
            ValueError: the address leads into a private network, and it may not.
            httpx.HTTPError: there is no answer.
        """
        with _outbound.client(allow_private=self.allow_private_urls, verify=self.verify) as client:
            return client.request(**self._request(payload))
