"""A small weather archive on this machine, so that the examples need no network: one CSV file a year, over HTTP.

Like archives elsewhere it is not always in the mood: the first request for each year in `moody` is answered with
"503 Service Unavailable".
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATA = Path(__file__).parent / "data" / "seattle-weather.csv"


@contextmanager
def archive(moody: Collection[int] = ()) -> Iterator[str]:
    """Serve the archive while the block runs; gives its address.

    Args:
        moody: the years whose first request fails.
    """
    header, *rows = DATA.read_text(encoding="utf-8").splitlines()
    refused = {str(year) for year in moody}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            year = self.path.removeprefix("/").removesuffix(".csv")
            lines = [row for row in rows if row.startswith(f"{year}/")]
            if year in refused:
                refused.remove(year)
                self.send_error(503)
            elif not lines:
                self.send_error(404)
            else:
                body = "\n".join([header, *lines]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/csv; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep quiet: the flow's own log tells the story."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 512  # the standard 5 makes the connections of a crowd wait for seconds

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
