"""Requests to addresses that users write down.

An address that leads into a private network can be refused. The name is resolved once, and the connection goes to the
address that was checked: what the name resolves to a moment later does not matter. Redirects are not followed.
"""

from __future__ import annotations

import asyncio

import httpx

from prefect.utilities.urls import RestrictedURL


def _pinned(request: httpx.Request) -> httpx.Request:
    """A request to the very address that was checked.

    Raises:
        ValueError: the host cannot be resolved, or is in a private network.
    """
    host = request.url.host
    address = RestrictedURL(str(request.url)).addresses[0]
    # certificates are those of the name, and so is the Host header, which is set already
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=address)
    return request


class _PublicTransport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return super().handle_request(_pinned(request))


class _AsyncPublicTransport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await super().handle_async_request(await asyncio.to_thread(_pinned, request))


def client(*, allow_private: bool, verify: bool = True, timeout: float = 30) -> httpx.Client:
    """A client for synchronous code; proxies of the environment are used only where private addresses are allowed."""
    if allow_private:
        return httpx.Client(verify=verify, timeout=timeout)
    return httpx.Client(transport=_PublicTransport(verify=verify), timeout=timeout, trust_env=False)


def async_client(*, allow_private: bool, verify: bool = True, timeout: float = 30) -> httpx.AsyncClient:
    """As `client`, for asynchronous code."""
    if allow_private:
        return httpx.AsyncClient(verify=verify, timeout=timeout)
    return httpx.AsyncClient(transport=_AsyncPublicTransport(verify=verify), timeout=timeout, trust_env=False)
