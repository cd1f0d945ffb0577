"""Folders as storage: on this machine, in remote file systems, behind blocks."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from prefect._lazy import lazy_module
from prefect._storage.credentials import plain
from prefect._storage.locking import destination_lock
from prefect._storage.pulling import Pulled
from prefect._storage.references import is_reference, reference_to
from prefect.exceptions import PrefectImportError

if TYPE_CHECKING:
    import fsspec

    from prefect.blocks import core as blocks_core
else:
    blocks_core = lazy_module("prefect.blocks.core")
    fsspec = lazy_module("fsspec")

# what has to be installed to read from a kind of address
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}


class LocalStorage(Pulled):
    """A folder of this machine; nothing is fetched.

    Args:
        path: the folder.
        pull_interval: not used; there is nothing to pull.
    """

    def __init__(self, path: str, pull_interval: int | None = None) -> None:
        self._path = Path(path).expanduser().resolve()
        super().__init__(pull_interval)

    @property
    def destination(self) -> Path:
        """The folder."""
        return self._path

    def set_base_path(self, path: Path) -> None:
        """Changes nothing: the folder is where it is."""

    async def pull_code(self) -> None:
        """Fetches nothing: the code is here."""

    def to_pull_step(self) -> dict[str, Any]:
        """The pull step that goes to the folder."""
        return {"prefect.deployments.steps.set_working_directory": {"directory": str(self._path)}}

    def __eq__(self, other: object) -> bool:
        return self._path == other._path if isinstance(other, LocalStorage) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LocalStorage(path={self._path!r})"


class RemoteStorage(Pulled):
    """A folder of a file system that `fsspec` can read: S3, Google Cloud Storage, Azure, SFTP, ...

    Needs the `remote` extra, and the package for the kind of address (`s3fs` for `s3://`).

    Args:
        url: the folder's address.
        pull_interval: seconds between pulls; None: pull once.
        **settings: of the file system; saved blocks may stand for secrets.
    """

    def __init__(self, url: str, pull_interval: int | None = 60, **settings: Any) -> None:
        super().__init__(pull_interval)
        self._url = url
        self._settings = settings

    @property
    def destination(self) -> Path:
        """The folder that it is copied to."""
        parts = urlsplit(self._url)
        inner = [
            part for part in (parts.netloc.rpartition("@")[2], *parts.path.split("/")) if part not in ("", ".", "..")
        ]
        return self._storage_base_path.joinpath(*inner)

    async def pull_code(self) -> None:
        """Copy the folder, with what is in it, to the destination.

        Raises:
            PrefectImportError: a package that reads such addresses is not installed.
            RuntimeError: it cannot be read.
        """
        await asyncio.to_thread(self._pull)

    def _pull(self) -> None:
        settings = {name: _deep_plain(value) for name, value in self._settings.items()}
        try:
            system, path = fsspec.core.url_to_fs(self._url, **settings)
        except ImportError as error:
            package = _PACKAGES.get(urlsplit(self._url).scheme)
            raise PrefectImportError(
                f"Reading {self._url} needs a package that is not installed: "
                f"`pip install 'prefect[remote]'{f' {package}' if package else ''}`."
            ) from error
        with destination_lock(self.destination):
            self.destination.mkdir(parents=True, exist_ok=True)
            try:
                system.get(f"{path.rstrip('/')}/", f"{self.destination}/", recursive=True)
            except Exception as error:  # each file system has errors of its own
                raise RuntimeError(
                    f"Copying {self._url} to {self.destination} failed: {type(error).__name__}: {error}"
                ) from error

    def to_pull_step(self) -> dict[str, Any]:
        """The pull step that copies the folder, with references to the blocks among the settings."""
        inputs: dict[str, Any] = {"url": self._url}
        inputs |= {name: _referenced(value) for name, value in self._settings.items()}
        package = _PACKAGES.get(urlsplit(self._url).scheme)
        if package:
            inputs["requires"] = package
        return {"prefect.deployments.steps.pull_from_remote_storage": inputs}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteStorage):
            return NotImplemented
        return (self._url, self._settings) == (other._url, other._settings)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RemoteStorage(url={self._url!r})"


class BlockStorageAdapter(Pulled):
    """Makes storage of a saved block that has `get_directory`, such as `S3Bucket` or `RemoteFileSystem`.

    Args:
        block: the block.
        pull_interval: seconds between pulls; None: pull once.

    Raises:
        ValueError: the block has no `get_directory`.
    """

    def __init__(self, block: Any, pull_interval: int | None = 60) -> None:
        if not hasattr(block, "get_directory"):
            raise ValueError(f"A {type(block).__name__} is no storage: it has no method `get_directory`.")
        super().__init__(pull_interval)
        self._block = block
        name = blocks_core.document_name(block)
        slug = block.get_block_type_slug()
        self._name = f"{slug}-{name}" if name else f"{slug}-{type(block).__name__.lower()}"

    @property
    def destination(self) -> Path:
        """The folder that it is copied to."""
        return self._storage_base_path / self._name

    async def pull_code(self) -> None:
        """Copy what the block holds to the destination."""
        self.destination.mkdir(parents=True, exist_ok=True)
        # blocks give a coroutine in asynchronous code, or do their work right away
        answer = self._block.get_directory(local_path=str(self.destination))
        if hasattr(answer, "__await__"):
            await answer

    def to_pull_step(self) -> dict[str, Any]:
        """The block's own pull step if it has one (`get_pull_step`), else one that loads the block and copies.

        Raises:
            BlockNotSavedError: the block is not saved.
        """
        if hasattr(self._block, "get_pull_step"):
            return self._block.get_pull_step()
        if blocks_core.document_name(self._block) is None:
            raise blocks_core.BlockNotSavedError(
                "Block must be saved with `.save()` before it can be converted to a pull step."
            )
        return {
            "prefect.deployments.steps.pull_with_block": {
                "block_type_slug": self._block.get_block_type_slug(),
                "block_document_name": blocks_core.document_name(self._block),
            }
        }

    def __eq__(self, other: object) -> bool:
        return self._block == other._block if isinstance(other, BlockStorageAdapter) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"BlockStorageAdapter(block={blocks_core.document_name(self._block)!r})"


@runtime_checkable
class RunnerStorage(Protocol):
    """What a place for code must be able to do."""

    def set_base_path(self, path: Path) -> None:
        """Fetch to a folder in this one."""
        ...

    @property
    def pull_interval(self) -> int | None:
        """Seconds between pulls; None: pull once."""
        ...

    @property
    def destination(self) -> Path:
        """The folder that the code is in once it was pulled."""
        ...

    async def pull_code(self) -> None:
        """Fetch the code, or what is new of it."""
        ...

    def to_pull_step(self) -> dict[str, Any] | list[dict[str, Any]]:
        """The step, or steps, with which another machine fetches it."""
        ...


def _deep_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep_plain(item) for key, item in value.items()}
    return plain(value)


def _referenced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _referenced(item) for key, item in value.items()}
    if hasattr(value, "get_block_placeholder"):
        return reference_to(value)
    if hasattr(value, "get_secret_value") and not is_reference(value):
        raise ValueError("Save a secret as a Secret block before converting this storage object to a pull step.")
    return value


def temporary_base(prefix: str = "prefect-code-") -> Path:
    """A new folder for code that is fetched for a while; remove it with `remove_base`."""
    return Path(tempfile.mkdtemp(prefix=prefix))


def remove_base(folder: Path) -> None:
    """Remove a folder made by `temporary_base`."""
    shutil.rmtree(folder, ignore_errors=True)
