"""Locks between processes, by files in a folder that they share.

A lock is a file that names its holder. The process that holds it keeps the file open and locked (`flock(2)` on POSIX,
`msvcrt` on Windows), so the operating system ends the lock when that process ends, however it ends. A lock file that
no living process has locked, and that was written by this class, is a leftover and is taken over.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._bridge import run
from prefect._lazy import lazy_module
from prefect.locking.protocol import LockManager

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_module("asyncio")

if sys.platform == "win32":
    import msvcrt

    def _system_lock(descriptor: int) -> None:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _system_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_SAFE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,180}\Z")
_BYTE = 1 << 30  # the byte that is locked on Windows, far behind the content, which stays readable
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02  # seconds between looks at a lock that another holds


def _lock_file(descriptor: int) -> bool:
    """Take the operating system's lock on an open file; False if another has it."""
    try:
        _system_lock(descriptor)
    except OSError:
        return False
    return True


class _Content:
    """What a lock file says."""

    __slots__ = ("expiration", "guarded", "holder")

    def __init__(self, holder: str, expiration: datetime | None, guarded: bool) -> None:
        self.holder = holder
        self.expiration = expiration
        self.guarded = guarded  # the holder also keeps the operating system's lock

    def is_over(self) -> bool:
        """Whether the holder's time is up."""
        return self.expiration is not None and self.expiration <= datetime.now(UTC)

    def dump(self) -> bytes:
        text = str(self.expiration) if self.expiration is not None else None
        return json.dumps({"holder": self.holder, "expiration": text, "guarded": self.guarded}).encode()

    @classmethod
    def load(cls, data: bytes) -> _Content | None:
        try:
            fields = json.loads(data)
            text = fields.get("expiration")
            return cls(fields["holder"], datetime.fromisoformat(text) if text else None, fields.get("guarded", False))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # empty, or torn by the end of its writer


class _Held:
    """A lock that this process holds."""

    __slots__ = ("content", "descriptor")

    def __init__(self, descriptor: int, content: _Content) -> None:
        self.descriptor = descriptor
        self.content = content


class _Registry:
    """The locks that this process holds, by the path of their files; shared by all managers."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.held: dict[str, _Held] = {}

    def forget(self) -> None:
        """In a forked child: the locks are the parent's, and must end with it."""
        self.mutex = threading.RLock()
        for held in self.held.values():
            os.close(held.descriptor)
        self.held.clear()


_registry = _Registry()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.forget)


class FileSystemLockManager(LockManager):
    """Locks keys between all processes that can see a folder.

    Args:
        lock_files_directory: the folder; it is made when the first lock is acquired.
    """

    def __init__(self, lock_files_directory: Path | str) -> None:
        self.lock_files_directory = Path(lock_files_directory).expanduser().absolute()

    def __repr__(self) -> str:
        return f"FileSystemLockManager(lock_files_directory={str(self.lock_files_directory)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.lock_files_directory == self.lock_files_directory

    def __hash__(self) -> int:
        return hash((type(self), self.lock_files_directory))

    def _path(self, key: str) -> str:
        """The lock file of a key. A key that is no plain file name is replaced by its hash."""
        name = key if _SAFE_KEY.match(key) else "key-" + hashlib.sha256(key.encode()).hexdigest()
        return os.path.join(self.lock_files_directory, f"{name}.lock")

    # ── acquiring ───────────────────────────────────────────────────────────────────────────────────────────────────

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Lock a key, waiting for it: see `LockManager.acquire_lock`."""
        return run(self._until(_sleep, acquire_timeout, self._try, self._path(key), holder, hold_timeout))

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """`acquire_lock` for asynchronous code."""
        return await self._until(_asleep, acquire_timeout, self._try, self._path(key), holder, hold_timeout)

    @staticmethod
    async def _until(sleep: Any, timeout: float | None, attempt: Any, *args: Any) -> bool:
        """Repeat an attempt, with growing pauses, until it succeeds or time is up."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while not attempt(*args):
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                pause = min(pause, left)
            await sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return True

    def _try(self, path: str, holder: str, hold_timeout: float | None) -> bool:
        expiration = None if hold_timeout is None else datetime.now(UTC) + timedelta(seconds=hold_timeout)
        content = _Content(holder, expiration, guarded=True)
        with _registry.mutex:
            mine = _registry.held.get(path)
            if mine is None:
                return self._take(path, content)
            with self._guard_if_timed(mine.content):
                if self._is_current(path, mine.descriptor):
                    return self._renew(mine, content)
                self._drop(path, mine)  # it was over, and another process has taken it
            return self._take(path, content)

    def _renew(self, mine: _Held, content: _Content) -> bool:
        """Hold on to a lock of this process, or hand it to another holder here when its time is up."""
        if mine.content.holder != content.holder and not mine.content.is_over():
            return False
        mine.content = content
        self._write(mine.descriptor, content)
        return True

    def _take(self, path: str, content: _Content) -> bool:
        """Lock a key that this process does not hold."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except FileNotFoundError:
            os.makedirs(self.lock_files_directory, exist_ok=True)
            return False
        try:
            found = _Content.load(os.read(descriptor, 1 << 16))
            if not _lock_file(descriptor):
                if found is not None and found.is_over():
                    with self._guard():
                        self._remove_if_same(path, descriptor)  # its holder lives, but its time is up
                os.close(descriptor)
                return False
            os.lseek(descriptor, 0, os.SEEK_SET)
            found = _Content.load(os.read(descriptor, 1 << 16))  # it may have been written while we waited
            foreign = found is not None and not found.guarded and not found.is_over() and found.holder != content.holder
            if foreign or not self._is_current(path, descriptor):
                os.close(descriptor)
                return False
            self._write(descriptor, content)
        except BaseException:
            os.close(descriptor)
            raise
        _registry.held[path] = _Held(descriptor, content)
        return True

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Exclude other processes while a lock whose time can run out is taken from its holder, or given up.

        Without it, two processes could look at the same file at once, and one remove the file of the other.
        """
        path = os.path.join(self.lock_files_directory, ".guard")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            while not _lock_file(descriptor):
                time.sleep(_FIRST_PAUSE)  # it is held for a few system calls only
            yield
        finally:
            os.close(descriptor)

    def _guard_if_timed(self, content: _Content) -> AbstractContextManager[None]:
        return self._guard() if content.expiration is not None else nullcontext()

    @staticmethod
    def _write(descriptor: int, content: _Content) -> None:
        data = content.dump()
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, data)

    @staticmethod
    def _is_current(path: str, descriptor: int) -> bool:
        """Whether an open file is still the one at its path."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _remove_if_same(self, path: str, descriptor: int) -> None:
        if self._is_current(path, descriptor):
            try:
                os.unlink(path)
            except OSError:
                pass  # another was faster, or the system keeps open files

    @staticmethod
    def _drop(path: str, held: _Held) -> None:
        del _registry.held[path]
        os.close(held.descriptor)

    # ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────

    def release_lock(self, key: str, holder: str) -> None:
        """Unlock a key.

        Raises:
            ValueError: the holder does not have the lock.
        """
        path = self._path(key)
        with _registry.mutex:
            mine = _registry.held.get(path)
            if mine is not None and mine.content.holder == holder:
                with self._guard_if_timed(mine.content):
                    self._remove_if_same(path, mine.descriptor)
                self._drop(path, mine)
                return
        found = self._look(path)
        if found is None or found.holder != holder:
            raise ValueError(f"No lock held by {holder} for transaction with key {key}")
        with self._guard():  # it was acquired in another process
            if self.is_lock_holder(key, holder):
                os.unlink(path)

    def _look(self, path: str) -> _Content | None:
        """What the lock file at a path says; None if the key is not locked."""
        try:
            with open(path, "rb") as file:
                found = _Content.load(file.read())
                if found is None or found.is_over():
                    return None
                if found.guarded and path not in _registry.held and _lock_file(file.fileno()):
                    return None  # whoever wrote it is no more; closing the file undoes our lock
                return found
        except FileNotFoundError:
            return None

    def is_locked(self, key: str, use_cache: bool = False) -> bool:
        """Whether anyone has the lock of a key.

        Args:
            key: the key.
            use_cache: if this process knows itself to hold the lock, do not look at the file.
        """
        path = self._path(key)
        if use_cache and (mine := _registry.held.get(path)) is not None and not mine.content.is_over():
            return True
        return self._look(path) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether the holder has the lock of a key."""
        found = self._look(self._path(key))
        return found is not None and found.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until a key is not locked: see `LockManager.wait_for_lock`."""
        return run(self._until(_sleep, timeout, self._is_free, key))

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """`wait_for_lock` for asynchronous code."""
        return await self._until(_asleep, timeout, self._is_free, key)

    def _is_free(self, key: str) -> bool:
        return not self.is_locked(key)


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 (the synchronous way to wait)


async def _asleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
