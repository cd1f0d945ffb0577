"""Serving the application over HTTP, until somebody wants it to end."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette


class Server(uvicorn.Server):
    """uvicorn, which answers those who are kept waiting before it ends.

    Args:
        app: the application.
        config: how to serve it.
    """

    def __init__(self, app: Starlette, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: nobody is kept waiting any more, what is being answered is answered."""
        self._app.state.waits.end()
        await super().shutdown(sockets)
