"""What all storages share whose code is copied to a folder from time to time."""

from __future__ import annotations

from pathlib import Path


class Pulled:
    """Where code is copied to, and how often.

    Args:
        pull_interval: seconds between pulls; None: pull once.
    """

    def __init__(self, pull_interval: int | None) -> None:
        self._pull_interval = pull_interval
        self._storage_base_path = Path.cwd()

    @property
    def pull_interval(self) -> int | None:
        """Seconds between pulls; None: pull once."""
        return self._pull_interval

    def set_base_path(self, path: Path) -> None:
        """Copy to a folder in this one, instead of the working directory."""
        self._storage_base_path = path
