"""A clock that is set while processes run: it counts for those that have its folder in their path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

# in the path of such a process, before anything else is imported
_JUMPING = """
from datetime import timedelta
from prefect import _clock

_now, _now_us = _clock.now, _clock.now_us

def _offset():
    with open({file!r}) as file:
        return int(file.read() or 0)

_clock.now = lambda: _now() + timedelta(seconds=_offset())
_clock.now_us = lambda: _now_us() + _offset() * 1_000_000
"""


class Clock:
    """The clock of processes.

    Args:
        folder: is made; has to be in the path of the processes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._file = folder / "offset"
        self.jump_to(timedelta())
        (folder / "sitecustomize.py").write_text(_JUMPING.format(file=str(self._file)))

    def jump_to(self, offset: timedelta) -> None:
        """Set it so much ahead of the real one; behind it, if it is negative."""
        new = self._file.with_suffix(".new")
        new.write_text(str(int(offset.total_seconds())))
        new.replace(self._file)

    def in_path(self, environment: Mapping[str, str]) -> str:
        """What `PYTHONPATH` has to be in an environment for a process to go by this clock."""
        return os.pathsep.join(filter(None, [str(self.folder), environment.get("PYTHONPATH")]))
