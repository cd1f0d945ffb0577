"""One at a time, between processes: pulls of the same destination wait for each other."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from prefect.settings import get_current_settings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NEXT_TRY = 0.1  # seconds, where the kernel cannot queue those who wait


@contextlib.contextmanager
def destination_lock(destination: Path) -> Iterator[None]:
    """Hold the lock of a destination while the body runs; the kernel takes it back however the process ends.

    Args:
        destination: the folder that is written to; it need not be there.
    """
    folder = Path(get_current_settings().home) / "storage-locks"
    folder.mkdir(parents=True, exist_ok=True)
    # the lock is not kept beside the destination: that is often the user's working directory
    name = hashlib.sha256(os.fsencode(destination.absolute())).hexdigest()[:32]
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    import msvcrt  # only there on Windows

    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            time.sleep(_NEXT_TRY)
        else:
            return
