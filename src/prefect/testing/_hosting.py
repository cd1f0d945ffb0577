"""A server on a thread of this process, for tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from prefect.server.api import server as api_server
from prefect.settings import get_current_settings

_START_SECONDS = 60


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextmanager
def hosted(settings: dict[str, Any], port: int = 0) -> Iterator[str]:
    """Run a server while the block lasts; yields the address of its API.

    Args:
        settings: what it is configured by, over the current settings.
        port: on which to listen, on this machine only; 0 for any that is free.

    Raises:
        RuntimeError: it did not start.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        app = api_server.create_app(get_current_settings().copy_with_update(settings))
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        server = _Server(config)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="prefect-test-server", daemon=True
        )
        thread.start()
        try:
            if not server.listens.wait(_START_SECONDS):
                raise RuntimeError(f"The test server did not start within {_START_SECONDS} seconds.")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        finally:
            server.should_exit = True
            thread.join(_START_SECONDS)
