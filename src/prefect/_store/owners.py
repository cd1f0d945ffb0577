"""Which processes are alive, told by the operating system.

A process that runs flow runs holds an exclusive lock on a file of its own for as long as it lives; its runs name it
as their owner. The kernel releases the lock however the process ends, kill -9 included. Whoever looks at the database
tries the locks of the owners it names: one that can be had belongs to a dead process, whose unfinished runs are marked
crashed, once, and whose claims of deferred runs are void. There is no heartbeat to miss, so a busy or suspended process is never taken for dead.
"""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from pathlib import Path

from prefect._clock import now_us
from prefect._ids import new_id
from prefect._store import statements

try:
    import fcntl
except ImportError:  # Windows: liveness is not known there; runs are left as they are
    fcntl = None  # type: ignore[assignment]


@lru_cache(maxsize=1)
def this_boot() -> str:
    """Identifies the running kernel; locks are meaningful only among processes that share one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def this_host() -> str:
    """The name of this machine."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


class Owner:
    """This process, as an owner of runs in the database at `database_path`.

    Attributes:
        recorded: the transaction that made this owner known is committed.
    """

    def __init__(self, database_path: str) -> None:
        self.id = new_id()
        self._folder = Path(f"{database_path}.owners")
        self._fd = -1
        self.recorded = False

    def ensure(self, connection: sqlite3.Connection) -> str:
        """Hold the lock and be known to the database; return the owner's id. Runs in the caller's transaction."""
        if self._fd < 0 and fcntl is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._folder / self.id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not self.recorded:
            connection.execute(statements.INSERT_OWNER, (self.id, this_host(), this_boot(), os.getpid(), now_us()))
        return self.id

    def release(self) -> None:
        """Let go: called when the process has no unfinished runs and is about to end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            try:
                (self._folder / self.id).unlink()
            except OSError:
                pass

    def after_fork_in_child(self) -> None:
        """Give the inherited descriptor back, or the child would keep a dead parent's lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_alive(folder: Path, owner_id: str) -> bool:
    """Whether the process that owns `owner_id` still holds its lock."""
    if fcntl is None:
        return True
    try:
        fd = os.open(folder / owner_id, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # not ours to read: leave it alone
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def is_dead(database_path: str, owner_id: str, host: str | None, boot_id: str | None) -> bool:
    """Whether a process has ended, for sure.

    Args:
        database_path: of the database that knows it.
        owner_id: its id there.
        host, boot_id: the machine that it is on, and the kernel; None for one that nothing is known of.
    """
    if host is not None:
        here = this_boot()
        same_kernel = bool(here) and boot_id == here
        if not same_kernel and host != this_host():
            return False  # another machine on a shared folder: its kernel's locks cannot be asked
        if bool(here) and bool(boot_id) and not same_kernel:
            return True  # this machine has been restarted since
    return not is_alive(Path(f"{database_path}.owners"), owner_id)
