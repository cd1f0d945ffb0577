"""Ask a server of Prefect 3.8 everything, and keep what it answers.

    python -m conformance.record URL [scenario ...]        # in the folder `tests`; URL ends in /api

The server should be new: what others have done to it can be seen in few answers, but in some. What searches for words or
is streamed is recorded from one on PostgreSQL with `PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED` and
`PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED`, everything else from one on SQLite (see `test_facts.py`).
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from conformance import facts
from conformance.scenarios import SCENARIOS, STREAMS
from conformance.script import Send, play
from conformance.sockets import opened

_PATIENCE = 20
"""Times that a request is sent again when a busy server puts it off."""


def asking(url: str) -> Send:
    """Sends requests to the server at an address."""

    def send(method: str, path: str, body: Any) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        for _ in range(_PATIENCE):
            request = urllib.request.Request(url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return response.status, read_json(response.read())
            except urllib.error.HTTPError as refused:
                if refused.code != 503:
                    return refused.code, read_json(refused.read())
                time.sleep(0.5)
        raise RuntimeError(f"{url} does not answer {method} {path}: it is too busy")

    return send


def read_json(raw: bytes) -> Any:
    """The body of an answer: JSON, or text that is not."""
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")


def main(url: str, *wanted: str) -> None:
    url = url.rstrip("/")
    everything = SCENARIOS | STREAMS
    for name in wanted or everything:
        with opened(url, asking(url)) as talk:
            steps = play(everything[name], asking(url), talk)
        facts.write(name, steps)
        print(f"{name}: {len(steps)} steps")


if __name__ == "__main__":
    main(*sys.argv[1:])
