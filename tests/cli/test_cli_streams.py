"""`prefect event stream`: what happens, as it happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .conftest import DEADLINE_SECONDS, Cli


def test_events_as_they_come(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    command = ["event", "stream", "--name", "order.*", "--output-file", str(file)]
    process = subprocess.Popen([sys.executable, "-m", "prefect", *command], env=os.environ.copy())
    try:
        end = time.monotonic() + DEADLINE_SECONDS
        seen: set[str] = set()
        sent = 0
        while not {"order.0", "order.1"} <= seen and time.monotonic() < end:
            assert process.poll() is None
            cli.ok("event", "emit", f"order.{sent % 2}", "--resource-id", "x")
            cli.ok("event", "emit", "other", "--resource-id", "x")
            sent += 1
            lines = file.read_text().splitlines() if file.exists() else []
            seen = {json.loads(line)["event"] for line in lines}
            time.sleep(0.05)  # between two looks, until the deadline
        assert seen == {"order.0", "order.1"}
    finally:
        process.kill()
        process.wait()


def test_one_event_as_text(cli: Cli) -> None:
    cli.ok("event", "emit", "order.placed", "--resource-id", "order.1", "-p", '{"n": 3}')
    said = cli.ok("event", "stream", "--run-once", "--format", "text", "--name", "order.placed")
    assert said.endswith('  order.placed  order.1  {"n":3}\n')
    cli.ok("event", "emit", "order.placed", "--resource-id", "order.2")
    said = cli.ok("event", "stream", "--run-once", "--resource-id", "order.2")
    assert json.loads(said)["resource"] == {"prefect.resource.id": "order.2"}


def test_what_cannot_be_streamed(local_cli: Cli) -> None:
    assert "not both" in local_cli.fails("event", "stream", "--name", "a", "--name", "b.*", status=2)
    assert "cannot be written" in local_cli.fails("event", "stream", "--output-file", "nowhere/at/all", "--run-once")
    assert "--format" in local_cli.fails("event", "stream", "--format", "xml", status=2)
