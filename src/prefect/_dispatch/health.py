"""Whether a program is well, told over HTTP: for supervisors such as Kubernetes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def serve(host: str, port: int, questions: Mapping[str, Callable[[], Any]]) -> ThreadingHTTPServer:
    """Answer questions in a thread of their own until the program ends.

    Args:
        host, port: where to listen; port 0 for a free one.
        questions: by path; a function that returns False is answered with status 503, another value with it as JSON.

    Returns:
        the server; its address is `server_address`.

    Raises:
        OSError: the port is taken, or the address is not one of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            question = questions.get(self.path.partition("?")[0])
            if question is None:
                self._answer(404, {"detail": "Not found."})
                return
            said = question()
            if said is False:
                self._answer(503, {"message": "Unresponsive."})
            else:
                self._answer(200, {"message": "OK"} if said is True else said)

        def _answer(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: supervisors ask all the time."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="prefect-health", daemon=True).start()
    return server
