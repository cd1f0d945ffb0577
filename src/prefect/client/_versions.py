"""Whether a client and a server understand each other."""

from __future__ import annotations

import logging
import re

from prefect._transport.port import API_VERSION

__all__ = ["API_VERSION", "CHECKED", "compare"]

CHECKED: set[str] = set()
"""Addresses of servers whose version has been compared with ours in this process."""

_log = logging.getLogger("prefect.client")
_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def compare(client: str, server: str, api_url: str) -> None:
    """Compare two versions; warn when the server's is older.

    Raises:
        RuntimeError: the major versions differ.
    """
    ours, theirs = _release(client), _release(server)
    if ours is None or theirs is None:
        return  # a development version without a number says nothing
    if ours[0] != theirs[0]:
        raise RuntimeError(
            f"Found incompatible versions: client: {client}, server: {server} at {api_url}. Major versions must "
            "match: install the client that belongs to the server, or connect to another server."
        )
    if theirs < ours:
        _log.warning(
            "The server at %s has version %s, which is older than this client (%s): some operations may not exist "
            "there. Upgrade the server.",
            api_url, server, client,
        )  # fmt: skip


def _release(version: str) -> tuple[int, int, int] | None:
    found = _NUMBERS.match(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None
