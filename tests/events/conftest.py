"""The events that are recorded in the home of a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect._engine.recorder import get_recorder
from prefect._store.sqlite import connect

Recorded = dict[str, dict[str, Any]]


@pytest.fixture
def recorded(home: Path) -> Callable[[], Recorded]:
    """Read what is in the database: the events by name, as plain values."""

    def read() -> Recorded:
        get_recorder().flush()
        connection = connect(str(home / "pluperfect.db"), read_only=True)
        try:
            found: Recorded = {}
            for id, name, payload, follows in connection.execute("SELECT id, event, payload, follows FROM event"):
                labels = [
                    json.loads(text)
                    for (text,) in connection.execute(
                        "SELECT labels FROM event_resource WHERE event_id = ? ORDER BY position", (id,)
                    )
                ]
                found[name] = {
                    "id": id, "payload": json.loads(payload), "follows": follows, "resource": labels[0],
                    "related": labels[1:],
                }  # fmt: skip
            return found
        finally:
            connection.close()

    return read
