"""What a task worker says of itself to those who watch over it, as JSON over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Report = Callable[[], dict[str, Any]]
PATH = "/status"


def application(report: Report) -> Callable[..., Awaitable[None]]:
    """An ASGI application that answers `GET /status` with what `report` returns, and anything else with 404."""

    async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        found = scope["type"] == "http" and scope["path"] == PATH
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": _body(report if found else None)})

    return app


def _body(report: Report | None) -> bytes:
    return json.dumps(report() if report is not None else {"detail": "Not Found"}, default=str).encode()


class StatusServer:
    """Serves the status on a port of this machine's loopback address, on a thread of its own.

    Args:
        report: makes the status.
        port: the port; 0 for any that is free.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, report: Report, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.partition("?")[0] == PATH
                body = _body(report if found else None)
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass  # being asked is nothing to report

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="prefect-task-worker-status", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
