"""A server that answers what it is told to, over real connections on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """What to answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    """Close the connection without a word, after having read the request."""


@dataclass
class ScriptedServer:
    """Gives its answers in their order, then the last one for ever."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def script(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.seen.clear()


def handler(script: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    """The handler of connections that answers as the script says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            script.connections += 1

        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.seen.append(Seen(self.command, self.path, headers, json.loads(content) if content else None))
            reply = script.answers[0] if len(script.answers) == 1 else script.answers.pop(0)
            if reply.hang_up:
                self.close_connection = True
                self.connection.close()
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            body = b"" if reply.status == 204 else body
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                pass  # we hung up

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
