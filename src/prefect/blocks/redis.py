"""Files in Redis. Install `prefect[redis]`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, SecretStr

from prefect._bridge import async_dispatch
from prefect._lazy import lazy_module
from prefect.filesystems import WritableFileSystem

if TYPE_CHECKING:
    import redis
    from redis import asyncio as redis_asyncio
else:
    redis = lazy_module("redis")
    redis_asyncio = lazy_module("redis.asyncio")

__all__ = ["RedisStorageContainer"]


class RedisStorageContainer(WritableFileSystem):
    """Keeps files, such as results of runs, in Redis. Give a host, or a connection string.

    Example:
        ```python
        from prefect.blocks.redis import RedisStorageContainer

        RedisStorageContainer.from_host("localhost").save("BLOCK_NAME")
        ```
    """

    _block_type_slug: ClassVar[str | None] = "redisstoragecontainer"

    host: str | None = Field(default=None, description="The host.")
    port: int = Field(default=6379, description="The port.")
    db: int = Field(default=0, description="The number of the database.")
    username: SecretStr | None = Field(default=None, description="Who logs in.")
    password: SecretStr | None = Field(default=None, description="The password.")
    connection_string: SecretStr | None = Field(
        default=None, description="The address with everything in it, such as redis://user:password@host:6379/0."
    )

    def block_initialization(self) -> None:
        if self.connection_string or self.host:
            return
        raise ValueError("Initialization error: give 'host' or 'connection_string'; 'username' needs a 'password'.")

    @classmethod
    def from_host(
        cls,
        host: str,
        port: int = 6379,
        db: int = 0,
        username: SecretStr | str | None = None,
        password: SecretStr | str | None = None,
    ) -> Self:
        """The files in a database of a host.

        Args:
            host, port: where Redis listens.
            db: the number of the database.
            username, password: to log in with.
        """
        secret = {"username": username, "password": password}
        secrets: dict[str, Any] = {
            name: SecretStr(value) if isinstance(value, str) else value for name, value in secret.items()
        }
        return cls(host=host, port=port, db=db, **secrets)

    @classmethod
    def from_connection_string(cls, connection_string: str | SecretStr) -> Self:
        """The files in the database of an address, such as `redis://user:password@host:6379/0`."""
        if isinstance(connection_string, str):
            connection_string = SecretStr(connection_string)
        return cls(connection_string=connection_string)

    def _options(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "db": self.db,
            "username": self.username.get_secret_value() if self.username else None,
            "password": self.password.get_secret_value() if self.password else None,
        }

    @contextmanager
    def _client(self) -> Iterator[redis.Redis]:
        if self.connection_string:
            client = redis.Redis.from_url(self.connection_string.get_secret_value())
        else:
            client = redis.Redis(**self._options())
        with client:
            yield client

    @asynccontextmanager
    async def _async_client(self) -> AsyncIterator[redis_asyncio.Redis]:
        if self.connection_string:
            client = redis_asyncio.Redis.from_url(self.connection_string.get_secret_value())
        else:
            client = redis_asyncio.Redis(**self._options())
        async with client:
            yield client

    async def aread_path(self, path: Path | str) -> bytes:
        """`read_path` for asynchronous code."""
        async with self._async_client() as client:
            return _found(path, await client.get(str(path)))

    @async_dispatch(aread_path)
    def read_path(self, path: Path | str) -> bytes:  # type: ignore[override]
        """The content of a file.

        Args:
            path: its key.

        Raises:
            ValueError: there is no such file.
        """
        with self._client() as client:
            return _found(path, client.get(str(path)))

    async def awrite_path(self, path: Path | str, content: bytes) -> bool:
        """`write_path` for asynchronous code."""
        async with self._async_client() as client:
            return bool(await client.set(str(path), content))

    @async_dispatch(awrite_path)
    def write_path(self, path: Path | str, content: bytes) -> bool:  # type: ignore[override]
        """Write a file, over one that is there.

        Args:
            path: its key.
            content: the content.
        """
        with self._client() as client:
            return bool(client.set(str(path), content))


def _found(path: Path | str, content: Any) -> bytes:
    if content is None:
        raise ValueError(f"There is no file {str(path)!r} in Redis.")
    return content if isinstance(content, bytes) else str(content).encode()
