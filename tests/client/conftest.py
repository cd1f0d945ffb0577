"""The scripted server, for one test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from prefect.client import _versions
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from .scripted import ScriptedServer, handler


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    script = ScriptedServer()
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler(script))
    script.url = f"http://127.0.0.1:{running.server_port}/api"
    _versions.CHECKED.add(script.url)  # so that the first request is the test's own
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with temporary_settings({PREFECT_API_URL: script.url, PREFECT_CLIENT_MAX_RETRIES: 3}):
        yield script
    running.shutdown()
    running.server_close()
    thread.join()
    _versions.CHECKED.discard(script.url)
