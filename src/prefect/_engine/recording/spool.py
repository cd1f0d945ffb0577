"""What a server could not be told, kept on disk until it can: a file of this process, to which messages are appended.

Each line is a message. A line that was cut off, because the machine stopped in the middle of writing it, is the last
one and was never acknowledged; it is left out. Appending reaches the operating system at once, so what is in the spool
survives the death of this process; it reaches the disk (fsync) with the end of a flow run and when the spool is closed,
so that the end of a run survives a power failure too.

Each process has a file of its own, and holds a lock on it while it lives. What a process leaves behind is sent by the
next one that speaks to the same server with the same home. The file is read by the descriptor that it is written by,
so a process can still send what it kept when somebody has removed its home.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from prefect._ids import new_id

try:
    import fcntl
except ImportError:  # Windows, which does not let go of a file that somebody has open: see `_take`
    fcntl = None  # type: ignore[assignment]

_ENDING = ".spool"
_TAKEN = ".taken"
_PIECE = 1 << 20


def folder_of(home: Path, api_url: str) -> Path:
    """Where the spools for a server are."""
    return home / "spool" / hashlib.sha256(api_url.encode()).hexdigest()[:16]


class Spool:
    """Messages that wait to be sent, in order.

    Args:
        folder: of the spools for this server.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / f"{new_id()}{_ENDING}"
        self._fd = -1
        self._start = 0

    def __bool__(self) -> bool:
        return self._fd >= 0

    def append(self, line: bytes, *, durable: bool = False) -> None:
        """Keep a message.

        Args:
            line: the message, without a line break.
            durable: have it on the disk, and not only with the operating system.

        Raises:
            OSError: it cannot be written.
        """
        if self._fd < 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if fcntl is not None:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        before = os.fstat(self._fd).st_size
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, before)  # half a line would spoil the one after it
            raise
        if durable:
            os.fsync(self._fd)

    def lines(self) -> Iterator[bytes]:
        """The messages that have not been sent, oldest first; one that was gone on from has been."""
        if self._fd < 0:
            return
        read_to, piece = self._start, b""
        while True:
            os.lseek(self._fd, read_to, os.SEEK_SET)  # each time: what is appended meanwhile moves the place
            more = os.read(self._fd, _PIECE)
            if not more:
                return
            read_to += len(more)
            *whole, piece = (piece + more).split(b"\n")
            for line in whole:
                yield line
                self._start += len(line) + 1

    @property
    def is_removed(self) -> bool:
        """Whether somebody has removed the file: what it holds goes with this process."""
        try:
            return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0
        except OSError:  # the file system it was on is gone
            return True

    def clear(self) -> None:
        """Forget what was kept: it has been sent."""
        if self._fd >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd, self._start = -1, 0
            self.path = self.folder / f"{new_id()}{_ENDING}"

    def close(self) -> None:
        """Leave what is kept to another process."""
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd, self._start = -1, 0
            self.path = self.folder / f"{new_id()}{_ENDING}"

    def after_fork_in_child(self) -> None:
        """What is kept is the parent's; its lock goes with its descriptor, so the child must not keep one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._start = -1, 0
        self.path = self.folder / f"{new_id()}{_ENDING}"

    def abandoned(self) -> Iterator[Spool]:
        """The spools of processes that have ended, oldest first. Those that were gone on from are removed."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:  # as ever, but after an outage
            return
        for name in names:
            if name.endswith((_ENDING, _TAKEN)) and name != self.path.name:
                spool = self._take(self.folder / name)
                if spool is not None:
                    try:
                        yield spool
                        spool.clear()
                    finally:
                        spool.close()

    def _take(self, path: Path) -> Spool | None:
        """The spool at `path`, unless its process lives or another one has taken it."""
        taken = Spool(self.folder)
        try:
            if fcntl is None:
                target = path.with_suffix(_TAKEN)
                path.rename(target)
                path = target
            taken._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            taken.path = path
            if fcntl is not None:
                fcntl.flock(taken._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():  # its process removed it just before it ended
                raise FileNotFoundError(path)
        except OSError:
            if taken._fd >= 0:
                os.close(taken._fd)
                taken._fd = -1
            return None
        return taken
