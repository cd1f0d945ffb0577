"""File systems: places for files, as blocks.

    fs = LocalFileSystem(basepath="~/data")
    fs.write_path("reports/today.txt", b"42")     # `await` it in asynchronous code
    fs.read_path("reports/today.txt")

Paths are relative to the base path of a file system, and cannot lead out of it.
"""

from __future__ import annotations

import abc
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field, PrivateAttr, SecretStr, field_validator

from prefect._bridge import async_dispatch
from prefect._results import files, remote_files
from prefect.blocks.core import Block
from prefect.utilities.filesystem import filter_files

__all__ = [
    "SMB",
    "LocalFileSystem",
    "NullFileSystem",
    "ReadableDeploymentStorage",
    "ReadableFileSystem",
    "RemoteFileSystem",
    "WritableDeploymentStorage",
    "WritableFileSystem",
]


class ReadableFileSystem(Block, abc.ABC):
    """A place from which files can be read."""

    _block_schema_capabilities: ClassVar[list[str]] = ["read-path"]
    _description: ClassVar[str | None] = ""  # kept out of the schema, whose checksum other blocks refer to

    @abc.abstractmethod
    async def read_path(self, path: str) -> bytes:
        """The content of a file.

        Args:
            path: where it is, relative to the base path.

        Raises:
            ValueError: there is no such file, or the path leads out of the base path.
        """


class WritableFileSystem(Block, abc.ABC):
    """A place from which files can be read, and to which they can be written."""

    _block_schema_capabilities: ClassVar[list[str]] = ["read-path", "write-path"]
    _description: ClassVar[str | None] = ""

    @abc.abstractmethod
    async def read_path(self, path: str) -> bytes:
        """The content of a file.

        Args:
            path: where it is, relative to the base path.

        Raises:
            ValueError: there is no such file, or the path leads out of the base path.
        """

    @abc.abstractmethod
    async def write_path(self, path: str, content: bytes) -> Any:
        """Write a file; folders are made as needed.

        Args:
            path: where, relative to the base path.
            content: what.

        Returns:
            the full path.

        Raises:
            ValueError: the path leads out of the base path.
        """


class ReadableDeploymentStorage(Block, abc.ABC):
    """A place from which the code of deployments is fetched."""

    _block_schema_capabilities: ClassVar[list[str]] = ["get-directory"]
    _description: ClassVar[str | None] = ""

    @abc.abstractmethod
    async def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> Any:
        """Copy a folder from here to this machine.

        Args:
            from_path: the folder, relative to the base path; None: all.
            local_path: where to; None: the working directory.
        """


class WritableDeploymentStorage(Block, abc.ABC):
    """A place from which the code of deployments is fetched, and to which it can be put."""

    _block_schema_capabilities: ClassVar[list[str]] = ["get-directory", "put-directory"]
    _description: ClassVar[str | None] = ""

    @abc.abstractmethod
    async def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> Any:
        """Copy a folder from here to this machine.

        Args:
            from_path: the folder, relative to the base path; None: all.
            local_path: where to; None: the working directory.
        """

    @abc.abstractmethod
    async def put_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> Any:
        """Copy a folder of this machine here.

        Args:
            local_path: the folder; None: the working directory.
            to_path: where to, relative to the base path; None: its top.
            ignore_file: a file of patterns, as in `.gitignore`, of what is left out.
        """


def _chosen_files(folder: str | Path, ignore_file: str | Path | None) -> list[str]:
    """The files of a folder that are not ignored, as sorted relative paths."""
    patterns = Path(ignore_file).read_text().splitlines() if ignore_file else None
    return sorted(filter_files(str(folder), patterns, include_dirs=False))


def _here(local_path: str | None) -> Path:
    """A folder of this machine; without one, the working directory."""
    return Path(local_path or ".").expanduser().resolve()


class _FileMethods:
    """What file systems share: public methods, and their twins for asynchronous code, by `_get`, `_read` and `_write`."""

    if TYPE_CHECKING:

        def _get(self, from_path: str | None, local_path: str | None) -> None: ...
        def _read(self, path: str) -> bytes: ...
        def _write(self, path: str, content: bytes) -> str: ...

    async def aget_directory(self, from_path: str | None = None, local_path: str | None = None) -> None:
        """`get_directory` for asynchronous code."""
        await asyncio.to_thread(self._get, from_path, local_path)

    @async_dispatch(aget_directory)
    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> None:
        """Copy a folder from here to this machine; files that are there are replaced.

        Args:
            from_path: the folder, relative to the base path; None: all.
            local_path: where to; None: the working directory.

        Raises:
            ValueError: the path leads out of the base path.
        """
        self._get(from_path, local_path)

    async def aread_path(self, path: str) -> bytes:
        """`read_path` for asynchronous code."""
        return await asyncio.to_thread(self._read, path)

    @async_dispatch(aread_path)
    def read_path(self, path: str) -> bytes:
        """The content of a file.

        Args:
            path: where it is, relative to the base path.

        Raises:
            ValueError: the path leads out of the base path; or, in a `LocalFileSystem`, there is no such file.
            FileNotFoundError: in other file systems, there is no such file.
        """
        return self._read(path)

    async def awrite_path(self, path: str, content: bytes) -> str:
        """`write_path` for asynchronous code."""
        return await asyncio.to_thread(self._write, path, content)

    @async_dispatch(awrite_path)
    def write_path(self, path: str, content: bytes) -> str:
        """Write a file; folders are made as needed.

        Args:
            path: where, relative to the base path.
            content: what.

        Returns:
            the full path, or URL.

        Raises:
            ValueError: the path leads out of the base path.
        """
        return self._write(path, content)


# ── local ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class LocalFileSystem(_FileMethods, WritableFileSystem, WritableDeploymentStorage):
    """Files in a folder of this machine.

    A write is whole or did not happen, also when the process dies in the middle of it.

    Example:
        ```python
        from prefect.filesystems import LocalFileSystem

        LocalFileSystem(basepath="/srv/results").save("results")
        LocalFileSystem.load("results").read_path("a/b.txt")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Local File System"
    _block_type_slug: ClassVar[str | None] = "local-file-system"

    basepath: str | None = Field(default=None, description="The folder; without one, the working directory.")

    @field_validator("basepath", mode="before")
    @classmethod
    def cast_pathlib(cls, value: Any) -> Any:
        """Take a `pathlib.Path` for its text."""
        return str(value) if isinstance(value, Path) else value

    def _resolve_path(self, path: str | Path) -> Path:
        return files.resolve_within(self.basepath, path)

    def _get(self, from_path: str | None, local_path: str | None) -> None:
        files.copy_folder(self._resolve_path(from_path or "."), _here(local_path))

    def _put(self, local_path: str | None, to_path: str | None, ignore_file: str | None) -> None:
        source, target = _here(local_path), self._resolve_path(to_path or ".")
        if source != target and not source.is_dir():
            raise FileNotFoundError(f"There is no folder {str(source)!r} to put.")
        files.copy_folder(source, target, _chosen_files(source, ignore_file) if ignore_file else None)

    def _read(self, path: str) -> bytes:
        return files.read_file(self._resolve_path(path))

    def _write(self, path: str, content: bytes) -> str:
        full = self._resolve_path(path)
        files.write_file(full, content)
        return str(full)

    async def aput_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> None:
        """`put_directory` for asynchronous code."""
        await asyncio.to_thread(self._put, local_path, to_path, ignore_file)

    @async_dispatch(aput_directory)
    def put_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> None:
        """Copy a folder of this machine here; files that are there are replaced.

        Args:
            local_path: the folder; None: the working directory.
            to_path: where to, relative to the base path; None: its top.
            ignore_file: a file of patterns, as in `.gitignore`, of what is left out.

        Raises:
            ValueError: the path leads out of the base path.
            FileNotFoundError: there is no such folder.
        """
        self._put(local_path, to_path, ignore_file)


# ── remote ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _RemoteFiles(_FileMethods):
    """Files that are reached through fsspec, for blocks with a `basepath` URL and a `filesystem`."""

    if TYPE_CHECKING:  # pydantic would take annotations for fields
        basepath: Any
        filesystem: Any

    def _resolve_path(self, path: str) -> str:
        return remote_files.resolve_within(self.basepath, path)

    def _get(self, from_path: str | None, local_path: str | None) -> None:
        remote_files.fetch_folder(self.filesystem, self._resolve_path(from_path or ""), _here(local_path))

    def _put(self, local_path: str | None, to_path: str | None, ignore_file: str | None, overwrite: bool) -> int:
        source = _here(local_path)
        if not source.is_dir():
            raise FileNotFoundError(f"There is no folder {str(source)!r} to put.")
        names = _chosen_files(source, ignore_file)
        target = self._resolve_path(to_path or "")
        return remote_files.send_files(self.filesystem, source, names, target, overwrite=overwrite)

    def _read(self, path: str) -> bytes:
        return remote_files.read_file(self.filesystem, self._resolve_path(path))

    def _write(self, path: str, content: bytes) -> str:
        full = self._resolve_path(path)
        remote_files.write_file(self.filesystem, full, content)
        return full


class RemoteFileSystem(_RemoteFiles, WritableFileSystem, WritableDeploymentStorage):
    """Files in any storage that fsspec knows: object stores, SFTP, WebDAV, memory and many more.

    Example:
        ```python
        from prefect.filesystems import RemoteFileSystem

        RemoteFileSystem(basepath="s3://my-bucket/results", settings={"anon": False}).save("results")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Remote File System"
    _block_type_slug: ClassVar[str | None] = "remote-file-system"

    basepath: str = Field(
        description="URL of the folder; its scheme tells fsspec the kind of storage.",
        examples=["s3://my-bucket/my-folder/"],
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="Options for fsspec's file system.")

    _filesystem: Any = PrivateAttr(None)

    @field_validator("basepath")
    @classmethod
    def check_basepath(cls, value: str) -> str:
        """Check that the base path is a URL with a scheme and a location."""
        scheme, slashes, location = value.partition("://")
        if not slashes or not scheme:
            raise ValueError(f"Base path must start with a scheme. Got {value!r}.")
        if not location.split("/")[0]:
            raise ValueError(f"Base path must include a location after the scheme. Got {value!r}.")
        if scheme == "file":
            raise ValueError("Base path scheme cannot be 'file'. Use `LocalFileSystem` for local files.")
        return value

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, made when first asked for."""
        if self._filesystem is None:
            self._filesystem = remote_files.connect(self.basepath, self.settings)
        return self._filesystem

    async def aput_directory(
        self,
        local_path: str | None = None,
        to_path: str | None = None,
        ignore_file: str | None = None,
        overwrite: bool = True,
    ) -> int:
        """`put_directory` for asynchronous code."""
        return await asyncio.to_thread(self._put, local_path, to_path, ignore_file, overwrite)

    @async_dispatch(aput_directory)
    def put_directory(
        self,
        local_path: str | None = None,
        to_path: str | None = None,
        ignore_file: str | None = None,
        overwrite: bool = True,
    ) -> int:
        """Copy a folder of this machine here.

        Args:
            local_path: the folder; None: the working directory.
            to_path: where to, relative to the base path; None: its top.
            ignore_file: a file of patterns, as in `.gitignore`, of what is left out.
            overwrite: replace files that are there; otherwise they are left as they are.

        Returns:
            how many files were copied.

        Raises:
            ValueError: the path leads out of the base path.
            FileNotFoundError: there is no such folder.
        """
        return self._put(local_path, to_path, ignore_file, overwrite)


class SMB(_RemoteFiles, WritableFileSystem, WritableDeploymentStorage):
    """Files in a shared folder of a Windows network (SMB), by fsspec and the package `smbprotocol`.

    Example:
        ```python
        from prefect.filesystems import SMB

        SMB(smb_host="files.example.org", share_path="/SHARE/flows", smb_username="ann", smb_password="...").save("share")
        ```
    """

    _block_type_name: ClassVar[str | None] = "SMB"
    _block_type_slug: ClassVar[str | None] = "smb"

    share_path: str = Field(description="Share and folder in it.", examples=["/SHARE/dir/subdir"])
    smb_username: SecretStr | None = Field(default=None, title="SMB Username", description="Name of the account.")
    smb_password: SecretStr | None = Field(default=None, title="SMB Password", description="Password of the account.")
    smb_host: str = Field(title="SMB server/hostname", description="Name or address of the server.")
    smb_port: int | None = Field(default=None, title="SMB port", description="Port of the server; by default 445.")

    _filesystem: Any = PrivateAttr(None)

    @property
    def basepath(self) -> str:
        """The URL of the share."""
        return f"smb://{self.smb_host.rstrip('/')}/{self.share_path.lstrip('/')}"

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, connected when first asked for."""
        if self._filesystem is None:
            options: dict[str, Any] = {"host": self.smb_host}
            if self.smb_username:
                options["username"] = self.smb_username.get_secret_value()
            if self.smb_password:
                options["password"] = self.smb_password.get_secret_value()
            if self.smb_port is not None:
                options["port"] = self.smb_port
            self._filesystem = remote_files.connect(self.basepath, options)
        return self._filesystem

    async def aput_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> int:
        """`put_directory` for asynchronous code."""
        return await asyncio.to_thread(self._put, local_path, to_path, ignore_file, True)

    @async_dispatch(aput_directory)
    def put_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> int:
        """Copy a folder of this machine to the share; see `RemoteFileSystem.put_directory`."""
        return self._put(local_path, to_path, ignore_file, True)


# ── nowhere ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class NullFileSystem(BaseModel):
    """Keeps nothing: what is written is gone, and there is nothing to read."""

    async def read_path(self, path: str) -> None:
        """Return None: there is nothing."""

    async def write_path(self, path: str, content: bytes) -> None:
        """Forget the content."""

    async def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> None:
        """Copy nothing."""

    async def put_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> None:
        """Forget the folder."""
