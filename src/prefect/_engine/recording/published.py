"""Recording with a server that has only the published operations: a Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect._engine.recording.outbox import Refused

Ask = Callable[..., Any]


class Published:
    """Says in published operations what a message says.

    Args:
        ask: sends a request (method, route, body) and returns what the answer holds.
        shown: the address of the server, as it may be printed.
    """

    def __init__(self, ask: Ask, shown: str) -> None:
        self._ask = ask
        self._shown = shown
        self._ids: dict[str, str] = {}

    def id_of(self, flow_run_id: str) -> str:
        """The id that the server has given to a flow run."""
        return self._ids.get(flow_run_id, flow_run_id)

    def record(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send what a message holds; returns the answer as `POST /runs/record` gives it."""
        raise Refused(404, f"{self._shown} is a server on which this version cannot record runs.")
