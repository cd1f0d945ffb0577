"""Waking those who wait in other processes, at once and without a server.

Who waits makes a bell: a named pipe in a folder beside the database, read by nobody else. Who has changed something
writes a line to each bell of that kind. A bell is only a hint: what has happened is in the database, and whoever waits
looks there every now and then in any case. Where pipes cannot be made, looking often has to do.
"""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from typing import Final

from prefect._ids import new_id

WORK: Final = "work"
"""Rung when a run may have become due."""
DONE: Final = "done"
"""Rung with the ids of runs that have ended."""

LOOK_SECONDS: Final = 0.05
"""How often to look where there are no pipes."""


def _folder(database_path: str) -> Path:
    return Path(f"{database_path}.bells")


class Bell:
    """Something to wait on that other processes ring.

    Args:
        database_path: the database that what is waited for happens in.
        kind: `WORK` or `DONE`.
    """

    def __init__(self, database_path: str, kind: str) -> None:
        self._event = threading.Event()
        self._fd = -1
        self._path: Path | None = None
        folder = _folder(database_path)
        hidden, path = folder / f".{new_id()}", folder / f"{kind}-{new_id()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.mkfifo(hidden)
            # open for writing too, or reading would report an end whenever no other process has it open
            self._fd = os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            # nobody sees a pipe that is not yet read: it would be taken for one that a dead process left
            hidden.rename(path)
            self._path = path
        except (OSError, AttributeError):  # Windows, or a file system without pipes
            self._drop(hidden)

    @property
    def is_prompt(self) -> bool:
        """Whether other processes can ring it."""
        return self._path is not None

    def wait(self, timeout: float) -> list[str]:
        """Wait until it rings, at most `timeout` seconds; return the lines that were written to it."""
        if self._path is None:
            self._event.wait(min(timeout, LOOK_SECONDS))
            self._event.clear()
            return []
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(max(timeout, 0) * 1000):
            return []
        try:
            return os.read(self._fd, 1 << 16).decode().split()
        except BlockingIOError:
            return []

    def ring(self) -> None:
        """Ring this bell, from any thread of this process."""
        self._event.set()
        if self._path is not None:
            try:
                os.write(self._fd, b"\n")
            except (BlockingIOError, OSError):  # full, so it rings already; or closed meanwhile
                pass

    def close(self) -> None:
        if self._path is not None:
            self._drop(self._path)

    def _drop(self, path: Path) -> None:
        self._path = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        try:
            path.unlink()
        except OSError:
            pass


def ring(database_path: str, kind: str, line: str = "") -> None:
    """Ring all bells of a kind; remove those whose process is gone.

    Args:
        line: what to write, at most a hundred characters.
    """
    folder = _folder(database_path)
    try:
        names = os.listdir(folder)
    except OSError:  # nobody has ever waited here
        return
    for name in names:
        if name.startswith(kind):
            _ring_one(folder / name, f"{line}\n".encode())


def _ring_one(path: Path, line: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == _NO_READER:
            path.unlink(missing_ok=True)
        return
    try:
        os.write(fd, line)
    except OSError:  # full: it rings already, and what does not fit is found in the database
        pass
    finally:
        os.close(fd)


_NO_READER: Final = 6  # errno.ENXIO, the same on all systems that have pipes
