"""What a lock manager must be able to do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class LockManager(Protocol):
    """Locks keys for holders. A holder is whoever gives the same name; what it holds, it may acquire again.

    A lock ends when its holder releases it, or `hold_timeout` seconds after it was acquired.
    """

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Lock a key, waiting for it.

        Args:
            key: the key.
            holder: who will hold the lock.
            acquire_timeout: seconds to wait at most; None: without end.
            hold_timeout: seconds after which the lock ends by itself; None: never.

        Returns:
            whether the holder has the lock now.
        """
        ...

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """`acquire_lock` for asynchronous code."""
        ...

    def release_lock(self, key: str, holder: str) -> None:
        """Unlock a key.

        Raises:
            ValueError: the holder does not have the lock.
        """
        ...

    def is_locked(self, key: str) -> bool:
        """Whether anyone has the lock of a key."""
        ...

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether the holder has the lock of a key."""
        ...

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until whoever holds the key's lock has let go of it, without locking it.

        Args:
            key: the key.
            timeout: seconds to wait at most; None: without end.

        Returns:
            whether that happened in time; True at once for a key that is not locked.
        """
        ...

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """`wait_for_lock` for asynchronous code."""
        ...
