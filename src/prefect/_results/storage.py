"""Where results lie: local files, nowhere, or any block that reads and writes paths; and how each is reached.

The bodies that use a storage are written once, as coroutines over a `Port`. `SYNC` never suspends, so that such a body
can be finished on the spot; `ASYNC` leaves the event loop free while files are read and written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import CoroutineType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol

from prefect._bridge import run_coro_as_sync
from prefect._lazy import lazy_module
from prefect._results import files

if TYPE_CHECKING:
    import asyncio

    from prefect.filesystems import WritableFileSystem
else:
    asyncio = lazy_module("asyncio")


class Port(Protocol):
    """How a body calls functions that may be synchronous, asynchronous or either."""

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function or coroutine function that may take time."""
        ...


_CO_COROUTINE = 0x80  # `inspect.CO_COROUTINE`, without importing inspect


def _is_async(function: Callable[..., Any]) -> bool:
    plain = function.__func__ if isinstance(function, MethodType) else function
    return isinstance(plain, FunctionType) and bool(plain.__code__.co_flags & _CO_COROUTINE)


class _SyncPort:
    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if hasattr(function, "aio"):
            kwargs["_sync"] = True  # it would look for a running loop otherwise, and find the caller's
        result = function(*args, **kwargs)
        return run_coro_as_sync(result) if isinstance(result, CoroutineType) else result


class _AsyncPort:
    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if _is_async(function):
            return await function(*args, **kwargs)
        if hasattr(function, "aio"):
            result = function(*args, _sync=False, **kwargs)
        else:
            result = await asyncio.to_thread(function, *args, **kwargs)
        return await result if hasattr(result, "__await__") else result


SYNC: Port = _SyncPort()
ASYNC: Port = _AsyncPort()


class Storage(Protocol):
    """A place for bytes under paths."""

    def resolve(self, key: str) -> str:
        """The full form of a key, under which a record names its place."""
        ...

    async def read(self, port: Port, path: str) -> bytes:
        """The bytes at a path; raises ValueError or OSError when there are none."""
        ...

    async def write(self, port: Port, path: str, content: bytes) -> None:
        """Put bytes at a path."""
        ...

    def relative(self, path: str) -> str:
        """A full path as seen from the top of the storage."""
        ...


class LocalStorage:
    """Files in a folder."""

    __slots__ = ("_root", "base")

    def __init__(self, base: str | Path | None) -> None:
        self.base = str(base) if base is not None else None
        self._root: str | None = None

    def _top(self) -> str:
        if self._root is None:
            self._root = str(files.resolve_within(self.base, "."))
        return self._root

    def resolve(self, key: str) -> str:
        top = self._top()
        path = os.path.normpath(os.path.join(top, key))
        # symbolic links are followed when the file is opened
        return path if path.startswith(top + os.sep) else str(files.resolve_within(self.base, key))

    def relative(self, path: str) -> str:
        return os.path.relpath(path, self._top()) if os.path.isabs(path) else path

    async def read(self, port: Port, path: str) -> bytes:
        return await port.call(files.read_file, files.resolve_within(self.base, path))

    async def write(self, port: Port, path: str, content: bytes) -> None:
        await port.call(files.write_file, files.resolve_within(self.base, path), content)


class BlockStorage:
    """A block with `read_path` and `write_path`."""

    __slots__ = ("block",)

    def __init__(self, block: WritableFileSystem) -> None:
        self.block = block

    def resolve(self, key: str) -> str:
        resolve = getattr(self.block, "_resolve_path", None)
        return str(resolve(key)) if resolve is not None else key

    def relative(self, path: str) -> str:
        base = str(getattr(self.block, "basepath", None) or "").rstrip("/")
        return path[len(base) + 1 :] if base and path.startswith(base + "/") else path

    async def read(self, port: Port, path: str) -> bytes:
        return await port.call(self._method(port, "read_path"), path)

    async def write(self, port: Port, path: str, content: bytes) -> None:
        await port.call(self._method(port, "write_path"), path, content=content)

    def _method(self, port: Port, name: str) -> Callable[..., Any]:
        twin = getattr(self.block, "a" + name, None) if port is ASYNC else None
        return twin if twin is not None else getattr(self.block, name)


class NoStorage:
    """Keeps nothing and finds nothing."""

    __slots__ = ()

    def resolve(self, key: str) -> str:
        return key

    def relative(self, path: str) -> str:
        return path

    async def read(self, port: Port, path: str) -> bytes:
        raise ValueError(f"Path {path} does not exist: this storage keeps nothing.")

    async def write(self, port: Port, path: str, content: bytes) -> None:
        return None


NOWHERE = NoStorage()


def storage_for(block: Any) -> Storage:
    """The storage that a public file system stands for."""
    kind = type(block)
    if (kind.__module__, kind.__name__) == ("prefect.filesystems", "NullFileSystem"):
        return NOWHERE
    if (kind.__module__, kind.__name__) == ("prefect.filesystems", "LocalFileSystem"):
        return LocalStorage(block.basepath)
    return BlockStorage(block)
